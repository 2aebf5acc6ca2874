"""Known requests that read like a new one, and what their answers were.

People ask for the same thing in nearly the same words; the nearest known requests then say which
capabilities belong to it though no word asks for them, and in which order they go.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.learn.vectors import Vector

NEAREST: Final = 12
SHARPNESS: Final = 3.0  # a likeness counts to this power

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Near:
    """What the nearest known requests say of one request."""

    votes: Floats  # per capability: share of the nearest that use it, by likeness
    closest: Floats  # per capability: likeness of the nearest request of all that uses it
    rows: NDArray[np.int64]
    weights: Floats

    def strength(self) -> float:
        """How like the nearest of all is."""
        return float(self.closest.max(initial=0.0))


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Known requests as rows of one sparse matrix, with their answers."""

    ends: NDArray[np.int32]  # of the rows, the first one's start included
    indices: NDArray[np.int32]
    values: NDArray[np.float16] | Floats
    uses: NDArray[np.int8]  # request x capability
    links: NDArray[np.int32]  # rows of (request, source, target), sorted by request
    answers: dict[frozenset[int], float]  # sets of capabilities that were answers: log of 1 + how often

    def near(self, vector: Vector, features: int) -> Near:
        indices, values = vector
        wanted = np.zeros(features, np.float32)
        wanted[indices] = values
        likeness = np.add.reduceat(np.append(self.values * wanted[self.indices], 0.0), self.ends[:-1])
        likeness[self.ends[1:] == self.ends[:-1]] = (
            0.0  # of a row without features reduceat says the next one's
        )
        return self.voted(likeness)

    def voted(self, likeness: NDArray[np.floating[Any]]) -> Near:
        """What the known requests say, given how like each of them is."""
        rows = np.argsort(-likeness, kind="stable")[:NEAREST]
        weights = np.maximum(likeness[rows], 0.0).astype(np.float32) ** SHARPNESS
        votes = weights @ self.uses[rows].astype(np.float32) / max(float(weights.sum()), 1e-9)
        closest = (self.uses * likeness[:, None].astype(np.float32)).max(0, initial=0.0)
        return Near(votes, closest, rows, weights)

    def link_votes(self, near: Near) -> dict[tuple[int, int], float]:
        """By likeness: how much the nearest requests say that one capability feeds another."""
        found: dict[tuple[int, int], float] = {}
        total = max(float(near.weights.sum()), 1e-9)
        for row, weight in zip(near.rows.tolist(), near.weights.tolist(), strict=True):
            first, last = np.searchsorted(self.links[:, 0], [row, row + 1])
            for _, source, target in self.links[first:last].tolist():
                found[source, target] = found.get((source, target), 0.0) + weight / total
        return found


def answers_of(uses: NDArray[np.int8]) -> dict[frozenset[int], float]:
    """How often each set of capabilities was the answer."""
    counts = Counter(frozenset(np.flatnonzero(row).tolist()) for row in uses)
    return {answer: math.log1p(count) for answer, count in counts.items()}


def fit_neighbours(
    vectors: Sequence[Vector],
    uses: NDArray[np.float32],
    links: Sequence[Sequence[tuple[int, int]]],
) -> Neighbours:
    """The known requests, in the order given."""
    triples = [
        (row, source, target) for row, found in enumerate(links) for source, target in sorted(set(found))
    ]
    return Neighbours(
        np.cumsum([0, *(len(indices) for indices, _ in vectors)]).astype(np.int32),
        np.concatenate([indices for indices, _ in vectors]).astype(np.int32),
        np.concatenate([values for _, values in vectors]).astype(np.float32),
        (uses > 0).astype(np.int8),
        np.array(triples, np.int32).reshape(-1, 3),
        answers_of((uses > 0).astype(np.int8)),
    )
