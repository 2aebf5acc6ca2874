"""The scheduler in a model of a cluster: replicas of the ledger, nodes that run attempts, a log, a clock.

Nothing here moves by itself. A test, or `Chaos`, says what happens next: an attempt ends, a link is cut,
a leader is deposed, time passes. The cluster tells the scheduler, carries out what it asks for as the
real drivers would, and keeps everything that was said, so that it can be checked and replayed.

What it checks at every dispatch, by its own reading of the graph and not by the scheduler's: the node is
attached, has the agent and a free slot; the step has no result yet; nothing it must wait for is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from swarm import limits
from swarm.errors import AgentFailed, SwarmError
from swarm.graph import Graph, Priority
from swarm.ids import Digest, NodeId, RunId, StepKey
from swarm.scheduler.actions import Action, Changed, Copy, Dispatch, Intend, Record, Recorded, Withdraw, fed
from swarm.scheduler.chains import After
from swarm.scheduler.events import (
    AgentDeployed,
    AgentRecord,
    AgentRemoved,
    AttemptFailed,
    Deposed,
    Durable,
    Elected,
    Event,
    NodeJoined,
    NodeLost,
    OutcomesArrived,
    RunCancelled,
    RunSubmitted,
    StepIntent,
    StepRecord,
    StepsIntended,
    StepsRecorded,
    Tick,
)
from swarm.scheduler.machine import DEFAULTS, Place, Scheduler
from swarm.scheduler.together import Options
from swarm.testing.graphs import model_reply
from swarm.testing.oracle import missing

CALENDAR_MS = 1_700_000_000_000  # durable events carry the calendar's time, volatile ones another clock's


@dataclass(slots=True)
class Replica:
    """One scheduler with everything it was told and everything it asked for."""

    scheduler: Scheduler = field(default_factory=Scheduler)
    events: list[Event] = field(default_factory=list)
    actions: list[list[Action]] = field(default_factory=list)

    def tell(self, event: Event) -> list[Action]:
        actions = self.scheduler.apply(event)
        self.events.append(event)
        self.actions.append(actions)
        return actions


@dataclass(slots=True)
class ModelNode:
    """A node: what it runs, and the outcomes it keeps until somebody says they are recorded."""

    name: NodeId
    slots: int
    agents: frozenset[Digest]
    layers: frozenset[str] = frozenset()
    attached: bool = False
    running: dict[StepKey, Dispatch] = field(default_factory=dict)
    outbox: dict[StepKey, Dispatch | SwarmError] = field(default_factory=dict)
    after: dict[StepKey, After] = field(default_factory=dict)  # whose outputs followers were given

    def withdraw(self, key: StepKey) -> None:
        """Nobody waits for this attempt any more; a chain ends before it."""
        self.running.pop(key, None)
        self.outbox.pop(key, None)
        for head, order in self.running.items():
            steps = [follower.key for follower in order.followers]
            if key in steps:
                self.running[head] = order._replace(followers=order.followers[: steps.index(key)])


class ModelCluster:
    """See the head of this module. The first replica leads at the start."""

    def __init__(self, *agents: AgentRecord, replicas: int = 2, options: Options = DEFAULTS) -> None:
        self.now_ms = 5_000
        self.term = 0
        self.replicas = [Replica(Scheduler(options)) for _ in range(replicas)]
        self.leader = self.replicas[0]
        self.nodes: dict[NodeId, ModelNode] = {}
        self.proposed: deque[StepRecord] = deque()
        self.intended: deque[StepIntent] = deque()
        self.durable: list[Durable] = []
        self.recorded: dict[RunId, dict[int, StepRecord]] = {}  # the first record of each step
        self.executions: list[Dispatch] = []
        self.graphs: dict[RunId, Graph] = {}
        for agent in agents:
            self.deploy(agent)
        self.elect(self.leader)
        self.advance(limits.TAKEOVER_GRACE_MS)

    # -- durable ---------------------------------------------------------------------------

    def deploy(self, agent: AgentRecord) -> None:
        self._commit(AgentDeployed(self._calendar_ms(), agent, "ann"))

    def remove(self, agent: AgentRecord) -> None:
        self._commit(AgentRemoved(self._calendar_ms(), agent.name, "ann"))

    def submit(self, graph: Graph, priority: Priority = Priority.MEDIUM, key: str = "") -> RunId:
        run = RunId(f"run-{len(self.durable):05}")
        self.graphs[run] = graph
        self._commit(RunSubmitted(self._calendar_ms(), run, graph, {}, priority, "ann", key))
        return run

    def cancel(self, run: RunId, reason: str = "enough") -> None:
        self._commit(RunCancelled(self._calendar_ms(), run, reason, "ann"))

    def commit(self, count: int = limits.RECORDS_BATCH_MAX) -> None:
        """Proposed intents reach the log, and the next proposed records as one entry."""
        if intents := tuple(self.intended):
            self.intended.clear()
            self._commit(StepsIntended(self._calendar_ms(), intents))
        records = tuple(self.proposed.popleft() for _ in range(min(count, len(self.proposed))))
        if records:
            for record in records:
                self.recorded.setdefault(record.run, {}).setdefault(record.step, record)
            self._commit(StepsRecorded(self._calendar_ms(), records))

    def _commit(self, event: Durable) -> None:
        self.durable.append(event)
        for replica in self.replicas:
            actions = replica.tell(event)
            if replica is self.leader:
                self._carry_out(actions)

    def _calendar_ms(self) -> int:
        return CALENDAR_MS + self.now_ms

    # -- volatile --------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Tell the leader, and do as it says."""
        self._carry_out(self.leader.tell(event))

    def advance(self, duration_ms: int) -> None:
        self.now_ms += duration_ms
        self.tell(Tick(self.now_ms))

    def elect(self, replica: Replica, *, keep_proposed: bool = False) -> None:
        """Another replica leads, or the same one anew. Links are cut; what was proposed may be lost."""
        for node in self.nodes.values():
            node.attached = False
        if self.leader.scheduler.leading:
            self.tell(Deposed(self.now_ms))
        if keep_proposed:
            self.commit()
        self.proposed.clear()
        self.intended.clear()
        self.term += 1
        self.leader = replica
        self.tell(Elected(self.now_ms, self.term))

    def join(
        self, name: str, slots: int = 2, agents: Iterable[AgentRecord] = (), layers: Iterable[str] = ()
    ) -> ModelNode:
        """A new node; it hosts every agent deployed unless told otherwise."""
        hosted = frozenset(agent.digest for agent in agents) or frozenset(
            self.leader.scheduler.ledger.digests()
        )
        node = ModelNode(NodeId(name), slots, hosted, frozenset(layers))
        self.nodes[node.name] = node
        self.attach(node)
        return node

    def attach(self, node: ModelNode) -> None:
        """The node opens a link, says what it runs, and offers every outcome it still keeps."""
        node.attached = True
        for key, order in node.running.items():
            if key.term != self.term:  # another leader is in office, and knows nothing of what follows
                node.running[key] = order._replace(followers=())
        claims = tuple(node.running)
        self.tell(
            NodeJoined(self.now_ms, node.name, node.slots, node.agents, node.layers, claims, 4_096, 4.0)
        )
        for key in list(node.outbox):
            self._offer(node, key)

    def lose(self, node: ModelNode, *, killed: bool = False) -> None:
        """The link ends; a node that was killed forgets everything."""
        if killed:
            node.running.clear()
            node.outbox.clear()
        if node.attached:
            node.attached = False
            self.tell(NodeLost(self.now_ms, node.name))

    def finish(self, node: ModelNode, key: StepKey) -> None:
        """An attempt ends well; the node goes on with what follows it."""
        done = node.outbox[key] = node.running.pop(key)
        if done.followers:
            first, *others = done.followers
            made = model_reply(self.graphs[key.run].nodes[key.step].name, done.inputs, done.scatter)
            inputs = fed(first, made)
            assert inputs is not None, f"{first.key}: the step before it did not give what it takes"
            order = done._replace(
                key=first.key,
                agent=first.agent,
                capability=first.capability,
                inputs=inputs,
                timeout_ms=first.timeout_ms,
                scatter=first.scatter,
                followers=tuple(others),
            )
            node.after[first.key] = key.term, key.attempt
            node.running[first.key] = order
            self.executions.append(order)
        self._offer(node, key)

    def fail(self, node: ModelNode, key: StepKey) -> None:
        """An attempt ends with an error that another try may not have."""
        node.running.pop(key)
        node.outbox[key] = AgentFailed("it raised", place=str(key.step))
        self._offer(node, key)

    def _offer(self, node: ModelNode, key: StepKey) -> None:
        """What the coordinator does with an outcome."""
        scheduler, outcome = self.leader.scheduler, node.outbox[key]
        if not node.attached:
            return
        place = scheduler.place(key.run, key.step)
        if not scheduler.accepts(key, node.after.get(key)):
            del node.outbox[key]
        elif isinstance(outcome, SwarmError):
            self.tell(AttemptFailed(self.now_ms, node.name, key, outcome, True, 1, 1.0))
        elif place is None or place[0] is not Place.RECORDING:
            name = self.graphs[key.run].nodes[key.step].name
            outputs = model_reply(name, outcome.inputs, outcome.scatter)
            self.proposed.append(StepRecord(*key, node.name, True, outputs, None, self._calendar_ms(), 1.0))
            self.tell(OutcomesArrived(self.now_ms, node.name, (key,)))

    # -- carrying out ----------------------------------------------------------------------

    def _carry_out(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Dispatch():
                    self._check(action)
                    self.executions.append(action)
                    self.nodes[action.node].running[action.key] = action
                case Withdraw():
                    if (node := self.nodes.get(action.node)) and node.attached:
                        node.withdraw(action.key)
                case Recorded():
                    if (node := self.nodes.get(action.node)) and node.attached:
                        for key in action.keys:
                            node.outbox.pop(key, None)
                case Record():
                    self.proposed.append(action.record)
                case Intend():
                    self.intended.append(action.intent)
                case Copy() | Changed():
                    pass
                case _:
                    assert_never(action)

    def _check(self, dispatch: Dispatch) -> None:
        node, key = self.nodes[dispatch.node], dispatch.key
        assert node.attached, f"{key}: {node.name} is not attached"
        assert dispatch.agent in node.agents, f"{key}: {node.name} has no such agent"
        assert len(node.running) < node.slots, f"{key}: {node.name} has no free slot"
        assert key.term == self.term, f"{key}: ordered in term {self.term}"
        assert all(key != earlier.key for earlier in node.running.values()), f"{key}: twice"
        assert key.step not in self.recorded.get(key.run, {}), f"{key}: recorded already"
        wanting = list(missing(self.graphs[key.run], key.step, self.recorded.get(key.run, {})))
        assert not wanting, f"{key}: began before {wanting}"

    # -- reading ---------------------------------------------------------------------------

    def running(self) -> list[tuple[ModelNode, StepKey]]:
        """Every attempt some node runs."""
        return [(node, key) for node in self.nodes.values() for key in node.running]
