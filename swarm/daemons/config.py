"""A node's settings: what `node.yaml` may say.

    cluster: demo
    node: n1
    data_dir: data
    listen: 127.0.0.1:7101           # loopback unless said otherwise
    advertise: 10.0.0.5:7101         # where others reach it; default: listen
    coordinators: {n1: 127.0.0.1:7101, n2: 127.0.0.1:7102, n3: 127.0.0.1:7103}
    tls: {ca: authority.pem, certificate: certificate.pem, key: key.pem}
    sandbox: {tier: auto}            # auto | root | user | reduced | wasm-only
    egress: {allow: [api.example.org:443]}   # where agents may connect that declare it; default: nowhere
    slots: 256                       # steps in flight
    cells_per_agent: 4               # default: one per processor, at most 4
    raft: {election_ms: [800, 1600], heartbeat_ms: 100}
    log: {kind: etcd, etcd: {endpoints: [10.0.0.9:2379], tls: {ca: e.pem, certificate: c.pem, key: k.pem}}}
                                     # default: {kind: embedded}, the coordinators keep the log themselves;
                                     # {relaxed: true} acknowledges before the disk: the same on all of them
    data: {max_mb: 16384}            # of large payloads and agent files on this node's disk
    audit: {keep_days: 365, keep_mb: 4096}   # older or more than this is dropped, a segment at a time
    result_cache: {mb: 64}           # 0: none; redis: redis://HOST:6379/0 and key_file share it among nodes
    placement: {assigner: auto, rebalance: true}   # auto | greedy | hungarian | auction | genetic
    join: {listen: 10.0.0.5:7102, authority: ../authority, passphrase: "file:passphrase", lifetime: 30d}
    trust: {authors: {ann: {key: <64 hexadecimal digits>, may: ["vision:*"]}}}   # whose agents may run
                                     # trust.clearance: {level: 1, tenants: [acme]} bounds with which data
    log_level: info

Only `cluster`, `node`, `data_dir`, `coordinators` and `tls` have no default. One, three or five
coordinators vote; every other node is a worker. Relative paths are relative to the file.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from swarm import limits
from swarm.adapters.etcd.settings import ENDPOINTS_MAX
from swarm.adapters.secrets import Secret
from swarm.adapters.settings import (
    EVERYWHERE,
    Address,
    FilePath,
    Section,
    Span,
    host_of,
    load_settings,
    wrong,
)
from swarm.adapters.tls import IdentityFiles
from swarm.adapters.tls.names import Identities, ServerName, identity_map
from swarm.ids import NodeId
from swarm.scheduler.together import AssignerName, Options
from swarm.trust import Role
from swarm.trust.authors import KEY, PATTERN, AgentPolicy, Author
from swarm.trust.foreign import IdentityMap
from swarm.trust.identity import is_name
from swarm.trust.policyfile import NodeClearance

LISTEN_DEFAULT = "127.0.0.1:7101"
VOTERS = (1, 3, 5)
CELLS_PER_AGENT_DEFAULT_MAX = 4
ELECTION_MS_MAX = 60_000
AUTHORS_MAX = 1_000
EGRESS_PLACES_MAX = 1_000
PATTERNS_MAX = 100
HEARTBEATS_PER_ELECTION_MIN = 3  # one lost packet must not depose a leader


def _name(text: str) -> str:
    if not is_name(text):
        raise wrong(f"{text[:80]!r} is no name", "use lower-case letters, digits, '-' and '.', at most 63")
    return text


Name = Annotated[str, AfterValidator(_name)]


class TlsSettings(Section):
    """Where this node's certificate lies, and that of the authority it trusts; see `swarm.trust.foreign`."""

    ca: FilePath
    certificate: FilePath
    key: FilePath
    identities: Identities = ()
    server_name: ServerName = "{}"

    def files(self) -> IdentityFiles:
        return IdentityFiles(certificate=self.certificate, key=self.key, authority=self.ca)

    def names(self, cluster: str) -> IdentityMap:
        return identity_map(cluster, self.identities)


class PlacementSettings(Section):
    """How this node, while it leads, finds places for steps; see `swarm.scheduler.together`."""

    assigner: AssignerName = "auto"
    rebalance: bool = True

    def options(self) -> Options:
        return Options(self.assigner, self.rebalance)


