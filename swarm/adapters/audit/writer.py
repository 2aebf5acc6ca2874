"""The writing end of an audit log: whoever records does not wait, and what is recorded is soon durable.

`record` puts an event on a bounded queue; one thread takes what waits there, writes it with one signed head
behind it in a single write, and makes that durable with one fsync. So a crash leaves whole batches, of which
the last may be torn: what is incomplete at the end is cut off when the log is opened again, and an event says
so. When the queue is full the caller is refused, and when the disk fails `failure` raises: what cannot be
recorded is not done. A disk that is nearly full is treated as full: calls that were let in still have their
lines, and those that come are refused until there is room.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from swarm import limits
from swarm.adapters.audit.files import SEGMENT_HEIGHT, AuditFiles, Index, altered, sync_directory
from swarm.adapters.audit.keys import LogKeys, ask_for_rotation
from swarm.adapters.audit.replay import DROPPED, ROTATED, Replay
from swarm.adapters.tls.files import PUBLIC_MODE, SECRET_MODE, make_private_directory, write_whole
from swarm.errors import Conflict, NotFound, NotTrusted, OutOfTime, QueueFull
from swarm.trust.audit import HEAD_START, Event, Head
from swarm.trust.keyring import Handover
from swarm.trust.merkle import Frontier, leaf_hash

WAITING_EVENTS_MAX: Final = 65_536
RESERVED_EVENTS: Final = 16_384  # for calls that were let in and have not ended yet
BATCH_EVENTS_MAX: Final = 4_096
ROOM_BYTES_MIN: Final = 32 * limits.MIB  # on the log's disk, for those events
GATHER_S: Final = 0.02  # events that follow each other so closely share a write, a signature and a sync
KEY_LOOK_S: Final = 1.0  # so often a log that nothing is written to looks for a key that is to follow
ROTATION_S: Final = 60.0  # within which the daemon has to take it
DAY_MS: Final = 24 * 3600 * 1000
HEAD_BYTES: Final = 1_024  # of the file head.json, padded so that every head overwrites the whole of the last

Bodies = Mapping[str, Sequence[bytes]]
"""Payloads by name, to be hashed in the log's own thread; several pieces are hashed each with its length."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Full segments are dropped, the oldest first, when they are too old or all together too large."""

    days: int = 365
    bytes_max: int = 4 * 1024 * limits.MIB


MAKE_ROOM: Final = "make room on the disk of its audit log"
KEEP_ALL: Final = Retention(days=1_000_000, bytes_max=1 << 62)


