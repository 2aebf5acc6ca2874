"""A second opinion beside the trees: another model's chances, as far as they paid on unseen requests.

The mean of two log-odds is taken for each candidate. How much the second counts, where the threshold then
lies and how sure the whole is were fitted on requests that neither model had seen; where it gained too little
there, there is no second opinion. Nothing here knows what the second model is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.learn.arrays import BROKEN, Arrays, check_size, pack, refused, unpack
from swarm.decompose.learn.calibration import Calibration, fit_calibration
from swarm.decompose.learn.decode import Taste
from swarm.decompose.learn.evidence import Base
from swarm.decompose.learn.features import Array
from swarm.decompose.learn.model import pick, raw_confidence

MAGIC: Final = b"SWDB1\0\0\0"
BYTES_MAX: Final = 256 << 20
WEIGHTS: Final = (0.1, 0.2, 0.3, 0.4, 0.5)
SHIFTS: Final = (-0.05, 0.0, 0.05, 0.1)  # of the threshold: two models that agree are surer than one
GAIN_MIN: Final = 0.002  # of F1 over the first model alone
CHANCE_MIN: Final = 1e-4

Opinion = Callable[[str], NDArray[np.floating[Any]]]
"""How likely each capability is meant by a text, in the order of the first model's."""


@dataclass(frozen=True, slots=True)
class Second:
    """A second opinion, and how it is listened to."""

    ask: Opinion
    weight: float
    least: float
    calibration: Calibration

    def mixed(self, text: str, columns: NDArray[np.int64], chances: Array) -> Array:
        """The chances of these candidates, both models together."""
        return blended(chances, self.ask(text)[columns], self.weight)


@dataclass(frozen=True, slots=True)
class Unseen:
    """A request neither model has seen: candidates, the first model's chances of them, and what was right."""

    text: str
    base: Base
    columns: NDArray[np.int64]
    chances: Array
    labels: Array
    wanted: int  # capabilities in the right answer, candidates or not


def blended(first: Array, second: NDArray[np.floating[Any]], weight: float) -> Array:
    """Chances between the two: the weighted mean of their log-odds."""
    odds = (1.0 - weight) * _log_odds(first) + weight * _log_odds(second.astype(np.float64))
    found: Array = 1.0 / (1.0 + np.exp(-odds))
    return found


def fit_second(unseen: Sequence[Unseen], ask: Opinion, taste: Taste) -> Second | None:
    """How to listen to `ask`; None where that gains too little."""
    asked = [ask(each.text)[each.columns] for each in unseen]

    def f1(weight: float, least: float) -> float:
        tastes = replace(taste, least=least)
        hits = given = wanted = 0
        for each, other in zip(unseen, asked, strict=True):
            chosen = pick(each.base, each.columns, blended(each.chances, other, weight), tastes)
            hits += int(each.labels[chosen].sum())
            given, wanted = given + len(chosen), wanted + each.wanted
        return 2 * hits / max(given + wanted, 1)

    trials = [(weight, taste.least + shift) for weight in WEIGHTS for shift in SHIFTS]
    weight, least = max(trials, key=lambda trial: f1(*trial))
    if not unseen or f1(weight, least) < f1(0.0, taste.least) + GAIN_MIN:
        return None
    raw, right = [], []
    for each, other in zip(unseen, asked, strict=True):
        chances = blended(each.chances, other, weight)
        chosen = pick(each.base, each.columns, chances, replace(taste, least=least))
        raw.append(raw_confidence(chances, chosen))
        right.append(each.labels[chosen].sum() == len(chosen) == each.wanted)
    return Second(ask, weight, least, fit_calibration(np.array(raw), np.array(right, float)))


def join_models(first: bytes, other: bytes, second: Second, encoder: Sequence[object] | None) -> bytes:
    """Two encoded models and how they are mixed, as one file."""
    numbers = [second.weight, second.least, second.calibration.slope, second.calibration.offset]
    arrays: Arrays = {"first": np.frombuffer(first, np.int8), "second": np.frombuffer(other, np.int8)}
    return pack(MAGIC, {"mixed": numbers, "encoder": encoder}, arrays, BYTES_MAX)


def split_models(data: bytes) -> tuple[bytes, bytes, Callable[[Opinion], Second]]:
    """Both models' bytes, and what makes the second opinion of its model; raises TooLarge or Mistake."""
    check_size(data, BYTES_MAX)
    try:
        head, arrays = unpack(MAGIC, data)
        weight, least, slope, offset = map(float, head["mixed"])
        first, second = arrays["first"].tobytes(), arrays["second"].tobytes()
    except BROKEN as error:
        raise refused(error) from None
    return first, second, lambda ask: Second(ask, weight, least, Calibration(slope, offset))


def _log_odds(chances: Array) -> Array:
    held = np.clip(chances, CHANCE_MIN, 1 - CHANCE_MIN)
    found: Array = np.log(held / (1 - held))
    return found
