"""Improving a schedule of a whole graph: move one task, look again, keep what is not worse.

A plan is an order of the tasks and a machine for each. Read in that order, each task takes the first gap of
its machine that is long enough, so a plan is a schedule. Only tasks that hold the end up are worth moving:
the last one, and back from it whatever each had to wait for, data or a machine. One of them goes to another
machine, or changes places with a task there, or goes elsewhere in the order. A step that makes it a little
worse is taken now and then, less and less often (simulated annealing): the way down is not always downhill.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, log
from typing import Final

import numpy as np

from swarm.scheduler.assignment.jobs import Schedule, Shape

HEAT: Final = 0.003  # of the length: how much worse a step may be at the beginning, about
PLACEMENTS_MAX: Final = 8_000_000  # tasks put on a machine, in all: ten to twenty seconds of one core
ELSEWHERE: Final = 0.65  # of all moves go to another machine; the others stay and change the order
TOGETHER: Final = 0.25  # of all moves take the whole line along that the task is in
NEAR: Final = 0.15  # of the order: how far a task is moved in it at most
ROUNDING: Final = 1e-12  # of the length: sums of floats in another order differ by so much
PATIENCE: Final = 0.25  # of all rounds without a better plan; then the search goes back to the best

_Slot = tuple[float, float, int]  # start, end, task


@dataclass(slots=True)
class _Plan:
    """Who goes where in which order, and how long that takes; `cause` is what a task waited for, or -1."""

    machine: list[int]
    order: list[int]
    place: list[int]  # of each task in the order
    start: list[float]
    end: list[float]
    cause: list[int]
    busy: list[list[_Slot]]  # of each machine, in time
    length: float


def improve(
    shape: Shape,
    schedule: Schedule,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
    bound: float = 0.0,
    placements_max: int = PLACEMENTS_MAX,
    hottest: float = HEAT,
) -> Schedule:
    """A schedule that is no longer than this one, and mostly shorter."""
    count = len(shape.order)
    if count < 2 or schedule.makespan <= bound:
        return schedule
    chance = np.random.default_rng(seed)
    place = sorted(range(count), key=lambda task: (schedule.start[task], schedule.end[task]))
    reader = _Reader(shape)
    now = reader.read(list(schedule.machine), _sound(shape, place), inf, None, 0)
    assert now is not None
    best = now
    quiet = number = 0
    while reader.placements < placements_max:
        if best.length <= bound or (number % 32 == 0 and stop()):
            break
        number += 1
        reader.placements += 1  # a move that changes nothing costs something too
        heat = hottest * best.length * (1.0 - reader.placements / placements_max)
        # The dice say first how much worse it may be, so that what is too long is not read to its end.
        limit = now.length * (1.0 + ROUNDING) - heat * log(1.0 - chance.random())
        spent = reader.placements
        other = _moved(reader, now, chance, limit)
        quiet += reader.placements - spent
        if other is not None:
            now = other
            if now.length < best.length - 1e-12:
                best, quiet = now, 0
        if quiet > PATIENCE * placements_max:
            now, quiet = best, 0
    if best.length >= schedule.makespan:
        return schedule
    return Schedule(tuple(best.machine), tuple(best.start), tuple(best.end))


class _Reader:
    """Turns plans into schedules, and gives a plan up as soon as it is certain to be longer than allowed."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.placements = 0
        self._left = [0.0] * len(shape.order)  # from the end of a task to the end of all, at best
        for task in reversed(shape.order):
            ways = (self._left[target] + min(shape.job.durations[target]) for target, _ in shape.after[task])
            self._left[task] = max(ways, default=0.0)

    def read(
        self, machine: list[int], order: list[int], limit: float, beside: _Plan | None, same: int
    ) -> _Plan | None:
        """The schedule a plan stands for; None if it is longer than `limit`.

        `beside` is a plan that has the first `same` tasks in the same order on the same machines: those stand
        where they stood.
        """
        durations, before, left = self.shape.job.durations, self.shape.before, self._left
        start, end, cause, slots = self._begun(beside, same)
        for number, task in enumerate(order[same:]):
            where = machine[task]
            begin, why = 0.0, -1
            for source, move in before[task]:
                there = end[source] if machine[source] == where else end[source] + move
                if there > begin:
                    begin, why = there, source
            duration = durations[task][where]
            if begin + duration + left[task] > limit:
                self.placements += number
                return None
            if duration > 0:
                busy = slots[where]
                at = bisect_right(busy, (begin, inf, 0))
                if at and busy[at - 1][1] > begin:
                    begin, why = busy[at - 1][1], busy[at - 1][2]
                while at < len(busy) and begin + duration > busy[at][0]:
                    if busy[at][1] > begin:
                        begin, why = busy[at][1], busy[at][2]
                    at += 1
                if begin + duration + left[task] > limit:
                    self.placements += number
                    return None
                # What lies before a gap ends by then: the new slot belongs at `at`, in order of time.
                busy.insert(at, (begin, begin + duration, task))
            start[task], end[task], cause[task] = begin, begin + duration, why
        self.placements += len(order) - same
        place = beside.place if beside and order is beside.order else _places(order)
        return _Plan(machine, order, place, start, end, cause, slots, max(end))

    def _begun(
        self, beside: _Plan | None, same: int
    ) -> tuple[list[float], list[float], list[int], list[list[_Slot]]]:
        """Starts, ends, causes and what every machine does, as far as the first `same` tasks of a plan go."""
        count = len(self.shape.order)
        if beside is None:
            return [0.0] * count, [0.0] * count, [-1] * count, [[] for _ in range(self.shape.job.machines)]
        place = beside.place
        slots = [[slot for slot in line if place[slot[2]] < same] for line in beside.busy]
        return list(beside.start), list(beside.end), list(beside.cause), slots


