"""Finished outcomes in a file, until their receipt: what a node knows outlives its process.

The file is a sequence of frames, each a batch of outcomes or a batch of receipts:

    magic                                   once, at the start
    length u32, crc32 u32, kind u8, body    a frame; the checksum is over kind and body

Frames are handed to the kernel at once, so that `kill -9` loses none; they are not synced one by one. After
a power cut the last ones may be missing, and whatever they held runs again, or asks for a decision where it
must not. What follows a damaged frame is dropped for the same reason: it costs work, never truth.

A file whose outcomes all have their receipt begins anew now and then; one with more dead weight than live
is rewritten. A disk that is full costs durability and nothing else: it is told once, and every frame tries.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog
from google.protobuf.message import DecodeError

from swarm import limits
from swarm.errors import SwarmError
from swarm.ids import StepKey
from swarm.wire.gen import work_pb2 as pb
from swarm.wire.links import from_node_from_pb, from_node_to_pb, to_node_from_pb, to_node_to_pb
from swarm.wire.messages import Outcome, Outcomes, Receipts

_log = structlog.get_logger("swarm.outbox")

MAGIC: Final = b"swarm outbox 1\n"
_FRAME: Final = struct.Struct("<IIB")
_OUTCOMES, _RECEIPTS = 1, 2
_MODE: Final = 0o600
RESTART_BYTES_MIN: Final = 256 * limits.KIB  # cutting a file costs more than adding a few receipts to it


class FileOutcomes:
    """See the head of this module."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[StepKey, Outcome] = {}
        self._durable = True
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        self._end = self._recover()
        os.ftruncate(self._fd, self._end)
        if self._open:
            _log.info("outcomes recovered", count=len(self._open), path=str(path))
        self._live_from = self._end  # the size at which this file had no dead weight

    def open_outcomes(self) -> Sequence[Outcome]:
        return tuple(self._open.values())

    def keep(self, outcomes: Sequence[Outcome]) -> None:
        self._open.update((outcome.key, outcome) for outcome in outcomes)
        self._append(b"".join(_outcome_frames(outcomes)))

    def forget(self, keys: Sequence[StepKey]) -> None:
        known = [key for key in keys if self._open.pop(key, None) is not None]
        if not known:
            return
        if not self._open and self._end > RESTART_BYTES_MIN:
            self._restart()
            return
        self._append(_frame(_RECEIPTS, to_node_to_pb(Receipts(tuple(known))).SerializeToString()))
        if self._end > limits.OUTBOX_FILE_BYTES_MIN and self._end > 2 * self._live_from:
            self._rewrite()

    def close(self) -> None:
        os.close(self._fd)

    # -- writing ---------------------------------------------------------------------------

    def _append(self, data: bytes) -> None:
        """All of it or, as the next reader sees it, nothing."""
        try:
            _write_at(self._fd, data, self._end)
        except OSError as error:
            self._complain(error)
        else:
            self._end += len(data)
            self._durable = True

    def _restart(self) -> None:
        try:
            os.ftruncate(self._fd, len(MAGIC))
        except OSError as error:
            self._complain(error)
        else:
            self._end = self._live_from = len(MAGIC)

    def _rewrite(self) -> None:
        aside = self._path.with_name(self._path.name + ".new")
        data = MAGIC + b"".join(_outcome_frames(tuple(self._open.values())))
        try:
            fd = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
            try:
                _write_at(fd, data, 0)
                aside.replace(self._path)
            except OSError:
                os.close(fd)
                raise
        except OSError as error:
            self._live_from = self._end  # not again with the next receipt
            self._complain(error)
        else:
            os.close(self._fd)
            self._fd, self._end, self._live_from = fd, len(data), len(data)

    def _complain(self, error: OSError) -> None:
        if self._durable:
            self._durable = False
            _log.error("outcomes are not kept on disk", error=str(error), path=str(self._path))

    # -- reading ---------------------------------------------------------------------------

    def _recover(self) -> int:
        """Take in what the file holds; returns where it is sound to go on writing."""
        size = os.fstat(self._fd).st_size
        if os.pread(self._fd, len(MAGIC), 0) != MAGIC:
            if size:
                _log.error("the outbox is none of ours, it begins anew", path=str(self._path))
            os.ftruncate(self._fd, 0)
            _write_at(self._fd, MAGIC, 0)
            return len(MAGIC)
        end = len(MAGIC)
        while (frame := self._read_frame(end)) is not None:
            kind, body = frame
            try:
                self._absorb(kind, body)
            except (SwarmError, DecodeError, ValueError) as error:
                _log.error("a frame of the outbox makes no sense", at=end, error=str(error))
                break
            end += _FRAME.size + len(body)
        if end < size:
            _log.warning("the end of the outbox is lost", bytes=size - end, path=str(self._path))
        return end

    def _read_frame(self, at: int) -> tuple[int, bytes] | None:
        head = os.pread(self._fd, _FRAME.size, at)
        if len(head) < _FRAME.size:
            return None
        length, checksum, kind = _FRAME.unpack(head)
        if length > limits.MESSAGE_BYTES_MAX:
            return None
        body = os.pread(self._fd, length, at + _FRAME.size)
        return (kind, body) if len(body) == length and _checksum(kind, body) == checksum else None

    def _absorb(self, kind: int, body: bytes) -> None:
        if kind == _OUTCOMES:
            message = from_node_from_pb(pb.FromNode.FromString(body))
            items = message.items if isinstance(message, Outcomes) else ()
            self._open.update((outcome.key, outcome) for outcome in items)
        elif kind == _RECEIPTS:
            receipts = to_node_from_pb(pb.ToNode.FromString(body))
            for key in receipts.keys if isinstance(receipts, Receipts) else ():
                self._open.pop(key, None)
        else:
            raise ValueError(f"a frame of kind {kind}")


def _outcome_frames(outcomes: Sequence[Outcome]) -> Iterator[bytes]:
    """Frames that a reader of bounded messages takes."""
    for start in range(0, len(outcomes), limits.RECORDS_BATCH_MAX):
        batch = tuple(outcomes[start : start + limits.RECORDS_BATCH_MAX])
        body = from_node_to_pb(Outcomes(batch)).SerializeToString()
        if len(body) > limits.MESSAGE_BYTES_MAX:
            for outcome in batch:
                yield _frame(_OUTCOMES, from_node_to_pb(Outcomes((outcome,))).SerializeToString())
        else:
            yield _frame(_OUTCOMES, body)


def _frame(kind: int, body: bytes) -> bytes:
    return _FRAME.pack(len(body), _checksum(kind, body), kind) + body


def _checksum(kind: int, body: bytes) -> int:
    return zlib.crc32(body, kind)


def _write_at(fd: int, data: bytes, at: int) -> None:
    """A short write is an error: the kernel's reason comes with the next one."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, at)
        view, at = view[written:], at + written
