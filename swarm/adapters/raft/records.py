"""The log file's format, without the file: records, batches, and what a file's bytes amount to.

    file    := header batch* zeros          the file always ends behind its batches, in zeros
    header  := "SWARMLOG" version incarnation(16) crc32
    batch   := "BTCH" bytes sequence crc32 record*
    record  := kind a b bytes payload       ENTRY(index, term) CUT(index) STATE(term, commit, vote)
                                            OWNER(id) PEER(incarnation + id) SYNCED(sequence)

One batch is one write and one fdatasync, begun only when the last one, and the room for this one, are
durable. That is what tells the two ways a file can go wrong apart. A last batch that does not check is a
write the power cut off: nothing in it was ever acknowledged, so it is dropped. A batch that does not
check although a later one does, or one that the file is too short for, is damage to something durable:
the replica must not start. A relaxed log is begun on before the last batch is durable; each such batch says
which one was (SYNCED), so that a later batch proves damage only to what it calls durable.

The checksum starts from the file's incarnation, a random number, so that a payload cannot be crafted to look
like a later batch.
"""

from __future__ import annotations

import gc
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from swarm.adapters.raft.messages import Entry
from swarm.errors import LogDamaged

INCARNATION_BYTES = 16
VERSION = 1

_MAGIC = b"SWARMLOG"
_HEADER = struct.Struct(f"<8sI{INCARNATION_BYTES}sI")
_MARK = b"BTCH"
_BATCH = struct.Struct("<4sIQI")
_BATCH_BODY = struct.Struct("<IQ")  # what the checksum covers besides the records
_RECORD = struct.Struct("<BQQI")

_ENTRY, _CUT, _STATE, _OWNER, _PEER, _SYNCED = 1, 2, 3, 4, 5, 6

HEADER_BYTES = _HEADER.size
BATCH_OVERHEAD_BYTES = _BATCH.size


@dataclass(slots=True)
class LogState:
    """What a log file says."""

    incarnation: bytes
    owner: str = ""
    entries: list[Entry] = field(default_factory=list)
    term: int = 0
    vote: str | None = None
    commit_index: int = 1
    peers: dict[str, bytes] = field(default_factory=dict)
    sequence: int = 0
    end: int = HEADER_BYTES  # where the next batch goes


def header(incarnation: bytes) -> bytes:
    body = _HEADER.pack(_MAGIC, VERSION, incarnation, 0)[:-4]
    return body + struct.pack("<I", zlib.crc32(body))


def entry_record(entry: Entry) -> tuple[bytes, bytes]:
    """In two parts, so that a large command is not copied."""
    return _RECORD.pack(_ENTRY, entry.index, entry.term, len(entry.command)), entry.command


def cut_record(index: int) -> bytes:
    """Everything from `index` on is gone."""
    return _RECORD.pack(_CUT, index, 0, 0)


def state_record(term: int, commit_index: int, vote: str | None) -> bytes:
    name = (vote or "").encode()
    return _RECORD.pack(_STATE, term, commit_index, len(name)) + name


def owner_record(node_id: str) -> bytes:
    name = node_id.encode()
    return _RECORD.pack(_OWNER, 0, 0, len(name)) + name


def peer_record(node_id: str, incarnation: bytes) -> bytes:
    payload = incarnation + node_id.encode()
    return _RECORD.pack(_PEER, 0, 0, len(payload)) + payload


def synced_record(sequence: int) -> bytes:
    """First in a batch that is not synced: all up to `sequence` is durable, more may not be."""
    return _RECORD.pack(_SYNCED, sequence, 0, 0)


def batch_head(incarnation: bytes, sequence: int, parts: Sequence[bytes]) -> bytes:
    """What goes before the parts of a batch's records."""
    length = sum(map(len, parts))
    checksum = _checksum(incarnation, sequence, length, parts)
    return _BATCH.pack(_MARK, length, sequence, checksum)


def read_log(data: bytes, place: str) -> LogState:
    """What the bytes of a log file amount to; `LogDamaged` if they cannot be what was written."""
    state = LogState(_read_header(data, place))
    collecting = gc.isenabled()
    gc.disable()  # it would look at every entry again and again, while nothing but entries is made
    try:
        while (found := _batch_at(data, state.end, state.incarnation)) and found[0] == state.sequence + 1:
            state.sequence, records = found
            _absorb_all(state, records, place)
            state.end += _BATCH.size + len(records)
    finally:
        if collecting:
            gc.enable()
    _refuse_cut_file(data, state, place)
    _refuse_later_batches(data, state, place)
    return state


def torn_bytes(data: bytes, end: int) -> int:
    """How much of a write that never finished lies behind the last good batch."""
    return len(data[end:].rstrip(b"\0"))


