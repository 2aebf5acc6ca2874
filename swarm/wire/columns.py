"""Many rows of port values as columns: one list per port instead of one message per value.

A protobuf message costs about a microsecond to make in Python whatever it holds; a list of bytes costs a
tenth of that per item. Steps of one kind have ports of one shape, so almost everything that travels in
numbers travels in columns. Rows are grouped only with their neighbours: order is never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, repeat
from typing import TypeAlias

from swarm.errors import ProtocolBroken
from swarm.graph import KINDS, REF, Items, Payload, read_ref
from swarm.trust.results import PROOF_BYTES
from swarm.wire.convert import PLACE_CHARS_MAX
from swarm.wire.gen import common_pb2 as pb

Shape: TypeAlias = tuple[tuple[str, str, bool], ...]
"""For each port its name, the kind of its payloads (empty where they differ), and whether it has many."""

_KINDS = frozenset({*KINDS, REF}) - {"any"}


def shape(values: Mapping[str, Items]) -> Shape:
    """What rows must have in common to share columns."""
    return tuple(
        [
            (port, items.kind, False) if isinstance(items, Payload) else (port, _common_kind(items), True)
            for port, items in values.items()
        ]
    )


def _common_kind(items: Sequence[Payload]) -> str:
    kinds = {item.kind for item in items}
    return kinds.pop() if len(kinds) == 1 else ""


def to_columns(rows: Sequence[Mapping[str, Items]], common: Shape) -> list[pb.Column]:
    """Rows of one shape, port by port."""
    found = []
    for port, kind, many in common:
        if not many:
            found.append(pb.Column(port=port, kind=kind, data=[row[port].data for row in rows]))  # type: ignore[union-attr]
            continue
        items = [row[port] for row in rows]
        payloads = [payload for each in items for payload in each]
        found.append(
            pb.Column(
                port=port,
                kind=kind,
                many=True,
                data=[payload.data for payload in payloads],  # type: ignore[union-attr]
                counts=[len(each) for each in items],
                kinds=() if kind else [payload.kind for payload in payloads],  # type: ignore[union-attr]
            )
        )
    return found


def from_columns(columns: Iterable[pb.Column], count: int) -> list[dict[str, Items]]:
    """The reverse of `to_columns`. Raises `ProtocolBroken` where lengths or kinds do not fit."""
    columns = list(columns)
    if len(columns) == 1:
        port = columns[0].port
        return [{port: items} for items in _column(columns[0], count)]
    rows: list[dict[str, Items]] = [{} for _ in range(count)]
    seen: set[str] = set()
    for column in columns:
        port = column.port
        if port in seen:
            raise ProtocolBroken("a port is given twice", place=port[:PLACE_CHARS_MAX])
        seen.add(port)
        for row, items in zip(rows, _column(column, count), strict=True):
            row[port] = items
    return rows


def _column(column: pb.Column, count: int) -> Iterator[Items]:
    kind, data = column.kind, column.data
    if not column.many:
        if len(data) != count or kind not in _KINDS:
            raise ProtocolBroken(
                f"{len(data)} payloads of kind {kind[:20]!r} for {count} rows",
                place=column.port[:PLACE_CHARS_MAX],
            )
        if kind == REF:
            _check_refs(data)
        return map(Payload._make, zip(repeat(kind), data))
    kinds = column.kinds if not kind else [kind] * len(data)
    if len(kinds) != len(data) or len(column.counts) != count or sum(column.counts) != len(data):
        raise ProtocolBroken(
            f"{len(data)} payloads do not fill {count} rows", place=column.port[:PLACE_CHARS_MAX]
        )
    if not _KINDS.issuperset(kinds):
        raise ProtocolBroken("a payload of an unknown kind", place=column.port[:PLACE_CHARS_MAX])
    if REF in kinds:
        _check_refs(item for kind, item in zip(kinds, data, strict=True) if kind == REF)
    payloads = map(Payload, kinds, data)
    return (tuple(islice(payloads, size)) for size in column.counts)


def _check_refs(data: Iterable[bytes]) -> None:
    """Whoever decodes refuses references that are none: nobody behind has to doubt them."""
    for item in data:
        read_ref(item)


def same_length(count: int, *lists: Sequence[object]) -> None:
    """Raise `ProtocolBroken` unless every list has one item per row."""
    if any(len(each) != count for each in lists):
        raise ProtocolBroken(f"lists of {[len(each) for each in lists]} items for {count} rows")


def signatures_to_pb(signatures: Sequence[bytes]) -> Sequence[bytes]:
    """One for each row, or none at all where no row has one."""
    return signatures if any(signatures) else ()


def signatures_from_pb(signatures: Sequence[bytes], count: int) -> Iterable[bytes]:
    """The reverse of `signatures_to_pb`. Raises `ProtocolBroken`."""
    if not signatures:
        return repeat(b"", count)
    if len(signatures) != count or any(len(each) not in (0, PROOF_BYTES) for each in signatures):
        raise ProtocolBroken(f"{len(signatures)} signatures for {count} rows")
    return signatures
