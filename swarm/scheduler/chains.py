"""Chains: a step whose only source is the step before it is handed to the same node together with that one.

A chain of a hundred steps then costs one trip to the leader instead of a hundred. The node begins a follower
when the step before it has succeeded, and reports each of them; they are recorded one by one, in order.

The desk knows ready steps alone, and a follower is none until the record of the step before it is in the
log. Up to then it is a *promise*: which node works on it, under which attempt, and which attempt at the step
before it that hangs on. A promise holds only if that attempt is the one whose result is in the log. Whatever
else happens (it failed, it was lost, another attempt was faster) the follower waits for its turn like any
other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from swarm.ids import NodeId, RunId, StepKey
from swarm.scheduler.actions import Follower, Wire
from swarm.scheduler.events import AttemptFailed
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.placement import NodeView, able
from swarm.scheduler.run import Run

CHAIN_STEPS_MAX = 256  # followers in one piece: what runs for nothing when its node is lost
ONCE = "once"

After: TypeAlias = tuple[int, int]
"""Term and attempt at the step before a follower: whose outputs it was given."""


@dataclass(slots=True)
class Promise:
    """A step that a node begins by itself once the step `before` it has succeeded."""

    node: NodeId
    key: StepKey
    before: StepKey
    holds: bool = True
    arrived: bool = False  # its result is on its way to the log
    failed: AttemptFailed | None = None  # how it ended, before the step before it was in the log

    @property
    def after(self) -> After:
        return self.before.term, self.before.attempt


class Promises:
    """Every promise of one leader, by run and step."""

    def __init__(self) -> None:
        self._runs: dict[RunId, dict[int, Promise]] = {}

    def __bool__(self) -> bool:
        return bool(self._runs)

    def make(self, promise: Promise) -> None:
        self._runs.setdefault(promise.key.run, {})[promise.key.step] = promise

    def find(self, run: RunId, step: int) -> Promise | None:
        promises = self._runs.get(run)
        return promises.get(step) if promises is not None else None

    def kept(self, key: StepKey, after: After | None) -> Promise | None:
        """The promise that this attempt keeps, if it was given what was promised."""
        promise = self.find(key.run, key.step)
        keeps = promise is not None and promise.holds and promise.key == key and promise.after == after
        return promise if keeps else None

    def take(self, run: RunId, step: int) -> Promise | None:
        """The step is ready: from now on the desk knows it."""
        promises = self._runs.get(run)
        return promises.pop(step, None) if promises is not None else None

    def arrive(self, key: StepKey) -> None:
        """A result came before the step was ready."""
        promise = self.find(key.run, key.step)
        if promise is not None and promise.key == key:
            promise.arrived = True

    def fail(self, event: AttemptFailed) -> None:
        """An attempt failed before its step was ready."""
        promise = self.find(event.key.run, event.key.step)
        if promise is not None and promise.key == event.key:
            promise.failed = event

    def lose(self, node: NodeId, kept: Collection[StepKey]) -> None:
        """The node is gone, or back with what is `kept`: that and what follows it hold, and every result."""
        held = set(kept)
        for promises in self._runs.values():
            for promise in promises.values():  # in the order of their chains
                if promise.node != node or promise.arrived:
                    continue
                if promise.key in held or promise.before in held:
                    held.add(promise.key)
                else:
                    promise.holds = False

    def line(self, run: Run, key: StepKey) -> Iterator[Promise]:
        """What was promised to follow this attempt, one after the other."""
        step = follower_of(run, key.step)
        while step is not None and (promise := self.find(key.run, step)) and promise.before == key:
            yield promise
            key, step = promise.key, follower_of(run, step)

    def clear(self, run: RunId) -> list[Promise]:
        """A run is over; what a node may still be working on of it."""
        left = self._runs.pop(run, {}).values()
        return [each for each in left if each.holds and not each.arrived and each.failed is None]


def followers(
    ledger: Ledger, promises: Promises, run: Run, head: StepKey, view: NodeView
) -> tuple[Follower, ...]:
    """What the node of `view` may go on with after `head`: what needs nothing but what that node has made."""
    found: list[Follower] = []
    first, before = run.graph.nodes[head.step], head
    for step in _line(run, head.step):
        node = run.graph.nodes[step]
        next_offer = ledger.offer(node.capability)
        if (
            next_offer is None
            or next_offer.signature.effects == ONCE
            or (node.resources, node.context) != (first.resources, first.context)
            or not able(view, next_offer.agent.digest, node.layers | next_offer.agent.layers)
        ):
            break
        earlier = promises.find(head.run, step)
        key = StepKey(head.run, step, head.term, earlier.key.attempt + 1 if earlier is not None else 1)
        inputs = run.inputs(step, next_offer.gathers)
        scatter = tuple(item for item in run.scatter(step) if item[0] in next_offer.scatters)
        wires = tuple(
            Wire(out, slot, into, into in next_offer.gathers) for out, slot, into in _between(run, step)
        )
        found.append(
            Follower(key, next_offer.agent.digest, node.capability, inputs, wires, node.timeout_ms, scatter)
        )
        promises.make(Promise(view.node, key, before))
        before = key
        if len(found) == CHAIN_STEPS_MAX:
            break
    return tuple(found)


def follower_of(run: Run, step: int) -> int | None:
    """The one step this one feeds, where that is fed by nothing else."""
    return run.plan.followers.get(step)


def recorded_as(run: Run, step: int, after: After) -> bool:
    """Whether the step before a follower was recorded by this attempt."""
    edges = run.plan.incoming[step]
    record = run.records.get(edges[0][0]) if edges else None
    return record is not None and (record.term, record.attempt) == after


def _between(run: Run, step: int) -> Iterator[tuple[str, int, str]]:
    """How a follower is fed: an output of the step before it, which item of it, an input of its own."""
    return ((out, slot, into) for _, out, into, _, slot in run.plan.incoming[step])


def _line(run: Run, step: int) -> Iterator[int]:
    """The steps behind this one, each fed by the one before it and by nothing else."""
    following = follower_of(run, step)
    while following is not None:
        yield following
        following = follower_of(run, following)
