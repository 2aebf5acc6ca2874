"""What stands in the bodies of frames: calls, answers, one port's worth of items, an agent to load.

A call is a head (rows, bytes of the capability's name, bytes in shared memory), the name, and its rows;
an answer to it is the number of bytes in shared memory and the rows. All integers are little endian.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from sandbox.bodies import MessageError, Reader
from sandbox.frames import Data
from sandbox.payload import Items, Ports
from sandbox.rows import ITEMS_MAX, NAME_BYTES_MAX, Bulk, Result, Row, read_rows, write_rows

Open: TypeAlias = Callable[[int], Bulk]
"""Gives the so many bytes of shared memory that came with a message."""

_CALL: Final = struct.Struct("<IHxxQ")
_ANSWER: Final = struct.Struct("<Q")
_LOAD: Final = struct.Struct("<I")


def _opened(opened: Open | None, size: int) -> Bulk | None:
    if not size:
        return None
    if opened is None:
        raise MessageError(f"{size} bytes in shared memory that was not given")
    return opened(size)


def write_process(capability: str, batch: Sequence[Ports], bulk: list[Data] | None = None) -> list[Data]:
    """The body of a process call."""
    if len(batch) > ITEMS_MAX:
        raise MessageError(f"{len(batch)} items in a batch, at most {ITEMS_MAX}")
    name = capability.encode()
    if len(name) > NAME_BYTES_MAX:
        raise MessageError(f"a capability of {len(name)} bytes, at most {NAME_BYTES_MAX}")
    parts = write_rows(batch, bulk)
    head = _CALL.pack(len(batch), len(name), sum(map(len, bulk or ()))) + name
    return [head, *parts]


def read_process(body: Data, opened: Open | None = None) -> tuple[str, list[dict[str, Items]]]:
    """Inverse of `write_process`."""
    reader = Reader(body)
    items, name_bytes, bulk_bytes = reader.take(_CALL)
    if items > ITEMS_MAX:
        raise MessageError(f"{items} items, at most {ITEMS_MAX}")
    capability = reader.text(name_bytes)
    rows = read_rows(reader, items, _opened(opened, bulk_bytes))
    return capability, [row for row in rows if isinstance(row, dict)]


def write_results(results: Sequence[Row], bulk: list[Data] | None = None) -> list[Data]:
    """The body of the answer to a process call: per item its ports or its failure."""
    parts = write_rows(results, bulk)
    return [_ANSWER.pack(sum(map(len, bulk or ()))), *parts]


def read_results(body: Data, count: int, opened: Open | None = None) -> list[Result]:
    """Inverse of `write_results` for a batch of `count`; every tensor is one."""
    reader = Reader(body)
    (bulk_bytes,) = reader.take(_ANSWER)
    return read_rows(reader, count, _opened(opened, bulk_bytes), checked=True)


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
