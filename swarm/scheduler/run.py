"""How far one run has come: which steps are ready, which have ended, and what that means.

A run is a fold over its step records and nothing else, so every replica agrees on it. Each step
counts the edges it still waits for: *hard* ones (strict, shared) hold it back until they end,
*soft* ones (loose, observe) only until somebody loses patience. A step record moves the counts of
its dependents, and that is the whole algorithm.

    waiting --(hard = 0)--> ready --record--> ok | failed
       |                      |
       +------ skipped / cancelled -----------+

An *observer* is a step fed by observe edges alone, or by other observers: it may watch the run,
but the run neither waits for it nor fails with it. `status` is decided when every other step has
ended; the run is `settled` when the observers have ended too.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from swarm.errors import Problem
from swarm.graph import Bond, Graph, Items, OnFailure, Payload
from swarm.ids import NodeId
from swarm.scheduler.events import RunSubmitted, StepRecord


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


@dataclass(frozen=True, slots=True)
class _Plan:
    """A graph with names turned into positions; made once for each run."""

    incoming: tuple[tuple[tuple[int, str, str, Bond, int], ...], ...]  # (source, its port, our port, bond, slot)
    outgoing: tuple[tuple[tuple[int, Bond], ...], ...]
    scatter: tuple[tuple[tuple[str, int], ...], ...]
    feeds: tuple[tuple[tuple[str, str], ...], ...]  # (our port, feed name)
    watches: tuple[bool, ...]  # every edge in is an observe edge
    observer: tuple[bool, ...]


def _plan(graph: Graph) -> _Plan:
    position = {node.name: i for i, node in enumerate(graph.nodes)}
    size = len(graph.nodes)
    incoming: list[list[tuple[int, str, str, Bond, int]]] = [[] for _ in range(size)]
    outgoing: list[list[tuple[int, Bond]]] = [[] for _ in range(size)]
    leaving: list[dict[str, int]] = [{} for _ in range(size)]
    feeds: list[list[tuple[str, str]]] = [[] for _ in range(size)]
    for edge in graph.edges:
        source, target = position[edge.source.node], position[edge.target.node]
        slot = leaving[source].get(edge.source.port, 0)
        leaving[source][edge.source.port] = slot + 1
        incoming[target].append((source, edge.source.port, edge.target.port, edge.bond, slot))
        outgoing[source].append((target, edge.bond))
    for feed in graph.feeds:
        feeds[position[feed.target.node]].append((feed.target.port, feed.name))
    return _Plan(
        incoming=tuple(map(tuple, incoming)),
        outgoing=tuple(map(tuple, outgoing)),
        scatter=tuple(tuple(ports.items()) for ports in leaving),
        feeds=tuple(map(tuple, feeds)),
        watches=tuple(
            bool(edges) and all(bond is Bond.OBSERVE for _, _, _, bond, _ in edges) for edges in incoming
        ),
        observer=_observers(incoming, outgoing),
    )


def _observers(
    incoming: list[list[tuple[int, str, str, Bond, int]]], outgoing: list[list[tuple[int, Bond]]]
) -> tuple[bool, ...]:
    """Steps that only watch: all they are fed by is observe edges or other observers."""
    weighty = [0] * len(incoming)  # edges in that are neither observe nor from an observer
    observer = [False] * len(incoming)
    for step, edges in enumerate(incoming):
        weighty[step] = sum(bond is not Bond.OBSERVE for _, _, _, bond, _ in edges)
    todo = [step for step, edges in enumerate(incoming) if edges and weighty[step] == 0]
    while todo:
        step = todo.pop()
        observer[step] = True
        for target, bond in outgoing[step]:
            if bond is not Bond.OBSERVE:
                weighty[target] -= 1
                if weighty[target] == 0:
                    todo.append(target)
    return tuple(observer)


class Run:
    """One run; see the head of this module."""

    __slots__ = (
        "_hard",
        "_main_left",
        "_plan",
        "_soft",
        "ended_ms",
        "left",
        "order",
        "reason",
        "records",
        "state",
        "status",
        "submitted",
    )

    def __init__(self, submitted: RunSubmitted) -> None:
        self.submitted = submitted
        self._plan = _plan(submitted.graph)
        self._hard = [
            sum(bond in (Bond.STRICT, Bond.SHARED) for _, _, _, bond, _ in edges)
            for edges in self._plan.incoming
        ]
        self._soft = [
            sum(bond in (Bond.LOOSE, Bond.OBSERVE) for _, _, _, bond, _ in edges)
            for edges in self._plan.incoming
        ]
        size = len(submitted.graph.nodes)
        self.state: list[Step] = [Step.WAITING] * size
        self.records: dict[int, StepRecord] = {}
        self.order: list[int] = []  # steps in the order they were recorded: the run's history
        self.status = Status.RUNNING
        self.reason = ""
        self.ended_ms = 0
        self.left = size
        self._main_left = size - sum(self._plan.observer)
        for step in range(size):
            if self._may_start(step):
                self.state[step] = Step.READY

    @property
    def graph(self) -> Graph:
        return self.submitted.graph

    @property
    def settled(self) -> bool:
        """Whether nothing of this run can happen any more."""
        return self.left == 0

    def ready(self) -> Iterator[int]:
        """Steps that may run now and have not ended."""
        return (step for step, state in enumerate(self.state) if state is Step.READY)

    def waits_softly(self, step: int) -> bool:
        """Whether a loose input of a ready step is still to come."""
        return self._soft[step] > 0 and any(
            bond is Bond.LOOSE and self.state[source] in (Step.WAITING, Step.READY)
            for source, _, _, bond, _ in self._plan.incoming[step]
        )

    # -- absorbing -----------------------------------------------------------------------

    def record(self, record: StepRecord, at_ms: int) -> list[int]:
        """Take the first result of a step; returns ready steps whose inputs changed."""
        step = record.step
        if self.state[step] not in (Step.WAITING, Step.READY):
            return []
        self.records[step] = record
        self.order.append(step)
        ready: list[int] = []
        self._end(step, Step.OK if record.ok else Step.FAILED, ready)
        if not record.ok and self._matters(step) and self.status is Status.RUNNING:
            self._blame(step, record)
            if self.graph.on_failure is OnFailure.STOP:
                self._stop(Status.FAILED, at_ms)
                return []
        self._decide(at_ms)
        return ready

    def cancel(self, reason: str, at_ms: int) -> None:
        """End the run now; what was recorded stays."""
        self.reason = reason or "cancelled"
        self._stop(Status.CANCELLED, at_ms)

    def _matters(self, step: int) -> bool:
        """A failure matters unless the step only observes, or every dependent tolerates it."""
        if self._plan.observer[step]:
            return False
        bonds = [bond for _, bond in self._plan.outgoing[step] if bond is not Bond.OBSERVE]
        return not bonds or Bond.STRICT in bonds

    def _blame(self, step: int, record: StepRecord) -> None:
        if not self.reason:
            error = record.error
            self.reason = f"step {self.graph.nodes[step].name}: {error.message if error else 'failed'}"

    def _end(self, step: int, state: Step, ready: list[int]) -> None:
        """Move the counts of everything downstream; a loop, not a recursion: chains are long."""
        todo = [(step, state)]
        while todo:
            ended, how = todo.pop()
            if self.state[ended] >= Step.OK:
                continue
            self.state[ended] = how
            self.left -= 1
            self._main_left -= not self._plan.observer[ended]
            for target, bond in self._plan.outgoing[ended]:
                if self.state[target] >= Step.OK:
                    continue
                if bond is Bond.STRICT and how is not Step.OK:
                    todo.append((target, Step.SKIPPED))
                    continue
                if bond in (Bond.STRICT, Bond.SHARED):
                    self._hard[target] -= 1
                else:
                    self._soft[target] -= 1
                if self._may_start(target):
                    self.state[target] = Step.READY
                    ready.append(target)

    def _may_start(self, step: int) -> bool:
        """Nothing hard is missing; a step that only watches also waits for all it watches."""
        return self._hard[step] == 0 and (self._soft[step] == 0 or not self._plan.watches[step])

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
        self.left = self._main_left = 0

    # -- reading ---------------------------------------------------------------------------

    def inputs(self, step: int, many: frozenset[str]) -> dict[str, Items]:
        """What a step is given: literals, feeds and what has arrived; a tuple on each port in `many`."""
        node = self.graph.nodes[step]
        found: dict[str, Items] = dict(node.literals)
        found.update((port, self.submitted.inputs[feed]) for port, feed in self._plan.feeds[step])
        gathered: dict[str, list[Payload]] = {}
        for source, out_port, in_port, _, slot in self._plan.incoming[step]:
            record = self.records.get(source)
            if record is None or not record.ok:
                continue
            items = record.outputs.get(out_port)
            if isinstance(items, Payload):
                gathered.setdefault(in_port, []).append(items)
            elif items is not None:
                gathered.setdefault(in_port, []).append(items[slot])
        found.update((port, tuple(items) if port in many else items[-1]) for port, items in gathered.items())
        for port in many & found.keys():
            items = found[port]
            found[port] = (items,) if isinstance(items, Payload) else items
        return found

    def scatter(self, step: int) -> tuple[tuple[str, int], ...]:
        """How many edges leave each output port of a step."""
        return self._plan.scatter[step]

    def sources(self, step: int) -> Iterator[tuple[NodeId, Bond]]:
        """Where the inputs of a step were made, and by what bond they are tied."""
        for source, _, _, bond, _ in self._plan.incoming[step]:
            if record := self.records.get(source):
                yield record.node, bond

    def output_problem(self, step: int, outputs: Mapping[str, Items]) -> Problem | None:
        """Why a result does not fit the graph, or None: each scattered port gives one item an edge."""
        name = self.graph.nodes[step].name
        for port, count in self._plan.scatter[step]:
            items = outputs.get(port)
            if items is None:
                return Problem("bad_output", f"{name}.{port}", "the agent gave no such output")
            if not isinstance(items, Payload) and len(items) != count:
                return Problem("bad_output", f"{name}.{port}", f"{len(items)} items for {count} edges")
        return None

    def outputs(self) -> dict[str, Items]:
        """The values of the graph's outlets that exist so far."""
        names = {node.name: i for i, node in enumerate(self.graph.nodes)}
        found: dict[str, Items] = {}
        for outlet in self.graph.outlets:
            record = self.records.get(names[outlet.source.node])
            if record is not None and record.ok and outlet.source.port in record.outputs:
                found[outlet.name] = record.outputs[outlet.source.port]
        return found

    def count(self, *states: Step) -> int:
        return sum(state in states for state in self.state)
