"""Layered networks: each kind of layer as calls of the kernels, row of the batch by row.

A row goes through all layers before the next one begins, so a row's result has the same bits alone and in any
batch, and the memory does not grow with the batch.
"""

import functools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from af import layers as kinds
from af.layers.spec import Spec
from af.network import Floats, Layer, Network, inner_layers
from af.wasm import activations, rowkernels
from af.wasm.assembly import Assembly, Finished, Precision, Value
from af.wasm.int8 import dense_int8
from af.wasm.layout import F32_BYTES, LANES, VECTOR_BYTES, round_up
from af.wasm.moves import channels_first, channels_last, copied, flat, settled, shaped
from af.wasm.sequences import attended, embedded, embedded_mean, gru_states
from af.wasm.spatial import convolved, pooled, pooled_globally, pooled_sequence

Weights = Mapping[str, Floats]

_COPIED_VECTORS_MAX = 16


def assemble(network: Network, batch_max: int, precision: Precision) -> Finished:
    """The body of a network and its memory; AfRefused if that is larger than a module may be.

    With int8 the matrices of dense layers have weights of eight bits; everything else stays in float32.
    """
    assembly = Assembly(precision)
    size = network.input_size
    value = Value("(local.get $x)", (size,), 1, size, size, channels_first=False)
    for layer in network.layers:
        value = _layer(layer, value, assembly)
    result = flat(assembly, value)
    _copy_out(result, assembly)
    return assembly.finished(size, network.output_size, batch_max)


def _copy_out(result: Value, assembly: Assembly) -> None:
    """The result into the output row: a short one in a few vectors, without a call."""
    vectors = round_up(result.channels, LANES) // LANES
    if vectors > _COPIED_VECTORS_MAX:
        assembly.helper("$copy_rows", result.address, 0, "(local.get $y)", 0, F32_BYTES * result.channels, 1)
        return
    for offset in range(0, VECTOR_BYTES * vectors, VECTOR_BYTES):
        value = f"(v128.load offset={offset} {result.address})"
        assembly.lines.append(f"  (v128.store offset={offset} (local.get $y) {value})")


def _layer(layer: Layer, value: Value, assembly: Assembly) -> Value:
    if not isinstance(layer.spec, kinds.Residual):
        return _emit(layer.spec, value, layer.tensors, assembly)
    around = settled(assembly, value)
    inner = around
    for inside in inner_layers(layer):
        inner = _layer(inside, inner, assembly)
    if len(around.shape) > 1 and around.channels_first != inner.channels_first:
        inner = channels_first(assembly, inner) if around.channels_first else channels_last(assembly, inner)
    return added(around, settled(assembly, inner), assembly)


def added(one: Value, other: Value, assembly: Assembly) -> Value:
    """The sum of two settled values of the same layout."""
    target = assembly.fresh(one.shape, one.positions, one.channels, channels_first=one.channels_first)
    assembly.helper("$add", one.address, other.address, target.address, end_of(target))
    return target


def end_of(value: Value) -> str:
    return f"(i32.add {value.address} (i32.const {value.bytes}))"


def activate(value: Value, by: kinds.Activated, assembly: Assembly) -> None:
    """The activation in place, where the matrix kernels have not done it; a softmax finds its padding set."""
    if by.activation in activations.IN_KERNEL:
        return
    assembly.functions.update(
        (name, text)
        for name, text in activations.functions_for([by]).items()
        if name not in assembly.functions
    )
    if by.activation == "softmax":
        assembly.helper("$softmax_rows", value.address, value.stride_bytes, value.positions)
    else:
        assembly.call(activations.function_name(by), value.address, end_of(value))


@functools.singledispatch
def _emit(spec: Spec, value: Value, weights: Weights, assembly: Assembly) -> Value:
    del value, weights, assembly
    raise AssertionError(spec.type)


@_emit.register
def _(spec: kinds.Dense, value: Value, weights: Weights, assembly: Assembly) -> Value:
    source = channels_last(assembly, value)
    padding = -np.inf if spec.activation == "softmax" else 0.0
    relu = spec.activation == "relu"
    target = assembly.fresh(
        spec.output_shape(source.shape), source.positions, spec.units, channels_first=False
    )
    weight, bias = weights["weight"], weights["bias"]
    if assembly.precision == "int8":
        dense_int8(source, weight, bias, target, assembly, relu=relu, padding=padding)
    else:
        assembly.rows(source, assembly.matrix(weight, bias, padding), target, relu=relu)
    activate(target, spec, assembly)
    return target


@_emit.register
def _(spec: kinds.Activate, value: Value, weights: Weights, assembly: Assembly) -> Value:
    del weights
    softmax = spec.activation == "softmax"
    source = channels_last(assembly, value) if softmax else value
    target = copied(assembly, source)
    if softmax:
        size_bytes = F32_BYTES * target.channels
        assembly.helper("$pad_rows", target.address, target.stride_bytes, size_bytes, target.positions)
    if spec.activation == "relu":
        assembly.helper("$relu", target.address, end_of(target))
    activate(target, spec, assembly)
    return target


