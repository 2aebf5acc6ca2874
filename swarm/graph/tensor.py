"""Reads the head of a tensor payload: its dtype and shape, without an array library.

Layout, little endian: `b"T"`, version 1, dtype code, number of dimensions, four zero bytes, one
u64 per dimension, zeros up to a multiple of 16, then the items in row order. The sandbox owns
this layout (`sandbox.tensors`); a test holds the two together.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Final

DIMENSIONS_MAX: Final = 8
_ALIGN_BYTES: Final = 16
_MAGIC: Final = ord("T")
_VERSION: Final = 1
_HEAD = struct.Struct("<BBBB4x")

# In the order of their codes: the name a port declares, and the bytes of one item.
_DTYPES: Final = (
    ("f16", 2),
    ("f32", 4),
    ("f64", 8),
    ("i8", 1),
    ("i16", 2),
    ("i32", 4),
    ("i64", 8),
    ("u8", 1),
    ("u16", 2),
    ("u32", 4),
    ("u64", 8),
    ("bool", 1),
)
DTYPES: Final = frozenset(name for name, _ in _DTYPES)


@dataclass(frozen=True, slots=True)
class TensorHead:
    """What a tensor payload says of itself."""

    dtype: str
    shape: tuple[int, ...]


def tensor_head(data: bytes) -> TensorHead | str:
    """The head of a tensor, or the reason why these bytes are none."""
    if len(data) < _HEAD.size:
        return f"a tensor has at least {_HEAD.size} bytes, these are {len(data)}"
    magic, version, code, dimensions = _HEAD.unpack_from(data)
    if magic != _MAGIC or version != _VERSION:
        return f"not a tensor of version {_VERSION}"
    if code >= len(_DTYPES) or dimensions > DIMENSIONS_MAX:
        return f"dtype code {code} or {dimensions} dimensions is out of range"
    shape_end = _HEAD.size + 8 * dimensions
    start = shape_end + -shape_end % _ALIGN_BYTES
    if len(data) < start:
        return f"the head of {dimensions} dimensions needs {start} bytes, these are {len(data)}"
    shape = struct.unpack_from(f"<{dimensions}Q", data, _HEAD.size)
    name, item_bytes = _DTYPES[code]
    needed = math.prod(shape) * item_bytes
    if needed != len(data) - start:
        return f"{name}{list(shape)} needs {needed} bytes of items, has {len(data) - start}"
    return TensorHead(name, shape)
