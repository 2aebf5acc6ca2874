"""Rows of port values written as columns: what stands in the body of a batch and of its results.

Neighbouring rows with the same ports and kinds form a group. A group is written port by port: the name,
the kind, one array of sizes, then all the bytes in one piece. So a batch costs a few struct calls and one
slice per payload, whatever its rows hold, and one row is a group of one. Rows that failed form groups of
their own. Payloads of `BULK_BYTES` and more do not stand in the body: it has their length, and the bytes
lie in shared memory in the same order.

The daemon reads what a cell wrote as hostile input: every count, length and kind is checked against its
cap and against the bytes at hand before it is used.

    group    what u8, columns u8, rows u32, then its columns (or one failure per row)
    column   bytes of the name u16, kind u8, many u8, payloads u32, the name;
             many: rows counts u32; kind mixed: payloads kinds u8; payloads sizes u32; the payloads
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Sequence
from itertools import groupby, islice, repeat
from typing import Any, Final, TypeAlias

from sandbox import failures, tensors
from sandbox.bodies import MessageError, Reader
from sandbox.errors import CellError
from sandbox.frames import Data
from sandbox.outside import Held, Owner, Stored
from sandbox.payload import KINDS, Items, Payload, Ports

Row: TypeAlias = "Ports | CellError"
Payable: TypeAlias = "Data | tensors.Encoded | Stored"
Result: TypeAlias = "dict[str, Items] | CellError"
Shape: TypeAlias = "tuple[tuple[str, str | None, bool], ...] | None"
"""For each port its name, its kind (None: many) and whether it is bulk; None for a row that failed."""

ITEMS_MAX: Final = 4096  # rows of one batch
PORTS_MAX: Final = 64  # of one row
PAYLOADS_MAX: Final = 65536  # on one `many` port of one row
COLUMN_PAYLOADS_MAX: Final = 1 << 20
COLUMN_BYTES_MAX: Final = 1 << 31  # of one payload; a frame holds far less
NAME_BYTES_MAX: Final = 400  # of a port or a capability
BULK_BYTES: Final = 1 << 20  # from this size on, shared memory is cheaper than the socket

_SIZE: Final = struct.Struct("<I")
_GROUP: Final = struct.Struct("<BBI")
_COLUMN: Final = struct.Struct("<HBBI")
_ONLY: Final = struct.Struct("<BBIHBBI")  # both of them
_OK, _FAILED = 0, 1
_CODES: Final = {kind: code for code, kind in enumerate(KINDS)}
_BULK: Final = 0x40  # of a kind's code: the bytes lie in shared memory
_MIXED: Final = 0xFF
_TENSOR: Final = "tensor"
_TENSOR_CODE: Final = _CODES[_TENSOR]


def write_rows(rows: Sequence[Row], bulk: list[Payable] | None) -> list[Data]:
    """The pieces of a body; payloads that belong in shared memory are put into `bulk`, if there is one."""
    if len(rows) == 1 and (only := _write_only(rows[0])):
        return only
    parts: list[Data] = []
    for shape, found in groupby(rows, _shape):
        group: Any = list(found)
        if shape is None:
            parts.append(_GROUP.pack(_FAILED, 0, len(group)))
            for error in group:
                parts += failures.write(error)
            continue
        if len(shape) > PORTS_MAX:
            raise MessageError(f"{len(shape)} ports, at most {PORTS_MAX}")
        parts.append(_GROUP.pack(_OK, len(shape), len(group)))
        for port, kind, is_bulk in shape:
            items = [row[port] for row in group]
            if kind is None:
                _write_many(parts, bulk, port, items)
                continue
            datas = [item[1] for item in items]
            outside = is_bulk and bulk is not None
            parts.append(_head(port, _CODES[kind] | _BULK if outside else _CODES[kind], 0, len(datas)))
            parts.append(_sizes(list(map(len, datas))))
            if outside and bulk is not None:
                bulk.extend(datas)
            else:
                parts.extend(map(tensors.flat, datas) if is_bulk else datas)
    return parts


def _write_only(row: Row) -> list[Data] | None:
    """The pieces of a row that has one payload and no more, which is how almost every single call looks."""
    if isinstance(row, CellError) or len(row) != 1:
        return None
    ((port, items),) = row.items()
    if isinstance(items, list) or len(items[1]) >= BULK_BYTES:
        return None
    kind, data = items
    return [only_head(port, kind, len(data)), data]


@functools.lru_cache(maxsize=512)
def only_head(port: str, kind: str, size: int) -> bytes:
    """What stands before the bytes of a row's only payload."""
    return _GROUP.pack(_OK, 1, 1) + _head(port, _CODES[kind], 0, 1) + _SIZE.pack(size)


