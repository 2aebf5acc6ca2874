"""Named arrays behind a JSON head, as bytes and back: what every trained model is kept in.

Layout: eight bytes of magic, the length of the head as a little-endian u32, the head, the arrays as they
lie in memory. Reading trusts nothing: the size first, then every type and length; what the head says
beyond the arrays is the caller's to check.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from swarm.errors import Mistake, TooLarge

MODEL_BYTES_MAX: Final = 64 << 20
MAGIC_BYTES: Final = 8
_HEAD: Final = struct.Struct("<I")
_DTYPES: Final = frozenset({"float16", "float32", "float64", "int8", "int32"})

Arrays = dict[str, NDArray[Any]]
BROKEN: Final = (KeyError, IndexError, TypeError, ValueError, OverflowError, RecursionError, struct.error)
"""What reading a head or its arrays may raise where a file is not what it says."""


def pack(magic: bytes, head: Mapping[str, Any], arrays: Arrays, bytes_max: int = MODEL_BYTES_MAX) -> bytes:
    """The bytes of a head and its arrays; raises TooLarge."""
    listed = [[name, str(array.dtype), array.shape] for name, array in arrays.items()]
    text = json.dumps({**head, "arrays": listed}, separators=(",", ":")).encode()
    data = b"".join([magic, _HEAD.pack(len(text)), text, *(a.tobytes() for a in arrays.values())])
    check_size(data, bytes_max)
    return data


def check_size(data: bytes, bytes_max: int = MODEL_BYTES_MAX) -> None:
    """Raises TooLarge."""
    if len(data) > bytes_max:
        raise TooLarge(
            f"a model of {len(data)} bytes, at most {bytes_max}", place="model", remedy="train a smaller one"
        )


def unpack(magic: bytes, data: bytes) -> tuple[dict[str, Any], Arrays]:
    """The reverse of `pack`; raises one of BROKEN."""
    if not data.startswith(magic):
        raise ValueError("it begins with other bytes")
    start = MAGIC_BYTES + _HEAD.size
    (length,) = _HEAD.unpack_from(data, MAGIC_BYTES)
    head = json.loads(data[start : start + length])
    at = start + length
    arrays: Arrays = {}
    for name, dtype, shape in head["arrays"]:
        if dtype not in _DTYPES or not all(type(size) is int and size >= 0 for size in shape):
            raise ValueError(f"{name!r} has dtype {dtype!r} and shape {shape!r}")
        items = int(np.prod([int(size) for size in shape], dtype=object)) if shape else 1
        arrays[name] = np.frombuffer(data, np.dtype(dtype), items, at).reshape(shape)
        at += arrays[name].nbytes
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes are left over")
    return head, arrays


def encoder_needed(data: bytes) -> str:
    """Which encoder the model in `data` was trained with; empty where it needs none or is no model."""
    try:
        (length,) = _HEAD.unpack_from(data, MAGIC_BYTES)
        start = MAGIC_BYTES + _HEAD.size
        named = json.loads(data[start : start + length]).get("encoder")
        return str(named[0]) if named else ""
    except (*BROKEN, AttributeError):
        return ""


def hold(arrays: Arrays, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raises one of BROKEN where an array is missing or has another shape."""
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}, not {shape}")


def refused(error: Exception) -> Mistake:
    """What is said of a file that is no model."""
    return Mistake(
        f"this is no trained model: {error}", place="model", remedy="train it again, or copy the file again"
    )
