"""One numeric array as bytes, with exactly one encoding per array.

Layout, little endian: `b"T"`, version, dtype code, number of dimensions, four zero bytes, one u64 per
dimension, zeros up to a multiple of 16, then the items in row order. Decoding trusts nothing: every
size is checked against the buffer before numpy sees it, and the result is a read-only view, not a copy.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from sandbox.outside import Stored

Array: TypeAlias = npt.NDArray[Any]
Data: TypeAlias = bytes | bytearray | memoryview

DIMENSIONS_MAX: Final = 8
ALIGN_BYTES: Final = 16
HEAD_BYTES_MAX: Final = 80  # of eight dimensions
EXTENT_MAX: Final = 1 << 32  # items an empty array would have if no length were zero
_VERSION: Final = 1
_MAGIC: Final = ord("T")
_HEAD: Final = struct.Struct("<BBBB4x")
_DIMS: Final = tuple(struct.Struct(f"<{n}Q") for n in range(DIMENSIONS_MAX + 1))
_PAD: Final = tuple(-(8 + 8 * n) % ALIGN_BYTES for n in range(DIMENSIONS_MAX + 1))

# The position is the code on the wire: append only.
DTYPES: Final = tuple(
    np.dtype(name).newbyteorder("<")
    for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
)
_CODES: Final = {dtype: code for code, dtype in enumerate(DTYPES)}
_BOOL: Final = len(DTYPES) - 1
_BOOLS: Final = b"\0\1"


class TensorError(ValueError):
    """These bytes are no tensor, or this array has no encoding."""


def head(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The bytes that come before the items of such an array."""
    little = dtype.newbyteorder("<")
    code = _CODES.get(little)
    if code is None:
        raise TensorError(f"dtype {dtype} has no encoding; use one of {', '.join(d.name for d in DTYPES)}")
    n = len(shape)
    if n > DIMENSIONS_MAX:
        raise TensorError(f"{n} dimensions, at most {DIMENSIONS_MAX}")
    return _HEAD.pack(_MAGIC, _VERSION, code, n) + _DIMS[n].pack(*shape) + bytes(_PAD[n])


def encode(array: Array) -> bytes:
    """Encode an array of up to 8 dimensions; strides and byte order are normalised."""
    front = head(array.dtype, array.shape)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return front + little.tobytes()


class Encoded:
    """A large array with its head, not yet joined: whoever has a place for the bytes copies them once."""

    __slots__ = ("_size", "parts")

    def __init__(self, array: Array) -> None:
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        front = head(array.dtype, array.shape)
        self.parts: tuple[bytes, memoryview] = front, little.reshape(-1).view(np.uint8).data
        self._size = len(front) + little.nbytes

    def __len__(self) -> int:
        return self._size


def flat(data: Data | Encoded | Stored) -> Data:
    """The bytes in one piece; a file that belongs in shared memory is not read for that."""
    if isinstance(data, Stored):
        raise TensorError(f"there is no shared memory for {len(data)} bytes")
    return b"".join(data.parts) if isinstance(data, Encoded) else data


def decode(data: Data) -> Array:
    """A read-only view of the array in `data`; raises `TensorError` unless every byte is accounted for."""
    code, shape, items, start = _measure(data)
    dtype = DTYPES[code]
    flat = np.frombuffer(data, dtype, count=items, offset=start) if items else np.empty(0, dtype)
    if code == _BOOL and items and flat.view(np.uint8).max() > 1:
        raise TensorError("a bool is neither 0 nor 1")
    array = flat.reshape(shape)
    array.flags.writeable = False
    return array


def head_bytes(data: Data) -> int | None:
    """How many bytes of a valid tensor tell its type and shape; None where its items may be wrong, too."""
    code, _, _, start = _measure(data)
    return None if code == _BOOL else start


def check(batch: Iterable[Data]) -> None:
    """Raise `TensorError` unless `decode` would take each of them; makes no array."""
    start, size, known = 0, -1, b""
    for data in batch:
        if len(data) == size and data[:start] == known:
            continue
        code, _, _, start = _measure(data)
        if code == _BOOL:
            size = -1  # its items have to be looked at, every time
            if bytes(data[start:]).translate(None, _BOOLS):
                raise TensorError("a bool is neither 0 nor 1")
        else:
            size, known = len(data), bytes(data[:start])


def check_head(front: Data, size: int) -> None:
    """Raise `TensorError` unless a tensor of so many bytes may begin like this."""
    _measure(front, size)


def _measure(data: Data, size: int | None = None) -> tuple[int, tuple[int, ...], int, int]:
    """What the head of a tensor says (dtype code, shape, items) and where the items start."""
    size = len(data) if size is None else size
    if size < _HEAD.size:
        raise TensorError(f"a tensor has at least {_HEAD.size} bytes, these are {size}")
    n = data[3]
    if n > DIMENSIONS_MAX:
        raise TensorError(f"{n} dimensions is out of range")
    start = _HEAD.size + 8 * n + _PAD[n]
    if size < start:
        raise TensorError(f"the header of {n} dimensions needs {start} bytes, these are {size}")
    code, shape, items, need = _read_head(bytes(data[:start]))
    if need != size - start:
        raise TensorError(f"shape {shape} of {DTYPES[code].name} needs {need} bytes, has {size - start}")
    return code, shape, items, start


@functools.lru_cache(maxsize=512)
def _read_head(front: bytes) -> tuple[int, tuple[int, ...], int, int]:
    magic, version, code, n = _HEAD.unpack_from(front)
    if magic != _MAGIC or version != _VERSION:
        raise TensorError(f"not a tensor of version {_VERSION}: it starts with {magic:#04x} {version:#04x}")
    if code >= len(DTYPES):
        raise TensorError(f"dtype code {code} is out of range")
    if any(front[4:8]) or any(front[len(front) - _PAD[n] :]):
        raise TensorError("reserved bytes are not zero")
    shape = _DIMS[n].unpack_from(front, 8)
    items = math.prod(shape)  # Python integers: a product of eight u64 does not overflow
    if items == 0 and _extent(shape) > EXTENT_MAX:
        raise TensorError(f"shape {shape} is absurd for an empty array")
    return code, shape, items, items * DTYPES[code].itemsize


def _extent(shape: tuple[int, ...]) -> int:
    """The items there would be if no length were zero."""
    return math.prod(length for length in shape if length)
