"""The replica's memory: every entry, the term, the vote, on disk before anybody hears of them.

pysyncobj calls this its journal and changes it whenever it likes; nothing touches the disk until `flush`,
which writes all changes since the last one as one checksummed batch with one fdatasync. The Raft thread
calls it once per turn, before any message or result of that turn leaves. A failed write or sync is final:
the kernel may have thrown the data away, so trying again could succeed without it. The replica then
stops. A relaxed log (see `relaxed`) is only written by then and synced a moment later, unless a term, a vote,
a cut or a new peer is among the changes.

The log's prefix is dropped, or a snapshot installed, by writing a new file beside the old one and
renaming it. The file's length runs ahead of its contents, so that a sync need not update metadata and a
full disk is met before a batch is begun, never in the middle of one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from swarm.adapters.raft import records
from swarm.adapters.raft.logfile import LogDirectory, LogFile
from swarm.adapters.raft.messages import ORIGIN, Entry
from swarm.adapters.raft.relaxed import BackgroundSync
from swarm.adapters.raft.settings import LONG_WRITE_BYTES, REWRITE_BATCH_BYTES
from swarm.errors import Bug, Conflict, LogDamaged


def _nothing() -> None:
    """Nobody minds a long write."""


def _pieces(parts: Sequence[bytes]) -> Iterator[bytes | memoryview]:
    """The parts in order, small ones joined and large ones cut, for writes of about one size."""
    small: list[bytes] = []
    weight = 0
    for part in parts:
        if small and weight + len(part) > LONG_WRITE_BYTES:
            yield b"".join(small)
            small, weight = [], 0
        if len(part) > LONG_WRITE_BYTES:
            view = memoryview(part)
            for at in range(0, len(part), LONG_WRITE_BYTES):
                yield view[at : at + LONG_WRITE_BYTES]
        else:
            small.append(part)
            weight += len(part)
    if small:
        yield b"".join(small)


class Wal:
    """The log of one replica; pysyncobj's journal. Used by one thread."""

    def __init__(
        self, directory: LogDirectory, state: records.LogState, background: BackgroundSync | None = None
    ) -> None:
        self.place = str(directory.path)
        self.incarnation = state.incarnation
        self.peers = dict(state.peers)  # incarnations of other voters, as first met
        self.entries_bytes = sum(len(entry.command) for entry in state.entries)
        self._owner = state.owner
        self._entries = state.entries
        self._term, self._vote = state.term, state.vote
        self._commit_index = state.commit_index
        self._commit_unsaved = False
        self._buffer: list[bytes] = []
        self._sequence = state.sequence
        self.file_bytes = state.end  # how much of the file is in use
        self._background = background
        self._urgent = False  # something pending that has to be durable even in a relaxed log
        self._broken = False
        self.between_writes: Callable[[], None] = _nothing
        self._directory = directory
        self._file: LogFile | None = None

    @classmethod
    def open(cls, directory: LogDirectory, owner: str, background: BackgroundSync | None = None) -> Wal:
        """Recover the log in `directory`, or begin one. A torn last write is cut off, damage refused."""
        data = directory.read()
        if data is None:
            state = records.LogState(os.urandom(records.INCARNATION_BYTES), owner=owner, entries=[ORIGIN])
            wal = cls(directory, state, background)
            wal.replace(state.entries)
            return wal
        place = str(directory.path)
        state = records.read_log(data, place)
        if state.owner != owner:
            raise Conflict(
                f"this directory holds the log of node {state.owner!r}, not of {owner!r}",
                place=place,
                remedy="give each node a directory of its own, and keep a node's id",
            )
        if not state.entries:
            raise LogDamaged("the log has no entries, not even its first", place=place)
        wal = cls(directory, state, background)
        wal._file = directory.open()
        torn = records.torn_bytes(data, state.end)
        if torn:  # erased, so that it can never be taken for part of a later batch
            wal._file.write(state.end, bytes(torn))
        wal._file.sync()  # what was read may be in the kernel's memory alone: its writer was killed
        if background is not None:
            background.settled(state.sequence)
        return wal

    # -- pysyncobj's journal -----------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, at: Any) -> Any:
        return self._entries[at]

    def add(self, command: bytes, index: int, term: int) -> None:
        entry = Entry(command, index, term)
        if index != self._entries[-1].index + 1:
            raise Bug(f"entry {index} after {self._entries[-1].index}", place=self.place)
        self._entries.append(entry)
        self.entries_bytes += len(command)
        self._buffer += records.entry_record(entry)

    def deleteEntriesFrom(self, at: int) -> None:  # noqa: N802 - pysyncobj's name
        if at < 1:
            raise Bug("the log's first entry cannot be cut off", place=self.place)
        if at < len(self._entries):
            self._buffer.append(records.cut_record(self._entries[at].index))
            self._urgent = True
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
        self._urgent = True
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
        """Know another voter, for good, by the log it first came with."""
        self.peers[node_id] = incarnation
        self._urgent = True
        self._buffer.append(records.peer_record(node_id, incarnation))

    def flush(self) -> bool:
        """Make every change since the last flush durable; whether there was any. Errors are final.

        In a relaxed log what can wait is only written, and durable a moment later.
        """
        if not self._buffer:
            return False
        self.onOneSecondTimer()
        self._once(self._append)
        self._buffer.clear()
        return True

    def replace(self, entries: Sequence[Entry]) -> None:
        """Make `entries` the whole log, atomically; pending changes are part of it."""
        self._once(lambda: self._rewrite(list(entries)))

    def close(self) -> None:
        """Write what is pending and let go of the file."""
        if self._file is None:
            return
        try:
            if not self._broken:
                self.flush()
                self._once(self._file.sync)
        finally:
            self._file.close()
            self._file = None

    def _once(self, action: Callable[[], None]) -> None:
        if self._broken:
            raise Bug("the log could not be written before and must not be used", place=self.place)
        self._broken = True
        action()
        self._broken = False

    def _state(self) -> bytes:
        return records.state_record(self._term, self._commit_index, self._vote)

    def _append(self) -> None:
        assert self._file is not None, "the log is closed"
        end = self.file_bytes
        background = self._background
        waits = background is None or self._urgent or background.lags()
        if background is not None and not waits:
            self._buffer.insert(0, records.synced_record(background.synced))
        self._file.make_room(end + records.BATCH_OVERHEAD_BYTES + sum(map(len, self._buffer)))
        head = records.batch_head(self.incarnation, self._sequence + 1, self._buffer)
        for piece in _pieces([head, *self._buffer]):
            if end > self.file_bytes:
                self.between_writes()
            self._file.write(end, piece)
            if waits:
                self._file.sync()
            end += len(piece)
        self.file_bytes = end
        self._sequence += 1
        self._urgent = False
        if background is not None:
            if waits:
                background.settled(self._sequence)
            else:
                background.wrote(self._file, self._sequence)

    def _rewrite(self, entries: list[Entry]) -> None:
        head = [records.owner_record(self._owner), self._state()]
        head += [records.peer_record(*peer) for peer in self.peers.items()]
        batches = [head]
        weight = 0
        for entry in entries:
            if weight > REWRITE_BATCH_BYTES:
                batches.append([])
                weight = 0
            batches[-1] += records.entry_record(entry)
            weight += len(entry.command) + records.BATCH_OVERHEAD_BYTES
        old, self._file = self._file, self._directory.create_aside()
        self._sequence, self.file_bytes = 0, records.HEADER_BYTES
        self._file.make_room(self.file_bytes)
        self._file.write(0, records.header(self.incarnation))
        for part in batches:
            data = b"".join([records.batch_head(self.incarnation, self._sequence + 1, part), *part])
            self._file.make_room(self.file_bytes + len(data))
            self._file.write(self.file_bytes, data)
            self.file_bytes += len(data)
            self._sequence += 1
        self._file.sync()
        self._directory.replace()
        if self._background is not None:
            self._background.settled(self._sequence)  # first: it may be about to sync the old file
        if old is not None:
            old.close()
        self._entries = entries
        self.entries_bytes = sum(len(entry.command) for entry in entries)
        self._buffer.clear()
        self._commit_unsaved = self._urgent = False
