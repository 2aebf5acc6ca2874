"""The scheduler: `apply(event) -> actions`. No clock, no socket, no dice.

It has two halves. The *ledger* is what is true: it takes durable events alone and is equal on every
replica. The *desk* is what to do next: it lives only while this replica leads, and it is rebuilt from
the ledger at each election, so nothing of it is ever worth saving.

Every ready step is in exactly one place on the desk:

    LATE ----(patience ends)----.
                                v
    (ready) -----------------> QUEUED --dispatch--> FLYING --outcome--> RECORDING --commit--> (gone)
                                ^                     |                     ^
                                `--- RESTING <--------+---- gives up -------'
                                      (failed attempt; a lost node queues it at the front at once)

Entries in the queues and heaps are not hunted down when a step moves on; whoever takes one looks the
step's place up first.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from swarm import limits
from swarm.errors import OutOfTime, RunFailed, Unreachable
from swarm.graph import PortName, Signature
from swarm.ids import CapabilityName, NodeId, RunId, StepKey
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
    Volatile,
)
from swarm.scheduler.fair import FairQueue
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.placement import NodeView, able, affinities, choose
from swarm.scheduler.retry import may_retry, rest_ms
from swarm.scheduler.run import Run, Step


class Place(enum.IntEnum):
    """Where a ready step is on the desk. Ordered only because alarms are kept in a heap."""

    LATE = 0
    QUEUED = 1
    FLYING = 2
    RESTING = 3
    RECORDING = 4


Where: TypeAlias = tuple[CapabilityName, frozenset[str]]
"""What a queue's steps need of a node: the capability and the sandbox layers."""


@dataclass(slots=True)
class _Entry:
    """A ready step on the desk."""

    place: Place = Place.LATE
    node: NodeId | None = None
    key: StepKey | None = None
    attempts: int = 0
    failures: int = 0
    losses: int = 0


_Alarm: TypeAlias = tuple[int, Place, RunId, int, int]
"""When, for a step in which place, of which attempt."""

ALARMS_SLACK = 4_096  # stale alarms tolerated beside twice the steps on the desk


@dataclass(slots=True)
class _Desk:
    """What the leader is busy with; see the head of this module."""

    nodes: dict[NodeId, NodeView] = field(default_factory=dict)
    entries: dict[RunId, dict[int, _Entry]] = field(default_factory=dict)
    queues: dict[Where, FairQueue] = field(default_factory=dict)
    alarms: list[_Alarm] = field(default_factory=list)  # a heap
    unhosted: dict[Where, int] = field(default_factory=dict)


