"""A network as an ONNX model, every kind of layer in standard operators.

The input `x` is [rows, input_size], the output `y` [rows, output_size], both float32, as everywhere in an
agent file. Any runtime that reads opset 20 computes the network with it.
"""

import functools

import numpy as np

from af import layers as kinds
from af.interchange.onnx_activations import activated
from af.interchange.onnx_graph import Attribute, GraphBuilder
from af.layers.spec import Shape, Spec
from af.network import Floats, Layer, Network, inner_layers

Weights = dict[str, Floats]

INPUT, OUTPUT = "x", "y"


def write_onnx(network: Network, name: str = "network") -> bytes:
    """The model's bytes; the same network gives the same bytes."""
    graph = GraphBuilder()
    values = INPUT
    for layer, shape in zip(network.layers, network.shapes, strict=False):
        values = _written(graph, layer, values, shape)
    graph.finish(values, network.shapes[-1], OUTPUT)
    return graph.model(name, INPUT, network.input_size, OUTPUT, network.output_size)


def _written(graph: GraphBuilder, layer: Layer, values: str, shape: Shape) -> str:
    if isinstance(layer.spec, kinds.Residual):
        inner, inner_shape = values, shape
        for inside in inner_layers(layer):
            inner = _written(graph, inside, inner, inner_shape)
            inner_shape = inside.spec.output_shape(inner_shape)
        return graph.call("Add", values, inner)
    return _write(layer.spec, graph, values, shape, dict(layer.tensors))


@functools.singledispatch
def _write(spec: Spec, graph: GraphBuilder, values: str, shape: Shape, weights: Weights) -> str:
    del graph, values, shape, weights
    raise AssertionError(spec.type)


@_write.register
def _(spec: kinds.Dense, graph: GraphBuilder, values: str, shape: Shape, weights: Weights) -> str:
    weight, bias = weights["weight"], weights["bias"]
    if len(shape) == 1:
        summed = graph.call("Gemm", values, graph.floats(weight), graph.floats(bias), transB=1)
    else:
        summed = _dense(graph, values, weight, bias)
    return activated(graph, summed, spec)


@_write.register
def _(spec: kinds.Activate, graph: GraphBuilder, values: str, shape: Shape, weights: Weights) -> str:
    del shape, weights
    return activated(graph, values, spec)


@_write.register
def _(spec: kinds.Scale, graph: GraphBuilder, values: str, shape: Shape, weights: Weights) -> str:
    del spec
    per_channel = (-1, *[1] * (len(shape) - 1))
    scaled = graph.call("Mul", values, graph.floats(weights["weight"].reshape(per_channel)))
    return graph.call("Add", scaled, graph.floats(weights["bias"].reshape(per_channel)))


@_write.register
def _(spec: kinds.LayerNorm, graph: GraphBuilder, values: str, shape: Shape, weights: Weights) -> str:
    del shape
    return _normalised(graph, values, weights["weight"], weights["bias"], spec.epsilon)


@_write.register(kinds.Flatten)
@_write.register(kinds.Reshape)
def _(
    spec: kinds.Flatten | kinds.Reshape, graph: GraphBuilder, values: str, shape: Shape, weights: Weights
) -> str:
    del weights
    return graph.reshape(values, spec.output_shape(shape))


@_write.register
def _(spec: kinds.Transpose, graph: GraphBuilder, values: str, shape: Shape, weights: Weights) -> str:
    del spec, shape, weights
    return graph.call("Transpose", values, perm=[0, 2, 1])


@_write.register
def _(spec: kinds.Convolution, graph: GraphBuilder, values: str, shape: Shape, weights: Weights) -> str:
    del shape
    summed = graph.call(
        "Conv",
        values,
        graph.floats(weights["weight"]),
        graph.floats(weights["bias"]),
        kernel_shape=list(spec.window),
        strides=list(spec.steps),
        pads=[*spec.pads, *spec.pads],
        group=spec.groups,
    )
    return activated(graph, summed, spec)


@_write.register
def _(spec: kinds.Pooling, graph: GraphBuilder, values: str, shape: Shape, weights: Weights) -> str:
    del shape, weights
    facts: dict[str, Attribute] = {
        "kernel_shape": list(spec.window),
        "strides": list(spec.steps),
        "pads": [*spec.pads, *spec.pads],
    }
    if isinstance(spec, kinds.AveragePool1d | kinds.AveragePool2d):
        return graph.call("AveragePool", values, count_include_pad=int(spec.count_padding), **facts)
    return graph.call("MaxPool", values, **facts)


@_write.register
def _(spec: kinds.GlobalPool, graph: GraphBuilder, values: str, shape: Shape, weights: Weights) -> str:
    del weights
    operator = "ReduceMax" if spec.mode == "max" else "ReduceMean"
    axes = graph.wholes(range(2, 1 + len(shape)))
    return graph.call(operator, values, axes, keepdims=0)


@_write.register
def _(spec: kinds.Embedding, graph: GraphBuilder, values: str, shape: Shape, weights: Weights) -> str:
    del spec, shape
    return graph.call("Gather", graph.floats(weights["weight"]), _tokens(graph, values))