def _read_header(data: bytes, place: str) -> bytes:
    if len(data) < HEADER_BYTES:
        raise LogDamaged("the file has no header", place=place)
    magic, version, incarnation, checksum = _HEADER.unpack_from(data)
    if magic != _MAGIC or zlib.crc32(data[: HEADER_BYTES - 4]) != checksum:
        raise LogDamaged("the header is damaged, or this is no log", place=place)
    if version != VERSION:
        raise LogDamaged(f"written by another version ({version}, not {VERSION})", place=place)
    return bytes(incarnation)


def _batch_at(data: bytes, at: int, incarnation: bytes) -> tuple[int, bytes] | None:
    """(sequence, records) of the batch that begins at `at`, if an intact one does."""
    if at + _BATCH.size > len(data):
        return None
    mark, length, sequence, checksum = _BATCH.unpack_from(data, at)
    start = at + _BATCH.size
    if mark != _MARK or start + length > len(data):
        return None
    records = data[start : start + length]
    good = _checksum(incarnation, sequence, length, (records,)) == checksum
    return (sequence, records) if good else None


def _refuse_cut_file(data: bytes, state: LogState, place: str) -> None:
    """A batch is only begun in a file that has room for all of it and more."""
    tail = data[state.end :]
    fits = bool(tail)
    if tail.startswith(_MARK) and len(tail) >= _BATCH.size:
        fits = _BATCH.size + _BATCH.unpack_from(tail)[1] < len(tail)
    elif tail.rstrip(b"\0"):
        fits = len(tail) > _BATCH.size
    if not fits:
        raise LogDamaged(f"the file was cut short at byte {len(data)}", place=place)


def _refuse_later_batches(data: bytes, state: LogState, place: str) -> None:
    """After the first batch that does not check there must be nothing that proves it was durable."""
    lost = state.sequence + 1
    at = data.find(_MARK, state.end)
    while at >= 0:
        found = _batch_at(data, at, state.incarnation)
        if found is not None and _durable_before(found[1], found[0]) >= lost:
            raise LogDamaged(
                f"batch {lost} at byte {state.end} is damaged, yet batch {found[0]} at byte {at} is intact",
                place=place,
            )
        at = data.find(_MARK, at + 1)


def _durable_before(records: bytes, sequence: int) -> int:
    """Up to which batch everything was durable when this one was written."""
    if len(records) >= _RECORD.size and records[0] == _SYNCED:
        return int(_RECORD.unpack_from(records)[1])
    return sequence


def _absorb_all(state: LogState, records: bytes, place: str) -> None:
    """A batch's records in order. Entries, of which there may be a million, are taken here."""
    at, end, size, entries = 0, len(records), _RECORD.size, state.entries
    read, append, make = _RECORD.unpack_from, entries.append, tuple.__new__
    following = entries[-1].index + 1 if entries else 0  # the next entry's; 0 before the first, and unknown
    while at < end:
        kind, a, b, length = read(records, at)
        start = at + size
        at = start + length
        if at > end:
            raise LogDamaged("a record reaches beyond its batch", place=place)
        if kind == _ENTRY and a == following:
            append(make(Entry, (records[start:at], a, b)))
            following += 1
        else:
            _absorb(state, (kind, a, b, records[start:at]), place)
            following = entries[-1].index + 1 if entries else 0


def _absorb(state: LogState, record: tuple[int, int, int, bytes], place: str) -> None:
    kind, a, b, payload = record
    if kind == _ENTRY:
        if state.entries and a != state.entries[-1].index + 1:
            raise LogDamaged(f"entry {a} follows entry {state.entries[-1].index}", place=place)
        state.entries.append(Entry(payload, a, b))
    elif kind == _CUT:
        if not state.entries or not state.entries[0].index < a <= state.entries[-1].index:
            raise LogDamaged(f"a cut at {a}, where nothing can be cut", place=place)
        del state.entries[a - state.entries[0].index :]
    elif kind == _STATE:
        state.term, state.vote = a, payload.decode() or None
        state.commit_index = max(state.commit_index, b)
    elif kind == _OWNER:
        state.owner = payload.decode()
    elif kind == _PEER:
        name, incarnation = payload[INCARNATION_BYTES:].decode(), payload[:INCARNATION_BYTES]
        state.peers[name] = incarnation
    elif kind == _SYNCED:
        pass  # for whoever reads a damaged log
    else:
        raise LogDamaged(f"a record of unknown kind {kind}", place=place)


def _checksum(incarnation: bytes, sequence: int, length: int, parts: Sequence[bytes]) -> int:
    checksum = zlib.crc32(_BATCH_BODY.pack(length, sequence), zlib.crc32(incarnation))
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return checksum
