"""Everything that can happen to the scheduler.

*Durable* events come out of the replicated log, in its order, on every replica; they carry the
clock of the leader that proposed them. *Volatile* events happen on the leader alone: nodes come
and go, attempts fail, time passes. Losing all volatile events loses no result. Their `at_ms` is the
leader's clock that never jumps; that of durable events is the calendar's, for people to read.

What comes in thousands is a tuple with names: a frozen dataclass costs five times as much to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from swarm.errors import SwarmError
from swarm.graph import UNBOUNDED, Clearance, Graph, Items, Payload, Priority, Signature
from swarm.ids import AgentName, Digest, NodeId, RunId, StepKey

# -- durable ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """A deployed agent: what placement needs to know of its file."""

    name: AgentName
    version: str
    digest: Digest
    kind: str
    size_bytes: int
    capabilities: tuple[Signature, ...]
    memory_mb: int
    cpu_cores: float
    layers: frozenset[str]
    needs: frozenset[str] = frozenset()  # capabilities a policy has to grant it beyond the first one


class StepRecord(NamedTuple):
    """How a step ended. The first record of a step is its result for ever.

    `started_ms` is the node's calendar; 0 where the leader gave the step up and no node said.
    """

    run: RunId
    step: int
    term: int
    attempt: int
    node: NodeId
    ok: bool
    outputs: Mapping[str, Items]
    error: SwarmError | None
    started_ms: int
    wall_ms: float
    cached: bool = False  # nothing ran: these inputs had been answered before
    signature: bytes = b""  # its node's proof, where the run asks for one; see swarm.trust.results


@dataclass(frozen=True, slots=True)
class RunSubmitted:
    """A run begins: a graph and the values of its feeds."""

    at_ms: int
    run: RunId
    graph: Graph
    inputs: Mapping[str, Payload]
    priority: Priority
    principal: str
    key: str
    tenant: str = ""
    sign: bool = False  # nodes are to sign its results
    records: tuple[StepRecord, ...] = ()  # results of first steps, where it was begun before it was written


@dataclass(frozen=True, slots=True)
class StepsRecorded:
    """Results, in the order the leader received them."""

    at_ms: int
    records: tuple[StepRecord, ...]


@dataclass(frozen=True, slots=True)
class StepIntent:
    """This attempt at a step that must not run twice is about to be ordered of that node."""

    run: RunId
    step: int
    term: int
    attempt: int
    node: NodeId


@dataclass(frozen=True, slots=True)
class StepsIntended:
    """Attempts that are in the log before they begin, so that none of them is ever repeated unasked."""

    at_ms: int
    intents: tuple[StepIntent, ...]


@dataclass(frozen=True, slots=True)
class RunCancelled:
    """Somebody asked for a run to end."""

    at_ms: int
    run: RunId
    reason: str
    principal: str


@dataclass(frozen=True, slots=True)
class AgentDeployed:
    """An agent of this name is offered from now on; it replaces an older one of the same name."""

    at_ms: int
    agent: AgentRecord
    principal: str
    tenant: str = ""  # whose it is; an agent of no tenant's is everybody's


@dataclass(frozen=True, slots=True)
class AgentRemoved:
    """The agent is no longer offered; steps that already have its digest finish."""

    at_ms: int
    name: AgentName
    principal: str


@dataclass(frozen=True, slots=True)
class TokenCreated:
    """Somebody may join: who holds the secret with this hash, in this role, until the token is used up."""

    at_ms: int
    token: str
    secret_sha256: str
    role: str
    expires_ms: int
    uses_max: int
    principal: str


@dataclass(frozen=True, slots=True)
class TokenUsed:
    """Somebody joins under this name. The first use of a name, and of the last use of a token, counts."""

    at_ms: int
    token: str
    name: str
    key_sha256: str  # of the public key that gets the certificate


@dataclass(frozen=True, slots=True)
class TokenRevoked:
    """A token may not be used any more; who joined with it stays."""

    at_ms: int
    token: str
    principal: str


@dataclass(frozen=True, slots=True)
class IdentityRevoked:
    """Whoever bears this name in a certificate is let in no more, for ever; with `serial`, that one alone."""

    at_ms: int
    name: str
    reason: str
    principal: str
    serial: str = ""


@dataclass(frozen=True, slots=True)
class CertificateIssued:
    """There is this certificate: signed for a newcomer or a renewal, or met for the first time."""

    at_ms: int
    uri: str
    serial: str
    not_after_ms: int
    origin: str  # join | renewal | seen


@dataclass(frozen=True, slots=True)
class KeyRegistered:
    """A node signs results with this key from now on; the one before it does for a while yet."""

    at_ms: int
    node: NodeId
    key: str  # Ed25519, hexadecimal


@dataclass(frozen=True, slots=True)
class PolicyApplied:
    """Who may do what from now on; see `swarm.trust.policyfile` for the document."""

    at_ms: int
    document: str
    principal: str


Membership: TypeAlias = (
    TokenCreated | TokenUsed | TokenRevoked | IdentityRevoked | CertificateIssued | KeyRegistered
)

Durable: TypeAlias = (
    RunSubmitted
    | StepsRecorded
    | StepsIntended
    | RunCancelled
    | AgentDeployed
    | AgentRemoved
    | PolicyApplied
    | Membership
)

# -- volatile -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Elected:
    """This replica leads under `term`. It places nothing until the grace has passed."""

    at_ms: int
    term: int


@dataclass(frozen=True, slots=True)
class Deposed:
    """This replica leads no more: what it had placed is somebody else's business."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class RunForeseen:
    """This run is about to be proposed: its first steps may be begun. Its fate is said either way."""

    at_ms: int
    submitted: RunSubmitted
    home: NodeId | None = None  # the node in the leader's own process: it is handed work without a wire