class ResultCacheSettings(Section):
    """How much a node remembers of what deterministic capabilities gave, and with whom it shares it."""

    mb: Annotated[int, Field(ge=0, le=1_000_000)] = 64
    redis: str = ""
    password: Secret | None = None  # of the Redis
    key_file: FilePath | None = None

    @model_validator(mode="after")
    def _shared_under_a_key(self) -> Self:
        if "@" in self.redis:
            raise wrong(
                "a password has no place in settings", "write `password: file:PATH`, or another reference"
            )
        if bool(self.redis) != (self.key_file is not None):
            raise wrong(
                "`redis` and `key_file` go together",
                "name a file with the same 32 random bytes or more on every node: results are sealed with it",
            )
        return self


class SandboxSettings(Section):
    """How strongly cells are locked down; `reduced` and `wasm-only` must be asked for by name."""

    tier: Literal["auto", "root", "user", "reduced", "wasm-only"] = "auto"


class EgressSettings(Section):
    """Places the agents of this node may connect to, by name and over TLS; an agent has to declare them, too.

    A name in `allow` that leads to an address of a private network is not followed; one in `allow_private`
    is. `roots` are certificates trusted in place of this machine's own.
    """

    allow: Annotated[list[Address], Field(max_length=EGRESS_PLACES_MAX)] = Field(default_factory=list)
    allow_private: Annotated[list[Address], Field(max_length=EGRESS_PLACES_MAX)] = Field(default_factory=list)
    roots: FilePath | None = None
    connection_mb_max: Annotated[int, Field(ge=1, le=1_000_000)] = 256  # of one connection, both ways
    mbps_max: Annotated[int, Field(ge=1, le=100_000)] = 1_000  # of one cell, whatever its agent declares


class RaftSettings(Section):
    """Timing of the replicated log."""

    election_ms: Annotated[tuple[int, int], Field(strict=False)] = (800, 1600)
    heartbeat_ms: Annotated[int, Field(ge=1)] = 100

    @model_validator(mode="after")
    def _timing_holds(self) -> Self:
        least, most = self.election_ms
        if not self.heartbeat_ms * HEARTBEATS_PER_ELECTION_MIN <= least < most <= ELECTION_MS_MAX:
            raise wrong(
                f"elections after {least} to {most} ms do not go with a heartbeat of {self.heartbeat_ms} ms",
                f"write election_ms: [LEAST, MOST] with LEAST < MOST <= {ELECTION_MS_MAX} and"
                f" LEAST at least {HEARTBEATS_PER_ELECTION_MIN} heartbeats",
            )
        return self


class EtcdSection(Section):
    """An etcd cluster that keeps the log, and what this node shows to be let in."""

    endpoints: Annotated[list[Address], Field(min_length=1, max_length=ENDPOINTS_MAX)]
    tls: TlsSettings
    lease_s: Annotated[int, Field(ge=2, le=60)] = 3


class LogSettings(Section):
    """Who keeps the replicated log."""

    kind: Literal["embedded", "etcd"] = "embedded"
    joins: bool = False  # a coordinator that is added to a cluster that runs: it only learns until it is
    relaxed: bool = False  # acknowledged before it is synced: a power cut of all who hold it may take it
    etcd: EtcdSection | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.relaxed and self.etcd is not None:
            raise wrong("etcd decides itself when it syncs", "leave `relaxed` out")
        if (self.kind == "etcd") != (self.etcd is not None):
            raise wrong(
                "kind and etcd do not say the same",
                "write {kind: etcd, etcd: {endpoints: [...], tls: {...}}}, or leave `log` out",
            )
        return self


class AuditSettings(Section):
    """How much of the audit log is kept; what is dropped leaves its hash, so that proofs go on."""

    keep_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    keep_mb: Annotated[int, Field(ge=1, le=1_000_000)] = 4_096


class DataSettings(Section):
    """How much this node keeps of large payloads and agent files; what is over that is refused."""

    max_mb: Annotated[int, Field(ge=64, le=1_000_000_000)] = limits.BLOBS_BYTES_MAX // limits.MIB


class JoinSettings(Section):
    """A listener for newcomers with a token, on a coordinator that has the authority's key.

    The key's passphrase is where `passphrase` says (`swarm.adapters.secrets`), else in $SWARM_PASSPHRASE.
    """

    listen: Address
    authority: FilePath
    lifetime: Span = timedelta(days=30)  # of the certificates it signs; renewed after two thirds of it
    passphrase: Secret | None = None