class Scheduler:
    """State of every run; `apply` is the only way in, its return value the only way out."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.term = 0
        self.leading = False
        self._now_ms = 0  # of the leader's clock that never jumps; durable events carry the calendar's instead
        self._hold_until_ms = 0
        self._desk = _Desk()

    def apply(self, event: Event) -> list[Action]:
        """Absorb one event and say what must happen next."""
        actions: list[Action] = []
        match event:
            case RunSubmitted() | StepsRecorded() | RunCancelled() | AgentDeployed() | AgentRemoved():
                self._commit(event, actions)
            case _:
                self._now_ms = event.at_ms
                self._happen(event, actions)
        if self.leading and self._now_ms >= self._hold_until_ms:
            self._pump(self._now_ms, actions)
        return actions

    def _happen(self, event: Volatile, actions: list[Action]) -> None:
        match event:
            case OutcomesArrived():
                self._arrive(event)
            case AttemptFailed():
                self._fail(event, actions)
            case NodeJoined():
                self._join(event, actions)
            case NodeChanged():
                self._change(event)
            case NodeLost():
                self._lose(event.node, event.at_ms, actions)
            case Elected():
                self._elect(event)
            case Deposed():
                self.leading = False
                self._desk = _Desk()
            case Tick():
                self._tick(event.at_ms, actions)
            case _:
                assert_never(event)

    # -- what happened -----------------------------------------------------------------------

    def _commit(self, event: Durable, actions: list[Action]) -> None:
        touched = self.ledger.apply(event)
        if isinstance(event, StepsRecorded) and self.leading:
            for record in event.records:
                self._settle(record, actions)
        for run, ready in touched:
            actions.append(Changed(run.submitted.run))
            if not self.leading:
                continue
            for step in ready:
                self._welcome(run, step, self._now_ms)
            if run.settled:
                self._clear(run.submitted.run, actions)

    def _settle(self, record: StepRecord, actions: list[Action]) -> None:
        """A step is in the log: take it off the desk and tell whoever still works on it."""
        key = StepKey(record.run, record.step, record.term, record.attempt)
        if record.node:
            actions.append(Recorded(record.node, key))
        entry = self._desk.entries.get(record.run, {}).pop(record.step, None)
        if entry is not None and entry.place is Place.FLYING and entry.key is not None and entry.node:
            self._land(entry, record.run, record.step)
            if entry.key != key:
                actions.append(Withdraw(entry.node, entry.key))

    def _clear(self, run: RunId, actions: list[Action]) -> None:
        """A run is over: nothing of it stays on the desk."""
        for step, entry in self._desk.entries.pop(run, {}).items():
            if entry.place is Place.FLYING and entry.key is not None and entry.node:
                self._land(entry, run, step)
                actions.append(Withdraw(entry.node, entry.key))
        for queue in self._desk.queues.values():
            queue.drop(run)

    def _arrive(self, event: OutcomesArrived) -> None:
        for key in event.keys:
            entry = self._flying(key)
            if entry is not None:
                self._land(entry, key.run, key.step)
                entry.place = Place.RECORDING
                if view := self._desk.nodes.get(event.node):
                    view.done += 1
                    view.judge(failed=False)

    def _fail(self, event: AttemptFailed, actions: list[Action]) -> None:
        actions.append(Recorded(event.node, event.key))
        entry = self._flying(event.key)
        if entry is None or entry.node != event.node:
            return
        if view := self._desk.nodes.get(event.node):
            view.judge(failed=True)
        self._attempt_over(event, entry, actions)

    def _attempt_over(self, event: AttemptFailed, entry: _Entry, actions: list[Action]) -> None:
        """An attempt failed: rest and try again, or give the step up."""
        key = event.key
        self._land(entry, key.run, key.step)
        entry.failures += 1
        policy = self.ledger.runs[key.run].graph.nodes[key.step].retry
        if may_retry(policy, entry.failures, retryable=event.retryable):
            entry.place = Place.RESTING
            due = event.at_ms + rest_ms(policy, key.run, key.step, entry.failures)
            heapq.heappush(self._desk.alarms, (due, Place.RESTING, key.run, key.step, entry.attempts))
            return
        self._give_up(
            entry,
            StepRecord(
                key.run, key.step, key.term, key.attempt, event.node, False, {},
                event.error, event.started_ms, event.wall_ms,
            ),
            actions,
        )  # fmt: skip

    def _give_up(self, entry: _Entry, record: StepRecord, actions: list[Action]) -> None:
        entry.place = Place.RECORDING
        actions.append(Record(record))

    def _join(self, event: NodeJoined, actions: list[Action]) -> None:
        self._lose(event.node, event.at_ms, actions)
        view = NodeView(event.node, event.slots, event.agents, event.layers)
        self._desk.nodes[event.node] = view
        for key in event.running:
            entry = self._desk.entries.get(key.run, {}).get(key.step)
            if entry is None or entry.place not in (Place.QUEUED, Place.LATE):
                actions.append(Withdraw(event.node, key))
                continue
            entry.attempts = max(entry.attempts, key.attempt)
            self._fly(entry, view, key, event.at_ms)

    def _change(self, event: NodeChanged) -> None:
        view = self._desk.nodes.get(event.node)
        if view is None:
            return
        view.agents = view.agents if event.agents is None else event.agents
        view.load = view.load if event.load is None else min(max(event.load, 0.0), 1.0)
        view.draining = view.draining if event.draining is None else event.draining

    def _lose(self, node: NodeId, at_ms: int, actions: list[Action]) -> None:
        view = self._desk.nodes.pop(node, None)
        if view is None:
            return
        for (run_name, step), key in list(view.busy.items()):
            run = RunId(run_name)
            entry = self._desk.entries[run][step]
            entry.node = entry.key = None
            entry.losses += 1
            if entry.losses > limits.NODE_LOSSES_MAX:
                error = Unreachable(f"{entry.losses} nodes were lost while they ran it", place=str(node))
                record = StepRecord(run, step, key.term, key.attempt, node, False, {}, error, 0, 0.0)
                self._give_up(entry, record, actions)
            else:
                self._queue(self.ledger.runs[run], step, entry, front=True)

    def _elect(self, event: Elected) -> None:
        self.leading = True
        self.term = event.term
        self._hold_until_ms = event.at_ms + limits.TAKEOVER_GRACE_MS
        self._desk = _Desk()
        for run in self.ledger.runs.values():
            for step in run.ready():
                self._welcome(run, step, event.at_ms)

    def _tick(self, at_ms: int, actions: list[Action]) -> None:
        alarms = self._desk.alarms
        while alarms and alarms[0][0] <= at_ms:
            alarm = heapq.heappop(alarms)
            if not self._rings(alarm):
                continue
            _, place, run_name, step, _ = alarm
            entry = self._desk.entries[run_name][step]
            if place is Place.FLYING:
                self._time_out(entry, at_ms, actions)
            else:
                self._queue(self.ledger.runs[run_name], step, entry)
        self._sweep()
        self._tick_unhosted(at_ms, actions)

    def _sweep(self) -> None:
        """Drop alarms nobody waits for, once they are the greater part, and queues that ran empty."""
        desk = self._desk
        if len(desk.alarms) > ALARMS_SLACK + 2 * sum(map(len, desk.entries.values())):
            desk.alarms = [alarm for alarm in desk.alarms if self._rings(alarm)]
            heapq.heapify(desk.alarms)
        desk.queues = {where: queue for where, queue in desk.queues.items() if queue}

    def _rings(self, alarm: _Alarm) -> bool:
        _, place, run, step, attempt = alarm
        entry = self._desk.entries.get(run, {}).get(step)
        return entry is not None and entry.place is place and entry.attempts == attempt

    def _time_out(self, entry: _Entry, at_ms: int, actions: list[Action]) -> None:
        assert entry.key is not None
        assert entry.node is not None
        node, key = entry.node, entry.key
        timeout_ms = self.ledger.runs[key.run].graph.nodes[key.step].timeout_ms
        error = OutOfTime(f"no result within {timeout_ms} ms", place=f"node {node}")
        actions.append(Withdraw(node, key))
        if view := self._desk.nodes.get(node):
            view.judge(failed=True)
        failed = AttemptFailed(at_ms, node, key, error, True, 0, float(timeout_ms))
        self._attempt_over(failed, entry, actions)

    def _tick_unhosted(self, at_ms: int, actions: list[Action]) -> None:
        """A run never falls silent: a step nobody can host is given up after a while."""
        desk = self._desk
        desk.unhosted = {where: since for where, since in desk.unhosted.items() if where in desk.queues}
        for where, queue in desk.queues.items():
            agent = self.ledger.agent_for(where[0])
            hosted = agent is not None and any(
                able(view, agent.digest, where[1]) for view in desk.nodes.values()
            )
            if hosted:
                desk.unhosted.pop(where, None)
            elif at_ms - desk.unhosted.setdefault(where, at_ms) > limits.UNHOSTED_MS_MAX:
                self._give_up_unhosted(where, queue, at_ms, actions)

    def _give_up_unhosted(
        self, where: Where, queue: FairQueue, at_ms: int, actions: list[Action]
    ) -> None:
        capability, layers = where
        needs = f" with layers {', '.join(sorted(layers))}" if layers else ""
        error = RunFailed(
            f"no attached node offers {capability}{needs}",
            place=str(capability),
            remedy="swarm agents shows which nodes host what; deploy the agent or add a node",
        )
        while taken := queue.pop():
            entry = self._desk.entries.get(taken[0], {}).get(taken[1])
            if entry is not None and entry.place is Place.QUEUED:
                record = StepRecord(
                    *taken, self.term, entry.attempts, NodeId(""), False, {}, error, 0, 0.0
                )
                self._give_up(entry, record, actions)

    # -- moving steps about the desk ----------------------------------------------------------

    def _welcome(self, run: Run, step: int, at_ms: int) -> None:
        """A step may run, or one of its loose inputs came at last."""
        entry = self._desk.entries.setdefault(run.submitted.run, {}).setdefault(step, _Entry())
        if entry.place is not Place.LATE:
            return
        if run.waits_softly(step):
            due = at_ms + limits.LOOSE_WAIT_MS
            heapq.heappush(self._desk.alarms, (due, Place.LATE, run.submitted.run, step, 0))
        else:
            self._queue(run, step, entry)

    def _queue(self, run: Run, step: int, entry: _Entry, *, front: bool = False) -> None:
        entry.place = Place.QUEUED
        node = run.graph.nodes[step]
        agent = self.ledger.agent_for(node.capability)
        where = (node.capability, node.layers | (agent.layers if agent else frozenset()))
        queue = self._desk.queues.get(where)
        if queue is None:
            queue = self._desk.queues[where] = FairQueue()
        queue.push(run.submitted.priority, run.submitted.run, step, front=front)

    def _flying(self, key: StepKey) -> _Entry | None:
        """The entry of this very attempt, if it is still awaited."""
        entry = self._desk.entries.get(key.run, {}).get(key.step)
        return entry if entry is not None and entry.place is Place.FLYING and entry.key == key else None

    def _fly(self, entry: _Entry, view: NodeView, key: StepKey, at_ms: int) -> None:
        entry.place = Place.FLYING
        entry.node, entry.key = view.node, key
        view.busy[(key.run, key.step)] = key
        due = at_ms + self.ledger.runs[key.run].graph.nodes[key.step].timeout_ms
        heapq.heappush(self._desk.alarms, (due, Place.FLYING, key.run, key.step, entry.attempts))

    def _land(self, entry: _Entry, run: RunId, step: int) -> None:
        if entry.node is not None and entry.node in self._desk.nodes:
            self._desk.nodes[entry.node].busy.pop((run, step), None)
        entry.node = entry.key = None

    # -- placing ------------------------------------------------------------------------------

    def _pump(self, at_ms: int, actions: list[Action]) -> None:
        """Place what can be placed: one step of each queue in turn, until there is no room."""
        hungry = [(where, queue) for where, queue in self._desk.queues.items() if queue]
        while hungry and any(view.free > 0 for view in self._desk.nodes.values()):
            hungry = [
                (where, queue) for where, queue in hungry if self._place(where, queue, at_ms, actions)
            ]

    def _place(
        self,
        where: Where,
        queue: FairQueue,
        at_ms: int,
        actions: list[Action],
    ) -> bool:
        """Place the next step of one queue; whether it is worth coming back."""
        capability, layers = where
        agent = self.ledger.agent_for(capability)
        if agent is None:
            return False
        views = [v for v in self._desk.nodes.values() if v.free > 0 and able(v, agent.digest, layers)]
        if not views:
            return False
        while taken := queue.pop():
            entry = self._desk.entries.get(taken[0], {}).get(taken[1])
            if entry is None or entry.place is not Place.QUEUED:
                continue
            run = self.ledger.runs[taken[0]]
            view = choose(views, agent.digest, layers, affinities(run.sources(taken[1])))
            assert view is not None
            self._dispatch(run, taken[1], entry, agent, view, at_ms, actions)
            return bool(queue)
        return False

    def _dispatch(
        self,
        run: Run,
        step: int,
        entry: _Entry,
        agent: AgentRecord,
        view: NodeView,
        at_ms: int,
        actions: list[Action],
    ) -> None:
        node = run.graph.nodes[step]
        entry.attempts += 1
        key = StepKey(run.submitted.run, step, self.term, entry.attempts)
        signature = next(sig for sig in agent.capabilities if sig.name == node.capability)
        many = _many_inputs(signature)
        self._fly(entry, view, key, at_ms)
        scatter = tuple(
            (port, count)
            for port, count in run.scatter(step)
            if (out := signature.output(PortName(port))) is not None and out.many
        )
        actions.append(
            Dispatch(
                view.node, key, agent.digest, node.capability, run.inputs(step, many), node.timeout_ms, scatter
            )
        )

    # -- reading -----------------------------------------------------------------------------

    def accepts(self, key: StepKey) -> bool:
        """Whether a result of this attempt is still wanted."""
        run = self.ledger.runs.get(key.run)
        return run is not None and key.step < len(run.state) and run.state[key.step] is Step.READY

    def nodes(self) -> Iterator[NodeView]:
        """Attached nodes, as the leader sees them."""
        return iter(self._desk.nodes.values())

    def place(self, run: RunId, step: int) -> tuple[Place, NodeId | None] | None:
        """Where a ready step is on the leader's desk."""
        entry = self._desk.entries.get(run, {}).get(step)
        return (entry.place, entry.node) if entry is not None else None

    def waiting(self) -> int:
        """Steps that are ready and wait for room."""
        return sum(len(queue) for queue in self._desk.queues.values())


def _many_inputs(signature: Signature) -> frozenset[str]:
    return frozenset(port.name for port in signature.inputs if port.many)

