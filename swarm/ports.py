"""What the inside asks of the world. Each port has a real adapter and an in-memory twin in `swarm.testing`.

Drivers (`swarm.coordinator`, `swarm.node`) know these Protocols and nothing behind them; that is what
lets the simulator run the very same drivers on a fake clock, network and disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from swarm.errors import SwarmError
from swarm.graph import Items, Signature
from swarm.ids import AgentName, CapabilityName, Digest, NodeId, StepKey
from swarm.trust.revocation import Revoked
from swarm.wire.messages import FromNode, Hello, Lack, Outcome, ToNode, Usage

# -- time -----------------------------------------------------------------------------------


class Clock(Protocol):
    """Two clocks: one that never jumps, for deadlines, and the calendar's, for records."""

    def monotonic_ms(self) -> int: ...

    def wall_ms(self) -> int: ...

    async def sleep_ms(self, duration_ms: float) -> None: ...


class Machine(Protocol):
    """The machine this process runs on."""

    def load(self) -> float:
        """How busy it is, 0..1."""

    def memory_mb(self) -> int:
        """Memory there is in all."""

    def cpu_cores(self) -> float:
        """Processors there are in all."""


# -- the replicated log ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leadership:
    """Who leads. `term` is the fencing token: it only grows, and no term has two leaders."""

    term: int
    leader: NodeId | None


@dataclass(frozen=True, slots=True)
class Voters:
    """Who keeps the log, and where they are: as said by entry `index`, 0 for those it was founded with.

    Learners are sent everything and count for nothing, until they have caught up. Who was removed never
    takes part again under that name.
    """

    index: int
    voters: Mapping[NodeId, str]
    learners: Mapping[NodeId, str]
    removed: frozenset[NodeId] = frozenset()


@dataclass(frozen=True, slots=True)
class Committed:
    """One entry that a durable majority holds."""

    index: int
    term: int
    data: bytes


class StateMachine(Protocol):
    """What the log drives. Called on the event loop, in order, by one thread."""

    def apply(self, entries: Sequence[Committed]) -> None:
        """Absorb committed entries: in order, each exactly once in the life of the process."""

    def snapshot(self) -> Callable[[], bytes]:
        """Take hold of the state after the last applied entry, at once; what is returned encodes it.

        Encoding may take long and happens on another thread, while entries go on being applied here.
        """

    def restore(self, data: bytes, index: int) -> None:
        """Forget everything and become the state a snapshot holds."""


class Log(Protocol):
    """A replicated, durable, totally ordered log."""

    awaited: Callable[[], bool]
    """Set before the start: whether somebody here waits for what is committed. Where nobody does it may come
    a moment later. It is asked from any thread.
    """

    async def start(self, machine: StateMachine, on_leadership: Callable[[Leadership], None]) -> None:
        """Recover, join the others, and feed `machine` from then on."""

    async def propose(self, data: bytes) -> int:
        """Append. Returns the index once a durable majority holds it and this replica applied it.

        Raises `NotLeader(hint)` (it was not appended) or `OutcomeUnknown` (it may have been).
        """

    async def read_barrier(self) -> int:
        """An index up to which a read of this replica is linearizable. Leader only, else `NotLeader`."""

    def leadership(self) -> Leadership: ...

    def applied_index(self) -> int: ...

    def voters(self) -> Voters:
        """Who keeps the log, as far as this replica knows."""

    async def add_voter(self, node: NodeId, address: str) -> Voters:
        """Let `node` take part: it learns first, and votes as soon as it has caught up. Leader only.

        Returns when it learns. Raises `Conflict` while another change is under way, and for a name that was
        removed once.
        """

    async def remove_voter(self, node: NodeId) -> Voters:
        """Let `node` take part no more, ever, under this name. Leader only.

        A leader that is to go resigns, and raises `NotLeader`. Raises `Conflict` while another change is
        under way, and where it would cost the majority.
        """

    async def stop(self) -> None: ...


# -- the link between a node and the leader ---------------------------------------------------


class Uplink(Protocol):
    """The node's end of an open link to the leader."""

    async def send(self, message: FromNode) -> None:
        """Hand over one message; waits while the link is congested. Raises `Unreachable` when it broke."""

    def received(self) -> AsyncIterator[ToNode]:
        """What the leader says, until the link ends."""

    async def close(self) -> None: ...


class Dialer(Protocol):
    """How a node reaches a coordinator."""

    async def attach(self, coordinator: NodeId, hello: Hello) -> Uplink:
        """Open a link. Raises `NotLeader(hint)`, `Unreachable` or `NotTrusted`."""


class Downlink(Protocol):
    """The leader's end of an open link to a node. `send` never blocks: who does not read is cut off."""

    def send(self, message: ToNode) -> None: ...

    def cut(self, reason: str) -> None: ...


# -- cells --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Image:
    """What a cell needs to run an agent: its code, its bounds, and what it cannot do without.

    Where a bound is None, the cell's own holds.
    """

    name: AgentName
    kind: str  # wasm | python
    code: bytes
    manifest: Mapping[str, object]
    memory_mb: int
    cpu_cores: float
    disk_mb: int
    wall_ms: int | None = None  # of one call
    output_mb: int | None = None
    open_files: int | None = None
    threads: int | None = None
    network_mbps: int = 0
    deterministic: frozenset[CapabilityName] = frozenset()  # give the same for the same, always
    egress: tuple[str, ...] = ()  # places it connects to, `host:port`
    layers: frozenset[str] = frozenset()  # of the sandbox, without which it must not run
    native_libraries: bool = False
    memory_mb_min: int = 0  # of the machine it runs on
    cpu_cores_min: float = 0.0
    first: tuple[CapabilityName, ...] = ()  # asked of a new cell before anything else is
    last: tuple[CapabilityName, ...] = ()  # asked before it is closed
    signatures: tuple[Signature, ...] = ()


