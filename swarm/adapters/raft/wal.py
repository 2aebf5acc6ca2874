"""The replica's memory: every entry, the term, the vote, on disk before anybody hears of them.

pysyncobj calls this its journal and changes it whenever it likes; nothing touches the disk until `flush`,
which writes all changes since the last one as one checksummed batch with one fdatasync. The Raft thread
calls it once per turn, before any message or result of that turn leaves. A failed write or sync is final:
the kernel may have thrown the data away, so trying again could succeed without it. The replica then
stops.

The log's prefix is dropped, or a snapshot installed, by writing a new file beside the old one and
renaming it. The file's length runs ahead of its contents, so that a sync need not update metadata and a
full disk is met before a batch is begun, never in the middle of one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from swarm.adapters.raft import records
from swarm.adapters.raft.faults import LogDamaged
from swarm.adapters.raft.messages import ORIGIN, Entry
from swarm.adapters.raft.settings import PREALLOCATION_BYTES, REWRITE_BATCH_BYTES
from swarm.errors import Bug, Conflict

LOG_FILE = "log"
_MODE = 0o600


def sync_directory(directory: Path) -> None:
    """Make a rename in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_directory(directory: Path) -> int:
    """Hold `directory` for this process alone; the descriptor to close at the end."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Conflict(
            "another process uses this data directory",
            place=str(directory),
            remedy="stop it, or give each node a directory of its own",
        ) from None
    return descriptor


class Wal:
    """The log of one replica; pysyncobj's journal. Used by one thread."""

    def __init__(self, path: Path, state: records.LogState) -> None:
        self.path = path
        self.incarnation = state.incarnation
        self.peers = dict(state.peers)  # incarnations of other voters, as first met
        self.entries_bytes = sum(len(entry.command) for entry in state.entries)
        self._owner = state.owner
        self._entries = state.entries
        self._term, self._vote = state.term, state.vote
        self._commit_index = state.commit_index
        self._commit_unsaved = False
        self._buffer: list[bytes] = []
        self._sequence, self._end = state.sequence, state.end
        self._broken = False
        self._descriptor = -1
        self._length = 0

    @classmethod
    def open(cls, directory: Path, owner: str) -> Wal:
        """Recover the log in `directory`, or begin one. A torn last write is cut off, damage refused."""
        path = directory / LOG_FILE
        path.with_suffix(".new").unlink(missing_ok=True)
        if not path.exists():
            state = records.LogState(os.urandom(records.INCARNATION_BYTES), owner=owner, entries=[ORIGIN])
            wal = cls(path, state)
            wal.replace(state.entries)
            return wal
        data = path.read_bytes()
        state = records.read_log(data, str(path))
        if state.owner != owner:
            raise Conflict(
                f"this directory holds the log of node {state.owner!r}, not of {owner!r}",
                place=str(path),
                remedy="give each node a directory of its own, and keep a node's id",
            )
        if not state.entries:
            raise LogDamaged("the log has no entries, not even its first", place=str(path))
        wal = cls(path, state)
        wal._resume(data)
        return wal

    @property
    def file_bytes(self) -> int:
        """How much of the file is in use."""
        return self._end

    # -- pysyncobj's journal -----------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, at: Any) -> Any:
        return self._entries[at]

    def add(self, command: bytes, index: int, term: int) -> None:
        entry = Entry(command, index, term)
        if index != self._entries[-1].index + 1:
            raise Bug(f"entry {index} after {self._entries[-1].index}", place=str(self.path))
        self._entries.append(entry)
        self.entries_bytes += len(command)
        self._buffer.append(records.entry_record(entry))

    def deleteEntriesFrom(self, at: int) -> None:  # noqa: N802 - pysyncobj's name
        if at < 1:
            raise Bug("the log's first entry cannot be cut off", place=str(self.path))
        if at < len(self._entries):
            self._buffer.append(records.cut_record(self._entries[at].index))
            self.entries_bytes -= sum(len(entry.command) for entry in self._entries[at:])
            del self._entries[at:]

    def setRaftCommitIndex(self, index: int) -> None:  # noqa: N802 - pysyncobj's name
        # Only a hint that shortens a restart, so it waits for the next write or the next second.
        if index != self._commit_index:
            self._commit_index = index
            self._commit_unsaved = True

    def getRaftCommitIndex(self) -> int:  # noqa: N802 - pysyncobj's name
        return self._commit_index

    def setCurrentTerm(self, term: int, vote: str | None) -> None:  # noqa: N802 - pysyncobj's name
        self._term, self._vote = term, vote
        self._buffer.append(self._state())

    def getCurrentTerm(self) -> int:  # noqa: N802 - pysyncobj's name
        return self._term

    def getVotedForNodeId(self) -> str | None:  # noqa: N802 - pysyncobj's name
        return self._vote

    def onOneSecondTimer(self) -> None:  # noqa: N802 - pysyncobj's name
        if self._commit_unsaved:
            self._buffer.append(self._state())
            self._commit_unsaved = False

    # -- our own -----------------------------------------------------------------------------

    def remember_peer(self, node_id: str, incarnation: bytes) -> None:
        """Know another voter by the log it first came with."""
        self.peers[node_id] = incarnation
        self._buffer.append(records.peer_record(node_id, incarnation))

    def flush(self) -> bool:
        """Make every change since the last flush durable; whether there was any. Errors are final."""
        if not self._buffer:
            return False
        self.onOneSecondTimer()
        data = records.batch(self.incarnation, self._sequence + 1, b"".join(self._buffer))
        self._once(lambda: self._append(data))
        self._buffer.clear()
        return True

    def replace(self, entries: Sequence[Entry]) -> None:
        """Make `entries` the whole log, atomically; pending changes are part of it."""
        self._once(lambda: self._rewrite(list(entries)))

    def close(self) -> None:
        """Write what is pending and let go of the file."""
        if self._descriptor < 0:
            return
        try:
            if not self._broken:
                self.flush()
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def _once(self, action: Callable[[], None]) -> None:
        if self._broken:
            raise Bug("the log could not be written before and must not be used", place=str(self.path))
        self._broken = True
        action()
        self._broken = False

    def _state(self) -> bytes:
        return records.state_record(self._term, self._commit_index, self._vote)

    def _append(self, data: bytes) -> None:
        if self._end + len(data) >= self._length:
            self._grow(self._end + len(data))
        self._write(self._end, data)
        self._sync()
        self._end += len(data)
        self._sequence += 1

    def _rewrite(self, entries: list[Entry]) -> None:
        head = [records.owner_record(self._owner), self._state()]
        head += [records.peer_record(*peer) for peer in self.peers.items()]
        batches = [head]
        weight = 0
        for entry in entries:
            if weight > REWRITE_BATCH_BYTES:
                batches.append([])
                weight = 0
            batches[-1].append(records.entry_record(entry))
            weight += len(entry.command) + records.BATCH_OVERHEAD_BYTES
        aside = self.path.with_suffix(".new")
        old, self._descriptor = self._descriptor, os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, _MODE)
        self._length, self._sequence, self._end = 0, 0, records.HEADER_BYTES
        self._grow(self._end)
        self._write(0, records.header(self.incarnation))
        for part in batches:
            data = records.batch(self.incarnation, self._sequence + 1, b"".join(part))
            if self._end + len(data) >= self._length:
                self._grow(self._end + len(data))
            self._write(self._end, data)
            self._end += len(data)
            self._sequence += 1
        self._sync()
        aside.rename(self.path)
        sync_directory(self.path.parent)
        if old >= 0:
            os.close(old)
        self._entries = entries
        self.entries_bytes = sum(len(entry.command) for entry in entries)
        self._buffer.clear()
        self._commit_unsaved = False

    def _resume(self, data: bytes) -> None:
        self._descriptor = os.open(self.path, os.O_RDWR)
        self._length = len(data)
        torn = records.torn_bytes(data, self._end)
        if torn:  # erased, so that it can never be taken for part of a later batch
            self._write(self._end, bytes(torn))
            self._sync()

    def _grow(self, needed: int) -> None:
        self._length = (needed // PREALLOCATION_BYTES + 1) * PREALLOCATION_BYTES
        os.posix_fallocate(self._descriptor, 0, self._length)
        os.fsync(self._descriptor)  # the new length is durable before anything is written into it

    def _write(self, at: int, data: bytes) -> None:
        view = memoryview(data)
        done = 0
        while done < len(view):
            done += os.pwrite(self._descriptor, view[done:], at + done)

    def _sync(self) -> None:
        os.fdatasync(self._descriptor)
