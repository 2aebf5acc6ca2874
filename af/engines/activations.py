"""The activation functions as a textbook writes them, in the precision of their argument."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from af.layers import Activated
from af.layers.fann import FANN_CLIP, STEPWISE

Values = NDArray[np.floating]


def activated(values: Values, by: Activated) -> Values:
    """One activation function over values; softmax is over their last axis."""
    if by.activation == "softmax":
        return _softmax(values)
    if by.activation == "leaky_relu":
        return np.where(values < 0, values * values.dtype.type(by.slope), values)
    if by.activation.startswith("fann_"):
        limit = FANN_CLIP / by.steepness
        values = np.clip(values * values.dtype.type(by.steepness), -limit, limit)
    return _FUNCTIONS[by.activation](values)


def sigmoid(values: Values) -> Values:
    small = np.exp(-np.abs(values))
    answers: Values = np.where(values < 0, small, 1) / (1 + small)
    return answers


def _softmax(values: Values) -> Values:
    with np.errstate(over="ignore"):  # a score that is lower by more than float32 holds has share 0
        exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    shares: Values = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return shares


_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _gelu(values: Values) -> Values:
    normal = 0.5 * _erfc(np.float64(values) / -math.sqrt(2.0)) if values.size else np.float64(values)
    return (values * normal).astype(values.dtype)


def _gelu_tanh(values: Values) -> Values:
    inner = math.sqrt(2.0 / math.pi) * (values + 0.044715 * values**3)
    # (1 + tanh z) / 2 is a sigmoid of 2 z, which keeps its digits where the tanh nears -1
    return values * sigmoid(2 * inner)


def _stepwise(name: str) -> Callable[[Values], Values]:
    places, heights, (below, above) = STEPWISE[name]

    def step(values: Values) -> Values:
        inside = np.interp(values, places, heights)
        answers = np.where(values < places[0], below, np.where(values >= places[-1], above, inside))
        return answers.astype(values.dtype)

    return step


_FUNCTIONS: dict[str, Callable[[Values], Values]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "fann_linear": lambda x: x,
    "fann_threshold": lambda x: np.where(x < 0, 0, 1).astype(x.dtype),
    "fann_threshold_symmetric": lambda x: np.where(x < 0, -1, 1).astype(x.dtype),
    "fann_sigmoid": lambda x: sigmoid(2 * x),
    "fann_sigmoid_stepwise": _stepwise("fann_sigmoid_stepwise"),
    "fann_sigmoid_symmetric": np.tanh,
    "fann_sigmoid_symmetric_stepwise": _stepwise("fann_sigmoid_symmetric_stepwise"),
    "fann_gaussian": lambda x: np.exp(-x * x),
    "fann_gaussian_symmetric": lambda x: 2 * np.exp(-x * x) - 1,
    "fann_elliot": lambda x: x / 2 / (1 + np.abs(x)) + x.dtype.type(0.5),
    "fann_elliot_symmetric": lambda x: x / (1 + np.abs(x)),
    "fann_linear_piece": lambda x: np.clip(x, 0, 1),
    "fann_linear_piece_symmetric": lambda x: np.clip(x, -1, 1),
    "fann_sin": lambda x: np.sin(x) / 2 + x.dtype.type(0.5),
    "fann_sin_symmetric": np.sin,
    "fann_cos": lambda x: np.cos(x) / 2 + x.dtype.type(0.5),
    "fann_cos_symmetric": np.cos,
}
