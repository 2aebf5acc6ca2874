"""Snapshots and what they allow to forget: when one is taken, what one from the leader replaces, and how log
and snapshot are made to agree after a restart.

The order is always the same: the snapshot's file is durable under its name before the log is rewritten
without what it covers. Whatever moment a crash chooses, the two overlap or meet; they never leave a gap.
Entries behind a snapshot that this replica may have acknowledged are kept.
"""

from __future__ import annotations

import logging
from typing import Any

from pysyncobj.node import Node

from swarm.adapters.raft.events import CaptureWanted, Event, Restored
from swarm.adapters.raft.messages import NO_OP, Entry, SnapshotChunk
from swarm.adapters.raft.replication import Replication
from swarm.adapters.raft.settings import TAIL_BYTES_KEPT, TAIL_ENTRIES_KEPT
from swarm.adapters.raft.snapshot import Snapshot
from swarm.errors import LogDamaged

_log = logging.getLogger("swarm.raft")


class Compaction(Replication):
    """Closes: a restart that throws the log away because a snapshot is newer than its start; a log without
    its snapshot taken for an empty one; a journal rewritten in place; forking a process that has threads.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.events: list[Event] = []
        self.fresh_bytes = 0  # applied since the last snapshot was begun
        self._capturing = False
        super().__init__(*args, **kwargs)
        self.recovered = self.recover()

    def _SyncObj__tryLogCompaction(self) -> None:  # noqa: N802
        """Stock: forks the process, and rewrites the journal in place when the child is done."""
        if self._capturing or self.last_applied <= self.snapshots.index:
            return
        fresh_entries = self.last_applied - max(self.snapshots.index, self.log[0].index)
        if (
            fresh_entries >= self.settings.compact_entries
            or self.fresh_bytes >= self.settings.compact_bytes
            or self.log.file_bytes >= 2 * (self.settings.compact_bytes + TAIL_BYTES_KEPT)
        ):
            self._capturing = True
            self.fresh_bytes = 0
            self.events.append(self._capture(self.last_applied))

    def _capture(self, index: int) -> CaptureWanted:
        return CaptureWanted(index, self.entry_at(index).term, self.voters_at(index))

    def snapshot_written(self, index: int, term: int) -> None:
        """A snapshot of our own lies beside the current one, durable: adopt it and drop what it covers."""
        self._capturing = False
        if self.snapshots.adopt(index, term):
            self.log.replace(self._tail_from(index))

    def _tail_from(self, index: int) -> list[Entry]:
        """The log from a little before `index` on."""
        first = self.log[0].index
        start, weight = index, 0
        while start > max(first, index - TAIL_ENTRIES_KEPT):
            weight += len(self.entry_at(start - 1).command)
            if weight > TAIL_BYTES_KEPT:
                break
            start -= 1
        return list(self.log[start - first :])

    def on_snapshot_chunk(self, node: Node, chunk: SnapshotChunk) -> None:
        if not self.follow(node, chunk):
            return
        try:
            snapshot = self.snapshots.receive(str(node.id), chunk, self.last_applied)
        except LogDamaged as error:
            _log.error("a snapshot from %s is refused: %s", node.id, error)
            return
        if snapshot is not None:
            self._install(snapshot)
        if chunk.index <= self.last_applied and (chunk.last or chunk.offset == 0):
            # What is applied is committed, hence the leader's too; anything behind it is not proven.
            self.answer(node, accepted=True, next_index=self.last_applied + 1)

    def _install(self, snapshot: Snapshot) -> None:
        """The leader's snapshot is in place on disk; make the log and the state follow it."""
        self.log.replace(self._log_after(snapshot))
        self.last_applied = snapshot.index
        self.commit_index = max(snapshot.index, min(self.commit_index, self.last().index))
        self.log.setRaftCommitIndex(self.commit_index)
        self.events.append(Restored(snapshot.index, snapshot.state))

    def _log_after(self, snapshot: Snapshot) -> list[Entry]:
        """Keep what lies behind the snapshot if our log holds the snapshot's last entry: we may have
        acknowledged it. Otherwise our log ended before it, or holds another entry there that was never
        committed, and nothing behind that was.
        """
        first, last = self.log[0].index, self.last().index
        if first <= snapshot.index <= last and self.entry_at(snapshot.index).term == snapshot.term:
            return self._tail_from(snapshot.index)
        return [Entry(NO_OP, snapshot.index, snapshot.term)]

    def recover(self) -> Snapshot | None:
        """Make log and snapshot agree after a restart, whatever moment the last life ended at."""
        snapshot = self.snapshots.load()
        first = self.log[0]
        covered = snapshot.index if snapshot else 1
        if first.index > covered:
            what = f"the log begins at entry {first.index}, "
            what += f"the snapshot ends at {covered}" if snapshot else "and there is no snapshot"
            raise LogDamaged(what, place=self.log.place)
        if snapshot is None:
            return None
        if not (snapshot.index <= self.last().index and self.entry_at(snapshot.index).term == snapshot.term):
            self.log.replace(self._log_after(snapshot))
        self.last_applied = snapshot.index
        self.commit_index = max(snapshot.index, min(self.commit_index, self.last().index))
        return snapshot
