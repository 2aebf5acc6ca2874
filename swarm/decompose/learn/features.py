"""What the boosted trees look at: one row per (request, capability), one row per (source, target).

Everything is relative to the other candidates of the same request, so the trees learn "is this the
best of them" rather than where a score happens to lie. The same functions serve training and asking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.learn.evidence import Evidence
from swarm.decompose.learn.habits import Habits
from swarm.decompose.records import Capability

Array = NDArray[np.float64]
Columns = NDArray[np.int64]
"""Indices of capabilities."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """Which kinds of data capabilities take and give, as arrays over (capability, kind)."""

    names: tuple[str, ...]
    takes: Array
    gives: Array
    wants: Array  # how many inputs

    @property
    def fits(self) -> Array:
        """1 where what the row gives is something the column takes."""
        return (self.gives @ self.takes.T > 0).astype(np.float64)


def kinds_of_catalogue(capabilities: Sequence[Capability]) -> Kinds:
    names = sorted({kind.lower() for each in capabilities for kind in (*each.inputs, *each.outputs)})
    column = {name: at for at, name in enumerate(names)}
    takes = np.zeros((len(capabilities), len(names)))
    gives = np.zeros((len(capabilities), len(names)))
    for row, each in enumerate(capabilities):
        takes[row, [column[kind.lower()] for kind in each.inputs]] = 1.0
        gives[row, [column[kind.lower()] for kind in each.outputs]] = 1.0
    return Kinds(tuple(names), takes, gives, np.array([float(len(each.inputs)) for each in capabilities]))


def node_rows(evidence: Evidence, habits: Habits, kinds: Kinds, fits: Array, columns: Columns) -> Array:
    """The rows of the first round of trees, for some capabilities of one request."""
    whole = evidence.whole.astype(np.float64)
    ordered = np.sort(whole)[::-1]
    rank = (-whole).argsort().argsort()
    mentioned = _mentioned(evidence, kinds)
    parts: list[Array] = [
        whole,
        whole - ordered[0],
        whole - ordered[min(3, len(ordered) - 1)],
        rank.astype(float),
        habits.frequency.astype(float),
        evidence.near.votes.astype(float),
        evidence.near.closest.astype(float),
        evidence.near.closest.astype(float) - evidence.near.strength(),
        (-evidence.near.votes).argsort().argsort().astype(float),
        *clause_parts(evidence.clauses.astype(np.float64)),
        *clause_parts(evidence.match),
        *_context(np.clip(whole, 0, 1), habits, kinds, fits, mentioned),
        *clause_parts(evidence.asked.astype(np.float64)),
        *_sensed_parts(evidence),
    ]
    shape = np.array(
        [
            len(evidence.sentence.clauses),
            len(evidence.sentence.text) / 100.0,
            ordered[:6].sum(),
            evidence.near.strength(),
        ]
    )
    table = np.stack(parts, 1)[columns]
    return np.hstack([table, np.broadcast_to(shape, (len(columns), len(shape)))])


def second_rows(
    first: Array,
    chances: Array,
    evidence: Evidence,
    habits: Habits,
    kinds: Kinds,
    fits: Array,
    columns: Columns,
) -> Array:
    """The rows of the second round: the first round's, and what it thinks of the other candidates."""
    everywhere = np.zeros(len(habits.frequency))
    everywhere[columns] = chances
    rank = (-everywhere).argsort().argsort()
    ordered = np.sort(everywhere)[::-1]
    parts = [
        everywhere,
        rank.astype(float),
        np.full_like(everywhere, everywhere.sum()),
        everywhere - ordered[0],
        np.where(rank == 0, everywhere - ordered[1], everywhere - ordered[0]),
        *_context(everywhere, habits, kinds, fits, _mentioned(evidence, kinds)),
        *_rivals(everywhere, evidence.asked.astype(np.float64)),
    ]
    return np.hstack([first, np.stack(parts, 1)[columns]])


def _sensed_parts(evidence: Evidence) -> list[Array]:
    """What a pretrained encoder says; nothing where there is none."""
    sensed = evidence.sensed
    if sensed is None:
        return []
    whole, votes = sensed.whole.astype(np.float64), sensed.near.votes.astype(np.float64)
    return [
        whole,
        whole - whole.max(),
        (-whole).argsort().argsort().astype(float),
        votes,
        (-votes).argsort().argsort().astype(float),
        sensed.near.closest.astype(float),
        *clause_parts(sensed.clauses.astype(np.float64)),
        *clause_parts(sensed.match.astype(np.float64)),
    ]


def _rivals(chances: Array, scores: Array) -> list[Array]:
    """How likely the strongest other candidate of one's own best clause is."""
    best = scores.argmax(0)
    weight = chances * np.ones_like(scores)
    weight[scores < scores.max(1, keepdims=True) - 0.5] = 0.0
    order = np.sort(weight, axis=1)
    top, second = order[:, -1], order[:, -2] if order.shape[1] > 1 else order[:, -1] * 0
    mine = weight[best, np.arange(len(chances))]
    rival = np.where(mine >= top[best], second[best], top[best])
    same = np.array([chances[best == row].sum() for row in range(len(scores))])[best] - chances
    return [rival, chances - rival, same]


def clause_parts(scores: Array) -> list[Array]:
    """From scores per clause and capability: how each capability stands in its best clause and overall."""
    best = scores.argmax(0)
    column = np.arange(scores.shape[1])
    top = scores[best, column]
    ordered = np.sort(scores, axis=0)
    second = ordered[-2] if len(scores) > 1 else np.zeros_like(top)
    rows = np.sort(scores, axis=1)
    lead, runner = rows[:, -1], rows[:, -2] if rows.shape[1] > 1 else rows[:, -1] * 0
    margin = np.where(top >= lead[best], top - runner[best], top - lead[best])
    ranks = (-scores).argsort(1).argsort(1)
    return [
        top,
        second,
        margin,
        ranks[best, column].astype(float),
        ranks.min(0).astype(float),
        (ranks == 0).sum(0).astype(float),
        np.maximum(scores, 0).sum(0),
        best / max(len(scores) - 1, 1),
    ]


def _mentioned(evidence: Evidence, kinds: Kinds) -> Array:
    return np.array([float(kind in evidence.sentence.kinds) for kind in kinds.names])


def _context(chances: Array, habits: Habits, kinds: Kinds, fits: Array, mentioned: Array) -> list[Array]:
    """How well each capability goes with what else is likely, by habit and by kind of data."""
    others = habits.affinity * chances[:, None]
    np.fill_diagonal(others, 0.0)
    top = np.sort(chances)[-8:].sum() or 1.0
    parts = [others.sum(0) / top, others.max(0), others.min(0)]
    if not kinds.names:
        return parts
    supply = fits * chances[:, None]
    np.fill_diagonal(supply, 0.0)
    wanted = kinds.takes.sum(1)
    named = (kinds.takes * mentioned).sum(1) / np.maximum(wanted, 1)
    given = (kinds.gives * mentioned).sum(1) / np.maximum(kinds.gives.sum(1), 1)
    return [
        *parts,
        supply.max(0),
        supply.max(1),
        supply.sum(0),
        supply.sum(1),
        named,
        given,
        wanted,
        (kinds.takes * kinds.gives).sum(1),
    ]
