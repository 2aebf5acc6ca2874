"""Entries to batches and back. A batch is one key, hence bounded; a larger entry spans several."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from swarm.adapters.etcd.settings import BATCH_BYTES_MAX, ENTRY_OVERHEAD_BYTES, PIECE_BYTES
from swarm.errors import LogDamaged
from swarm.limits import ENTRY_BYTES_MAX
from swarm.ports import Committed
from swarm.wire.gen import etcdlog_pb2 as pb

PAYLOAD, NOTHING, PIECE = pb.EtcdEntry.PAYLOAD, pb.EtcdEntry.NOTHING, pb.EtcdEntry.PIECE


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of a batch to be written, and who waits for the entry it ends."""

    kind: pb.EtcdEntry.Kind
    data: bytes = field(repr=False)
    done: asyncio.Future[int] | None = field(repr=False, default=None)


def places(data: bytes | None, done: asyncio.Future[int] | None = None) -> Iterator[Place]:
    """A payload in pieces that fit; None is a place that carries nothing."""
    if data is None:
        yield Place(NOTHING, b"", done)
        return
    at = 0
    while len(data) - at > PIECE_BYTES:
        yield Place(PIECE, data[at : at + PIECE_BYTES])
        at += PIECE_BYTES
    yield Place(PAYLOAD, data[at:], done)


def next_batch(waiting: deque[Place], term: int, first_index: int) -> tuple[pb.EtcdBatch, list[Place]]:
    """As much of what waits as one key takes, taken from its queue."""
    batch = pb.EtcdBatch(term=term, first_index=first_index)
    taken: list[Place] = []
    weight = 0
    while waiting and (not taken or weight + _weight(waiting[0]) <= BATCH_BYTES_MAX):
        place = waiting.popleft()
        weight += _weight(place)
        batch.entries.add(kind=place.kind, data=place.data)
        taken.append(place)
    return batch, taken


def _weight(place: Place) -> int:
    return len(place.data) + ENTRY_OVERHEAD_BYTES


class Assembler:
    """Makes entries of batches, in order. `number` and `index` are of the last batch and entry taken."""

    def __init__(self, number: int = 0, index: int = 0) -> None:
        self.number, self.index = number, index
        self.term = 0
        self._pieces = bytearray()

    @property
    def between_entries(self) -> bool:
        """Whether the last batch ended with the end of an entry."""
        return not self._pieces

    def take(self, number: int, batch: pb.EtcdBatch) -> list[Committed]:
        """The entries that end in a batch; places that carry nothing only move `index` on."""
        if (number, batch.first_index) != (self.number + 1, self.index + 1):
            raise LogDamaged(
                f"batch {number} begins at entry {batch.first_index}, "
                f"after batch {self.number} that ended at entry {self.index}",
                place="etcd",
                remedy="restore etcd from a whole copy; nothing may write under /swarm/ but the swarm",
            )
        if batch.term != self.term:
            self._pieces.clear()  # who began that entry never finished it
        self.number, self.term = number, batch.term
        found = []
        for entry in batch.entries:
            if len(self._pieces) + len(entry.data) > ENTRY_BYTES_MAX:
                raise LogDamaged(f"entry {self.index + 1} is above the bound", place="etcd")
            if entry.kind == PIECE:
                self._pieces += entry.data
                continue
            self.index += 1
            if entry.kind == PAYLOAD:
                data, self._pieces = bytes(self._pieces + entry.data), bytearray()
                found.append(Committed(self.index, batch.term, data))
        return found
