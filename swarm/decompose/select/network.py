"""The Q-network: how well each strategy would do on a request, as a mixture of experts.

Two layers turn the context into a query; every strategy has a key. Query times key is the strategy's
value (its expected reward), and the softmax of the values is the gate: how much weight each expert gets.
Values are learnt by regression on rewards of the strategies whose outcome is known, by Adam.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HIDDEN: Final = 32
RATE: Final = 3e-3
TEMPERATURE: Final = 0.05  # of the gate; rewards lie in 0..1
DECAYS: Final = (0.9, 0.999)
GRADIENT_MAX: Final = 1.0
FIRST_VALUE: Final = 0.5


@dataclass(slots=True)
class QNetwork:
    """Parameters by name, and Adam's memory of their slopes."""

    parameters: dict[str, Array]
    steps: int = 0
    means: dict[str, Array] = field(default_factory=dict)
    squares: dict[str, Array] = field(default_factory=dict)

    def values(self, contexts: Array) -> Array:
        """Expected rewards: one row per context, one column per strategy."""
        return self._forward(contexts)[-1]

    def gate(self, contexts: Array) -> Array:
        """Weights of the experts; each row sums to 1."""
        return gate_of(self.values(contexts))

    def learn(self, contexts: Array, rewards: Array, known: Array) -> float:
        """One step towards the rewards that are known (1 in `known`); gives the error before it."""
        error, slopes = self.slopes(contexts, rewards, known)
        self._step(slopes)
        return error

    def slopes(self, contexts: Array, rewards: Array, known: Array) -> tuple[float, dict[str, Array]]:
        """The mean squared error, and its slope in every parameter."""
        first, second, values = self._forward(contexts)
        error = (values - rewards) * known
        count = max(float(known.sum()), 1.0)
        slope = 2 * error / count
        own = self.parameters
        scale = 1.0 / np.sqrt(HIDDEN)
        slopes = {"keys": slope.T @ second * scale, "bias": slope.sum(0)}
        back = (slope @ own["keys"] * scale) * (1 - second * second)
        slopes |= {"two": first.T @ back, "two.bias": back.sum(0)}
        back = (back @ own["two"].T) * (1 - first * first)
        slopes |= {"one": contexts.T @ back, "one.bias": back.sum(0)}
        return float((error * error).sum() / count), slopes

    def copy(self) -> QNetwork:
        """A network that learns on its own."""
        return QNetwork(
            {name: array.copy() for name, array in self.parameters.items()},
            self.steps,
            {name: array.copy() for name, array in self.means.items()},
            {name: array.copy() for name, array in self.squares.items()},
        )

    def like(self, arrays: Mapping[str, NDArray[Any]], prefix: str) -> QNetwork:
        """A network of this shape with other parameters; raises ValueError or KeyError if they do not fit."""
        found = {name: arrays[prefix + name].astype(np.float64) for name in self.parameters}
        for name, array in found.items():
            if array.shape != self.parameters[name].shape or not np.isfinite(array).all():
                raise ValueError(f"{prefix}{name} does not fit")
        return QNetwork(found)

    def _forward(self, contexts: Array) -> tuple[Array, Array, Array]:
        own = self.parameters
        first = np.tanh(contexts @ own["one"] + own["one.bias"])
        second = np.tanh(first @ own["two"] + own["two.bias"])
        return first, second, second @ own["keys"].T / np.sqrt(HIDDEN) + own["bias"]

    def _step(self, slopes: dict[str, Array]) -> None:
        size = float(np.sqrt(sum(float((slope * slope).sum()) for slope in slopes.values())))
        held = min(1.0, GRADIENT_MAX / max(size, 1e-12))
        self.steps += 1
        for name, full in slopes.items():
            slope = full * held
            mean = self.means.get(name, np.zeros_like(slope))
            square = self.squares.get(name, np.zeros_like(slope))
            self.means[name] = DECAYS[0] * mean + (1 - DECAYS[0]) * slope
            self.squares[name] = DECAYS[1] * square + (1 - DECAYS[1]) * slope * slope
            ahead = self.means[name] / (1 - DECAYS[0] ** self.steps)
            spread = np.sqrt(self.squares[name] / (1 - DECAYS[1] ** self.steps))
            self.parameters[name] -= RATE * ahead / (spread + 1e-8)


def gate_of(values: Array) -> Array:
    """Values as weights that sum to 1 in each row."""
    raised = np.exp((values - values.max(-1, keepdims=True)) / TEMPERATURE)
    found: Array = raised / raised.sum(-1, keepdims=True)
    return found


def fresh_network(inputs: int, strategies: int, seed: int) -> QNetwork:
    """A network that expects the same of every strategy."""
    dice = np.random.default_rng(seed)
    return QNetwork(
        {
            "one": dice.standard_normal((inputs, HIDDEN)) / np.sqrt(inputs),
            "one.bias": np.zeros(HIDDEN),
            "two": dice.standard_normal((HIDDEN, HIDDEN)) / np.sqrt(HIDDEN),
            "two.bias": np.zeros(HIDDEN),
            "keys": dice.standard_normal((strategies, HIDDEN)) * 0.01,
            "bias": np.full(strategies, FIRST_VALUE),
        }
    )