def _read_only(reader: Reader, *, checked: bool) -> list[Result] | None:
    """Inverse of `_write_only`, or None where something else follows."""
    try:
        fields = _ONLY.unpack_from(reader.body, reader.at)
    except struct.error:
        return None
    name_bytes, code = fields[3], fields[4]
    if fields != (_OK, 1, 1, name_bytes, code, 0, 1) or name_bytes > NAME_BYTES_MAX or code >= len(KINDS):
        return None
    reader.at += _ONLY.size
    name = reader.text(name_bytes)
    (size,) = reader.take(_SIZE)
    data = reader.data(size)
    reader.finish()
    if checked and code == _TENSOR_CODE:
        _check_tensors((data,))
    return [{name: (KINDS[code], data)}]


def _shape(row: Row) -> Shape:
    if isinstance(row, CellError):
        return None
    return tuple(
        [
            (port, None, False) if isinstance(items, list) else (port, items[0], len(items[1]) >= BULK_BYTES)
            for port, items in row.items()
        ]
    )


@functools.lru_cache(maxsize=256)
def _head(port: str, code: int, many: int, payloads: int) -> bytes:
    name = port.encode()
    if len(name) > NAME_BYTES_MAX:
        raise MessageError(f"a port name of {len(name)} bytes, at most {NAME_BYTES_MAX}")
    return _COLUMN.pack(len(name), code, many, payloads) + name


def _sizes(sizes: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(sizes)}I", *sizes) if len(sizes) != 1 else _SIZE.pack(*sizes)


def _write_many(parts: list[Data], bulk: list[Payable] | None, port: str, items: list[list[Payload]]) -> None:
    payloads = [payload for each in items for payload in each]
    counts = list(map(len, items))
    if max(counts) > PAYLOADS_MAX or len(payloads) > COLUMN_PAYLOADS_MAX:
        raise MessageError(f"{max(counts)} payloads on port {port!r}, at most {PAYLOADS_MAX}")
    inline_max = COLUMN_BYTES_MAX if bulk is None else BULK_BYTES
    codes = [_CODES[kind] | _BULK if len(data) >= inline_max else _CODES[kind] for kind, data in payloads]
    parts += (
        _head(port, _MIXED, 1, len(payloads)),
        _sizes(counts),
        bytes(codes),
        _sizes([len(data) for _, data in payloads]),
    )
    for code, (_, data) in zip(codes, payloads, strict=True):
        if code & _BULK and bulk is not None:
            bulk.append(data)
        else:
            parts.append(tensors.flat(data))


class Bulk:
    """The payloads of one message that lie in shared memory, taken in order."""

    def __init__(self, view: Data, *, copied: bool, given: list[memoryview] | None = None) -> None:
        self._view = memoryview(view)
        self._size = len(self._view)
        self._copied = copied
        self._given = given
        self._at = 0

    def take(self, size: int) -> Any:
        """The next payload; raises `MessageError` where there is no such one."""
        end = self._at + size
        if size < BULK_BYTES or end > len(self._view):
            raise MessageError(f"a bulk payload of {size} bytes that is not there")
        start, self._at = self._at, end
        if self._copied:
            whole = start == 0 and end == len(self._view) and isinstance(self._view.obj, bytes)
            return self._view.obj if whole else bytes(self._view[start:end])
        found = self._view[start:end]
        if self._given is not None:
            self._given.append(found)
        return found

    def finish(self) -> None:
        """Refuse bytes nobody asked for."""
        if self._at != self._size:
            raise MessageError(f"{self._size - self._at} bulk bytes too many")


class HeldBulk(Bulk):
    """The same of an answer that stays where it is: each payload is a place in it."""

    def __init__(self, owner: Owner, size: int) -> None:
        super().__init__(b"", copied=False)
        self._owner = owner
        self._size = size

    def take(self, size: int) -> Any:
        """The next payload; raises `MessageError` where there is no such one."""
        start, self._at = self._at, self._at + size
        if size < BULK_BYTES or self._at > self._size:
            raise MessageError(f"a bulk payload of {size} bytes that is not there")
        return Held(self._owner, start, size)


