"""Reading a WebAssembly module's bytes: whether its instances have any state but their memory.

The module is valid, wasmtime has seen to that; what this does not know counts as state. Sections tell of
tables, globals and the rest. Left are the bulk instructions, which drop segments, and which write from
wasmtime's own code, where a fault is no trap: most modules do not even have their bytes, and the others are
read instruction by instruction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

_HEAD_BYTES: Final = 8  # magic and version
_CODE_SECTION: Final = 10
# custom, types, functions, memory, exports, code, data: no table, global, start function, element or tag
_STATELESS_SECTIONS: Final = frozenset({0, 1, 3, 5, 7, _CODE_SECTION, 11})
_MORE: Final = 0x80  # of a byte of a number: another one follows

_BULK: Final = 0xFC  # the prefix of memory.init, data.drop, memory.copy and memory.fill, which are 8 to 11
_BULK_FIRST, _BULK_LAST = 8, 11
_VECTOR: Final = 0xFD

# What follows an instruction: n numbers, + bytes. Instructions that are not here are not known.
_NUMBERS: Final = {
    **dict.fromkeys((0x00, 0x01, 0x05, 0x0B, 0x0F, 0x1A, 0x1B), 0),
    **dict.fromkeys((0x02, 0x03, 0x04, 0x0C, 0x0D, 0x10, 0x20, 0x21, 0x22, 0x41, 0x42, 0x3F, 0x40), 1),
    **dict.fromkeys(range(0x28, 0x3F), 2),
    **dict.fromkeys(range(0x45, 0xC5), 0),
}
_BYTES: Final = {0x43: 4, 0x44: 8}
_BR_TABLE: Final = 0x0E
_VECTOR_LAST: Final = 255  # behind it are the relaxed ones, which no engine here takes
_VECTOR_MEMORY: Final = frozenset((*range(12), 92, 93))
_VECTOR_LANE_MEMORY: Final = frozenset(range(84, 92))
_VECTOR_BYTES: Final = {12: 16, 13: 16, **dict.fromkeys(range(21, 35), 1)}


class _Unknown(Exception):
    """An instruction that is not in the tables."""


def memory_is_its_state(code: bytes) -> bool:
    """Whether calls can leave nothing behind in an instance of this valid module but bytes in its memory."""
    for number, body in _sections(code):
        if number not in _STATELESS_SECTIONS:
            return False
        if number == _CODE_SECTION and _may_be_bulk(body) and _is_bulk(body):
            return False
    return True


def _sections(code: bytes) -> Iterator[tuple[int, bytes]]:
    at = _HEAD_BYTES
    while at < len(code):
        number = code[at]
        size, start = _number(code, at + 1)
        at = start + size
        yield number, code[start:at]


def _may_be_bulk(body: bytes) -> bool:
    """Whether the two bytes a bulk instruction begins with stand together anywhere."""
    found = np.frombuffer(body, np.uint8)
    following = found[1:][found[:-1] == _BULK] & ~np.uint8(_MORE)
    return bool(((following >= _BULK_FIRST) & (following <= _BULK_LAST)).any())


def _is_bulk(body: bytes) -> bool:
    functions, at = _number(body, 0)
    try:
        for _ in range(functions):
            size, start = _number(body, at)
            at = start + size
            _walk(body, start, at)
    except _Unknown:
        return True
    return False


def _walk(body: bytes, at: int, end: int) -> None:
    """Through one function; raises `_Unknown` at a bulk instruction, or one that is not known."""
    groups, at = _number(body, at)
    for _ in range(groups):
        at = _number(body, at)[1] + 1  # so many locals, of a type of one byte
    while at < end:
        operation = body[at]
        at += 1
        if operation == _VECTOR:
            at = _after_vector(body, at)
        elif operation in _BYTES:
            at += _BYTES[operation]
        elif operation == _BR_TABLE:
            targets, at = _number(body, at)
            at = _skip(body, at, targets + 1)
        elif operation == _BULK and body[at] < _BULK_FIRST:
            at += 1
        elif operation in _NUMBERS:
            at = _skip(body, at, _NUMBERS[operation])
        else:
            raise _Unknown


def _after_vector(body: bytes, at: int) -> int:
    operation, at = _number(body, at)
    if operation > _VECTOR_LAST:
        raise _Unknown
    if operation in _VECTOR_MEMORY:
        return _skip(body, at, 2)
    if operation in _VECTOR_LANE_MEMORY:
        return _skip(body, at, 2) + 1
    return at + _VECTOR_BYTES.get(operation, 0)


def _skip(body: bytes, at: int, numbers: int) -> int:
    for _ in range(numbers):
        while body[at] & _MORE:
            at += 1
        at += 1
    return at


def _number(body: bytes, at: int) -> tuple[int, int]:
    """A number without sign, seven bits per byte, and where it ends."""
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & ~_MORE) << shift
        shift += 7
        if not byte & _MORE:
            return value, at
