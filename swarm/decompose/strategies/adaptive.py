"""AdaptiveEngine: several engines and a selector between them, learning from the graphs people agree to.

Each engine is asked; the selector says whose answer is given. Once it is known what was right (the graph
somebody agreed to or corrected), every engine's answer is scored against that, so that also those that
did not serve are learnt from. A refusal says less: whoever gave that answer was wrong.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from swarm.decompose.metric import likeness
from swarm.decompose.records import Capability, Decomposition, Engine
from swarm.decompose.select.context import context_of, context_size
from swarm.decompose.select.selector import Choice, Phase, StrategySelector
from swarm.errors import SwarmError

ANSWERS_KEPT_MAX: Final = 1_000  # requests whose outcome may still come
SAME: Final = 1.0  # likeness of two answers that are one


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request whose outcome may still come."""

    choice: Choice
    answers: dict[str, Decomposition]
    served: Decomposition


class AdaptiveEngine:
    """Chooses among engines; the first is the baseline it falls back on."""

    name = "adaptive"

    def __init__(self, engines: Sequence[Engine], *, seed: int = 0, meanwhile: str = "") -> None:
        """`meanwhile`: whose answer is given while the selector is in shadow; the baseline's unless named."""
        self.engines = tuple(engines)
        self.capabilities: Sequence[Capability] = self.engines[0].capabilities
        names = [engine.name for engine in engines]
        self.selector = StrategySelector(names, context_size(names), seed=seed)
        self._meanwhile = meanwhile or names[0]
        self._asked: OrderedDict[str, _Asked] = OrderedDict()

    def decompose(self, request: str) -> Decomposition:
        """The answer of the engine chosen; one that fails has none, and the baseline's failure is told."""
        baseline = self.engines[0].decompose(request)
        answers = {self.engines[0].name: baseline}
        for engine in self.engines[1:]:
            try:
                answers[engine.name] = engine.decompose(request)
            except SwarmError:
                continue
        names = self.selector.strategies
        choice = self.selector.choose(context_of(request, self.capabilities, answers, names))
        shadow = self.selector.phase is Phase.SHADOW
        served = answers.get(self._meanwhile if shadow else choice.strategy, baseline)
        self._forget(request)
        self._asked[request] = _Asked(choice, answers, served)
        if len(self._asked) > ANSWERS_KEPT_MAX:
            self._forget(next(iter(self._asked)))
        return served

    def learn(self, request: str, right: Decomposition) -> None:
        """`right` is what `request` turned out to mean."""
        asked = self._asked.pop(request, None)
        if asked is not None:
            scores = {name: likeness(answer, right) for name, answer in asked.answers.items()}
            self.selector.learn(asked.choice, dict.fromkeys(self.selector.strategies, 0.0) | scores)

    def refuse(self, request: str) -> None:
        """The answer given was wrong; of others nothing is known, and the baseline counts as right."""
        asked = self._asked.pop(request, None)
        if asked is None:
            return
        wrong = [name for name, answer in asked.answers.items() if likeness(answer, asked.served) >= SAME]
        if asked.choice.strategy not in asked.answers:
            wrong.append(asked.choice.strategy)  # it failed
        self.selector.learn(asked.choice, {self.selector.strategies[0]: 1.0} | dict.fromkeys(wrong, 0.0))

    def _forget(self, request: str) -> None:
        asked = self._asked.pop(request, None)
        if asked is not None:
            self.selector.forget(asked.choice)
