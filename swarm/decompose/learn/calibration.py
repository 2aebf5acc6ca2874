"""Turns a raw confidence into the share of requests that turn out right: a logistic curve of two numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

CHANCE_MIN: Final = 1e-9
STEPS: Final = 50  # of Newton's method; it settles in far fewer
STEP_MAX: Final = 1.0  # Newton's steps are held back: far from the answer they overshoot
ODDS_MAX: Final = 50.0
SHRINKAGE: Final = 1e-2


@dataclass(frozen=True, slots=True)
class Calibration:
    """confidence = 1 / (1 + exp(-(slope * log-odds + offset)))."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, raw: float) -> float:
        return float(1.0 / (1.0 + np.exp(-(self.slope * _log_odds(np.array(raw)) + self.offset))))


def fit_calibration(raw: NDArray[np.float64], right: NDArray[np.float64]) -> Calibration:
    """The curve of greatest likelihood, given which answers were right."""
    table = np.stack([_log_odds(raw), np.ones(len(raw))], 1)
    curve = np.array([1.0, 0.0])
    for _ in range(STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(table @ curve, -ODDS_MAX, ODDS_MAX)))
        slope = table.T @ (right - chance) - SHRINKAGE * (curve - [1.0, 0.0])
        bend = (table.T * (chance * (1 - chance))) @ table + SHRINKAGE * np.eye(2)
        step = np.linalg.solve(bend, slope)
        curve += step * min(1.0, STEP_MAX / max(float(np.abs(step).max()), STEP_MAX))
        if float(np.abs(step).max()) < 1e-6:
            break
    return Calibration(float(curve[0]), float(curve[1]))


def _log_odds(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    held = np.clip(raw, CHANCE_MIN, 1.0 - CHANCE_MIN)
    found: NDArray[np.float64] = np.log(held / (1.0 - held))
    return found