def _key(text: str) -> str:
    if not KEY.fullmatch(text):
        raise wrong("this is no public key", "write the 64 hexadecimal digits from the author's .pub file")
    return text


def _pattern(text: str) -> str:
    if not PATTERN.fullmatch(text):
        raise wrong(f"{text[:80]!r} fits no capability", "write e.g. vision:digit, vision:* or *")
    return text


class AuthorSettings(Section):
    """An author of agents: a public key, and the capabilities it may sign for."""

    key: Annotated[str, AfterValidator(_key)]
    may: Annotated[
        list[Annotated[str, AfterValidator(_pattern)]], Field(min_length=1, max_length=PATTERNS_MAX)
    ]


class TrustSettings(Section):
    """Whose agents may be deployed and hosted (`agents: any` is for development alone), with which data."""

    agents: Literal["signed", "any"] = "signed"
    authors: Annotated[dict[str, AuthorSettings], Field(max_length=AUTHORS_MAX)] = Field(default_factory=dict)
    clearance: NodeClearance = NodeClearance()

    def policy(self) -> AgentPolicy:
        authors = (Author(name, author.key, tuple(author.may)) for name, author in self.authors.items())
        return AgentPolicy(tuple(authors), anybody=self.agents == "any")


def _cells_default() -> int:
    return min(CELLS_PER_AGENT_DEFAULT_MAX, len(os.sched_getaffinity(0)))


class NodeConfig(Section):
    """Everything one daemon is told; see the head of this module."""

    cluster: Name
    node: Annotated[NodeId, AfterValidator(_name)]
    data_dir: FilePath
    listen: Address = LISTEN_DEFAULT
    advertise: Address | None = None
    coordinators: dict[Annotated[NodeId, AfterValidator(_name)], Address]
    tls: TlsSettings
    sandbox: SandboxSettings = SandboxSettings()
    egress: EgressSettings = EgressSettings()
    placement: PlacementSettings = PlacementSettings()
    result_cache: ResultCacheSettings = ResultCacheSettings()
    slots: Annotated[int, Field(ge=1, le=limits.NODE_SLOTS_MAX)] = limits.NODE_SLOTS_DEFAULT
    cells_per_agent: Annotated[int, Field(ge=1, le=limits.CELLS_PER_AGENT_MAX)] = Field(
        default_factory=_cells_default
    )
    raft: RaftSettings = RaftSettings()
    log: LogSettings = LogSettings()
    audit: AuditSettings = AuditSettings()
    data: DataSettings = DataSettings()
    join: JoinSettings | None = None
    trust: TrustSettings = TrustSettings()
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(self.coordinators) not in VOTERS and not self.log.joins:
            raise wrong(
                f"{len(self.coordinators)} coordinators cannot form a majority worth having",
                "list 1, 3 or 5 of them; every other node is a worker",
            )
        if len(set(self.coordinators.values())) != len(self.coordinators):
            raise wrong("two coordinators have the same address", "give each its own HOST:PORT")
        if self.advertise is None and host_of(self.listen) in EVERYWHERE:
            raise wrong(
                f"others cannot reach {self.listen}", "add `advertise: HOST:PORT`, the address others dial"
            )
        if self.join is not None and self.node not in self.coordinators:
            raise wrong(
                "only a coordinator lets others join", "remove `join`, or list this node to coordinate"
            )
        listed = self.coordinators.get(self.node)
        if listed is not None and listed != self.address:
            raise wrong(
                f"coordinators says that {self.node} is at {listed}, this file that it is at {self.address}",
                "make `advertise` (or `listen`) and the entry in `coordinators` the same",
            )
        return self

    @classmethod
    def load(cls, path: Path | str) -> NodeConfig:
        """Read `node.yaml`; raises `ConfigRefused` naming file, line, key and remedy of every problem."""
        return load_settings(Path(path), cls, "node's settings file")

    @property
    def address(self) -> str:
        """Where other nodes reach this one."""
        return self.advertise or self.listen

    @property
    def role(self) -> Role:
        """A coordinator votes and may lead; a worker only runs steps."""
        return Role.COORDINATOR if self.node in self.coordinators else Role.WORKER
