"""Calls and their replies as protobuf: rows of one shape travel in columns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple, TypeVar

from swarm import limits
from swarm.errors import ProtocolBroken, SwarmError
from swarm.graph import Items
from swarm.ids import CapabilityName
from swarm.scheduler.ledger import payload_bytes
from swarm.wire.columns import Shape, from_columns, shape, to_columns
from swarm.wire.convert import error_from_pb, error_to_pb
from swarm.wire.gen import call_pb2 as pb


class CallRow(NamedTuple):
    """One call: `id` is the caller's."""

    id: int
    capability: CapabilityName
    timeout_ms: int
    inputs: Mapping[str, Items]


class ReplyRow(NamedTuple):
    """What became of one call: its outputs, or why there are none."""

    id: int
    result: Mapping[str, Items] | SwarmError


RowT = TypeVar("RowT", bound=CallRow | ReplyRow)


def take(rows: deque[RowT], rows_max: int) -> list[RowT]:
    """The next rows that fit into one message; a row that is heavy goes alone."""
    taken: list[RowT] = []
    weight = 0
    while rows and len(taken) < rows_max:
        row = rows[0]
        held = row.inputs if isinstance(row, CallRow) else row.result
        weight += 0 if isinstance(held, SwarmError) else payload_bytes(held.values())
        if taken and weight > limits.RECORDS_BATCH_BYTES_MAX:
            break
        taken.append(rows.popleft())
    return taken


def calls_to_pb(rows: Sequence[CallRow]) -> pb.CallBatches:
    """Calls in order; neighbours that are alike share their columns."""
    parts = []
    for (capability, timeout_ms, common), group in groupby(
        rows, lambda row: (row.capability, row.timeout_ms, shape(row.inputs))
    ):
        alike = list(group)
        parts.append(
            pb.CallBatch(
                capability=capability,
                timeout_ms=timeout_ms,
                ids=[row.id for row in alike],
                inputs=to_columns([row.inputs for row in alike], common),
            )
        )
    return pb.CallBatches(parts=parts)


def calls_from_pb(message: pb.CallBatches) -> list[CallRow]:
    """The reverse of `calls_to_pb`; raises `ProtocolBroken`."""
    count = sum(len(part.ids) for part in message.parts)
    if count > limits.CALLS_BATCH_MAX:
        raise ProtocolBroken(f"{count} calls in one message, at most {limits.CALLS_BATCH_MAX}")
    found = []
    for part in message.parts:
        capability, timeout_ms = CapabilityName(part.capability[: limits.NAME_CHARS_MAX]), part.timeout_ms
        rows = from_columns(part.inputs, len(part.ids))
        found += [CallRow(id_, capability, timeout_ms, row) for id_, row in zip(part.ids, rows, strict=True)]
    return found


def _shape(row: ReplyRow) -> Shape | None:
    """What replies must share to share columns; None for a failure."""
    return None if isinstance(row.result, SwarmError) else shape(row.result)


def replies_to_pb(rows: Sequence[ReplyRow]) -> pb.CallReplies:
    """Replies; neighbours that are alike share their columns."""
    results, failures = [], []
    for common, group in groupby(rows, _shape):
        ids, given = [], []
        for row in group:
            if isinstance(row.result, SwarmError):
                failures.append(pb.CallFailure(id=row.id, error=error_to_pb(row.result)))
            else:
                ids.append(row.id)
                given.append(row.result)
        if common is not None:
            results.append(pb.CallResults(ids=ids, outputs=to_columns(given, common)))
    return pb.CallReplies(results=results, failures=failures)


def replies_from_pb(message: pb.CallReplies) -> Iterator[ReplyRow]:
    """The reverse of `replies_to_pb`; raises `ProtocolBroken`."""
    for part in message.results:
        rows: Iterable[Mapping[str, Items]] = from_columns(part.outputs, len(part.ids))
        yield from map(ReplyRow, part.ids, rows)
    for failure in message.failures:
        yield ReplyRow(failure.id, error_from_pb(failure.error))
