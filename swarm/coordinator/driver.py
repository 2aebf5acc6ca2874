"""The coordinator: one per voter. It folds the log through the scheduler and, while it leads, acts.

    log --committed--> apply --> scheduler --actions--> nodes' links
                                    ^                        |
    clock --tick--------------------+---outcomes, failures---+
                                    |
                 records to propose +--> flusher --propose--> log

Everything runs on one event loop. Only the flusher awaits while it works, and it holds no state of
the scheduler's across an await; so the fold needs no lock. What leaves the cluster (an acknowledgement,
a result) leaves it after the commit, because it is read from the ledger, which takes committed events only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

import structlog

from swarm import limits
from swarm.coordinator.links import NodeLink, NodeStatus
from swarm.coordinator.watchers import Watchers
from swarm.errors import (
    GraphRefused,
    NotFound,
    NotLeader,
    OutcomeUnknown,
    ProtocolBroken,
    QueueFull,
    RunFailed,
    SwarmError,
)
from swarm.graph import Graph, Payload, Priority, input_problems, problems, unsupported
from swarm.ids import AgentName, Digest, NodeId, RunId, StepKey
from swarm.ports import Clock, Committed, Downlink, Leadership, Log
from swarm.scheduler.actions import Action, Changed, Dispatch, Record, Recorded, Withdraw
from swarm.scheduler.events import (
    AgentDeployed,
    AgentRecord,
    AgentRemoved,
    AttemptFailed,
    Deposed,
    Durable,
    Elected,
    Event,
    NodeChanged,
    NodeJoined,
    NodeLost,
    OutcomesArrived,
    RunCancelled,
    RunSubmitted,
    StepRecord,
    StepsRecorded,
    Tick,
)
from swarm.scheduler.ledger import payload_bytes
from swarm.scheduler.machine import Place, Scheduler
from swarm.scheduler.run import Run, Status
from swarm.tasks import Tasks
from swarm.wire.entries import decode_event, decode_history, encode_event, encode_history
from swarm.wire.messages import FromNode, Heartbeat, Hello, Hosting, Outcome, Outcomes, Welcome

_log = structlog.get_logger("swarm.coordinator")

HOSTING = "hosting"
TICK_LATE_MS_MAX = 500  # a tick later than this says nothing about the nodes: we ourselves were asleep


class Coordinator:
    """One replica of the coordinator; see the head of this module."""

    def __init__(self, node: NodeId, log: Log, clock: Clock, new_id: Callable[[], str]) -> None:
        self.node = node
        self._scheduler = Scheduler()
        self._backlog: list[bytes] = []  # committed entries nobody has asked about yet
        self._backlog_bytes = 0
        self._proposed: dict[bytes, Durable] = {}  # our own entries on their way: no need to decode them
        self.watchers: Watchers[RunId] = Watchers()
        self.hosting: Watchers[str] = Watchers()  # its one key: HOSTING
        self.links: dict[NodeId, NodeLink] = {}
        self._log = log
        self._clock = clock
        self._new_id = new_id
        self._records: deque[StepRecord] = deque()
        self._kick = asyncio.Event()
        self._tasks = Tasks()
        self._takeover: asyncio.Task[None] | None = None
        self._leading_term: int | None = None

    async def start(self) -> None:
        """Recover from the log, join the others, and go to work."""
        self._tasks.start(self._tick_forever())
        self._tasks.start(self._flush_forever())
        await self._log.start(self, self._on_leadership)

    async def stop(self) -> None:
        await self._tasks.stop()
        for link in list(self.links.values()):
            link.cut("the coordinator stops")
        self.links.clear()
        await self._log.stop()

    @property
    def failure(self) -> asyncio.Future[None]:
        """Raises what a task of this coordinator died of: a bug, after which it must not go on."""
        return self._tasks.failure

    # -- the state machine the log drives -----------------------------------------------------

    def apply(self, entries: Sequence[Committed]) -> None:
        for entry in entries:
            if entry.data:
                self._backlog.append(entry.data)
                self._backlog_bytes += len(entry.data)
        if self.leads or self.watchers or self._backlog_bytes > limits.BACKLOG_BYTES_MAX:
            self._catch_up()
        self._flush_links()

    @property
    def scheduler(self) -> Scheduler:
        """The state, with all that is committed in it: a follower folds when somebody looks, not before."""
        self._catch_up()
        return self._scheduler

    def _catch_up(self) -> None:
        if self._backlog:
            backlog, self._backlog, self._backlog_bytes = self._backlog, [], 0
            for data in backlog:
                event = self._proposed.pop(data, None)
                self._absorb(decode_event(data) if event is None else event)

    def snapshot(self) -> bytes:
        return encode_history(self.scheduler.ledger.history())

    def restore(self, data: bytes, index: int) -> None:
        self._scheduler, self._backlog, self._backlog_bytes = Scheduler(), [], 0
        for event in decode_history(data):
            self._scheduler.apply(event)
        self.watchers.all_changed()
        _log.info("restored", index=index, runs=len(self._scheduler.ledger.runs))

    # -- leadership ---------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        """Whether this replica decides: it was elected, and it has applied all there was before."""
        return self._leading_term is not None

    def leadership(self) -> Leadership:
        return self._log.leadership()

    def applied_index(self) -> int:
        return self._log.applied_index()

    def must_lead(self) -> None:
        """Raise `NotLeader` with the best hint there is."""
        if not self.leads:
            leader = self._log.leadership().leader
            raise NotLeader(leader if leader != self.node else None)

    def _on_leadership(self, leadership: Leadership) -> None:
        _log.info("leadership", term=leadership.term, leader=leadership.leader)
        if self._leading_term is not None and (
            leadership.leader != self.node or leadership.term != self._leading_term
        ):
            self._step_down(leadership.leader)
        if self._takeover is not None:
            self._takeover.cancel()
            self._takeover = None
        if leadership.leader == self.node and self._leading_term is None:
            self._takeover = self._tasks.start(self._take_over(leadership.term))

    def _step_down(self, leader: NodeId | None) -> None:
        self._leading_term = None
        self._records.clear()
        self._absorb(Deposed(self._clock.monotonic_ms()))
        for link in list(self.links.values()):
            link.cut(f"the leader is {leader}" if leader else "there is no leader")
        self.links.clear()

    async def _take_over(self, term: int) -> None:
        """An elected replica decides nothing before it has applied everything its predecessors committed."""
        while True:
            try:
                await self._log.read_barrier()
            except NotLeader:
                return
            except OutcomeUnknown:
                await self._clock.sleep_ms(limits.TICK_MS)
            else:
                break
        self._catch_up()
        self._leading_term = term
        self._absorb(Elected(self._clock.monotonic_ms(), term))
        _log.info("leading", term=term, runs=self._scheduler.ledger.active())

    # -- nodes ----------------------------------------------------------------------------------

    def attach(self, hello: Hello, downlink: Downlink) -> NodeLink:
        """A node opened a link. Raises `NotLeader` where this replica does not lead."""
        self.must_lead()
        assert self._leading_term is not None
        if not 1 <= hello.slots <= limits.NODE_SLOTS_MAX:
            raise ProtocolBroken(f"{hello.slots} slots", place=f"node {hello.node}")
        now_ms = self._clock.monotonic_ms()
        if (old := self.links.pop(hello.node, None)) is not None:
            old.cut("the node opened a new link")
        agents = frozenset(hello.agents)
        link = self.links[hello.node] = NodeLink(NodeStatus(hello, agents), downlink, now_ms)
        link.send(Welcome(self._leading_term))
        link.host(self._scheduler.ledger.digests())
        self._absorb(
            NodeJoined(now_ms, hello.node, hello.slots, agents, frozenset(hello.layers), hello.running)
        )
        self._flush_links()
        _log.info("node attached", node=hello.node, running=len(hello.running))
        return link

    def detach(self, link: NodeLink) -> None:
        """The link ended; what the node was running must run elsewhere."""
        node = link.status.hello.node
        if self.links.get(node) is link:
            del self.links[node]
            self._absorb(NodeLost(self._clock.monotonic_ms(), node))
            self._flush_links()
            _log.info("node lost", node=node)

    def receive(self, link: NodeLink, message: FromNode) -> None:
        """A node said something."""
        node = link.status.hello.node
        if self.links.get(node) is not link:
            return
        link.heard_ms = now_ms = self._clock.monotonic_ms()
        match message:
            case Outcomes():
                self._take_outcomes(link, message.items, now_ms)
            case Heartbeat():
                link.status.load, link.status.cells = message.load, message.cells
                link.status.draining = message.draining
                self._absorb(NodeChanged(now_ms, node, load=message.load, draining=message.draining))
            case Hosting():
                link.status.agents = frozenset(message.agents)
                link.status.refused = dict(message.refused)
                self._absorb(NodeChanged(now_ms, node, agents=link.status.agents))
                self.hosting.changed(HOSTING)
            case _:
                assert_never(message)
        self._flush_links()

    def _take_outcomes(self, link: NodeLink, outcomes: Sequence[Outcome], now_ms: int) -> None:
        node = link.status.hello.node
        arrived: list[StepKey] = []
        for outcome in outcomes:
            key = outcome.key
            if not self._scheduler.accepts(key):
                link.receipt(key)
                continue
            if error := self._fault(outcome):
                self._absorb(
                    AttemptFailed(
                        now_ms, node, key, error, outcome.retryable, outcome.started_ms, outcome.wall_ms
                    )
                )
                continue
            place = self._scheduler.place(key.run, key.step)
            if place is not None and place[0] is Place.RECORDING:
                continue  # the same result is on its way to the log already
            self._records.append(
                StepRecord(
                    key.run, key.step, key.term, key.attempt, node, True, outcome.outputs, None,
                    outcome.started_ms, outcome.wall_ms,
                )
            )  # fmt: skip
            arrived.append(key)
        if arrived:
            self._absorb(OutcomesArrived(now_ms, node, tuple(arrived)))
            self._kick.set()

    def _fault(self, outcome: Outcome) -> SwarmError | None:
        """Why an outcome is no result."""
        if not outcome.ok:
            return outcome.error or RunFailed("the node gave no reason")
        run = self._scheduler.ledger.runs[outcome.key.run]
        weight = payload_bytes(outcome.outputs.values())
        if weight > limits.STEP_BYTES_MAX:
            return RunFailed(f"the step gave {weight} bytes, at most {limits.STEP_BYTES_MAX} travel inline")
        problem = run.output_problem(outcome.key.step, outcome.outputs)
        return RunFailed(problem.message, place=problem.place) if problem else None

    # -- actions ----------------------------------------------------------------------------------

    def _absorb(self, event: Event) -> None:
        for action in self._scheduler.apply(event):
            self._act(action)
        if isinstance(event, AgentDeployed | AgentRemoved):
            for link in self.links.values():
                link.host(self._scheduler.ledger.digests())

    def _act(self, action: Action) -> None:
        match action:
            case Dispatch():
                if link := self.links.get(action.node):
                    link.assign(action)
            case Recorded():
                if link := self.links.get(action.node):
                    link.receipt(action.key)
            case Withdraw():
                if link := self.links.get(action.node):
                    link.withdraw(action.key)
            case Record():
                self._records.append(action.record)
                self._kick.set()
            case Changed():
                self.watchers.changed(action.run)
            case _:
                assert_never(action)

    async def _propose(self, event: Durable) -> int:
        data = encode_event(event)
        self._proposed[data] = event
        try:
            return await self._log.propose(data)
        finally:
            self._proposed.pop(data, None)

    def _flush_links(self) -> None:
        for link in list(self.links.values()):
            link.flush()

    async def _flush_forever(self) -> None:
        """Records go to the log in batches: while one batch commits, the next one gathers."""
        while True:
            await self._kick.wait()
            self._kick.clear()
            while self._records and self.leads:
                term, batch = self._leading_term, self._take_batch()
                event = StepsRecorded(self._clock.wall_ms(), tuple(batch))
                try:
                    await self._propose(event)
                except NotLeader:
                    break  # the nodes keep their outcomes and offer them to the next leader
                except OutcomeUnknown:
                    if self._leading_term == term:  # recording twice is harmless: the first record wins
                        self._records.extendleft(reversed(batch))
                        await self._clock.sleep_ms(limits.TICK_MS)

    def _take_batch(self) -> list[StepRecord]:
        batch: list[StepRecord] = []
        weight = 0
        while self._records and len(batch) < limits.RECORDS_BATCH_MAX:
            weight += payload_bytes(self._records[0].outputs.values())
            if batch and weight > limits.RECORDS_BATCH_BYTES_MAX:
                break
            batch.append(self._records.popleft())
        return batch

    async def _tick_forever(self) -> None:
        last_ms = self._clock.monotonic_ms()
        while True:
            await self._clock.sleep_ms(limits.TICK_MS)
            now_ms = self._clock.monotonic_ms()
            if self.leads:
                self._absorb(Tick(now_ms))
                if now_ms - last_ms < TICK_LATE_MS_MAX:
                    self._cut_silent(now_ms)
                self._flush_links()
            last_ms = now_ms

    def _cut_silent(self, now_ms: int) -> None:
        for link in list(self.links.values()):
            if now_ms - link.heard_ms > limits.NODE_SILENCE_MS_MAX:
                link.cut(f"nothing heard for {now_ms - link.heard_ms} ms")
                self.detach(link)

    # -- what clients ask ---------------------------------------------------------------------------

    async def submit(
        self, graph: Graph, inputs: Mapping[str, Payload], priority: Priority, principal: str, key: str
    ) -> tuple[RunId, int, bool]:
        """Accept a run. Returns its id, the log index, and whether the key named an earlier run.

        When this returns, a durable majority holds the run. Raises `GraphRefused` with every problem.
        """
        self.must_lead()
        ledger = self._scheduler.ledger
        if (known := ledger.run_of_key(principal, key)) is not None:
            return known, self.applied_index(), True
        catalogue = ledger.catalogue()
        found = problems(graph, catalogue) or [
            *unsupported(graph),
            *input_problems(graph, catalogue, inputs),
        ]
        if found:
            raise GraphRefused(f"graph {graph.name!r} cannot run", problems=found)
        if ledger.active() >= limits.RUNS_ACTIVE_MAX:
            raise QueueFull(
                f"{limits.RUNS_ACTIVE_MAX} runs are active", remedy="wait for one to end, or cancel one"
            )
        run = RunId(f"run-{self._new_id()}")
        event = RunSubmitted(self._clock.wall_ms(), run, graph, inputs, priority, principal, key)
        index = await self._propose(event)
        winner = self._scheduler.ledger.run_of_key(principal, key) or run
        return winner, index, winner != run

    async def cancel(self, run: RunId, reason: str, principal: str) -> Run:
        """End a run. One that has ended already stays as it ended."""
        self.must_lead()
        if self.run(run).status is Status.RUNNING:
            event = RunCancelled(self._clock.wall_ms(), run, reason, principal)
            await self._propose(event)
        return self.run(run)

    async def deploy(self, agent: AgentRecord, principal: str) -> int:
        """Offer an agent whose file enough nodes hold. Returns the log index."""
        self.must_lead()
        event = AgentDeployed(self._clock.wall_ms(), agent, principal)
        return await self._propose(event)

    async def remove_agent(self, name: AgentName, principal: str) -> AgentRecord:
        """Offer an agent no longer."""
        self.must_lead()
        deployed = self._scheduler.ledger.agents.get(name)
        if deployed is None:
            raise NotFound(f"no agent {name!r}", remedy="swarm agents lists them")
        await self._propose(AgentRemoved(self._clock.wall_ms(), name, principal))
        return deployed.agent

    def run(self, run: RunId) -> Run:
        """A run by its id. Raises `NotFound`."""
        found = self.scheduler.ledger.runs.get(run)
        if found is None:
            raise NotFound(f"no run {run!r}", remedy="swarm runs list shows those that are remembered")
        return found

    def hosts(self, digest: Digest) -> list[NodeId]:
        """Attached nodes that can run this agent now."""
        return sorted(node for node, link in self.links.items() if digest in link.status.agents)
