"""Experience replay: the latest outcomes, in a ring of fixed size, drawn from at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CAPACITY: Final = 100_000  # outcomes
BATCH: Final = 32

Array = NDArray[np.float64]


class Replay:
    """Contexts with the rewards known of each; the oldest go first, memory grows to its bound and stops."""

    def __init__(self, inputs: int, strategies: int, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._contexts = np.zeros((0, inputs))
        self._rewards = np.zeros((0, strategies))
        self._known = np.zeros((0, strategies))
        self._added = 0

    def __len__(self) -> int:
        return min(self._added, self._capacity)

    def add(self, context: Array, rewards: Array, known: Array) -> None:
        """Remember one outcome."""
        at = self._added % self._capacity
        if at >= len(self._contexts):
            size = min(max(64, 2 * len(self._contexts)), self._capacity)
            self._contexts, self._rewards, self._known = (
                np.vstack([old, np.zeros((size - len(old), old.shape[1]))])
                for old in (self._contexts, self._rewards, self._known)
            )
        self._contexts[at], self._rewards[at], self._known[at] = context, rewards, known
        self._added += 1

    def remembered(self) -> dict[str, Array]:
        """What is in it, oldest first."""
        count, start = len(self), self._added % self._capacity if self._added > self._capacity else 0
        order = (np.arange(count) + start) % max(count, 1)
        return {
            "replay.contexts": self._contexts[order].astype(np.float32),
            "replay.rewards": self._rewards[order].astype(np.float32),
            "replay.known": self._known[order].astype(np.int8),
        }

    def recall(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Adds what `remembered` gave; raises ValueError or KeyError where it does not fit."""
        rows = [arrays[f"replay.{name}"].astype(np.float64) for name in ("contexts", "rewards", "known")]
        sizes = [each.shape[1] for each in (self._contexts, self._rewards, self._known)]
        if [each.shape for each in rows] != [(len(rows[0]), size) for size in sizes]:
            raise ValueError("its outcomes have another shape")
        if not all(np.isfinite(each).all() for each in rows):
            raise ValueError("an outcome is not a number")
        for context, rewards, known in zip(*rows, strict=True):
            self.add(context, rewards, known)

    def draw(self, dice: np.random.Generator, count: int = BATCH) -> tuple[Array, Array, Array]:
        """Some remembered outcomes, each as likely as any other."""
        rows = dice.integers(0, len(self), min(count, len(self)))
        return self._contexts[rows], self._rewards[rows], self._known[rows]
