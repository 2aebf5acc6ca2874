"""How far one run has come: which steps are ready, which have ended, and what that means.

A run is a fold over its step records and nothing else, so every replica agrees on it. Each step
counts the edges it still waits for: *hard* ones (strict, shared) hold it back until they end,
*soft* ones (loose) only until somebody loses patience, and observe edges not at all, unless the step
is fed by nothing else. A step record moves the counts of its dependents, and that is the whole algorithm.

    waiting --(hard = 0)--> ready --record--> ok | failed
       |                      |
       +------ skipped / cancelled -----------+

An *observer* is a step fed by observe edges alone, or by other observers, on which nothing but
observers depends: it may watch the run, but the run neither waits for it nor fails with it. `status`
is decided when every other step has ended; the run is `settled` when the observers have ended too.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from swarm.errors import Problem
from swarm.graph import PLAIN, Bond, Context, Graph, Items, OnFailure, Payload, digest
from swarm.ids import Digest, NodeId
from swarm.scheduler.events import RunSubmitted, StepIntent, StepRecord
from swarm.scheduler.plan import HARD, plan


class Status(enum.Enum):
    """How a run stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Step(enum.IntEnum):
    """How a step stands, as far as the log knows."""

    WAITING = 0
    READY = 1
    OK = 2
    FAILED = 3
    SKIPPED = 4
    CANCELLED = 5


