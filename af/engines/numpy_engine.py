"""The reference: what every kind of layer computes, said once in numpy, in the precision of the input.

Networks run in float32; given rows of float64, the same code gives the exact answer that tests measure all
engines against.
"""

import functools
from typing import ClassVar, assert_never

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from af import layers as kinds
from af.engines.activations import Values, activated, sigmoid
from af.engines.engine import ForwardOnly
from af.errors import refused
from af.layers.spatial import Windowed
from af.layers.spec import Shape, Spec
from af.network import Floats, Layer, Network, inner_layers

Weights = dict[str, Values]


class NumpyEngine(ForwardOnly):
    """The whole network, layer by layer over the batch."""

    name: ClassVar[str] = "numpy"

    def __init__(self, network: Network) -> None:
        self._network = network
        dense = [
            (layer.spec, layer.tensors) for layer in network.layers if isinstance(layer.spec, kinds.Dense)
        ]
        # Of a chain of dense layers the matrices are kept as the product wants them.
        self._chain = [
            (np.ascontiguousarray(tensors["weight"].T), tensors["bias"], spec) for spec, tensors in dense
        ]
        self._feedforward = network.feedforward

    def forward(self, batch: Floats) -> Floats:
        values = np.asarray(batch, np.float32)
        if not self._feedforward:
            return self.compute(values).astype(np.float32, copy=False)
        for matrix, bias, spec in self._chain:
            values = values @ matrix
            values += bias
            if spec.activation == "relu":
                np.maximum(values, 0, out=values)
            else:
                values = activated(values, spec)
        return values

    def compute(self, batch: Values) -> Values:
        """The same in the batch's own precision."""
        values = batch
        for layer in self._network.layers:
            values = applied(layer, values)
        return values.reshape(len(batch), self._network.output_size)


def applied(layer: Layer, values: Values) -> Values:
    """One layer over a batch: the first axis is the batch's, the others are the layer's input shape."""
    if isinstance(layer.spec, kinds.Residual):
        inner = values
        for inside in inner_layers(layer):
            inner = applied(inside, inner)
        return values + inner
    weights = {name: tensor.astype(values.dtype, copy=False) for name, tensor in layer.tensors.items()}
    return _applied(layer.spec, values, weights)


@functools.singledispatch
def _applied(spec: Spec, values: Values, weights: Weights) -> Values:
    del values, weights
    raise AssertionError(spec.type)


@_applied.register
def _(spec: kinds.Dense, values: Values, weights: Weights) -> Values:
    return activated(_dense(values, weights["weight"], weights["bias"]), spec)


@_applied.register
def _(spec: kinds.Activate, values: Values, weights: Weights) -> Values:
    del weights
    return activated(values, spec)


@_applied.register
def _(spec: kinds.Scale, values: Values, weights: Weights) -> Values:
    del spec
    per_channel = (-1, *[1] * (values.ndim - 2))
    scaled: Values = values * weights["weight"].reshape(per_channel) + weights["bias"].reshape(per_channel)
    return scaled


@_applied.register
def _(spec: kinds.LayerNorm, values: Values, weights: Weights) -> Values:
    return _normalised(values, weights["weight"], weights["bias"], spec.epsilon)


@_applied.register(kinds.Flatten)
@_applied.register(kinds.Reshape)
def _(spec: kinds.Flatten | kinds.Reshape, values: Values, weights: Weights) -> Values:
    del weights
    return values.reshape(len(values), *spec.output_shape(values.shape[1:]))


@_applied.register
def _(spec: kinds.Transpose, values: Values, weights: Weights) -> Values:
    del spec, weights
    return values.transpose(0, 2, 1)


@_applied.register
def _(spec: kinds.Convolution, values: Values, weights: Weights) -> Values:
    return activated(_convolved(values, weights["weight"], weights["bias"], spec), spec)


@_applied.register
def _(spec: kinds.Pooling, values: Values, weights: Weights) -> Values:
    del weights
    if isinstance(spec, kinds.AveragePool1d | kinds.AveragePool2d):
        return _average_pooled(values, spec)
    largest: Values = _windows(values, spec, -np.inf).max(axis=_last(spec.window))
    return largest


@_applied.register
def _(spec: kinds.GlobalPool, values: Values, weights: Weights) -> Values:
    del weights
    over = tuple(range(2, values.ndim))
    pooled: Values = values.max(axis=over) if spec.mode == "max" else values.mean(axis=over)
    return pooled


@_applied.register
def _(spec: kinds.Embedding, values: Values, weights: Weights) -> Values:
    return weights["weight"][tokens(values, spec.vocabulary)]


@_applied.register
def _(spec: kinds.EmbeddingMean, values: Values, weights: Weights) -> Values:
    found = tokens(values, spec.vocabulary)
    table = weights["weight"]
    counts = np.ones(found.shape, table.dtype) if spec.padding is None else found != spec.padding
    shares = counts.astype(table.dtype)
    total = (table[found] * shares[..., np.newaxis]).sum(axis=1)
    mean: Values = total / np.maximum(shares.sum(axis=1), 1)[:, np.newaxis]
    return mean


