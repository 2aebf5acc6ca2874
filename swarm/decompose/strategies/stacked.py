"""StackedEngine: a trained model over (request, capability) pairs; strong where it has examples.

A neural model may give a second opinion: it reads the words in their order, which the stack does not, and
errs elsewhere. Both say log-odds, which are mixed before anything is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.learn.decode import choose_chain, choose_links, in_order
from swarm.decompose.learn.features import Array
from swarm.decompose.learn.links import positions
from swarm.decompose.learn.model import StackedModel, pick, raw_confidence
from swarm.decompose.neural.model import NeuralModel
from swarm.decompose.neural.network import Read
from swarm.decompose.records import Capability, Decomposition, Dependency, SubTask

SECOND_WEIGHT: Final = 0.4  # of the second opinion, against the stack's
CHANCE_MIN: Final = 1e-4

Columns = NDArray[np.int64]
Links = dict[tuple[int, int], float]


class StackedEngine:
    """Decomposes by what earlier answers teach."""

    name = "stacked"

    def __init__(
        self, model: StackedModel, second: NeuralModel | None = None, weight: float = SECOND_WEIGHT
    ) -> None:
        self.model = model
        self._second = second
        self._weight = weight
        known = {each.name: at for at, each in enumerate(second.capabilities)} if second else {}
        self._place = np.array([known.get(each.name, -1) for each in model.capabilities])

    @property
    def capabilities(self) -> Sequence[Capability]:
        return self.model.capabilities

    def decompose(self, request: str) -> Decomposition:
        """The likeliest graph for `request`."""
        model = self.model
        evidence = model.base.evidence(request)
        columns, likely = model.chances(evidence)
        likely, seen = self._mixed(request, columns, likely)
        habits = model.base.habits
        picked = pick(model.base, columns, likely, model.taste)
        nodes = [int(columns[at]) for at in picked]
        chance = {node: float(likely[at]) for node, at in zip(nodes, picked, strict=True)}
        links = self._mixed_links(model.links(evidence, nodes, likely[picked]), seen, nodes)
        if habits.chains:
            order = choose_chain(nodes, links)
            kept = list(pairwise(order))
        else:
            kept = choose_links(links, model.link_least)
            order = in_order(nodes, kept, positions(evidence, nodes).tolist())
        names = [each.name for each in model.capabilities]
        clauses = evidence.sentence.clauses
        rows = evidence.asked.argmax(0)
        sure = model.calibration(raw_confidence(likely, picked))
        return Decomposition(
            self.name,
            request,
            tuple(SubTask(names[node], clauses[rows[node]].text, chance[node]) for node in order),
            tuple(Dependency(names[a], names[b], links[a, b]) for a, b in kept),
            sure,
        )

    def _mixed(self, request: str, columns: Columns, likely: Array) -> tuple[Array, Read | None]:
        if self._second is None:
            return likely, None
        chances, seen = self._second.ask(request)
        places = self._place[columns]
        other = np.where(places >= 0, chances[places].astype(np.float64), likely)
        return _mix(likely, other, self._weight), seen

    def _mixed_links(self, links: Links, seen: Read | None, nodes: Sequence[int]) -> Links:
        if self._second is None or seen is None:
            return links
        known = [node for node in nodes if self._place[node] >= 0]
        table = self._second.links(seen, [int(self._place[node]) for node in known])
        mixed = dict(links)
        for a in known:
            for b in known:
                if a != b:
                    other = table[int(self._place[a]), int(self._place[b])]
                    mixed[a, b] = float(_mix(np.array(links[a, b]), np.array(other), self._weight))
        return mixed


def _mix(one: Array, two: Array, weight: float) -> Array:
    odds = (1 - weight) * _log_odds(one) + weight * _log_odds(two)
    found: Array = 1.0 / (1.0 + np.exp(-odds))
    return found


def _log_odds(chances: Array) -> Array:
    held = np.clip(chances, CHANCE_MIN, 1 - CHANCE_MIN)
    found: Array = np.log(held / (1 - held))
    return found
