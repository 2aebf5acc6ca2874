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
HEAD_BYTES_MAX: Final = 80  # of eight dimensions
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


def head_bytes(data: bytes) -> bytes:
    """Of a tensor's bytes those that come before its items, if there are as many as it says."""
    dimensions = min(data[3], DIMENSIONS_MAX) if len(data) >= _HEAD.size else 0
    end = _HEAD.size + 8 * dimensions
    return bytes(data[: end + -end % _ALIGN_BYTES])


def tensor_head(data: bytes, size_bytes: int | None = None) -> TensorHead | str:
    """The head of a tensor, or the reason why these bytes are none.

    Of a tensor that lies elsewhere `data` is the head alone and `size_bytes` what it has in all.
    """
    size_bytes = len(data) if size_bytes is None else size_bytes
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
    if needed != size_bytes - start:
        return f"{name}{list(shape)} needs {needed} bytes of items, has {size_bytes - start}"
    return TensorHead(name, shape)
