"""Who is next: priorities first, then every run in turn.

One queue holds the ready steps that one agent can serve. Within a priority the runs take turns, one
step each, so a run of a million steps delays a run of ten by no more than its own ten turns. Within a run
the first come is the first served, or the one of highest rank where the run has ranks.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from swarm.graph import Priority
from swarm.ids import RunId


class Ranked:
    """Steps of one run in order of their rank, highest first; speaks as a deque does."""

    __slots__ = ("_front", "_heap", "ranks")

    def __init__(self, ranks: Sequence[float], steps: Iterator[int] | None = None) -> None:
        self.ranks = ranks
        self._front = deque[int]()  # what had its turn already
        self._heap = [(-ranks[step], step) for step in steps or ()]
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._front) + len(self._heap)

    def __iter__(self) -> Iterator[int]:
        yield from self._front
        yield from (step for _, step in sorted(self._heap))

    def append(self, step: int) -> None:
        heapq.heappush(self._heap, (-self.ranks[step], step))

    def appendleft(self, step: int) -> None:
        self._front.appendleft(step)

    def popleft(self) -> int:
        return self._front.popleft() if self._front else heapq.heappop(self._heap)[1]

    def kept(self, wanted: Callable[[int], bool]) -> Ranked:
        """Those that are wanted; the others are forgotten."""
        left = Ranked(self.ranks, (step for _, step in self._heap if wanted(step)))
        left._front = deque(step for step in self._front if wanted(step))
        return left


class FairQueue:
    """Ready steps of many runs. `push` and `pop` are O(1)."""

    __slots__ = ("_size", "_steps", "_turns")

    def __init__(self) -> None:
        self._turns: tuple[deque[RunId], ...] = tuple(deque() for _ in Priority)
        self._steps: dict[RunId, deque[int] | Ranked] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def priority(self) -> int:
        """That of the next step; lower than any where there is none."""
        for priority, turns in enumerate(self._turns):
            if turns:
                return priority
        return len(self._turns)

    def push(
        self, priority: Priority, run: RunId, step: int, *,
        front: bool = False, ranks: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        """Add a step; `front` for one that had its turn already and lost its node."""
        steps = self._steps.get(run)
        if steps is None:
            steps = self._steps[run] = deque() if ranks is None else Ranked(ranks)
            self._turns[priority].append(run)
        if front:
            steps.appendleft(step)
        else:
            steps.append(step)
        self._size += 1

    def extend(self, priority: Priority, run: RunId, added: Sequence[int]) -> None:
        """Add steps of a run that has none here yet and whose steps have no ranks."""
        self._steps[run] = deque(added)
        self._turns[priority].append(run)
        self._size += len(added)

    def pop(self) -> tuple[RunId, int] | None:
        """The next step, or None."""
        for turns in self._turns:
            if turns:
                run = turns[0]
                steps = self._steps[run]
                step = steps.popleft()
                if not steps:
                    turns.popleft()
                    del self._steps[run]
                elif len(turns) > 1:
                    turns.rotate(-1)
                self._size -= 1
                return run, step
        return None

    def drop(self, run: RunId) -> None:
        """Forget a run."""
        steps = self._steps.pop(run, None)
        if steps is None:
            return
        self._size -= len(steps)
        for turns in self._turns:
            if run in turns:
                turns.remove(run)

    def keep(self, wanted: Callable[[RunId, int], bool]) -> None:
        """Forget every step that is not wanted; the others keep their turns."""
        kept: dict[RunId, deque[int] | Ranked] = {}
        for run, steps in self._steps.items():
            if isinstance(steps, Ranked):
                kept[run] = steps.kept(lambda step, run=run: wanted(run, step))  # type: ignore[misc]
            else:
                kept[run] = deque(step for step in steps if wanted(run, step))
        self._steps = {run: steps for run, steps in kept.items() if steps}
        self._turns = tuple(deque(run for run in turns if run in self._steps) for turns in self._turns)
        self._size = sum(map(len, self._steps.values()))
