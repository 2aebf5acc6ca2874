"""Values from one layout in memory to another: flat, channels first, channels last, padded to whole vectors.

Where the numbers already lie as they should, nothing is moved.
"""

from dataclasses import replace
from math import prod

from af.layers import Shape
from af.wasm.assembly import Address, Assembly, Value
from af.wasm.layout import F32_BYTES, LANES


def settled(assembly: Assembly, value: Value) -> Value:
    """The value with rows of whole vectors in memory of ours."""
    if value.stride % LANES == 0 and str(value.address).startswith("(i32.const scratch"):
        return value
    return copied(assembly, value)


def copied(assembly: Assembly, value: Value) -> Value:
    """The value again, in rows of whole vectors, free to be changed."""
    target = assembly.fresh(value.shape, value.positions, value.channels, channels_first=value.channels_first)
    row_bytes = F32_BYTES * value.channels
    _copy_rows(assembly, value, target, row_bytes)
    return target


def flat(assembly: Assembly, value: Value) -> Value:
    """All numbers one after another, the last axis of the shape running fastest."""
    items = prod(value.shape)
    if value.positions == 1 or (not value.channels_first and value.stride == value.channels):
        return Value(value.address, (items,), 1, items, items, channels_first=False)
    if value.channels_first and value.channels == 1 and value.stride == 1:
        return Value(value.address, (items,), 1, items, items, channels_first=False)
    target = assembly.fresh((items,), 1, items, channels_first=False)
    if value.channels_first:
        _transpose(assembly, value, target.address, value.positions)
    else:
        compact = replace(target, stride=value.channels)
        _copy_rows(assembly, value, compact, F32_BYTES * value.channels)
    return target


def channels_first(assembly: Assembly, value: Value) -> Value:
    """An image or signal with its channels side by side, whatever it was before."""
    if value.channels_first:
        return value
    if len(value.shape) == 1:  # every feature is a channel of one place
        return replace(value, channels_first=True)
    return _turned(assembly, value, channels_first=True)


def channels_last(assembly: Assembly, value: Value) -> Value:
    """A sequence with its features side by side, whatever it was before."""
    if not value.channels_first or len(value.shape) == 1:
        return value
    return _turned(assembly, value, channels_first=False)


def shaped(assembly: Assembly, value: Value, shape: Shape) -> Value:
    """The numbers of a value in another shape."""
    row = flat(assembly, value)
    if len(shape) == 1:
        return row
    places = prod(shape[1:])
    if len(shape) == 2:  # [steps, features], until a layer wants it otherwise
        return replace(row, shape=shape, positions=shape[0], channels=shape[1], stride=shape[1])
    if shape[0] == 1:
        return replace(row, shape=shape, positions=places, channels=1, stride=1, channels_first=True)
    target = assembly.fresh(shape, places, shape[0], channels_first=True)
    source = replace(row, positions=shape[0], channels=places, stride=places)
    _transpose(assembly, source, target.address, target.stride)
    return target


def _turned(assembly: Assembly, value: Value, *, channels_first: bool) -> Value:
    target = assembly.fresh(value.shape, value.channels, value.positions, channels_first=channels_first)
    _transpose(assembly, value, target.address, target.stride)
    return target


def _transpose(assembly: Assembly, value: Value, target: Address, target_stride: int) -> None:
    assembly.helper(
        "$transpose",
        value.address,
        value.stride_bytes,
        target,
        F32_BYTES * target_stride,
        value.positions,
        value.channels,
    )


def _copy_rows(assembly: Assembly, value: Value, target: Value, row_bytes: int) -> None:
    assembly.helper(
        "$copy_rows",
        value.address,
        value.stride_bytes,
        target.address,
        target.stride_bytes,
        row_bytes,
        value.positions,
    )
