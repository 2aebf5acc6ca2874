"""HybridEngine: the trained model where it is sure, the rules where it has never been.

The model answers for the capabilities it was trained on. The rules answer for capabilities the model
never saw, and for whole requests on which the model finds nothing likely. So a new agent can be asked
for at once, before anybody has trained anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from swarm.decompose.records import Capability, Decomposition, Dependency, Engine, SubTask
from swarm.decompose.strategies.heuristic import HeuristicEngine

SURE_MIN: Final = 0.5  # of the likeliest node; below it the model has nothing to say
NEW_MIN: Final = 0.6  # of a rule's sub-task that asks for a capability the model never saw


class HybridEngine:
    """The trained model and the rules, each where it is better."""

    name = "hybrid"

    def __init__(self, capabilities: Sequence[Capability], learnt: Engine) -> None:
        self.capabilities = tuple(capabilities)
        self._learnt = learnt
        self._rules = HeuristicEngine(self.capabilities)
        present = {each.name for each in self.capabilities}
        trained = {each.name for each in learnt.capabilities}
        self._new = present - trained
        self._gone = trained - present
        self._index = {each.name: at for at, each in enumerate(self.capabilities)}

    def decompose(self, request: str) -> Decomposition:
        """The model's graph, completed by rules for what the model cannot know."""
        learnt = self._learnt.decompose(request)
        ruled = self._rules.decompose(request)
        kept = [step for step in learnt.subtasks if step.capability not in self._gone]
        best = max((step.confidence for step in kept), default=0.0)
        if best < SURE_MIN:
            return _renamed(ruled, ruled.subtasks, ruled.dependencies, ruled.confidence)
        added = [
            step for step in ruled.subtasks if step.capability in self._new and step.confidence >= NEW_MIN
        ]
        links = [link for link in learnt.dependencies if not self._gone & {link.source, link.target}]
        if not added:
            return _renamed(ruled, kept, links, learnt.confidence)
        taken = {step.words for step in added}  # a clause that names a new capability asks for that one
        kept = [step for step in kept if step.words not in taken]
        steps = sorted([*kept, *added], key=lambda step: request.find(step.words))
        order = [self._index[step.capability] for step in steps]
        fresh = {step.capability for step in added}
        stay = {step.capability for step in kept}
        links = [link for link in links if {link.source, link.target} <= stay]
        place = {step.capability: at for at, step in enumerate(steps)}
        links = [link for link in links if place[link.source] < place[link.target]]
        for source, target in self._rules.links(order):
            ends = (self.capabilities[source].name, self.capabilities[target].name)
            if fresh & set(ends):
                links.append(Dependency(*ends, min(NEW_MIN, 0.5)))
        sure = learnt.confidence
        for step in added:
            sure *= step.confidence
        return _renamed(ruled, steps, links, sure)


def _renamed(
    ruled: Decomposition, steps: Sequence[SubTask], links: Sequence[Dependency], sure: float
) -> Decomposition:
    mapped = {step.words for step in steps}
    unmapped = tuple(text for text in ruled.unmapped if text not in mapped)
    return Decomposition("hybrid", ruled.request, tuple(steps), tuple(links), sure, unmapped)
