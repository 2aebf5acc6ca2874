"""What no schedule can beat, more closely than the critical path and the work of the whole job do.

A graph is often narrow at one end and wide at the other, and then neither the longest way nor all work
shared out evenly says much alone. Three facts together say more. What a task waits for must be done before it
begins: all of that work that cannot itself begin before some moment fits, at best, on all machines from
then on. k tasks keep at most k machines busy, so a few long ones run on the fastest few. And a task is on
one machine as a whole: in a time T a machine ends no more tasks of some size than fit there. All are
applied from task to task, forwards for the earliest begin (its head) and backwards for what must follow (its
tail). Moving data counts for nothing here, so the bound holds for any network.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from typing import Final

from swarm.scheduler.assignment.jobs import Shape, lower_bound, speeds_of

TASKS_MAX: Final = 600  # beyond, every task's ancestors are too many to look through
WHOLE_MAX: Final = 24  # tasks, the largest ones, that are counted as wholes
MOMENTS_MAX: Final = 80  # of all heads: as many are tried as the moment from which on work is counted


def tight_bound(shape: Shape) -> float:
    """No schedule is shorter; never below `lower_bound`, and equal to it where tasks differ by machine."""
    plain = lower_bound(shape)
    durations = shape.job.durations
    speeds = speeds_of(durations)
    if speeds is None or not durations or len(durations) > TASKS_MAX:
        return plain
    pace = _Pace([row[0] for row in durations], speeds)
    shortest = [min(row) for row in durations]
    heads = _earliest(shape.order, shape.before, shape.after, shortest, pace)
    tails = _earliest(tuple(reversed(shape.order)), shape.after, shape.before, shortest, pace)
    best = max(plain, *(head + own + tail for head, own, tail in zip(heads, shortest, tails, strict=True)))
    moments = sorted(set(heads))
    for moment in moments[:: len(moments) // MOMENTS_MAX + 1]:
        late = [task for task, head in enumerate(heads) if head >= moment]
        best = max(best, moment + pace.longest(late, tails))
    return best


class _Pace:
    """How fast work can go at best: `k` tasks on the `k` fastest machines, and no task on two of them."""

    def __init__(self, work: Sequence[float], speeds: Sequence[float]) -> None:
        self._work = work
        self._rates = [0.0]
        for speed in sorted(speeds, reverse=True):
            self._rates.append(self._rates[-1] + speed)
        self._whole = _whole(speeds)

    def longest(self, tasks: Iterable[int], since: Sequence[float]) -> float:
        """The longest that `since` and the work of all tasks with at least so much of it can take."""
        best = total = whole = 0.0
        largest: list[float] = []  # negative, so that the largest come first
        for count, (moment, task) in enumerate(sorted(((since[task], task) for task in tasks), reverse=True)):
            work = self._work[task]
            total += work
            if len(largest) < WHOLE_MAX or work > -largest[-1]:
                insort(largest, -work)
                del largest[WHOLE_MAX:]
                whole = max(-each * share for each, share in zip(largest, self._whole, strict=False))
            best = max(best, moment + max(whole, total / self._rates[min(count + 1, len(self._rates) - 1)]))
        return best


def _whole(speeds: Sequence[float]) -> list[float]:
    """How long 1, 2, 3, ... tasks of one unit of work each take at best, none of them cut in pieces.

    As long do as many larger ones take at least.
    """
    able = [speed for speed in speeds if speed > 0.0]  # the others may not run these tasks at all
    ends = sorted(turn / speed for speed in able for turn in range(1, WHOLE_MAX + 1))
    return ends[:WHOLE_MAX]


def _earliest(
    order: Sequence[int],
    before: Sequence[Sequence[tuple[int, float]]],
    after: Sequence[Sequence[tuple[int, float]]],
    shortest: Sequence[float],
    pace: _Pace,
) -> list[float]:
    """When each task could begin at the earliest, read in the direction of `order`."""
    heads = [0.0] * len(order)
    needed: dict[int, set[int]] = {}
    unread = [len(each) for each in after]
    for task in order:
        sources = [source for source, _ in before[task]]
        needed[task] = set(sources).union(*(needed[source] for source in sources))
        path = max((heads[source] + shortest[source] for source in sources), default=0.0)
        heads[task] = max(path, pace.longest(needed[task], heads))
        for source in sources:
            unread[source] -= 1
            if not unread[source]:
                del needed[source]  # nobody asks for it again
    return heads
