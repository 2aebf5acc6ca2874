"""Whole graphs of work with known durations, schedules of them, and what no schedule can beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from swarm.errors import Mistake


@dataclass(frozen=True, slots=True)
class Job:
    """Tasks and what flows between them; `durations[task][machine]` may be infinite: not allowed there."""

    durations: tuple[tuple[float, ...], ...]
    flows: tuple[tuple[int, int, float], ...]  # source, target, time to move the data to another machine

    @property
    def machines(self) -> int:
        return len(self.durations[0])


@dataclass(frozen=True, slots=True)
class Schedule:
    """Where and when each task runs."""

    machine: tuple[int, ...]
    start: tuple[float, ...]
    end: tuple[float, ...]

    @property
    def makespan(self) -> float:
        return max(self.end, default=0.0)


@dataclass(frozen=True, slots=True)
class Shape:
    """A job's neighbourhoods and an order that respects its flows; worked out once for many schedules."""

    job: Job
    before: tuple[tuple[tuple[int, float], ...], ...]
    after: tuple[tuple[tuple[int, float], ...], ...]
    order: tuple[int, ...]


def shape_of(job: Job) -> Shape:
    """Raises Mistake if the flows form a circle or a task may run nowhere."""
    count = len(job.durations)
    before: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    after: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    for source, target, move in job.flows:
        before[target].append((source, move))
        after[source].append((target, move))
    waiting = [len(each) for each in before]
    order = [task for task in range(count) if not waiting[task]]
    for task in order:  # grows as it goes
        for target, _ in after[task]:
            waiting[target] -= 1
            if not waiting[target]:
                order.append(target)
    if len(order) < count:
        raise Mistake("its flows form a circle", place="job", remedy="remove one of the flows")
    for task, row in enumerate(job.durations):
        if min(row) == float("inf"):
            raise Mistake("it may run nowhere", place=f"task {task}", remedy="allow it on some machine")
    return Shape(job, tuple(map(tuple, before)), tuple(map(tuple, after)), tuple(order))


def lower_bound(shape: Shape) -> float:
    """No schedule is shorter: the critical path on the fastest machines, and all work shared out evenly.

    The second holds where one machine is faster than another by the same factor for every task.
    """
    durations = shape.job.durations
    finish = [0.0] * len(durations)
    for task in shape.order:
        begin = max((finish[source] for source, _ in shape.before[task]), default=0.0)
        finish[task] = begin + min(durations[task])
    path = max(finish, default=0.0)
    speeds = speeds_of(durations)
    if speeds is None:
        return path
    return max(path, sum(row[0] for row in durations) / sum(speeds))


def speeds_of(durations: Sequence[Sequence[float]]) -> list[float] | None:
    """How much faster than the first each machine is, if that is the same for every task."""
    speeds: list[float] | None = None
    for row in durations:
        if not 0.0 < row[0] < float("inf"):
            if row[0] == 0.0 and max(row) == 0.0:
                continue
            return None
        found = [row[0] / each if each > 0 else float("inf") for each in row]
        if speeds is None:
            speeds = found
        elif any(abs(a - b) > 1e-6 * a for a, b in zip(speeds, found, strict=True)):
            return None
    return speeds


def faults(shape: Shape, schedule: Schedule) -> list[str]:
    """Every way in which a schedule breaks the rules; none if it is sound."""
    durations, wrong = shape.job.durations, []
    slack = 1e-6 * max(schedule.makespan, 1.0)
    for task, (machine, start, end) in enumerate(
        zip(schedule.machine, schedule.start, schedule.end, strict=True)
    ):
        if abs(end - start - durations[task][machine]) > slack:
            wrong.append(f"task {task} takes {end - start}, not {durations[task][machine]}")
        for source, move in shape.before[task]:
            arrives = schedule.end[source] + (move if schedule.machine[source] != machine else 0.0)
            if start < arrives - slack:
                wrong.append(f"task {task} starts before {source} has given it its data")
    for machine in range(shape.job.machines):
        mine = sorted(
            (schedule.start[task], schedule.end[task], task)
            for task in range(len(durations))
            if schedule.machine[task] == machine and schedule.end[task] > schedule.start[task]
        )
        wrong += [
            f"tasks {one[2]} and {two[2]} share machine {machine}"
            for one, two in pairwise(mine)
            if two[0] < one[1] - slack
        ]
    return wrong