@_emit.register
def _(spec: kinds.Scale, value: Value, weights: Weights, assembly: Assembly) -> Value:
    del spec
    source = value if len(value.shape) == 1 else channels_first(assembly, value)
    target = assembly.fresh(
        source.shape, source.positions, source.channels, channels_first=source.channels_first
    )
    tables = [_padded(weights[name], assembly) for name in ("weight", "bias")]
    assembly.helper(
        "$scale_rows",
        source.address,
        source.stride_bytes,
        target.address,
        target.stride_bytes,
        *tables,
        source.positions,
    )
    return target


@_emit.register
def _(spec: kinds.LayerNorm, value: Value, weights: Weights, assembly: Assembly) -> Value:
    return normalised(
        channels_last(assembly, value), weights["weight"], weights["bias"], spec.epsilon, assembly
    )


def normalised(source: Value, weight: Floats, bias: Floats, epsilon: float, assembly: Assembly) -> Value:
    """Layer normalisation of every row."""
    name = rowkernels.add_layer_norm(assembly.functions, source.channels, epsilon)
    target = assembly.fresh(source.shape, source.positions, source.channels, channels_first=False)
    assembly.call(
        name,
        source.address,
        source.stride_bytes,
        target.address,
        target.stride_bytes,
        _padded(weight, assembly),
        _padded(bias, assembly),
        source.positions,
    )
    return target


def _padded(values: Floats, assembly: Assembly) -> int:
    table = np.zeros(round_up(values.size, LANES), np.float32)
    table[: values.size] = values
    return assembly.constant(table)


@_emit.register(kinds.Flatten)
@_emit.register(kinds.Reshape)
def _(spec: kinds.Flatten | kinds.Reshape, value: Value, weights: Weights, assembly: Assembly) -> Value:
    del weights
    return shaped(assembly, value, spec.output_shape(value.shape))


@_emit.register
def _(spec: kinds.Transpose, value: Value, weights: Weights, assembly: Assembly) -> Value:
    """Nothing moves: what were the features of a step are now the channels of a place, or the reverse."""
    del weights, assembly
    return replace(value, shape=spec.output_shape(value.shape), channels_first=not value.channels_first)


@_emit.register
def _(spec: kinds.Convolution, value: Value, weights: Weights, assembly: Assembly) -> Value:
    target = convolved(spec, channels_first(assembly, value), weights["weight"], weights["bias"], assembly)
    activate(target, spec, assembly)
    return target


@_emit.register
def _(spec: kinds.Pooling, value: Value, weights: Weights, assembly: Assembly) -> Value:
    del weights
    return pooled(spec, channels_first(assembly, value), assembly)


@_emit.register
def _(spec: kinds.GlobalPool, value: Value, weights: Weights, assembly: Assembly) -> Value:
    del weights
    return pooled_globally(spec.mode, channels_first(assembly, value), assembly)


@_emit.register
def _(spec: kinds.SequencePool, value: Value, weights: Weights, assembly: Assembly) -> Value:
    del weights
    return pooled_sequence(spec.mode, channels_last(assembly, value), assembly)


@_emit.register
def _(spec: kinds.Embedding, value: Value, weights: Weights, assembly: Assembly) -> Value:
    return embedded(spec, flat(assembly, value), weights["weight"], assembly)


@_emit.register
def _(spec: kinds.EmbeddingMean, value: Value, weights: Weights, assembly: Assembly) -> Value:
    return embedded_mean(spec, flat(assembly, value), weights["weight"], assembly)


@_emit.register
def _(spec: kinds.Gru, value: Value, weights: Weights, assembly: Assembly) -> Value:
    return gru_states(spec, channels_last(assembly, value), weights, assembly)


@_emit.register
def _(spec: kinds.TransformerEncoder, value: Value, weights: Weights, assembly: Assembly) -> Value:
    def norm(source: Value, number: int) -> Value:
        weight, bias = weights[f"norm{number}.weight"], weights[f"norm{number}.bias"]
        return normalised(source, weight, bias, spec.epsilon, assembly)

    def feed(source: Value) -> Value:
        inner = kinds.Dense(units=spec.feedforward, activation=spec.activation)
        outer = kinds.Dense(units=source.channels)
        for dense, name in ((inner, "linear1"), (outer, "linear2")):
            own = {"weight": weights[f"{name}.weight"], "bias": weights[f"{name}.bias"]}
            source = _emit(dense, source, own, assembly)
        return source

    value = settled(assembly, channels_last(assembly, value))
    if spec.norm == "before":
        value = added(value, attended(norm(value, 1), weights, spec.heads, assembly), assembly)
        return added(value, feed(norm(value, 2)), assembly)
    value = norm(added(value, attended(value, weights, spec.heads, assembly), assembly), 1)
    return norm(added(value, feed(value), assembly), 2)