def _outside(bulk: Bulk | None, size: int) -> Any:
    if bulk is None:
        raise MessageError("a bulk payload where there is no shared memory")
    return bulk.take(size)


def read_rows(reader: Reader, count: int, bulk: Bulk | None, *, checked: bool = False) -> list[Result]:
    """The rows of a body; `checked` refuses tensors that are none before anybody else has to."""
    if count == 1 and bulk is None and (only := _read_only(reader, checked=checked)):
        return only
    rows: list[Result] = []
    while len(rows) < count:
        what, columns, size = reader.take(_GROUP)
        if not 0 < size <= count - len(rows):
            raise MessageError(f"a group of {size} rows where {count - len(rows)} are left")
        if what == _OK:
            rows += _read_group(reader, columns, size, bulk, checked=checked)
        elif what == _FAILED and not columns:
            rows += [failures.take(reader) for _ in range(size)]
        else:
            raise MessageError(f"result flag {what} is unknown")
    reader.finish()
    if bulk is not None:
        bulk.finish()
    return rows


def _read_group(
    reader: Reader, columns: int, size: int, bulk: Bulk | None, *, checked: bool
) -> list[dict[str, Items]]:
    if columns > PORTS_MAX:
        raise MessageError(f"{columns} ports, at most {PORTS_MAX}")
    found: dict[str, list[Any]] = {}
    for _ in range(columns):
        name_bytes, code, many, payloads = reader.take(_COLUMN)
        if name_bytes > NAME_BYTES_MAX:
            raise MessageError(f"a name of {name_bytes} bytes, at most {NAME_BYTES_MAX}")
        name = reader.text(name_bytes)
        if name in found:
            raise MessageError(f"port {name!r} comes twice")
        if many > 1 or payloads > COLUMN_PAYLOADS_MAX or (not many and payloads != size):
            raise MessageError(f"{payloads} payloads on port {name!r}")
        if many:
            found[name] = list(_read_many(reader, code, size, payloads, bulk, checked=checked))
        else:
            found[name] = _read_one_kind(reader, code, payloads, bulk, checked=checked)
    if len(found) == 1:
        ((name, column),) = found.items()
        return [{name: items} for items in column]
    if not found:
        return [{} for _ in range(size)]
    names = tuple(found)
    return [dict(zip(names, values, strict=True)) for values in zip(*found.values(), strict=True)]


def _kind(code: int) -> str:
    if code & ~_BULK >= len(KINDS):
        raise MessageError(f"payload kind {code} is unknown")
    return KINDS[code & ~_BULK]


def _read_one_kind(
    reader: Reader, code: int, payloads: int, bulk: Bulk | None, *, checked: bool
) -> list[Payload]:
    kind = _kind(code)
    sizes = reader.numbers(payloads)
    datas = [_outside(bulk, size) for size in sizes] if code & _BULK else reader.cut(sizes)
    if checked and kind == _TENSOR:
        _check_tensors(datas)
    return list(zip(repeat(kind), datas))


def _read_many(
    reader: Reader, code: int, rows: int, payloads: int, bulk: Bulk | None, *, checked: bool
) -> Iterator[list[Payload]]:
    counts = reader.numbers(rows)
    if code != _MIXED or sum(counts) != payloads or max(counts) > PAYLOADS_MAX:
        raise MessageError(f"{payloads} payloads do not fill {rows} rows")
    codes = reader.data(payloads)
    kinds = list(map(_kind, codes))
    sizes = reader.numbers(payloads)
    inline = iter(reader.cut([size for code, size in zip(codes, sizes, strict=True) if not code & _BULK]))
    pairs = zip(codes, sizes, strict=True)
    datas = [_outside(bulk, size) if code & _BULK else next(inline) for code, size in pairs]
    if checked:
        _check_tensors([data for kind, data in zip(kinds, datas, strict=True) if kind == _TENSOR])
    found = zip(kinds, datas, strict=True)
    return (list(islice(found, size)) for size in counts)


def _check_tensors(datas: Sequence[Data | Held]) -> None:
    """Of what is held elsewhere only the head: the rest may change until somebody has copied it."""
    try:
        tensors.check([data for data in datas if not isinstance(data, Held)])
        for data in datas:
            if isinstance(data, Held):
                tensors.check_head(data.front(tensors.HEAD_BYTES_MAX), len(data))
    except tensors.TensorError as error:
        raise MessageError(str(error)) from error