Reply: TypeAlias = Mapping[str, Items]


class Cell(Protocol):
    """One locked-down process with one agent in it: the five calls of the agent contract."""

    async def process_batch(
        self, capability: CapabilityName, batch: Sequence[Mapping[str, Items]], timeout_ms: int
    ) -> Sequence[Reply | SwarmError]:
        """Answer many inputs at once, each with its result or its error; raises what ends them all.

        Inputs by reference lie in this node's blob store, and so do large results, which no other node has.
        """

    async def update_weights(self, feedback: Items) -> None: ...

    async def get_metadata(self) -> Mapping[str, object]: ...

    async def checkpoint(self) -> bytes: ...

    async def restore(self, data: bytes) -> None: ...

    async def close(self) -> None: ...

    @property
    def alive(self) -> bool: ...


class Cells(Protocol):
    """Where cells come from."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Sandbox layers that were attested to hold here."""

    @property
    def lacks(self) -> tuple[Lack, ...]:
        """Layers that do not, why, and what would mend that."""

    @property
    def tier(self) -> str: ...

    def usage(self, image: Image, agent: Digest) -> Usage:
        """What the cells of an agent have taken so far."""

    async def spawn(self, image: Image) -> Cell:
        """A warm cell, locked down, agent loaded. Raises a `SwarmError` that says why not."""

    async def close(self) -> None: ...


class Membership(Protocol):
    """What a node does about who belongs to the cluster when the leader speaks of it."""

    def revoke(self, entries: Sequence[Revoked]) -> None:
        """These are let in no more: the whole list."""

    def renew(self) -> None:
        """This node is to ask for another certificate."""


# -- files by digest -----------------------------------------------------------------------------


class Incoming(Protocol):
    """A file on its way in. What is not done when it is closed is kept, and the next try goes on there."""

    at: int

    async def write(self, data: bytes) -> None:
        """The next bytes. Raises `ProtocolBroken` for more than was announced."""

    async def done(self) -> None:
        """It is whole: durable and readable from now on. Raises `ProtocolBroken` where it is another file."""

    def close(self) -> None: ...


class Blobs(Protocol):
    """Files by their sha256, on this node's disk: agent files, and large payloads. Bounded in bytes."""

    changed: Callable[[Digest], None]
    """Set before the start: called when a file came, went, or was to stay from then on."""

    async def put(self, data: bytes) -> Digest:
        """Store durably, to stay; a no-op if it is there. Raises `StoreFull`."""

    async def get(self, digest: Digest) -> bytes | None:
        """The bytes of a small file, verified against their name, or None."""

    async def size(self, digest: Digest) -> int | None:
        """How large it is, or None where it is not here, or not what its name says."""

    def chunks(self, digest: Digest, start: int = 0) -> AsyncIterator[bytes]:
        """Its bytes from `start` on, a chunk at a time. Raises `NotFound`."""

    async def receive(
        self, digest: Digest, size_bytes: int, *, kept: bool, sender: str = ""
    ) -> Incoming | None:
        """Begin to take a file in, where an earlier try of this sender broke off; None if it is here.

        One that is not `kept` may be thrown away for room. A named `sender` is never told that it is here.
        """

    async def drop(self, digest: Digest) -> None:
        """Nobody needs it any more."""

    def idle(self, duration_ms: int) -> Sequence[Digest]:
        """What nobody has asked for in that time."""

    def held(self, digests: Iterable[Digest] | None = None) -> Mapping[Digest, bool]:
        """Which of these files are here, or all that are, and whether they are to stay.

        What is here may still prove to be damaged.
        """


class BlobPeers(Protocol):
    """Files by their sha256, on other nodes' disks."""

    async def push(self, node: NodeId, digests: Sequence[Digest]) -> None:
        """Have that node keep these files of ours; returns when it has synced them."""

    async def pull(self, node: NodeId, digest: Digest, size_bytes: int | None = None) -> None:
        """Copy that node's file to our disk, from where an earlier try broke off. Raises `NotFound`."""

    def read(self, node: NodeId, digest: Digest, start: int = 0) -> AsyncIterator[bytes]:
        """That node's file as it comes, without keeping it here."""

    def introduce(self, addresses: Mapping[NodeId, str]) -> None:
        """Where nodes answer."""


# -- agent files -----------------------------------------------------------------------------------

Opener: TypeAlias = Callable[[bytes], Image]
"""Agent file -> image; raises `AgentRefused` with every reason."""


# -- results worth keeping ----------------------------------------------------------------------------


class ResultStore(Protocol):
    """Results of deterministic work that several nodes share. It never raises: what fails is not found."""

    async def find(self, names: Sequence[bytes]) -> Mapping[bytes, Reply]:
        """Those of these results that are there, and are what some node of this cluster put there."""

    async def keep(self, results: Mapping[bytes, Reply]) -> None:
        """Put these there for all."""


# -- finished work -------------------------------------------------------------------------------------


class OutcomeStore(Protocol):
    """Outcomes that nobody has a receipt for yet; they outlive the node's process."""

    def open_outcomes(self) -> Sequence[Outcome]:
        """What an earlier life of this node finished, and nobody has acknowledged."""

    def keep(self, outcomes: Sequence[Outcome]) -> None:
        """When this returns, the end of the process does not lose them."""

    def forget(self, keys: Sequence[StepKey]) -> None:
        """They are in the log, or no longer matter."""


# -- what happened here -----------------------------------------------------------------------------


class Journal(Protocol):
    """One line for each attempt a node starts, on disk before the attempt runs."""

    def append(self, lines: Sequence[Mapping[str, object]]) -> None: ...
