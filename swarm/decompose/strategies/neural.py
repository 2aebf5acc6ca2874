"""NeuralEngine: a transformer that reads the request once and asks it about every capability."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from swarm.decompose.learn.decode import choose_chain, choose_links, in_order
from swarm.decompose.neural.model import NeuralModel
from swarm.decompose.neural.training import chosen_nodes
from swarm.decompose.parse.language import parse_sentence
from swarm.decompose.records import Capability, Decomposition, Dependency, SubTask


class NeuralEngine:
    """Decomposes by a trained transformer."""

    name = "neural"

    def __init__(self, model: NeuralModel) -> None:
        self.model = model

    @property
    def capabilities(self) -> Sequence[Capability]:
        return self.model.capabilities

    def decompose(self, request: str) -> Decomposition:
        """The likeliest graph for `request`."""
        model, sentence = self.model, parse_sentence(request)
        chances, seen = model.ask(request)
        nodes = chosen_nodes(model, chances)
        places = seen.places[0].cpu().numpy()
        table = model.links(seen, nodes)
        if model.chains:
            order = choose_chain(nodes, table)
            kept = list(pairwise(order))
        else:
            kept = choose_links(table, model.link_least)
            order = in_order(nodes, kept, [float(places[node]) for node in nodes])
        names = [each.name for each in model.capabilities]
        last = len(sentence.clauses) - 1
        words = {node: sentence.clauses[round(float(places[node]) * last)].text for node in nodes}
        left = np.delete(chances, nodes)
        sure = float(np.prod(chances[nodes]) * np.prod(1.0 - left))
        return Decomposition(
            self.name,
            request,
            tuple(SubTask(names[node], words[node], float(chances[node])) for node in order),
            tuple(Dependency(names[a], names[b], table[a, b]) for a, b in kept),
            sure,
        )