def _places(order: Sequence[int]) -> list[int]:
    places = [0] * len(order)
    for at, task in enumerate(order):
        places[task] = at
    return places


def _sound(shape: Shape, place: Sequence[int]) -> list[int]:
    """This order, but no task before what feeds it (tasks that take no time may stand so)."""
    done = [False] * len(place)
    order: list[int] = []
    for task in place:
        todo = [task]
        while todo:
            one = todo[-1]
            missing = [source for source, _ in shape.before[one] if not done[source]]
            if missing:
                todo += missing
                continue
            todo.pop()
            if not done[one]:
                done[one] = True
                order.append(one)
    return order


def _moved(reader: _Reader, plan: _Plan, chance: np.random.Generator, limit: float) -> _Plan | None:
    """A plan beside this one, or None where the dice chose nothing that changes it or what is too long."""
    shape = reader.shape
    task = _critical(plan, chance)
    kind = chance.random()
    if kind < ELSEWHERE:
        where = int(chance.integers(0, shape.job.machines))
        here, machine = plan.machine[task], list(plan.machine)
        if where == here:
            return None
        moving = dict.fromkeys(_line(shape, task) if kind < TOGETHER else [task], where)
        if kind < TOGETHER / 2 or kind > ELSEWHERE - TOGETHER / 2:  # exchange with what is over there
            others = [one for one in range(len(machine)) if machine[one] == where]
            if others:
                other = others[int(chance.integers(0, len(others)))]
                moving = dict.fromkeys(_line(shape, other) if kind < TOGETHER else [other], here) | moving
        for one, there in moving.items():
            if shape.job.durations[one][there] == float("inf"):
                return None
            machine[one] = there
        return reader.read(machine, plan.order, limit, plan, min(plan.place[one] for one in moving))
    order, same = _shifted(shape, plan, task, chance)
    return None if order is plan.order else reader.read(plan.machine, order, limit, plan, same)


def _line(shape: Shape, task: int) -> list[int]:
    """The tasks one after the other that this one is among: nothing else flows in or out between them."""
    line = [task]
    while len(shape.before[line[0]]) == 1:
        source = shape.before[line[0]][0][0]
        if len(shape.after[source]) != 1:
            break
        line.insert(0, source)
    while len(shape.after[line[-1]]) == 1:
        target = shape.after[line[-1]][0][0]
        if len(shape.before[target]) != 1:
            break
        line.append(target)
    return line


def _critical(plan: _Plan, chance: np.random.Generator) -> int:
    """One of the tasks that hold the end up."""
    at = max(range(len(plan.end)), key=plan.end.__getitem__)
    path = [at]
    while (at := plan.cause[at]) >= 0:
        path.append(at)
    return path[int(chance.integers(0, len(path)))]


def _shifted(shape: Shape, plan: _Plan, task: int, chance: np.random.Generator) -> tuple[list[int], int]:
    """The order with this task earlier or later in it, as far as its neighbours in the graph allow.

    And how many tasks before that stay where they are.
    """
    order = plan.order
    at = plan.place[task]
    reach = max(2, int(len(order) * NEAR))
    aim = at + int(chance.integers(-reach, reach + 1))
    first = {source for source, _ in shape.before[task]}
    last = {target for target, _ in shape.after[task]}
    step = 1 if aim > at else -1
    to = at
    while to != aim and 0 <= to + step < len(order):
        beside = order[to + step]
        if beside in (last if step > 0 else first):
            break
        to += step
    if to == at:
        return order, at
    changed = list(order)
    changed.pop(at)
    changed.insert(to, task)
    return changed, min(at, to)
