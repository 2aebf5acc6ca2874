"""StrategySelector: learns which engine does best on which request, and is bounded in what that may cost.

It begins in SHADOW: the baseline serves, the selector only says what it would have done, and is scored.
Once over SHADOW_MIN scored outcomes its choices were better than the baseline by PROMOTE_BY, surely (a
lower bound of the mean), it goes LIVE. Live, it departs from the baseline only while it can afford the
worst: with `lead` the sum of what its choices gained over the baseline (rewards lie in 0..1),

    lead - (departures whose outcome is not known yet) - 1 >= -MARGIN * decisions

must hold before every departure. So after any number of decisions, whatever the rewards were, it has lost
at most MARGIN per decision against the baseline alone. If over the last WINDOW outcomes it was worse than
the baseline by ROLLBACK_BY, it goes back to SHADOW with the weights that were promoted, and has to earn
its place again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.select.network import QNetwork, fresh_network, gate_of
from swarm.decompose.select.replay import Replay
from swarm.errors import Mistake

MARGIN: Final = 0.02  # of reward lost per decision at most, against the baseline alone
SHADOW_MIN: Final = 60  # scored outcomes before a promotion
PROMOTE_BY: Final = 0.01
CONFIDENCE: Final = 2.0  # standard errors below the mean
WINDOW: Final = 50
ROLLBACK_BY: Final = 0.02
STEPS_PER_OUTCOME: Final = 4  # of learning
PENDING_MAX: Final = 10_000  # decisions whose outcome is waited for

Array = NDArray[np.float64]


class Phase(StrEnum):
    """Whether the selector is listened to."""

    SHADOW = "shadow"
    LIVE = "live"


class Happening(StrEnum):
    """What moves it from one phase to the other."""

    PROVED = "proved"
    WORSE = "worse"


NEXT: Final = {
    (Phase.SHADOW, Happening.PROVED): Phase.LIVE,
    (Phase.LIVE, Happening.WORSE): Phase.SHADOW,
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision: who serves, who would have in the selector's opinion, and the experts' weights."""

    number: int
    strategy: str
    preferred: str
    gate: tuple[float, ...]


class StrategySelector:
    """Chooses among strategies by context; the first one is the baseline."""

    def __init__(self, strategies: Sequence[str], inputs: int, *, seed: int = 0) -> None:
        if len(strategies) < 2 or len(set(strategies)) != len(strategies):
            raise Mistake(
                "a choice needs two different strategies", place="selector", remedy="name the baseline first"
            )
        self.strategies = tuple(strategies)
        self.phase = Phase.SHADOW
        self.lead = 0.0
        self.decisions = 0
        self.rollbacks = 0
        self._network = fresh_network(inputs, len(strategies), seed)
        self._promoted: QNetwork | None = None
        self._replay = Replay(inputs, len(strategies))
        self._dice = np.random.default_rng(seed)
        self._pending: dict[int, tuple[Choice, Array]] = {}
        self._open = 0  # departures whose outcome is not known
        self._gains: deque[float] = deque(maxlen=max(SHADOW_MIN, WINDOW))

    def choose(self, context: Array) -> Choice:
        """Who serves this request; give its outcome to `learn`, or `forget` it."""
        values = self._network.values(context[None])[0]
        preferred = int(values.argmax())
        self.decisions += 1
        live = self.phase is Phase.LIVE and preferred != 0 and self._affordable()
        served = preferred if live else 0
        gate = tuple(gate_of(values).tolist())
        choice = Choice(self.decisions, self.strategies[served], self.strategies[preferred], gate)
        self._open += served != 0
        self._pending[choice.number] = (choice, context)
        if len(self._pending) > PENDING_MAX:
            self.forget(self._pending[next(iter(self._pending))][0])
        return choice

    def _affordable(self) -> bool:
        return self.lead - self._open - 1.0 >= -MARGIN * self.decisions

    def forget(self, choice: Choice) -> None:
        """The outcome will never be known: a departure then counts as the worst."""
        if self._pending.pop(choice.number, None) and choice.strategy != self.strategies[0]:
            self._open -= 1
            self.lead -= 1.0

    def learn(self, choice: Choice, rewards: Mapping[str, float]) -> None:
        """How well strategies did on a request that was chosen for; the baseline must be among them."""
        entry = self._pending.pop(choice.number, None)
        if entry is None:
            return  # forgotten, or told twice
        scored = {
            name: float(np.clip(rewards[name], 0.0, 1.0)) for name in self.strategies if name in rewards
        }
        baseline = scored.get(self.strategies[0])
        if baseline is None or choice.strategy not in scored:
            self._pending[choice.number] = entry
            raise Mistake(
                "the rewards leave out the baseline or who served",
                place="selector",
                remedy=f"score {self.strategies[0]} and {choice.strategy}",
            )
        if choice.strategy != self.strategies[0]:
            self._open -= 1
            self.lead += scored[choice.strategy] - baseline
        if choice.preferred in scored:
            self._gains.append(scored[choice.preferred] - baseline)
        known = np.array([float(name in scored) for name in self.strategies])
        self._replay.add(entry[1], np.array([scored.get(name, 0.0) for name in self.strategies]), known)
        for _ in range(STEPS_PER_OUTCOME):
            self._network.learn(*self._replay.draw(self._dice))
        self._judge()

    def _judge(self) -> None:
        happening = self._happening()
        if happening is None:
            return
        self.phase = NEXT[self.phase, happening]
        self._gains.clear()
        match happening:
            case Happening.PROVED:
                self._promoted = self._network.copy()
            case Happening.WORSE:
                self.rollbacks += 1
                if self._promoted is not None:
                    self._network = self._promoted.copy()

    def _happening(self) -> Happening | None:
        gains = np.array(self._gains)
        if self.phase is Phase.SHADOW:
            if len(gains) < SHADOW_MIN:
                return None
            sure = gains.mean() - CONFIDENCE * gains.std() / math.sqrt(len(gains))
            return Happening.PROVED if sure > PROMOTE_BY else None
        latest = gains[-WINDOW:]
        return Happening.WORSE if len(latest) == WINDOW and latest.mean() < -ROLLBACK_BY else None

    def remembered(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """All it knows, but what decisions it waits for: those are this process's own."""
        head = {
            "strategies": self.strategies,
            "phase": self.phase.value,
            "numbers": [self.lead - self._open, self.decisions, self.rollbacks],
            "gains": list(self._gains),
            "promoted": self._promoted is not None,
        }
        arrays = {f"network.{name}": array for name, array in self._network.parameters.items()}
        if self._promoted is not None:
            arrays |= {f"promoted.{name}": array for name, array in self._promoted.parameters.items()}
        return head, arrays | self._replay.remembered()

    def recall(self, head: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Goes on from what `remembered` gave; raises ValueError or KeyError where it does not fit."""
        if tuple(head["strategies"]) != self.strategies:
            raise ValueError("it chose among other strategies")
        self.phase = Phase(head["phase"])
        lead, decisions, rollbacks = head["numbers"]
        self.lead, self.decisions, self.rollbacks = float(lead), int(decisions), int(rollbacks)
        self._gains.extend(float(each) for each in head["gains"])
        self._network = self._network.like(arrays, "network.")
        self._promoted = self._network.like(arrays, "promoted.") if head["promoted"] else None
        self._replay.recall(arrays)
