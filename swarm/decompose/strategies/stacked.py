"""StackedEngine: a trained model over (request, capability) pairs; strong where it has examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from swarm.decompose.learn.blending import Second
from swarm.decompose.learn.decode import choose_chain, choose_links, in_order
from swarm.decompose.learn.links import positions
from swarm.decompose.learn.model import StackedModel, pick, raw_confidence
from swarm.decompose.records import Capability, Decomposition, Dependency, SubTask


class StackedEngine:
    """Decomposes by what earlier answers teach."""

    name = "stacked"

    def __init__(self, model: StackedModel, second: Second | None = None) -> None:
        """`second`: another model's opinion, which is then asked as well."""
        self.model = model
        self._second = second
        self._taste = replace(model.taste, least=second.least) if second else model.taste
        self._calibration = second.calibration if second else model.calibration

    @property
    def capabilities(self) -> Sequence[Capability]:
        return self.model.capabilities

    def decompose(self, request: str) -> Decomposition:
        """The likeliest graph for `request`."""
        model = self.model
        evidence = model.base.evidence(request)
        columns, likely = model.chances(evidence)
        if self._second is not None:
            likely = self._second.mixed(request, columns, likely)
        habits = model.base.habits
        picked = pick(model.base, columns, likely, self._taste)
        nodes = [int(columns[at]) for at in picked]
        chance = {node: float(likely[at]) for node, at in zip(nodes, picked, strict=True)}
        links = model.links(evidence, nodes, likely[picked])
        if habits.chains:
            order = choose_chain(nodes, links)
            kept = list(pairwise(order))
        else:
            kept = choose_links(links, model.link_least)
            order = in_order(nodes, kept, positions(evidence, nodes).tolist())
        names = [each.name for each in model.capabilities]
        clauses = evidence.sentence.clauses
        rows = evidence.asked.argmax(0)
        sure = self._calibration(raw_confidence(likely, picked))
        return Decomposition(
            self.name,
            request,
            tuple(SubTask(names[node], clauses[rows[node]].text, chance[node]) for node in order),
            tuple(Dependency(names[a], names[b], links[a, b]) for a, b in kept),
            sure,
        )