@_write.register
def _(spec: kinds.EmbeddingMean, graph: GraphBuilder, values: str, shape: Shape, weights: Weights) -> str:
    del shape
    found = graph.call("Gather", graph.floats(weights["weight"]), _tokens(graph, values))
    steps = graph.wholes([1])
    if spec.padding is None:
        return graph.call("ReduceMean", found, steps, keepdims=0)
    is_padding = graph.call("Equal", values, graph.floats(spec.padding))
    counted = graph.call("Where", is_padding, graph.floats(0), graph.floats(1))
    kept = graph.call("Mul", found, graph.call("Unsqueeze", counted, graph.wholes([2])))
    count = graph.call("ReduceSum", counted, steps, keepdims=1)
    total = graph.call("ReduceSum", kept, steps, keepdims=0)
    return graph.call("Div", total, graph.call("Max", count, graph.floats(1)))


@_write.register
def _(spec: kinds.SequencePool, graph: GraphBuilder, values: str, shape: Shape, weights: Weights) -> str:
    del weights
    if spec.mode == "last":
        return graph.call("Gather", values, graph.whole(shape[0] - 1), axis=1)
    operator = "ReduceMax" if spec.mode == "max" else "ReduceMean"
    return graph.call(operator, values, graph.wholes([1]), keepdims=0)


@_write.register
def _(spec: kinds.Gru, graph: GraphBuilder, values: str, shape: Shape, weights: Weights) -> str:
    del shape
    by_steps = graph.call("Transpose", values, perm=[1, 0, 2])
    biases = np.concatenate([_update_first(weights["bias_ih"]), _update_first(weights["bias_hh"])])
    every, last = graph.call_many(
        "GRU",
        (
            by_steps,
            graph.floats(_update_first(weights["weight_ih"])[np.newaxis]),
            graph.floats(_update_first(weights["weight_hh"])[np.newaxis]),
            graph.floats(biases[np.newaxis]),
        ),
        2,
        hidden_size=spec.units,
        linear_before_reset=1,
    )
    if not spec.every_step:
        return graph.call("Squeeze", last, graph.wholes([0]))
    return graph.call("Transpose", graph.call("Squeeze", every, graph.wholes([1])), perm=[1, 0, 2])


@_write.register
def _(
    spec: kinds.TransformerEncoder, graph: GraphBuilder, values: str, shape: Shape, weights: Weights
) -> str:
    def norm(name: str, number: int) -> str:
        weight, bias = weights[f"norm{number}.weight"], weights[f"norm{number}.bias"]
        return _normalised(graph, name, weight, bias, spec.epsilon)

    def feed(name: str) -> str:
        inner = _dense(graph, name, weights["linear1.weight"], weights["linear1.bias"])
        inner = activated(graph, inner, kinds.Activate(activation=spec.activation))
        return _dense(graph, inner, weights["linear2.weight"], weights["linear2.bias"])

    if spec.norm == "before":
        attended = _attended(graph, norm(values, 1), shape, weights, spec.heads)
        values = graph.call("Add", values, attended)
        return graph.call("Add", values, feed(norm(values, 2)))
    attended = _attended(graph, values, shape, weights, spec.heads)
    values = norm(graph.call("Add", values, attended), 1)
    return norm(graph.call("Add", values, feed(values)), 2)


def _attended(graph: GraphBuilder, values: str, shape: Shape, weights: Weights, heads: int) -> str:
    steps, width = shape
    each = width // heads
    joined = _dense(graph, values, weights["self_attn.in_proj_weight"], weights["self_attn.in_proj_bias"])
    parts = graph.call_many("Split", (joined, graph.wholes([width] * 3)), 3, axis=2)
    query, key, value = (
        graph.call("Transpose", graph.reshape(part, (steps, heads, each)), perm=permutation)
        for part, permutation in zip(parts, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True)
    )
    scores = graph.call("Div", graph.call("MatMul", query, key), graph.floats(np.sqrt(each)))
    mixed = graph.call("MatMul", graph.call("Softmax", scores, axis=-1), value)
    rows = graph.reshape(graph.call("Transpose", mixed, perm=[0, 2, 1, 3]), (steps, width))
    return _dense(graph, rows, weights["self_attn.out_proj.weight"], weights["self_attn.out_proj.bias"])


def _dense(graph: GraphBuilder, values: str, weight: Floats, bias: Floats) -> str:
    """Over the last axis of a sequence."""
    return graph.call("Add", graph.call("MatMul", values, graph.floats(weight.T)), graph.floats(bias))


def _normalised(graph: GraphBuilder, values: str, weight: Floats, bias: Floats, epsilon: float) -> str:
    scale, shift = graph.floats(weight), graph.floats(bias)
    return graph.call("LayerNormalization", values, scale, shift, axis=-1, epsilon=epsilon)


def _tokens(graph: GraphBuilder, values: str) -> str:
    return graph.call("Cast", values, to=7)  # 7 is int64


def _update_first(gates: Floats) -> Floats:
    """ONNX has a GRU's gates in the order update, reset, new; here and in torch, reset comes first."""
    reset, update, new = np.split(gates, 3)
    return np.concatenate([update, reset, new])
