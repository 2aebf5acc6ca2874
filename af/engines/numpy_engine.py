"""The reference: the network's definition in numpy, in float32 throughout."""

from typing import assert_never

import numpy as np

from af.network import Activation, Floats, Network


class NumpyEngine:
    """Matrix products and activation functions as a textbook writes them."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def forward(self, batch: Floats) -> Floats:
        values = np.asarray(batch, np.float32)
        for layer in self._network.layers:
            values = activated(values @ layer.weights.T + layer.bias, layer.activation)
        return values


def activated(values: Floats, activation: Activation) -> Floats:
    """One activation function over rows of values, in their own precision."""
    match activation:
        case "linear":
            return values
        case "relu":
            return np.maximum(values, 0)
        case "tanh":
            return np.tanh(values)
        case "sigmoid":
            small = np.exp(-np.abs(values))
            sigmoid: Floats = np.where(values < 0, small, 1) / (1 + small)
            return sigmoid
        case "softmax":
            with np.errstate(over="ignore"):  # a score that is lower by more than float32 holds has share 0
                exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
            shares: Floats = exponentials / exponentials.sum(axis=-1, keepdims=True)
            return shares
        case _:
            assert_never(activation)
