"""The stacked model: sparse linear models, then two rounds of trees for nodes and one for edges.

Asked for one request it gives candidate capabilities with probabilities, and for a chosen set the
probability of every edge. What to make of those numbers is `decode`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.learn.calibration import Calibration
from swarm.decompose.learn.decode import Taste, choose_nodes
from swarm.decompose.learn.evidence import Base, Evidence
from swarm.decompose.learn.features import Array, Kinds, node_rows, second_rows
from swarm.decompose.learn.forest import Forest
from swarm.decompose.learn.links import link_rows
from swarm.decompose.records import Capability

CANDIDATES_MAX: Final = 40


@dataclass(frozen=True, slots=True)
class StackedModel:
    """Everything learnt; immutable, asked from any thread."""

    capabilities: tuple[Capability, ...]
    kinds: Kinds
    base: Base
    first: Forest
    second: Forest
    link: Forest
    taste: Taste
    link_least: float
    calibration: Calibration

    def chances(self, evidence: Evidence) -> tuple[NDArray[np.int64], Array]:
        """Candidate capabilities (by index) and how likely each is meant."""
        columns = candidates(evidence)
        fits = self.kinds.fits
        rows = node_rows(evidence, self.base.habits, self.kinds, fits, columns)
        guess = self.first.probabilities(rows)
        rows = second_rows(rows, guess, evidence, self.base.habits, self.kinds, fits, columns)
        return columns, self.second.probabilities(rows)

    def links(self, evidence: Evidence, nodes: Sequence[int], chances: Array) -> dict[tuple[int, int], float]:
        """How likely each chosen node feeds each other."""
        pairs, rows = link_rows(evidence, self.base.habits, self.kinds, self.kinds.fits, nodes, chances)
        return dict(zip(pairs, self.link.probabilities(rows).tolist(), strict=True)) if pairs else {}


def candidates(evidence: Evidence, count: int = CANDIDATES_MAX) -> NDArray[np.int64]:
    """The capabilities worth a closer look, best first."""
    joint = evidence.whole + evidence.clauses.max(0) / 2 + evidence.match.max(0) / 8
    if evidence.sensed is not None:
        joint = joint + evidence.sensed.whole + evidence.sensed.clauses.max(0) / 2
    found: NDArray[np.int64] = np.argsort(-joint, kind="stable")[:count]
    return found


def pick(base: Base, columns: NDArray[np.int64], chances: Array, taste: Taste) -> list[int]:
    """Places of the candidates to take, best first."""
    affinity = base.habits.affinity[np.ix_(columns, columns)].astype(np.float64)
    answers = base.neighbours.answers

    def seen(places: frozenset[int]) -> float:
        return answers.get(frozenset(int(columns[at]) for at in places), 0.0)

    return choose_nodes(chances, affinity, seen, taste, max(base.habits.nodes_min, 1))


def raw_confidence(chances: Array, picked: Sequence[int]) -> float:
    """How likely the chosen set is right if every candidate were independent; calibration corrects it."""
    chosen = np.zeros(len(chances), bool)
    chosen[list(picked)] = True
    return float(np.prod(np.where(chosen, chances, 1.0 - chances)))
