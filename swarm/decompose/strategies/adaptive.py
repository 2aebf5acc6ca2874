"""AdaptiveEngine: several engines and a selector between them, learning from the graphs people agree to.

Each engine is asked; the selector says whose answer is given. Once it is known what was right (the graph
somebody agreed to or corrected), every engine's answer is scored against that, so that also those that
did not serve are learnt from.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from swarm.decompose.metric import likeness
from swarm.decompose.records import Capability, Decomposition, Engine
from swarm.decompose.select.context import context_of, context_size
from swarm.decompose.select.selector import Choice, StrategySelector
from swarm.errors import SwarmError

ANSWERS_KEPT_MAX: Final = 1_000  # requests whose outcome may still come


class AdaptiveEngine:
    """Chooses among engines; the first is the baseline it falls back on."""

    name = "adaptive"

    def __init__(self, engines: Sequence[Engine], *, seed: int = 0) -> None:
        self.engines = tuple(engines)
        self.capabilities: Sequence[Capability] = self.engines[0].capabilities
        names = [engine.name for engine in engines]
        self.selector = StrategySelector(names, context_size(names), seed=seed)
        self._answers: OrderedDict[str, tuple[Choice, dict[str, Decomposition]]] = OrderedDict()

    def decompose(self, request: str) -> Decomposition:
        """The answer of the engine chosen; one that fails has none, and the baseline's failure is told."""
        answers = {self.engines[0].name: self.engines[0].decompose(request)}
        for engine in self.engines[1:]:
            try:
                answers[engine.name] = engine.decompose(request)
            except SwarmError:
                continue
        names = self.selector.strategies
        choice = self.selector.choose(context_of(request, self.capabilities, answers, names))
        self._forget(request)
        self._answers[request] = choice, answers
        if len(self._answers) > ANSWERS_KEPT_MAX:
            self._forget(next(iter(self._answers)))
        return answers.get(choice.strategy, answers[names[0]])

    def learn(self, request: str, right: Decomposition) -> None:
        """`right` is what `request` turned out to mean."""
        choice, answers = self._answers.pop(request, (None, {}))
        if choice is not None:
            scores = {name: likeness(answer, right) for name, answer in answers.items()}
            self.selector.learn(choice, dict.fromkeys(self.selector.strategies, 0.0) | scores)

    def _forget(self, request: str) -> None:
        choice, _ = self._answers.pop(request, (None, {}))
        if choice is not None:
            self.selector.forget(choice)
