"""Convolution and pooling over rows of channels.

A convolution is one matrix per line of its window: where the window moves one place, its lines move one row
of channels, so `rows` walks along an output line with no copying; the lines' results add up in the target.
Padding is a border of the source, copied into memory where the border already stands.
"""

from typing import Literal

import numpy as np

from af import layers as kinds
from af.network import Floats
from af.wasm.assembly import Address, Assembly, Matrix, Value, call_text, plus
from af.wasm.kernels import add_rows
from af.wasm.layout import F32_BYTES, LANES, round_up
from af.wasm.moves import settled


def convolved(
    spec: kinds.Convolution, value: Value, weight: Floats, bias: Floats, assembly: Assembly
) -> Value:
    """The convolution without its activation, except relu."""
    height, width = _plane(value.shape[1:])
    window, steps, pads = _plane(spec.window), _plane(spec.steps), _plane(spec.pads, 0)
    shape = spec.output_shape(value.shape)
    lines, places = _plane(shape[1:])
    source = _bordered(value, (height, width), pads, 0.0, assembly)
    width += 2 * pads[1]
    matrices = _line_matrices(spec, value, weight.reshape(*weight.shape[:2], *window), bias, assembly)
    target = assembly.fresh(shape, lines * places, spec.channels, channels_first=True)
    body = []
    for line, matrix in enumerate(matrices):
        last = line == len(matrices) - 1
        name = add_rows(assembly.functions, matrix.panels, last and spec.activation == "relu")
        line_bytes = width * source.stride_bytes
        written = _at(target.address, places * target.stride_bytes)
        read = _at(plus(source.address, line * line_bytes), steps[0] * line_bytes)
        start: tuple[Address, Address] = (matrix.bias, 0) if line == 0 else (written, target.stride_bytes)
        arguments = (read, steps[1] * source.stride_bytes, matrix.weights, *start)
        body.append("  " + call_text(name, *arguments, written, target.stride_bytes, matrix.inputs, places))
    assembly.repeat("r", lines, body)
    return target


def pooled(spec: kinds.Pooling, value: Value, assembly: Assembly) -> Value:
    """The largest number or the mean of each window."""
    height, width = _plane(value.shape[1:])
    window, steps, pads = _plane(spec.window), _plane(spec.steps), _plane(spec.pads, 0)
    shape = spec.output_shape(value.shape)
    lines, places = _plane(shape[1:])
    mean = isinstance(spec, kinds.AveragePool1d | kinds.AveragePool2d)
    source = _bordered(value, (height, width), pads, 0.0 if mean else -np.inf, assembly)
    line_bytes = (width + 2 * pads[1]) * source.stride_bytes
    target = assembly.fresh(shape, lines * places, value.channels, channels_first=True)
    if isinstance(spec, kinds.AveragePool1d | kinds.AveragePool2d):
        shares = _shares((height, width), window, steps, pads, count_padding=spec.count_padding)
        table: Address = _at2(assembly.constant(shares), F32_BYTES * places, F32_BYTES)
    else:
        table = 0
    read = _at2(source.address, steps[0] * line_bytes, steps[1] * source.stride_bytes)
    written = _at2(target.address, places * target.stride_bytes, target.stride_bytes)
    end = f"(i32.add {written} (i32.const {target.stride_bytes}))"
    name = assembly.need("$mean" if mean else "$largest")
    call = call_text(name, read, line_bytes, source.stride_bytes, *window, written, end, table)
    assembly.repeat("r", lines, assembly.repeated("c", places, ["  " + call]))
    return target


def pooled_globally(mode: Literal["mean", "max"], value: Value, assembly: Assembly) -> Value:
    """One row out of all rows."""
    target = assembly.fresh((value.channels,), 1, value.channels, channels_first=False)
    share = assembly.constant(np.array([1 / value.positions]))
    end = f"(i32.add {target.address} (i32.const {target.stride_bytes}))"
    window = (0, value.stride_bytes, 1, value.positions)
    assembly.helper(
        "$mean" if mode == "mean" else "$largest", value.address, *window, target.address, end, share
    )
    return target


def pooled_sequence(mode: Literal["mean", "max", "last"], value: Value, assembly: Assembly) -> Value:
    """One row out of all steps."""
    if mode != "last":
        return pooled_globally(mode, value, assembly)
    address = plus(value.address, (value.positions - 1) * value.stride_bytes)
    return Value(address, (value.channels,), 1, value.channels, value.stride, channels_first=False)


def _plane(extents: tuple[int, ...], filling: int = 1) -> tuple[int, int]:
    """A signal is an image of one line."""
    return (filling, extents[0]) if len(extents) == 1 else (extents[0], extents[1])


def _bordered(
    value: Value, plane: tuple[int, int], pads: tuple[int, int], filling: float, assembly: Assembly
) -> Value:
    """The value with so many lines and places around it."""
    if not any(pads):
        return value
    height, width = plane
    target = assembly.fresh(
        value.shape,
        (height + 2 * pads[0]) * (width + 2 * pads[1]),
        value.channels,
        channels_first=True,
    )
    if value.stride % LANES:
        value = settled(assembly, value)
    if filling != 0:
        end = f"(i32.add {target.address} (i32.const {target.bytes}))"
        assembly.helper("$fill", target.address, end, f"(f32.const {filling})")
    line_bytes = (width + 2 * pads[1]) * target.stride_bytes
    first = plus(target.address, pads[0] * line_bytes + pads[1] * target.stride_bytes)
    row_bytes = width * value.stride_bytes
    assembly.helper("$copy_rows", value.address, row_bytes, first, line_bytes, row_bytes, height)
    return target


def _line_matrices(
    spec: kinds.Convolution, value: Value, weight: Floats, bias: Floats, assembly: Assembly
) -> list[Matrix]:
    """One matrix per line of the window, of all places in the line times the channels with their padding."""
    padded = any(spec.pads)
    stride = round_up(value.channels, LANES) if padded else value.stride
    outputs, _, height, width = weight.shape
    inputs = value.channels // spec.groups
    per_group = outputs // spec.groups
    wide = np.zeros((outputs, height, width, stride), np.float32)
    for output in range(outputs):
        first = output // per_group * inputs
        wide[output, :, :, first : first + inputs] = weight[output].transpose(1, 2, 0)
    return [assembly.matrix(wide[:, line].reshape(outputs, width * stride), bias) for line in range(height)]


def _shares(
    plane: tuple[int, int],
    window: tuple[int, int],
    steps: tuple[int, int],
    pads: tuple[int, int],
    *,
    count_padding: bool,
) -> Floats:
    """1 / the number of places that count, for every window."""
    counts = []
    for extent, size, step, pad in zip(plane, window, steps, pads, strict=True):
        starts = np.arange(0, extent + 2 * pad - size + 1, step) - pad
        inside = np.minimum(starts + size, extent) - np.maximum(starts, 0)
        counts.append(np.full(len(starts), size) if count_padding else inside)
    shares: Floats = (1 / np.outer(*counts)).astype(np.float32)
    return shares


def _at(address: Address, step_bytes: int) -> str:
    """The address $r steps on."""
    base = address if isinstance(address, str) else f"(i32.const {address})"
    return f"(i32.add {base} (i32.mul (local.get $r) (i32.const {step_bytes})))"


def _at2(address: Address, line_bytes: int, step_bytes: int) -> str:
    """The address $r lines and $c steps on."""
    return f"(i32.add {_at(address, line_bytes)} (i32.mul (local.get $c) (i32.const {step_bytes})))"
