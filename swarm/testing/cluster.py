"""A whole cluster in one thread: the real drivers of coordinators and nodes on twins of everything else.

    async with MemoryCluster(seed=7) as cluster:
        await cluster.deploy(cluster.agents.add("double", {signature: double}))
        run = await cluster.submit(graph, {"x": payload})
        await cluster.kill_leader()
        assert (await cluster.ended(run)).status is Status.SUCCEEDED

Run it with `run_virtually`, and it takes no time; with one seed, it always takes the same course.
Elections are simulated: when nobody leads, a coordinator that lives and a majority can see is chosen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from types import TracebackType
from typing import Self

from swarm import limits
from swarm.coordinator import Coordinator, Deployments
from swarm.errors import Bug, NotLeader, OutcomeUnknown, OutOfTime, Unreachable
from swarm.graph import Graph, Payload, Priority, Ref, encode
from swarm.ids import Digest, NodeId, RunId
from swarm.node import Data, Worker, WorkerOptions, WorkerPorts
from swarm.scheduler.machine import DEFAULTS
from swarm.scheduler.run import Run
from swarm.scheduler.together import Options
from swarm.tasks import Tasks
from swarm.testing.cells import MemoryAgents, MemoryCells
from swarm.testing.clock import FakeClock
from swarm.testing.disk import MemoryBlobPeers, MemoryBlobs, MemoryJournal, MemoryMachine, MemoryOutcomes
from swarm.testing.links import MemoryLinks
from swarm.testing.log import MemoryLogGroup
from swarm.testing.membership import MemoryMembership
from swarm.trust.policy import OPERATOR, Caller

ELECTION_MS = (150, 600)
RETRY_MS = 50
PATIENCE_MS = 600_000
LOOK_MS_MIN, LOOK_MS_MAX, LOOK_GROWTH = 5.0, 50.0, 1.1  # between two looks at what is waited for
ANN = Caller("ann", OPERATOR)


class MemoryCluster:
    """See the head of this module."""

    def __init__(
        self,
        *,
        coordinators: int = 3,
        nodes: int = 3,
        slots: int = 4,
        seed: int = 0,
        skew_ms: int = 0,
        call_ms: float = 1.0,
        options: Options = DEFAULTS,
    ) -> None:
        self.dice = Random(seed)  # noqa: S311 - a seed is the point
        self.clock = FakeClock()
        self.agents = MemoryAgents()
        self.links = MemoryLinks(self.clock)
        self.log = MemoryLogGroup([NodeId(f"c{i + 1}") for i in range(coordinators)])
        self.coordinators: dict[NodeId, Coordinator] = {}
        self.workers: dict[NodeId, Worker] = {}
        self.cells: dict[NodeId, MemoryCells] = {}
        self.journals: dict[NodeId, MemoryJournal] = {}
        self.outcomes: dict[NodeId, MemoryOutcomes] = {}
        self._nodes = [NodeId(f"n{i + 1}") for i in range(nodes)]
        self._slots = slots
        self._skew_ms = skew_ms
        self._call_ms = call_ms
        self._options = options
        self.blobs = {name: MemoryBlobs() for name in (*self.log.voters, *self._nodes)}
        self._tasks = Tasks()
        self._ids = 0

    async def __aenter__(self) -> Self:
        for name in self.log.voters:
            await self.start_coordinator(name)
        for name in self._nodes:
            await self.start_node(name)
        self._tasks.start(self._elect_forever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.stop()
        for name in list(self.workers):
            await self.kill_node(name)
        for name in list(self.coordinators):
            await self.kill(name)
        await self.links.stop()

    # -- processes ---------------------------------------------------------------------------

    async def start_coordinator(self, name: NodeId) -> None:
        """Start one, or start it again: its log is all it remembers."""
        driver = Coordinator(name, self.log.replica(name), self._own_clock(), self._new_id, self._options)
        self.coordinators[name] = driver
        await driver.start()
        self.links.listen(driver)

    async def start_node(self, name: NodeId) -> None:
        """Start one, or start it again: its blobs, its journal and its outcomes are all that is left."""
        clock = self._own_clock()
        blobs = self.blobs[name]
        blobs.now_ms = clock.monotonic_ms
        self.cells[name] = MemoryCells(self.agents, clock, call_ms=self._call_ms, blobs=blobs)
        peers = MemoryBlobPeers(name, self.links, self.blobs, self._lives)
        journal = self.journals.setdefault(name, MemoryJournal())
        options = WorkerOptions(name, f"{name}:0", self.log.voters, self._slots, cells_per_agent=2)
        ports = WorkerPorts(
            clock=clock,
            machine=MemoryMachine(),
            dialer=self.links.dialer(name),
            cells=self.cells[name],
            blobs=blobs,
            peers=peers,
            data=Data(name, blobs, peers, clock, self._nodes),
            journal=journal,
            outcomes=self.outcomes.setdefault(name, MemoryOutcomes()),
            opener=self.agents.open,
            membership=MemoryMembership(),
        )
        self.workers[name] = Worker(options, ports)
        await self.workers[name].start()

    async def kill(self, name: NodeId) -> None:
        """A coordinator's process ends without a word."""
        driver = self.coordinators.pop(name)
        self.log.kill(name)
        self.links.leave(name)
        await driver.stop()

    async def kill_leader(self) -> NodeId:
        leader = await self.leader()
        await self.kill(leader.node)
        return leader.node

    async def kill_node(self, name: NodeId) -> None:
        """A node's process ends without a word, its cells with it."""
        await self.workers.pop(name).stop()
        await self.cells.pop(name).close()

    def _own_clock(self) -> FakeClock:
        """The clocks of one process: its calendar is off by up to `skew_ms`, and off anew after a restart."""
        return FakeClock(self.dice.randint(-self._skew_ms, self._skew_ms)) if self._skew_ms else self.clock

    def _lives(self, name: NodeId) -> bool:
        return name in self.workers or name in self.coordinators

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self._ids:06}"

    async def _elect_forever(self) -> None:
        while True:
            await self.clock.sleep_ms(self.dice.uniform(*ELECTION_MS))
            alive = sorted(self.coordinators)
            if self.log.current.leader is None and 2 * len(alive) > len(self.log.voters):
                self.log.elect(self.dice.choice(alive), keep_unacknowledged=self.dice.random() < 0.5)

    # -- what clients do -----------------------------------------------------------------------

    async def leader(self) -> Coordinator:
        """The coordinator that leads, once one does."""
        found: list[Coordinator] = []

        def leads() -> bool:
            found[:] = [driver for driver in self.coordinators.values() if driver.replica.leads]
            return bool(found)

        await self.until(leads, LOOK_MS_MAX)
        return found[0]

    async def deploy(self, data: bytes) -> None:
        """Offer an agent; returns when every node that is there hosts it."""
        leader = await self.leader()
        peers = MemoryBlobPeers(leader.node, self.links, self.blobs, self._lives)
        voters = self.log.voters
        deployments = Deployments(
            leader, self.blobs[leader.node], peers, voters, self.agents.inspect, self.clock
        )
        await deployments.deploy(data, ANN)

    async def upload(self, data: bytes, kind: str = "bytes") -> Payload:
        """Give a large input to two nodes, as a client does before it submits; the reference to it."""
        ref = Ref(kind, Digest(hashlib.sha256(data).hexdigest()), len(data))
        nodes = tuple(sorted(self.workers))[: limits.BLOB_COPIES]
        for node in nodes:
            await self.blobs[node].put(data)
        return replace(ref, nodes=nodes).payload()

    async def submit(
        self,
        graph: Graph,
        inputs: Mapping[str, Payload] | None = None,
        priority: Priority = Priority.MEDIUM,
        caller: Caller = ANN,
    ) -> RunId:
        """Submit as a careful client does: under one key, again and again, until it is acknowledged."""
        key = f"key-{self._new_id()}"
        while True:
            leader = await self.leader()
            try:
                run, _, _ = await leader.submit(encode(graph), inputs or {}, priority, caller, key)
            except (NotLeader, OutcomeUnknown, Unreachable):
                await self.clock.sleep_ms(RETRY_MS)
            else:
                return run

    async def ended(self, run: RunId) -> Run:
        """The run as the leader knows it, once nothing of it can happen any more."""
        found: list[Run] = []

        def settled() -> bool:
            found[:] = [
                driver.replica.scheduler.ledger.runs[run]
                for driver in self.coordinators.values()
                if driver.replica.leads and run in driver.replica.scheduler.ledger.runs
            ]
            return any(one.settled for one in found)

        await self.until(settled, LOOK_MS_MAX)
        return found[0]

    async def until(self, condition: Callable[[], bool], look_ms_max: float = LOOK_MS_MIN) -> None:
        """Let time pass until something is so, and look rarely at what stays so.

        Raises `OutOfTime`, or what a driver died of.
        """
        deadline_ms = self.clock.monotonic_ms() + PATIENCE_MS
        rest_ms = LOOK_MS_MIN
        while not condition():
            self.look_for_bugs()
            if self.clock.monotonic_ms() > deadline_ms:
                raise OutOfTime(f"it was never so within {PATIENCE_MS} ms", place="MemoryCluster")
            await self.clock.sleep_ms(rest_ms)
            rest_ms = min(rest_ms * LOOK_GROWTH, look_ms_max)

    def look_for_bugs(self) -> None:
        """Raises what a background task died of."""
        failures = [self._tasks.failure, self.links.tasks.failure]
        failures += [driver.failure for driver in self.coordinators.values()]
        failures += [driver.failure for driver in self.workers.values()]
        for failure in failures:
            if failure.done() and not failure.cancelled() and (error := failure.exception()):
                raise Bug(f"a driver died of {type(error).__name__}: {error}") from error
