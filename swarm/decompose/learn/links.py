"""Rows about pairs of chosen capabilities: would the first feed the second?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swarm.decompose.learn.evidence import Evidence
from swarm.decompose.learn.features import Array, Kinds
from swarm.decompose.learn.habits import Habits


def positions(evidence: Evidence, nodes: Sequence[int]) -> Array:
    """In which clause each node is asked for, in 0..1; two nodes of one clause may share it."""
    scores = evidence.asked[:, list(nodes)]
    found: Array = scores.argmax(0) / max(len(scores) - 1, 1)
    return found


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What is known of the chosen nodes together; every array is over them, in one order."""

    nodes: list[int]
    clause: Array  # where each is asked for
    mean: Array  # the same, weighted by how well each clause fits
    fit: Array  # 1 where the row gives what the column takes
    feeds: Array  # how usual it is
    chances: Array
    named: list[float]  # kinds each takes that the request names


def link_rows(
    evidence: Evidence, habits: Habits, kinds: Kinds, fits: Array, nodes: Sequence[int], chances: Array
) -> tuple[list[tuple[int, int]], Array]:
    """All ordered pairs of `nodes` (indices of capabilities) with what is known of each."""
    listed = list(nodes)
    count = len(listed)
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b]
    if not pairs:
        return [], np.zeros((0, 0))
    fit = fits[np.ix_(listed, listed)].copy()
    feeds = habits.feeds[np.ix_(listed, listed)].astype(np.float64)
    np.fill_diagonal(fit, 0.0)
    np.fill_diagonal(feeds, 0.0)
    chosen = _Chosen(
        listed,
        positions(evidence, listed),
        _softened(evidence, listed),
        fit,
        feeds,
        chances,
        [_named(evidence, kinds, node) for node in listed],
    )
    votes = evidence.link_votes
    rows = [
        [
            *_row(a, b, chosen, habits, kinds),
            votes.get((listed[a], listed[b]), 0.0),
            votes.get((listed[b], listed[a]), 0.0),
            evidence.near.strength(),
            *_sensed(evidence, listed[a], listed[b]),
        ]
        for a, b in pairs
    ]
    return [(listed[a], listed[b]) for a, b in pairs], np.array(rows)


def _sensed(evidence: Evidence, one: int, two: int) -> list[float]:
    if evidence.sensed is None:
        return []
    votes = evidence.sensed_votes
    return [votes.get((one, two), 0.0), votes.get((two, one), 0.0), evidence.sensed.near.strength()]


def _softened(evidence: Evidence, nodes: list[int]) -> Array:
    """Mean clause of each node, weighted by how well each clause fits it."""
    scores = np.exp(4.0 * evidence.asked[:, nodes])
    place = np.linspace(0.0, 1.0, len(scores))[:, None]
    found: Array = (scores * place).sum(0) / scores.sum(0)
    return found


def _row(a: int, b: int, chosen: _Chosen, habits: Habits, kinds: Kinds) -> list[float]:
    one, two = chosen.nodes[a], chosen.nodes[b]
    at, mean, feeds, fit = chosen.clause, chosen.mean, chosen.feeds, chosen.fit
    before_two, after_one = mean < mean[b], mean > mean[a]
    sources, users = fit[:, b], fit[a]
    return [
        feeds[a, b],
        feeds[b, a],
        float(habits.precedes[one, two]),
        float(habits.together[one, two]),
        feeds[:, b].max(),
        float((feeds[:, b] > feeds[a, b]).sum()),
        feeds[a].max(),
        float((feeds[a] > feeds[a, b]).sum()),
        feeds[:, b].sum(),
        feeds[a].sum(),
        at[a],
        at[b],
        at[b] - at[a],
        mean[b] - mean[a],
        float(((at > min(at[a], at[b])) & (at < max(at[a], at[b]))).sum()),
        fit[a, b],
        fit[b, a],
        sources.sum(),
        users.sum(),
        float(((sources > 0) & after_one & before_two).sum()),
        float(((users > 0) & after_one & before_two).sum()),
        float((sources * before_two).sum()),
        float((users * after_one).sum()),
        float(kinds.wants[two]),
        float(kinds.wants[one]),
        float(before_two.sum()),
        float(after_one.sum()),
        float(len(chosen.nodes)),
        float(chosen.chances[a]),
        float(chosen.chances[b]),
        float(before_two.sum() - (mean < mean[a]).sum()),
        chosen.named[a],
        chosen.named[b],
    ]


def _named(evidence: Evidence, kinds: Kinds, node: int) -> float:
    wanted = kinds.takes[node] > 0
    named = (kind in evidence.sentence.kinds for kind, on in zip(kinds.names, wanted, strict=True) if on)
    return float(sum(named))
