"""Who is next: priorities first, then every run in turn.

One queue holds the ready steps that one agent can serve. Within a priority the runs take turns, one
step each, so a run of a million steps delays a run of ten by no more than its own ten turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from swarm.graph import Priority
from swarm.ids import RunId


class FairQueue:
    """Ready steps of many runs. `push` and `pop` are O(1)."""

    __slots__ = ("_size", "_steps", "_turns")

    def __init__(self) -> None:
        self._turns: tuple[deque[RunId], ...] = tuple(deque() for _ in Priority)
        self._steps: dict[RunId, deque[int]] = {}
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

    def push(self, priority: Priority, run: RunId, step: int, *, front: bool = False) -> None:
        """Add a step; `front` for one that had its turn already and lost its node."""
        steps = self._steps.get(run)
        if steps is None:
            steps = self._steps[run] = deque()
            self._turns[priority].append(run)
        if front:
            steps.appendleft(step)
        else:
            steps.append(step)
        self._size += 1

    def pop(self) -> tuple[RunId, int] | None:
        """The next step, or None."""
        for turns in self._turns:
            if turns:
                run = turns.popleft()
                steps = self._steps[run]
                step = steps.popleft()
                if steps:
                    turns.append(run)
                else:
                    del self._steps[run]
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
        kept = {run: deque(step for step in steps if wanted(run, step)) for run, steps in self._steps.items()}
        self._steps = {run: steps for run, steps in kept.items() if steps}
        self._turns = tuple(deque(run for run in turns if run in self._steps) for turns in self._turns)
        self._size = sum(map(len, self._steps.values()))
