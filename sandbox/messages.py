"""What stands in the bodies of frames: calls, answers, one port's worth of items, an agent to load.

A call is a head (rows, bytes of the capability's name, number and bytes of a piece of shared memory), the
name, and its rows; an answer to it is its rows. All integers are little endian.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from sandbox.bodies import MessageError, Reader
from sandbox.frames import Data
from sandbox.outside import Owner
from sandbox.payload import Items, Ports
from sandbox.rows import (
    ITEMS_MAX,
    NAME_BYTES_MAX,
    Bulk,
    HeldBulk,
    Payable,
    Result,
    Row,
    read_rows,
    write_rows,
)

Share: TypeAlias = Callable[[list[Payable], int], int | None]
"""Puts so many bytes of payloads into shared memory; returns the number of the piece, None if it cannot."""
Open: TypeAlias = Callable[[int, int], Bulk]
"""Gives the so many bytes of the piece of that number that came with a message."""

_CALL: Final = struct.Struct("<IHxxIxxxxQ")
_LOAD: Final = struct.Struct("<I")


def _write(rows: Sequence[Row], share: Share | None) -> tuple[list[Data], int, int]:
    """Rows as pieces of a body; the number and the bytes of what lies in shared memory."""
    if share is not None:
        bulk: list[Payable] = []
        parts = write_rows(rows, bulk)
        if not bulk:
            return parts, 0, 0
        size = sum(map(len, bulk))
        number = share(bulk, size)
        if number is not None:
            return parts, number, size
    return write_rows(rows, None), 0, 0


def write_process(capability: str, batch: Sequence[Ports], share: Share | None = None) -> list[Data]:
    """The body of a process call."""
    if len(batch) > ITEMS_MAX:
        raise MessageError(f"{len(batch)} items in a batch, at most {ITEMS_MAX}")
    parts, number, bulk_bytes = _write(batch, share)
    return [call_head(capability, len(batch), number, bulk_bytes), *parts]


def call_head(capability: str, rows: int, piece: int, bulk_bytes: int) -> bytes:
    """What a process call begins with."""
    name = capability.encode()
    if len(name) > NAME_BYTES_MAX:
        raise MessageError(f"a capability of {len(name)} bytes, at most {NAME_BYTES_MAX}")
    return _CALL.pack(rows, len(name), piece, bulk_bytes) + name


def read_process(body: Data, opened: Open | None = None) -> tuple[str, list[dict[str, Items]]]:
    """Inverse of `write_process`."""
    reader = Reader(body)
    items, name_bytes, number, bulk_bytes = reader.take(_CALL)
    if items > ITEMS_MAX:
        raise MessageError(f"{items} items, at most {ITEMS_MAX}")
    capability = reader.text(name_bytes)
    bulk = opened(number, bulk_bytes) if bulk_bytes and opened is not None else None
    rows = read_rows(reader, items, bulk)
    return capability, [row for row in rows if isinstance(row, dict)]


def write_results(results: Sequence[Row], share: Share | None = None) -> list[Data]:
    """The body of the answer to a process call: per item its ports or its failure."""
    return _write(results, share)[0]


def read_results(
    body: Data, count: int, shared: bytes | None = None, held: tuple[Owner, int] | None = None
) -> list[Result]:
    """Inverse of `write_results` for a batch of `count`.

    `shared` is a copy of what lay in shared memory; `held` is where so many bytes still lie.
    """
    bulk = None if shared is None else Bulk(shared, copied=True)
    return read_rows(Reader(body), count, HeldBulk(*held) if held is not None else bulk, checked=True)


def write_items(items: Items) -> list[Data]:
    """The body that carries one port's worth of payloads."""
    return write_rows(({"": items},), None)


def read_items(body: Data) -> Items:
    """Inverse of `write_items`."""
    (row,) = read_rows(Reader(body), 1, None)
    if not isinstance(row, dict) or set(row) != {""}:
        raise MessageError("exactly one nameless port is expected")
    return row[""]


def write_load(kind: str, name: str, manifest: Mapping[str, Any], code: bytes) -> list[Data]:
    """The body that brings an agent into a cell."""
    about = json.dumps({"kind": kind, "name": name, "manifest": dict(manifest)}).encode()
    return [_LOAD.pack(len(about)), about, code]


def read_load(body: Data) -> tuple[str, str, dict[str, Any], bytes]:
    """Inverse of `write_load`."""
    reader = Reader(body)
    (size,) = reader.take(_LOAD)
    about = json.loads(reader.data(size))
    return about["kind"], about["name"], about["manifest"], reader.rest()