@dataclass(frozen=True, slots=True)
class RunForsaken:
    """A run that was foreseen did not come to be."""

    at_ms: int
    run: RunId


@dataclass(frozen=True, slots=True)
class NodeJoined:
    """A node opened its link; `running` is what it still does from before."""

    at_ms: int
    node: NodeId
    slots: int
    agents: frozenset[Digest]
    layers: frozenset[str]
    running: tuple[StepKey, ...]
    memory_mb: int = 0
    cpu_cores: float = 0.0
    clearance: Clearance = UNBOUNDED


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """What a node can run, and how busy its machine is."""

    at_ms: int
    node: NodeId
    agents: frozenset[Digest] | None = None
    load: float | None = None
    draining: bool | None = None


@dataclass(frozen=True, slots=True)
class NodeLost:
    """The link to a node ended; what it was running must run elsewhere."""

    at_ms: int
    node: NodeId


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An attempt ended without a result."""

    at_ms: int
    node: NodeId
    key: StepKey
    error: SwarmError
    retryable: bool
    started_ms: int
    wall_ms: float


@dataclass(frozen=True, slots=True)
class OutcomesArrived:
    """Results of these attempts are on their way to the log: their slots are free again.

    Whoever says this proposes them until they are committed or this replica is deposed: the
    scheduler tries these steps no more.
    """

    at_ms: int
    node: NodeId
    keys: tuple[StepKey, ...]


@dataclass(frozen=True, slots=True)
class BlobsHeld:
    """What a node says of its store: what it keeps, what it has for now, and what is there no more."""

    at_ms: int
    node: NodeId
    kept: tuple[Digest, ...]
    passing: tuple[Digest, ...]
    gone: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class CopyEnded:
    """A node has given a payload to another one, as it was told, or could not."""

    at_ms: int
    node: NodeId
    digest: Digest
    target: NodeId
    error: SwarmError | None


@dataclass(frozen=True, slots=True)
class MadeAgain:
    """A step that has its result was run again for what it gave: large payloads, by digest, or an error."""

    at_ms: int
    node: NodeId
    key: StepKey
    digests: frozenset[Digest]
    error: SwarmError | None
    retryable: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed: deadlines, back-off and lateness are looked at."""

    at_ms: int


Volatile: TypeAlias = (
    Elected
    | Deposed
    | RunForeseen
    | RunForsaken
    | NodeJoined
    | NodeChanged
    | NodeLost
    | OutcomesArrived
    | AttemptFailed
    | BlobsHeld
    | CopyEnded
    | MadeAgain
    | Tick
)

Event: TypeAlias = Durable | Volatile
