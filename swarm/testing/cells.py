"""Cells without processes: agents are Python functions, and their bad days are decided from outside.

`MemoryAgents` stands for the agent files: it hands out the bytes of a file, opens them again, and knows
the functions behind them. `MemoryCells` makes cells that call these functions. Before each call it asks
`fate`, so that a test, or a seed, decides which calls fail, hang or kill their cell.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar, cast

from swarm import limits
from swarm.errors import AgentFailed, AgentRefused, CellLost, DataLost, OutOfTime, SwarmError
from swarm.graph import REF, Items, Payload, Ref, Signature, read_ref
from swarm.graph.tensor import head_bytes
from swarm.ids import AgentName, CapabilityName, Digest
from swarm.ports import Blobs, Clock, Image, Reply
from swarm.scheduler.events import AgentRecord
from swarm.testing.clock import wake
from swarm.wire.messages import Lack, Usage

Behaviour: TypeAlias = Callable[[Mapping[str, Items]], Reply]
"""What an agent does: from the items on its input ports to those on its output ports."""

_ReplyT = TypeVar("_ReplyT")
_MAGIC = b"memory agent "


class Fate(enum.Enum):
    """How one call goes."""

    WELL = "well"
    FAIL = "fail"  # the agent raises; its cell is unharmed
    HANG = "hang"  # nothing comes until the time is up; the cell does not survive it
    DIE = "die"  # the cell's process ends
    DIE_AFTER = "die_after"  # the work is done, and the process ends before it says so


class MemoryAgents:
    """Agent files and the functions behind them."""

    def __init__(self) -> None:
        self._agents: dict[str, tuple[AgentRecord, Mapping[CapabilityName, Behaviour]]] = {}

    def add(self, name: str, behaviours: Mapping[Signature, Behaviour], *, kind: str = "python") -> bytes:
        """Make an agent; the bytes of its file."""
        data = _MAGIC + name.encode()
        record = AgentRecord(
            name=AgentName(name),
            version="1",
            digest=Digest(hashlib.sha256(data).hexdigest()),
            kind=kind,
            size_bytes=len(data),
            capabilities=tuple(behaviours),
            memory_mb=1,
            cpu_cores=0.1,
            layers=frozenset(),
        )
        self._agents[name] = record, {signature.name: act for signature, act in behaviours.items()}
        return data

    def inspect(self, data: bytes) -> AgentRecord:
        """What placement needs to know of a file. Raises `AgentRefused`."""
        name = data.removeprefix(_MAGIC).decode(errors="replace")
        if not data.startswith(_MAGIC) or name not in self._agents:
            raise AgentRefused(f"no agent is called {name[:40]!r}", place="agent file")
        return self._agents[name][0]

    def open(self, data: bytes) -> Image:
        """What a cell needs to run it. Raises `AgentRefused`."""
        record = self.inspect(data)
        same = (one.name for one in record.capabilities if one.deterministic and one.effects == "none")
        return Image(
            record.name,
            record.kind,
            data,
            {},
            record.memory_mb,
            record.cpu_cores,
            1,
            deterministic=frozenset(same),
            signatures=record.capabilities,
        )

    def behaviour(self, name: AgentName, capability: CapabilityName) -> Behaviour | None:
        return self._agents[name][1].get(capability)


class MemoryCells:
    """Where cells come from on one simulated node. A call takes `call_ms`, a new cell `spawn_ms`."""

    tier = "memory"

    def __init__(
        self,
        agents: MemoryAgents,
        clock: Clock,
        *,
        layers: tuple[str, ...] = (),
        call_ms: float = 1.0,
        spawn_ms: float = 10.0,
        blobs: Blobs | None = None,
    ) -> None:
        self.layers = layers
        self.lacks: tuple[Lack, ...] = ()
        self.fate: Callable[[CapabilityName], Fate] = lambda _: Fate.WELL
        self.refuses: set[AgentName] = set()  # agents that cannot be spawned here
        self.cells: list[MemoryCell] = []
        self._agents = agents
        self._clock = clock
        self.call_ms = call_ms
        self._spawn_ms = spawn_ms
        self._blobs = blobs  # of the node: large inputs lie there, and large results are put there

    def usage(self, image: Image, agent: Digest) -> Usage:
        living = sum(cell.alive and cell.agent == image.name for cell in self.cells)
        return Usage(agent, living, None, 0, 0, 0)

    async def spawn(self, image: Image) -> MemoryCell:
        await self._clock.sleep_ms(self._spawn_ms)
        if image.name in self.refuses:
            raise CellLost("no cell can be made here", place=image.name)
        self.cells = [cell for cell in self.cells if cell.alive]
        cell = MemoryCell(self, image.name)
        self.cells.append(cell)
        return cell

    async def close(self) -> None:
        for cell in self.cells:
            await cell.close()

    async def call(self, agent: AgentName, capability: CapabilityName, inputs: Mapping[str, Items]) -> Reply:
        """What the agent says when nothing goes wrong."""
        await self._clock.sleep_ms(self.call_ms)
        behaviour = self._agents.behaviour(agent, capability)
        if behaviour is None:
            raise AgentFailed(f"{agent} has no {capability}", place=capability)
        given = {port: await self._opened(items) for port, items in inputs.items()}
        try:
            found = behaviour(given)
        except Exception as error:
            raise AgentFailed(f"{type(error).__name__}: {error}", place=capability) from error
        return {port: await self._stored(items) for port, items in found.items()}

    async def _opened(self, items: Items) -> Items:
        if not isinstance(items, Payload):
            return tuple([cast("Payload", await self._opened(item)) for item in items])
        if items.kind != REF or self._blobs is None:
            return items
        ref = read_ref(items.data)
        if (data := await self._blobs.get(ref.digest)) is None:
            raise DataLost("it is not on this node", place=f"blob {ref.digest[:12]}")
        return Payload(ref.kind, data)

    async def _stored(self, items: Items) -> Items:
        if not isinstance(items, Payload):
            return tuple([cast("Payload", await self._stored(item)) for item in items])
        if len(items.data) <= limits.PAYLOAD_INLINE_BYTES_MAX or self._blobs is None:
            return items
        digest = await self._blobs.put(items.data)
        head = head_bytes(items.data) if items.kind == "tensor" else b""
        return Ref(items.kind, digest, len(items.data), head).payload()

    async def hang(self, timeout_ms: int) -> None:
        await self._clock.sleep_ms(timeout_ms)


class MemoryCell:
    """One cell. It dies of a call that hangs or kills; calls under way then fail."""

    def __init__(self, cells: MemoryCells, agent: AgentName) -> None:
        self._cells = cells
        self.agent = agent
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._state = b""

    @property
    def alive(self) -> bool:
        return not self._ended.done()

    async def process_batch(
        self, capability: CapabilityName, batch: Sequence[Mapping[str, Items]], timeout_ms: int
    ) -> list[Reply | SwarmError]:
        results: list[Reply | SwarmError] = []
        for inputs in batch:
            try:
                results.append(await self.process_input(capability, inputs, timeout_ms))
            except AgentFailed as error:
                results.append(error)
        return results

    async def process_input(
        self, capability: CapabilityName, inputs: Mapping[str, Items], timeout_ms: int
    ) -> Reply:
        """One of a batch."""
        self._must_live()
        fate = self._cells.fate(capability)
        if fate is Fate.FAIL:
            raise AgentFailed("it raised, as it was told", place=capability)
        if fate is Fate.DIE:
            await self.close()
        if fate is Fate.HANG:
            await self._unless_ended(asyncio.ensure_future(self._cells.hang(timeout_ms)))
            await self.close()
            raise OutOfTime(f"no reply within {timeout_ms} ms", place=capability)
        call = asyncio.ensure_future(self._cells.call(self.agent, capability, inputs))
        reply = await self._unless_ended(call)
        if fate is Fate.DIE_AFTER:
            await self.close()
            self._must_live()
        return reply

    async def _unless_ended(self, call: asyncio.Future[_ReplyT]) -> _ReplyT:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def first(_done: object) -> None:
            wake(waiter)

        call.add_done_callback(first)
        self._ended.add_done_callback(first)
        try:
            await waiter
            self._must_live()
            return call.result()
        finally:
            self._ended.remove_done_callback(first)
            call.cancel()

    def _must_live(self) -> None:
        if self._ended.done():
            raise CellLost("its process ended", place=self.agent)

    async def update_weights(self, feedback: Items) -> None:
        self._must_live()
        raise AgentFailed(f"a function cannot learn from {type(feedback).__name__}", place=self.agent)

    async def get_metadata(self) -> Mapping[str, object]:
        self._must_live()
        return {"name": self.agent, "kind": "memory"}

    async def checkpoint(self) -> bytes:
        self._must_live()
        return self._state

    async def restore(self, data: bytes) -> None:
        self._must_live()
        self._state = data

    async def close(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