class AuditLog:
    """See the head of this module. One process writes a log at a time: the owner of its data directory."""

    def __init__(self, files: AuditFiles, name: str, retention: Retention, height: int) -> None:
        self._files = files
        self._keys = LogKeys(files)
        self._retention = retention
        self._queue: queue.Queue[tuple[Event, Bodies] | threading.Event] = queue.Queue(WAITING_EVENTS_MAX)
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._failed: BaseException | None = None
        self._room_bytes = ROOM_BYTES_MIN
        self._on_failure: Callable[[BaseException], None] = lambda _: None
        self._closing = threading.Event()
        self._urged = threading.Event()  # somebody waits for what was recorded
        try:
            self._index = files.read_index()
        except NotFound:
            self._index = Index(name, height, ())
            files.write_index(self._index)
        if self._index.log != name:
            raise altered(files.index.name, f"this is the log of {self._index.log}, not of {name}")
        self._before, self._tail, self._fd, self._lock_fd = Frontier(), Frontier(), -1, -1
        self._recover()
        if self._keys.wanted():
            self._rotate()

    @classmethod
    def open(
        cls,
        directory: Path,
        name: str,
        retention: Retention | None = None,
        *,
        height: int = SEGMENT_HEIGHT,
    ) -> Self:
        """Open or begin the log `name`.

        Raises `NotTrusted` where it is not what its key signed, `Conflict` where another process writes it.
        """
        make_private_directory(directory)
        files = AuditFiles(directory)
        lock = files.lock()
        try:
            log = cls(files, name, retention or Retention(), height)
        except BaseException:
            os.close(lock)
            raise
        log._lock_fd = lock
        log._room_bytes = free_bytes(directory)
        log._thread.start()
        return log

    @property
    def public_key(self) -> str:
        return self._keys.public

    @property
    def size(self) -> int:
        """Events written."""
        return self._before.size + self._tail.size

    def failure(self) -> asyncio.Future[None]:
        """A future of the running loop that raises when the log can be written no more."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def fail(error: BaseException) -> None:
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever stops for another reason need not look at it

        def tell(error: BaseException) -> None:
            loop.call_soon_threadsafe(fail, error)

        self._on_failure = tell
        if self._failed is not None:
            fail(_broken(self._failed, str(self._files.directory)))
        return future

    def ready(self) -> None:
        """Raises `QueueFull` unless events can be recorded for a while."""
        if self._failed is not None:
            raise _broken(self._failed)
        if self._room_bytes < ROOM_BYTES_MIN:
            raise QueueFull(
                "nothing is done that could not be recorded,"
                f" and the disk of the audit log has {self._room_bytes} bytes left",
                remedy=f"{MAKE_ROOM}; other nodes may answer",
            )
        if self._queue.qsize() > WAITING_EVENTS_MAX - RESERVED_EVENTS:
            raise QueueFull("the audit log does not keep up with the calls", remedy="try again later")

    def record(self, event: Event, bodies: Bodies | None = None) -> None:
        """Queue an event. Never blocks; raises `QueueFull` where it could not be written."""
        if self._failed is not None:
            raise _broken(self._failed)
        if self._closing.is_set():
            raise QueueFull("the audit log is closed", remedy="ask another node: this one stops")
        try:
            self._queue.put_nowait((event, bodies or {}))
        except queue.Full:
            raise QueueFull(
                f"{WAITING_EVENTS_MAX} audit events wait for the disk", remedy="try again later"
            ) from None

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until all that was recorded before is durable. Raises what keeps it from being so."""
        done = threading.Event()
        self._queue.put(done, timeout=timeout_s)
        self._urged.set()
        if not done.wait(timeout_s) or self._failed is not None:
            raise _broken(self._failed or TimeoutError(f"the disk did not answer for {timeout_s:g} s"))

    def close(self) -> None:
        """Write what waits and stop. Safe to repeat."""
        if not self._closing.is_set():
            self._closing.set()
            self._queue.put(threading.Event())
            self._urged.set()
            self._thread.join()
            os.close(self._fd)
            os.close(self._head_fd)
            os.close(self._lock_fd)

    # -- the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            batch, waiters = self._gather()
            if self._failed is None:
                try:
                    self._append(batch)
                    if self._keys.wanted():
                        self._rotate()
                    self._room_bytes = free_bytes(self._files.directory)
                except Exception as error:  # noqa: BLE001 - whatever ends this log has to end the daemon
                    self._failed = error
                    place = str(self._files.directory)
                    self._on_failure(_broken(error, place) if isinstance(error, OSError) else error)
            for waiter in waiters:
                waiter.set()
            if self._closing.is_set() and self._queue.empty():
                return

    def _gather(self) -> tuple[list[Event], list[threading.Event]]:
        """What waits, and what follows it closely; nothing where nothing came for a while."""
        batch: list[Event] = []
        waiters: list[threading.Event] = []
        try:
            item = self._queue.get(timeout=KEY_LOOK_S)
        except queue.Empty:
            return batch, waiters
        self._urged.wait(GATHER_S)
        self._urged.clear()
        while True:
            if isinstance(item, threading.Event):
                waiters.append(item)
            else:
                event, bodies = item
                hashes = {name: _sha256(pieces) for name, pieces in bodies.items()}
                batch.append(replace(event, payloads={**event.payloads, **hashes}) if hashes else event)
            if len(batch) >= BATCH_EVENTS_MAX:
                break
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
        return batch, waiters

    def _append(self, events: Sequence[Event]) -> None:
        """Write events and a head, durably; at a segment's end the next one begins."""
        written = 0
        while written < len(events):
            room = self._index.events - self._tail.size
            part = events[written : written + room]
            lines = []
            for event in part:
                line = event.line(self.size)
                self._tail.append(leaf_hash(line))
                lines.append(line)
            self._write([*lines, self._sign().line()])
            written += len(part)
            if self._tail.size == self._index.events:
                self._seal()
                self._drop_old()

    def _sign(self) -> Head:
        root = self._before.root(self._tail)
        self._head = Head.sign(
            self._keys.signing, self._index.log, self.size, root, time.time_ns() // 1_000_000
        )
        return self._head

    def _rotate(self) -> None:
        """Let the next key take over: the event, the handover, and a head by the new key."""
        at_ms = time.time_ns() // 1_000_000
        old, new = self._keys.public, self._keys.wanted_public()
        self._append([Event(at_ms, self._index.log, ROTATED, new, context={"old": old})])
        self._keys.hand_over(self._index.log, self.size)
        self._sign()
        self._write([self._head.line()])

    def _write(self, lines: Sequence[bytes]) -> None:
        data = b"\n".join([*lines, b""])
        while data:
            data = data[os.write(self._fd, data) :]
        os.fdatasync(self._fd)
        self._keep_head()

    def _keep_head(self) -> None:
        # Not made durable: it may lag behind the log after a power failure, but is never ahead of it.
        document = self._head.line()[len(HEAD_START) : -1]
        os.pwrite(self._head_fd, document.ljust(HEAD_BYTES - 1) + b"\n", 0)

    # -- segments ------------------------------------------------------------------------------------

    def _seal(self) -> None:
        """Close a full segment and begin the next. The index is written first: a crash repeats this."""
        roots = self._index.roots[: self._before.size // self._index.events]
        self._index = Index(self._index.log, self._index.height, (*roots, self._tail.root()))
        self._files.write_index(self._index)
        os.close(self._fd)
        first = self.size
        self._before, self._tail = self._index.frontier(first), Frontier()
        write_whole(self._files.segment(first), self._head.line() + b"\n", SECRET_MODE)
        sync_directory(self._files.directory)
        self._fd = os.open(self._files.segment(first), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def _drop_old(self) -> None:
        """Say which segments go, then remove them; the one being written stays."""
        segments = [(first, self._files.segment(first).stat()) for first in self._files.segments()]
        total = sum(stat.st_size for _, stat in segments)
        oldest_s = time.time() - self._retention.days * DAY_MS / 1000
        gone: list[int] = []
        for first, stat in segments[:-1]:
            if stat.st_mtime >= oldest_s and total <= self._retention.bytes_max:
                break
            total -= stat.st_size
            gone.append(first)
        if gone:
            until = gone[-1] + self._index.events
            policy = {"days": str(self._retention.days), "bytes_max": str(self._retention.bytes_max)}
            at_ms = time.time_ns() // 1_000_000
            self._append([Event(at_ms, self._index.log, DROPPED, f"events before {until}", context=policy)])
            for first in gone:
                self._files.segment(first).unlink(missing_ok=True)
            sync_directory(self._files.directory)

    # -- opening ----------------------------------------------------------------------------------------

    def _recover(self) -> None:
        """Read the last segment back, cut what a crash tore, and finish what it interrupted."""
        segments = self._files.segments()
        kept = self._files.read_head()
        self._head_fd = os.open(self._files.head, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, PUBLIC_MODE)
        cut = 0
        if not segments:
            if kept is not None or self._index.roots:
                raise altered(str(self._files.directory), "its segments are gone")
            path = self._files.segment(0)
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, SECRET_MODE)
            sync_directory(self._files.directory)
            self._sign()
        else:
            cut = self._reread(segments[-1])
        if kept is not None and kept.size > self.size:
            raise altered(self._files.head.name, f"it knows {kept.size} events, the log has {self.size}")
        if cut:
            at_ms = time.time_ns() // 1_000_000
            self._append([Event(at_ms, self._index.log, "audit.recovered", f"{cut} bytes were incomplete")])
        if self._tail.size == self._index.events:
            self._seal()
        self._drop_old()

    def _reread(self, first: int) -> int:
        """The tree and the last head from a segment; returns how many bytes were cut."""
        replay = Replay(self._files, self._index, first, self.public_key, self._keys.ring)
        try:
            for _ in replay.entries(signatures=False):
                pass
        except NotTrusted:
            # Up to its last head a log is whole or was tampered with; behind it a crash explains everything.
            if replay.is_signed_further():
                raise
        if replay.head is not None and not replay.head.signed_by(self.public_key, self._keys.ring):
            raise altered(replay.path.name, "its last head was not signed with the log's key")
        self._before, self._tail = replay.before, replay.tail
        self._fd = os.open(replay.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        cut = os.fstat(self._fd).st_size - replay.good_bytes
        os.ftruncate(self._fd, replay.good_bytes)
        self._sign()
        if replay.good_bytes > replay.signed_bytes:
            self._write([self._head.line()])
        return cut


def rotate_key(directory: Path, patience_s: float = ROTATION_S) -> Handover:
    """Give a log a new key, whether a daemon writes it or none does.

    Raises `OutOfTime` where the daemon does not take it.
    """
    files = AuditFiles(directory)
    before = len(files.read_ring().handovers)
    ask_for_rotation(directory)
    end_s = time.monotonic() + patience_s
    while True:
        with contextlib.suppress(Conflict):
            AuditLog.open(directory, files.read_index().log, KEEP_ALL).close()
        if len((ring := files.read_ring()).handovers) > before and not files.next_key.exists():
            return ring.handovers[-1]
        if time.monotonic() > end_s:
            raise OutOfTime(
                f"whoever writes this log did not take the new key within {patience_s:g} s",
                place=str(directory),
                remedy="read the daemon's log; it takes the key as soon as it can, or at its next start",
            )
        time.sleep(KEY_LOOK_S / 4)


def free_bytes(directory: Path) -> int:
    """How much more may be written to the disk of a directory."""
    found = os.statvfs(directory)
    if not found.f_blocks:  # a file system that does not say; what is written to it will tell
        return ROOM_BYTES_MIN
    return found.f_bavail * found.f_frsize


def _broken(error: BaseException, place: str = "") -> QueueFull:
    """Why the log can be written no more. Callers are not told where: they may be anybody."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    remedy = MAKE_ROOM if full else "read the daemon's log"
    refusal = QueueFull(
        f"nothing is done that cannot be recorded, and the audit log cannot be written: {why}",
        place=place,
        remedy=f"{remedy}, and start the daemon again; other nodes may answer",
    )
    refusal.__cause__ = error
    return refusal


def _sha256(pieces: Sequence[bytes]) -> str:
    if len(pieces) == 1:
        return hashlib.sha256(pieces[0]).hexdigest()
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "big") + piece)
    return digest.hexdigest()