class Run:
    """One run; see the head of this module."""

    __slots__ = (
        "_digest",
        "_hard",
        "_main_left",
        "_soft",
        "context",
        "ended_ms",
        "intents",
        "left",
        "order",
        "plan",
        "reason",
        "records",
        "refers",
        "state",
        "status",
        "submitted",
    )

    def __init__(self, submitted: RunSubmitted) -> None:
        self.submitted = submitted
        self._digest: Digest | None = None
        self.plan = plan(submitted.graph)
        self.context = Context(tenant=submitted.tenant) if submitted.tenant else PLAIN
        self._hard = list(self.plan.hard)
        self._soft = list(self.plan.soft)
        size = len(submitted.graph.nodes)
        self.state: list[Step] = [Step.WAITING if hard else Step.READY for hard in self._hard]
        self.records: dict[int, StepRecord] = {}
        self.intents: dict[int, StepIntent] = {}  # of steps that have no result: what may be under way
        self.order: list[int] = []  # steps in the order they were recorded: the run's history
        self.refers = False  # whether some of its values lie elsewhere
        self.status = Status.RUNNING
        self.reason = ""
        self.ended_ms = 0
        self.left = size
        self._main_left = size - sum(self.plan.observer)
        self._decide(submitted.at_ms)

    @property
    def graph(self) -> Graph:
        return self.submitted.graph

    @property
    def digest(self) -> Digest:
        """The name of the graph; worked out when first asked for."""
        if self._digest is None:
            self._digest = digest(self.graph)
        return self._digest

    @property
    def settled(self) -> bool:
        """Whether nothing of this run can happen any more."""
        return self.left == 0

    def ready(self) -> Iterator[int]:
        """Steps that may run now and have not ended."""
        return (step for step, state in enumerate(self.state) if state is Step.READY)

    def waits_softly(self, step: int) -> bool:
        """Whether a loose input of a ready step is still to come."""
        return self._soft[step] > 0

    # -- absorbing -----------------------------------------------------------------------

    def record(self, record: StepRecord, at_ms: int) -> list[int] | None:
        """Take the first result of a ready step; returns ready steps whose inputs changed.

        None where it is not the first, or came when the step was not ready: nothing has changed then.
        """
        step = record.step
        if self.state[step] is not Step.READY:
            return None
        self.records[step] = record
        self.order.append(step)
        ready: list[int] = []
        self._end(step, Step.OK if record.ok else Step.FAILED, ready)
        if not record.ok and self._matters(step) and self.status is Status.RUNNING:
            self._blame(step, record)
            if self.graph.on_failure is OnFailure.STOP:
                self._stop(Status.FAILED, at_ms)
                return []
        if not self._main_left:
            self._decide(at_ms)
        return ready

    def intend(self, intent: StepIntent) -> None:
        """An attempt that must not be repeated is about to begin; a later one replaces an earlier one."""
        if intent.step < len(self.state) and self.state[intent.step] is Step.READY:
            self.intents[intent.step] = intent

    def cancel(self, reason: str, at_ms: int) -> None:
        """End the run now; what was recorded stays."""
        self.reason = reason or "cancelled"
        self._stop(Status.CANCELLED, at_ms)

    def _matters(self, step: int) -> bool:
        """A failure matters unless the step only observes, or all it gives goes where it may be missing."""
        if self.plan.observer[step]:
            return False
        if step in self.plan.outlets:
            return True
        bonds = [bond for _, bond in self.plan.outgoing[step] if bond is not Bond.OBSERVE]
        return not bonds or Bond.STRICT in bonds

    def _blame(self, step: int, record: StepRecord) -> None:
        if not self.reason:
            error = record.error
            self.reason = f"step {self.graph.nodes[step].name}: {error.message if error else 'failed'}"

    def _end(self, step: int, state: Step, ready: list[int]) -> None:
        """Move the counts of everything downstream; a loop, not a recursion: chains are long."""
        todo = [(step, state)]
        outgoing, observer = self.plan.outgoing, self.plan.observer
        while todo:
            ended, how = todo.pop()
            if self.state[ended] >= Step.OK:
                continue
            self.state[ended] = how
            if self.intents:
                self.intents.pop(ended, None)
            self.left -= 1
            self._main_left -= not observer[ended]
            for target, bond in outgoing[ended]:
                if self.state[target] >= Step.OK:
                    continue
                if bond is Bond.STRICT and how is not Step.OK:
                    todo.append((target, Step.SKIPPED))
                    continue
                if bond is Bond.LOOSE:
                    self._soft[target] -= 1
                elif bond in HARD or self.plan.watches[target]:
                    self._hard[target] -= 1
                else:
                    continue
                if self._hard[target] == 0:
                    self.state[target] = Step.READY
                    ready.append(target)

    def _decide(self, at_ms: int) -> None:
        if self.status is Status.RUNNING and self._main_left == 0:
            self.status = Status.FAILED if self.reason else Status.SUCCEEDED
            self.ended_ms = at_ms

    def _stop(self, status: Status, at_ms: int) -> None:
        if self.status is Status.RUNNING:
            self.status = status
            self.ended_ms = at_ms
        for step, state in enumerate(self.state):
            if state < Step.OK:
                self.state[step] = Step.CANCELLED
        self.intents.clear()
        self.left = self._main_left = 0

    # -- reading ---------------------------------------------------------------------------

    def inputs(self, step: int, many: frozenset[str], without: Collection[int] = ()) -> dict[str, Items]:
        """What a step is given: literals, feeds and what has arrived; a tuple on each port in `many`.

        `without` leaves out what came from these steps.
        """
        found: dict[str, Items] = dict(self.submitted.graph.nodes[step].literals)
        for port, feed in self.plan.feeds[step]:
            found[port] = self.submitted.inputs[feed]
        if not many and not self.plan.incoming[step]:
            return found
        gathered: dict[str, list[Payload]] = {}
        for source, out_port, in_port, _, slot in self.plan.incoming[step]:
            there = gathered.setdefault(in_port, [])
            record = self.records.get(source) if source not in without else None
            items = record.outputs.get(out_port) if record is not None and record.ok else None
            if isinstance(items, Payload):
                there.append(items)
            elif items is not None and slot < len(items):
                there.append(items[slot])
        for port, there in gathered.items():
            if port in many:
                found[port] = tuple(there)
            elif there:
                found[port] = there[-1]
        for port in many:
            items = found.get(port)
            if isinstance(items, Payload):
                found[port] = (items,)
        return found

    def scatter(self, step: int) -> tuple[tuple[str, int], ...]:
        """How many edges leave each output port of a step."""
        return self.plan.scatter[step]

    def sources(self, step: int) -> Iterator[tuple[NodeId, Bond]]:
        """Where the inputs of a step were made, and by what bond they are tied."""
        for source, _, _, bond, _ in self.plan.incoming[step]:
            if record := self.records.get(source):
                yield record.node, bond

    def output_problem(self, step: int, outputs: Mapping[str, Items]) -> Problem | None:
        """Why a result does not fit the graph, or None: what is wired is there, one item for each edge."""
        name = self.graph.nodes[step].name
        for port, count in self.plan.scatter[step]:
            items = outputs.get(port)
            if items is None:
                return Problem("bad_output", f"{name}.{port}", "the agent gave no such output")
            if not isinstance(items, Payload) and len(items) != count:
                return Problem("bad_output", f"{name}.{port}", f"{len(items)} items for {count} edges")
        for outlet, port in self.plan.outlets.get(step, ()):
            if port not in outputs:
                return Problem("bad_output", f"{name}.{port}", f"the agent gave nothing for outlet {outlet}")
        return None

    def outputs(self) -> dict[str, Items]:
        """The values of the graph's outlets that exist so far."""
        found: dict[str, Items] = {}
        for step, outlets in self.plan.outlets.items():
            record = self.records.get(step)
            if record is not None and record.ok:
                found.update((name, record.outputs[port]) for name, port in outlets if port in record.outputs)
        return found

    def count(self, *states: Step) -> int:
        return sum(map(self.state.count, states))


def context_of(run: Run, step: int) -> Context:
    """That of a step, in the tenant whose run it is."""
    context = run.graph.nodes[step].context
    if context is PLAIN or context == PLAIN:
        return run.context
    return context if context.tenant else replace(context, tenant=run.submitted.tenant)
