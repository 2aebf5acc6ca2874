"""Snapshots: the state up to one entry, in one file, complete or absent.

    file := "SWARMSNP" version bytes crc32 header(protobuf) state

A snapshot of our own is written aside by a worker thread and adopted by the Raft thread: the file is
durable, then renamed, then the rename made durable, and only then may the log's prefix go. One from the
leader comes in chunks, each with its offset; chunks of two transfers are never mixed, and nothing
replaces the file we have before the new one was checked whole. Both are adopted by the same thread, and
an older one never replaces a newer.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import DecodeError

from swarm.adapters.raft.logfile import sync_directory
from swarm.adapters.raft.messages import SnapshotChunk
from swarm.adapters.raft.roll import voters_from_pb, voters_to_pb
from swarm.adapters.raft.settings import SNAPSHOT_BYTES_MAX, SNAPSHOT_CHUNK_BYTES
from swarm.errors import LogDamaged
from swarm.ports import Voters
from swarm.wire.gen import raft_pb2 as pb

SNAPSHOT_FILE = "snapshot"
_MAGIC = b"SWARMSNP"
_VERSION = 1
_HEAD = struct.Struct("<8sIII")
_HEADER_BYTES_MAX = 65_536
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after entry `index` of `term`."""

    index: int
    term: int
    state: bytes = field(repr=False)
    voters: Voters | None = None  # None: as the cluster was founded


def encode_head(snapshot: Snapshot) -> bytes:
    """Everything in the file before the state."""
    header = pb.RaftSnapshotHeader(
        index=snapshot.index,
        term=snapshot.term,
        state_bytes=len(snapshot.state),
        state_crc32=zlib.crc32(snapshot.state),
        voters=None if snapshot.voters is None else voters_to_pb(snapshot.voters),
    ).SerializeToString()
    return _HEAD.pack(_MAGIC, _VERSION, len(header), zlib.crc32(header)) + header


def decode(data: bytes, place: str) -> Snapshot:
    """The snapshot in a file; `LogDamaged` unless every byte checks."""
    if len(data) < _HEAD.size:
        raise LogDamaged("the snapshot is too short", place=place)
    magic, version, length, checksum = _HEAD.unpack_from(data)
    encoded = data[_HEAD.size : _HEAD.size + length]
    if magic != _MAGIC or version != _VERSION:
        raise LogDamaged("not a snapshot of this version", place=place)
    if length > _HEADER_BYTES_MAX or len(encoded) != length or zlib.crc32(encoded) != checksum:
        raise LogDamaged("the snapshot's header is damaged", place=place)
    try:
        header = pb.RaftSnapshotHeader.FromString(encoded)
    except DecodeError as error:
        raise LogDamaged("the snapshot's header is damaged", place=place) from error
    state = data[_HEAD.size + length :]
    if len(state) != header.state_bytes or zlib.crc32(state) != header.state_crc32:
        raise LogDamaged("the snapshot's state is damaged", place=place)
    voters = voters_from_pb(header.voters) if header.HasField("voters") else None
    return Snapshot(header.index, header.term, state, voters)


@dataclass(slots=True)
class Transfer:
    """The leader's end of sending its snapshot file to one peer.

    Holds the open file, so that adopting a newer snapshot meanwhile does not splice two.
    """

    index: int
    term: int
    file: BinaryIO
    offset: int = 0
    sent_at: float | None = None  # when the last chunk went out

    def next_chunk(self, term: int, now: float) -> SnapshotChunk:
        data = self.file.read(SNAPSHOT_CHUNK_BYTES + 1)
        last = len(data) <= SNAPSHOT_CHUNK_BYTES
        data = data[:SNAPSHOT_CHUNK_BYTES]
        chunk = SnapshotChunk(term, self.index, self.term, self.offset, data, last)
        self.offset += len(data)
        if last:
            self.sent_at = now
        else:
            self.file.seek(self.offset)
        return chunk

    def close(self) -> None:
        self.file.close()


@dataclass(slots=True)
class _Reception:
    sender: str
    index: int
    file: BinaryIO
    offset: int = 0


class SnapshotStore:
    """The one snapshot file of a replica. Used by the Raft thread, except `write_aside`."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / SNAPSHOT_FILE
        self.index = 0  # of the snapshot in the file; 0 without one
        self.term = 0
        self._aside = self.path.with_suffix(".new")
        self._received = self.path.with_suffix(".received")
        self._reception: _Reception | None = None
        for leftover in (self._aside, self._received):
            leftover.unlink(missing_ok=True)

    def load(self) -> Snapshot | None:
        """The snapshot to start from. One that does not check is never skipped."""
        if not self.path.exists():
            return None
        snapshot = decode(self.path.read_bytes(), str(self.path))
        self.index, self.term = snapshot.index, snapshot.term
        return snapshot

    def write_aside(self, snapshot: Snapshot) -> None:
        """Write a snapshot of our own where it does not count yet. Runs on a worker thread."""
        with os.fdopen(os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE), "wb") as file:
            file.write(encode_head(snapshot))
            file.write(snapshot.state)
            file.flush()
            os.fsync(file.fileno())

    def adopt(self, index: int, term: int) -> bool:
        """Make the snapshot written aside the current one; False if a newer came meanwhile."""
        if index <= self.index:
            self._aside.unlink(missing_ok=True)
            return False
        self._make_current(self._aside, index, term)
        return True

    def open_transfer(self) -> Transfer | None:
        """Begin sending the current snapshot to a peer."""
        return Transfer(self.index, self.term, self.path.open("rb")) if self.index else None

    def receive(self, sender: str, chunk: SnapshotChunk, applied_index: int) -> Snapshot | None:
        """Take a chunk from the leader; the snapshot, once whole, checked and durable.

        A chunk out of place ends the transfer: the leader starts again when no answer comes. One that is not
        ahead of `applied_index` is not worth having.
        """
        if chunk.offset == 0:
            self.abandon()
            if chunk.index <= applied_index:
                return None
            descriptor = os.open(self._received, os.O_RDWR | os.O_CREAT | os.O_TRUNC, _MODE)
            self._reception = _Reception(sender, chunk.index, os.fdopen(descriptor, "w+b"))
        taking = self._reception
        expected = (taking.sender, taking.index, taking.offset) if taking else None
        if taking is None or expected != (sender, chunk.index, chunk.offset):
            self.abandon()
            return None
        if taking.offset + len(chunk.data) > SNAPSHOT_BYTES_MAX:
            self.abandon()
            raise LogDamaged("the leader's snapshot is above the bound", place=sender)
        taking.file.write(chunk.data)
        taking.offset += len(chunk.data)
        return self._finish(taking) if chunk.last else None

    def abandon(self) -> None:
        """Forget a half-received snapshot."""
        if self._reception is not None:
            self._reception.file.close()
            self._reception = None
            self._received.unlink(missing_ok=True)

    def _finish(self, taking: _Reception) -> Snapshot:
        taking.file.flush()
        os.fsync(taking.file.fileno())
        taking.file.seek(0)
        try:
            snapshot = decode(taking.file.read(), f"snapshot from {taking.sender}")
        except LogDamaged:
            self.abandon()
            raise
        taking.file.close()
        self._reception = None
        self._make_current(self._received, snapshot.index, snapshot.term)
        return snapshot

    def _make_current(self, source: Path, index: int, term: int) -> None:
        source.rename(self.path)
        sync_directory(self.path.parent)
        self.index, self.term = index, term
