"""What nodes and the leader say to each other, as plain records.

Drivers speak these; `swarm.wire.convert` turns them into protobuf at the edge, so that the
simulator can carry them as they are.

What travels in thousands is a tuple with names: a frozen dataclass costs five times as much to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from swarm.errors import SwarmError
from swarm.graph import PLAIN, UNBOUNDED, Clearance, Context, Items, Priority
from swarm.ids import CapabilityName, Digest, NodeId, StepKey
from swarm.scheduler.actions import Follower
from swarm.scheduler.chains import After
from swarm.trust.revocation import Revoked


@dataclass(frozen=True, slots=True)
class Lack:
    """A sandbox layer that a node's machine does not give: why, and what its operator can do."""

    layer: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Hello:
    """A node introduces itself, and says what it is still running from before."""

    node: NodeId
    slots: int
    agents: tuple[Digest, ...]
    layers: tuple[str, ...]
    running: tuple[StepKey, ...]
    address: str
    tier: str
    memory_mb: int = 0  # of the machine
    cpu_cores: float = 0.0
    lacks: tuple[Lack, ...] = ()
    clearance: Clearance = UNBOUNDED  # contexts it accepts
    result_key: str = ""  # that it signs results with


class Outcome(NamedTuple):
    """How one attempt ended."""

    key: StepKey
    ok: bool
    outputs: Mapping[str, Items]
    error: SwarmError | None
    retryable: bool
    started_ms: int
    wall_ms: float
    cached: bool = False  # nothing ran: these inputs had been answered before
    signature: bytes = b""
    after: After | None = None  # a follower's: the attempt whose outputs it was given


@dataclass(frozen=True, slots=True)
class Outcomes:
    """A batch of results from a node."""

    items: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """What the cells of one agent have taken on a node since it started; those that ended are in it.

    `cpu_ms` is None where the node cannot tell it from its own.
    """

    agent: Digest
    cells: int  # now
    cpu_ms: float | None
    memory_peak_bytes: int  # of the largest cell
    bytes_in: int  # what the agent said
    bytes_out: int  # what it was told


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The node lives; `load` is its machine's, 0..1. Now and then it says what its agents have taken."""

    load: float
    cells: int
    draining: bool
    usage: tuple[Usage, ...] = ()


@dataclass(frozen=True, slots=True)
class Hosting:
    """Agents the node can run now (the whole set), and those it refused with the reason."""

    agents: tuple[Digest, ...]
    refused: tuple[tuple[Digest, SwarmError], ...]


@dataclass(frozen=True, slots=True)
class IdleBlobs:
    """Blobs nobody has asked this node for in a while: may they go?"""

    digests: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class HeldBlobs:
    """What is in this node's store: everything at the beginning of a link, in parts; then what changes.

    What is `passing` was fetched for a step, and goes where room is short.
    """

    kept: tuple[Digest, ...]
    passing: tuple[Digest, ...] = ()
    gone: tuple[Digest, ...] = ()


@dataclass(frozen=True, slots=True)
class BlobCopied:
    """The target keeps this blob now, or there is an error."""

    digest: Digest
    target: NodeId
    error: SwarmError | None = None


FromNode: TypeAlias = Outcomes | Heartbeat | Hosting | IdleBlobs | HeldBlobs | BlobCopied


class Assignment(NamedTuple):
    """Run this attempt. `scatter` says how many items each `many` output must give.

    `followers` are what to go on with, one after the other, while each succeeds. A follower's own assignment
    is made by its node, with `after`: term and attempt at the step before it, whose outputs it was given.
    One with `about` is not run: its agent is asked what became of that attempt (term and number) at the step.
    """

    key: StepKey
    agent: Digest
    capability: CapabilityName
    inputs: Mapping[str, Items]
    timeout_ms: int
    scatter: tuple[tuple[str, int], ...]
    context: Context = PLAIN
    priority: Priority = Priority.MEDIUM
    sign: bool = False
    followers: tuple[Follower, ...] = ()
    after: After | None = None
    about: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Welcome:
    """The leader accepts the node under this term."""

    term: int


@dataclass(frozen=True, slots=True)
class Assignments:
    """A batch of work."""

    items: tuple[Assignment, ...]


@dataclass(frozen=True, slots=True)
class Withdrawals:
    """Stop these attempts; nobody waits for them."""

    keys: tuple[StepKey, ...]


@dataclass(frozen=True, slots=True)
class Receipts:
    """These outcomes are in the log, or no longer matter: the node may forget them."""

    keys: tuple[StepKey, ...]


@dataclass(frozen=True, slots=True)
class AgentSet:
    """Agents the node should host: the whole set."""

    digests: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Pulse:
    """The leader's answer to a heartbeat: it lives, and the link carries both ways."""


@dataclass(frozen=True, slots=True)
class RevokedSet:
    """Who is let in no more: the whole list."""

    entries: tuple[Revoked, ...]


@dataclass(frozen=True, slots=True)
class Renew:
    """Ask for another certificate now."""


class Peer(NamedTuple):
    """A node that is there, where it answers, and the contexts whose data it may keep."""

    node: NodeId
    address: str
    clearance: Clearance = UNBOUNDED


@dataclass(frozen=True, slots=True)
class Peers:
    """Nodes that are there: the whole set."""

    nodes: tuple[Peer, ...]


@dataclass(frozen=True, slots=True)
class UnneededBlobs:
    """No run that is remembered, and no agent, speaks of these blobs."""

    digests: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class CopyBlob:
    """Give this blob to another node, to keep."""

    digest: Digest
    target: NodeId


ToNode: TypeAlias = (
    Welcome
    | Assignments
    | Withdrawals
    | Receipts
    | AgentSet
    | Pulse
    | RevokedSet
    | Renew
    | Peers
    | UnneededBlobs
    | CopyBlob
)