@_applied.register
def _(spec: kinds.SequencePool, values: Values, weights: Weights) -> Values:
    del weights
    match spec.mode:
        case "mean":
            mean: Values = values.mean(axis=1)
            return mean
        case "max":
            largest: Values = values.max(axis=1)
            return largest
        case "last":
            return values[:, -1]
        case _:
            assert_never(spec.mode)


@_applied.register
def _(spec: kinds.Gru, values: Values, weights: Weights) -> Values:
    units = spec.units
    state = np.zeros((len(values), units), values.dtype)
    states = []
    from_inputs = _dense(values, weights["weight_ih"], weights["bias_ih"])
    for step in range(values.shape[1]):
        given = from_inputs[:, step]
        known = _dense(state, weights["weight_hh"], weights["bias_hh"])
        reset = sigmoid(given[:, :units] + known[:, :units])
        update = sigmoid(given[:, units : 2 * units] + known[:, units : 2 * units])
        new = np.tanh(given[:, 2 * units :] + reset * known[:, 2 * units :])
        state = (1 - update) * new + update * state
        states.append(state)
    return np.stack(states, axis=1) if spec.every_step else state


@_applied.register
def _(spec: kinds.TransformerEncoder, values: Values, weights: Weights) -> Values:
    def norm(x: Values, number: int) -> Values:
        return _normalised(x, weights[f"norm{number}.weight"], weights[f"norm{number}.bias"], spec.epsilon)

    def feed(x: Values) -> Values:
        inner = _dense(x, weights["linear1.weight"], weights["linear1.bias"])
        inner = activated(inner, kinds.Activate(activation=spec.activation))
        return _dense(inner, weights["linear2.weight"], weights["linear2.bias"])

    if spec.norm == "before":
        values = values + _attended(norm(values, 1), weights, spec.heads)
        return values + feed(norm(values, 2))
    values = norm(values + _attended(values, weights, spec.heads), 1)
    return norm(values + feed(values), 2)


def tokens(values: Values, vocabulary: int) -> NDArray[np.intp]:
    """Tokens as whole numbers; refused where a value is not one of the table's."""
    whole = (values == np.floor(values)) & (values >= 0) & (values < vocabulary)
    if not whole.all():
        bad = values[~whole].flat[0]
        message = f"{bad} is not a token below {vocabulary}."
        raise refused("input", message, f"write whole numbers from 0 to {vocabulary - 1}.")
    found: NDArray[np.intp] = values.astype(np.intp)
    return found


def _dense(values: Values, weight: Values, bias: Values) -> Values:
    answers: Values = values @ weight.T + bias
    return answers


def _normalised(values: Values, weight: Values, bias: Values, epsilon: float) -> Values:
    centred = values - values.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    answers: Values = centred / np.sqrt(variance + values.dtype.type(epsilon)) * weight + bias
    return answers


def _last(axes: Shape) -> tuple[int, ...]:
    return tuple(range(-len(axes), 0))


def _windows(values: Values, spec: Windowed, filling: float) -> Values:
    """[batch, channels, *positions, *window]."""
    pads = [(0, 0), (0, 0), *((pad, pad) for pad in spec.pads)]
    padded = np.pad(values, pads, constant_values=filling)
    axes = tuple(range(2, values.ndim))
    windows = sliding_window_view(padded, spec.window, axis=axes)
    return windows[(slice(None), slice(None), *(slice(None, None, step) for step in spec.steps))]


def _convolved(values: Values, weight: Values, bias: Values, spec: kinds.Convolution) -> Values:
    windows = _windows(values, spec, 0.0)
    spatial = windows.shape[2 : values.ndim]
    inputs, outputs = values.shape[1] // spec.groups, spec.channels // spec.groups
    answers = np.empty((len(values), spec.channels, *spatial), values.dtype)
    over = (1, *range(values.ndim, 2 * values.ndim - 2))
    for group in range(spec.groups):
        block = windows[:, inputs * group : inputs * (group + 1)]
        kernel = weight[outputs * group : outputs * (group + 1)]
        summed = np.tensordot(block, kernel, axes=(over, tuple(range(1, kernel.ndim))))
        answers[:, outputs * group : outputs * (group + 1)] = np.moveaxis(summed, -1, 1)
    answers += bias.reshape(-1, *[1] * len(spatial))
    return answers


def _average_pooled(values: Values, spec: kinds.AveragePool1d | kinds.AveragePool2d) -> Values:
    total: Values = _windows(values, spec, 0.0).sum(axis=_last(spec.window))
    if spec.count_padding:
        mean: Values = total / values.dtype.type(np.prod(spec.window))
        return mean
    ones = np.ones((1, 1, *values.shape[2:]), values.dtype)
    counted: Values = total / _windows(ones, spec, 0.0).sum(axis=_last(spec.window))
    return counted


def _attended(values: Values, weights: Weights, heads: int) -> Values:
    batch, steps, width = values.shape
    joined = _dense(values, weights["self_attn.in_proj_weight"], weights["self_attn.in_proj_bias"])
    query, key, value = joined.reshape(batch, steps, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
    scores = query @ key.swapaxes(-1, -2) / values.dtype.type(np.sqrt(width // heads))
    shares = activated(scores, kinds.Activate(activation="softmax"))
    mixed = (shares @ value).transpose(0, 2, 1, 3).reshape(batch, steps, width)
    return _dense(mixed, weights["self_attn.out_proj.weight"], weights["self_attn.out_proj.bias"])
