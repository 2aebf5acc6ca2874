"""List schedulers: tasks in order of urgency, each to the machine where it ends first.

`heft` is HEFT with insertion (Topcuoglu, Hariri, Wu 2002): urgency is the longest way to the end by
mean durations, and a task may slip into a gap before tasks placed earlier. With `ahead` the machine is
chosen by when the task's successors could end. `search` tries HEFT under several notions of urgency,
then under disturbed ones around the best so far, and improves the best of them by moving what holds it
up; it starts from HEFT, so it never does worse.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from swarm.scheduler.assignment.bounds import tight_bound
from swarm.scheduler.assignment.improving import HEAT, PLACEMENTS_MAX, improve
from swarm.scheduler.assignment.jobs import Schedule, Shape

TRIES: Final = 2_000  # of `search`, beyond its starting points
TRIED_TASKS_MAX: Final = 250_000  # put on a machine in all tries: some seconds of one core
NOISE: Final = (0.02, 0.08, 0.25)  # how far urgencies are disturbed, in turn
AHEAD_TASKS_MAX: Final = 300  # lookahead costs the square of the machines for every flow
PLACEMENTS_PER_TASK: Final = 120_000
HEATS: Final = (0.01, HEAT)  # of one improvement after the other, each from the best so far
SMALL_TASKS: Final = 60  # up to so many tasks, hotter ones pay before them
SMALL_HEATS: Final = (0.03, 0.03, *HEATS)
HEATS_TASK_MIN: Final = 4_000  # placements per task; with fewer there is only the last
CLOSE: Final = 1.0005  # times the lower bound is good enough

Slots = list[tuple[float, float]]


def urgency(shape: Shape, blend: Callable[[Sequence[float]], float], moves: float = 1.0) -> list[float]:
    """The longest way from each task to the end; `blend` makes one duration of those on all machines."""
    durations = [blend([each for each in row if each < float("inf")]) for row in shape.job.durations]
    rank = [0.0] * len(durations)
    for task in reversed(shape.order):
        way = max((moves * move + rank[target] for target, move in shape.after[task]), default=0.0)
        rank[task] = durations[task] + way
    return rank


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def heft(shape: Shape, *, ahead: bool = False) -> Schedule:
    """HEFT with insertion."""
    return place(shape, urgency(shape, mean), ahead=ahead)


def place(shape: Shape, rank: Sequence[float], *, ahead: bool = False) -> Schedule:
    """Every task, the most urgent ready one first, where it (or with `ahead`, what follows) ends first."""
    count, machines = len(shape.job.durations), shape.job.machines
    machine, start, end = [-1] * count, [0.0] * count, [0.0] * count
    slots: list[Slots] = [[] for _ in range(machines)]
    waiting = [len(each) for each in shape.before]
    ready = sorted((-rank[task], task) for task in range(count) if not waiting[task])
    while ready:
        _, task = ready.pop(0)
        arrivals = _arrivals(shape, task, machine, end)
        best = (float("inf"), float("inf"), -1, 0.0)
        for where, duration in enumerate(shape.job.durations[task]):
            if duration == float("inf"):
                continue
            begin = _gap(slots[where], arrivals[where], duration)
            finish = begin + duration
            value = _after(shape, task, where, finish, slots) if ahead else finish
            if (value, finish) < best[:2]:
                best = (value, finish, where, begin)
        _, finish, where, begin = best
        machine[task], start[task], end[task] = where, begin, finish
        if finish > begin:
            insort(slots[where], (begin, finish))
        for target, _ in shape.after[task]:
            waiting[target] -= 1
            if not waiting[target]:
                insort(ready, (-rank[target], target))
    return Schedule(tuple(machine), tuple(start), tuple(end))


def _arrivals(shape: Shape, task: int, machine: Sequence[int], end: Sequence[float]) -> list[float]:
    """When the data of a task is complete, on each machine."""
    arrivals = [0.0] * shape.job.machines
    for source, move in shape.before[task]:
        home, done = machine[source], end[source]
        for where in range(len(arrivals)):
            there = done if where == home else done + move
            arrivals[where] = max(arrivals[where], there)
    return arrivals


def _gap(slots: Slots, earliest: float, duration: float) -> float:
    """The first moment from `earliest` on at which the machine is idle long enough."""
    at = bisect_right(slots, (earliest, float("inf")))
    begin = max(earliest, slots[at - 1][1]) if at else earliest
    for index in range(at, len(slots)):
        busy, free = slots[index]
        if begin + duration <= busy:
            return begin
        begin = max(begin, free)
    return begin


def _after(shape: Shape, task: int, where: int, finish: float, slots: list[Slots]) -> float:
    """When the last successor could end if the task ended here; the task's own end if it has none."""
    latest = finish
    for target, move in shape.after[task]:
        durations = shape.job.durations[target]
        best = float("inf")
        for other, duration in enumerate(durations):
            if duration < float("inf"):
                arrives = finish if other == where else finish + move
                best = min(best, _gap(slots[other], arrives, duration) + duration)
        latest = max(latest, best)
    return latest


def search(shape: Shape, seed: int = 0, tries: int = TRIES, placements_max: int = PLACEMENTS_MAX) -> Schedule:
    """The best schedule of HEFT's and of many like it, improved within so many placements of a task.

    Small graphs need fewer: PLACEMENTS_PER_TASK. A task put on a machine takes some microseconds.
    """
    placements_max = min(placements_max, PLACEMENTS_PER_TASK * len(shape.order))
    bound = tight_bound(shape) * CLOSE
    ranks = [
        urgency(shape, mean),
        urgency(shape, min),
        urgency(shape, max),
        urgency(shape, mean, 0.0),
        urgency(shape, mean, 2.0),
    ]
    best, best_rank = place(shape, ranks[0]), ranks[0]
    found = ((rank, ahead) for rank in ranks for ahead in (False, True))
    for rank, ahead in found:
        if best.makespan <= bound:
            return best
        if not ahead or len(rank) <= AHEAD_TASKS_MAX:
            schedule = place(shape, rank, ahead=ahead)
            if schedule.makespan < best.makespan:
                best, best_rank = schedule, rank
    chance = np.random.default_rng(seed)
    for attempt in range(min(tries, TRIED_TASKS_MAX // max(len(best_rank), 1))):
        if best.makespan <= bound:
            break
        factors = np.exp(NOISE[attempt % len(NOISE)] * chance.normal(size=len(best_rank)))
        rank = [value * float(factor) for value, factor in zip(best_rank, factors, strict=True)]
        schedule = place(shape, rank)
        if schedule.makespan < best.makespan:
            best, best_rank = schedule, rank
    heats = _heats(len(best_rank), placements_max)
    share = placements_max // len(heats)
    for number, heat in enumerate(heats):
        best = improve(shape, best, seed + number, bound=bound, placements_max=share, hottest=heat)
    return best


def _heats(tasks: int, placements_max: int) -> tuple[float, ...]:
    if placements_max < HEATS_TASK_MIN * tasks:
        return HEATS[-1:]
    return SMALL_HEATS if tasks <= SMALL_TASKS else HEATS
