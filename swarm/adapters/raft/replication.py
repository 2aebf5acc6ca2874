"""How entries get from the leader into everybody's log, and stay there.

The leader keeps one `Progress` per follower. Normally it streams: every message continues where the last one
ended, without waiting for answers. After a refusal or a broken link it probes instead, with empty messages,
until one is accepted. A follower that needs entries the leader no longer has is sent the snapshot file.

The follower's rule is the whole safety of the thing: an entry it has accepted is only ever removed when the
leader of a newer term holds another one in its place. Stock pysyncobj removes everything behind the point a
message starts at, accepted or not, and its leader re-sends from earlier points all the time.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from pysyncobj.node import Node

from swarm.adapters.raft.core import LEADER, NEVER_S
from swarm.adapters.raft.elections import Elections
from swarm.adapters.raft.messages import ORIGIN, Append, AppendReply, Entry, SnapshotChunk, Underway
from swarm.adapters.raft.settings import APPEND_BYTES, COMMIT_NOTICE_MS, SNAPSHOT_ANSWER_MS
from swarm.adapters.raft.snapshot import SnapshotStore, Transfer
from swarm.errors import Bug

_log = logging.getLogger("swarm.raft")


@dataclass(slots=True)
class Progress:
    """What the leader knows of one follower."""

    next_index: int
    probing: bool = True
    awaits: bool = False  # somebody there waits to hear what is committed
    transfer: Transfer | None = None

    def end_transfer(self) -> None:
        if self.transfer is not None:
            self.transfer.close()
            self.transfer = None


class Replication(Elections):
    """Closes: accepted entries cut off again; answers of an older term that count; a snapshot spliced from
    two transfers, put in place before it was checked, or acknowledged although it could not be loaded; large
    entries sent as pickles.
    """

    def __init__(self, *args: Any, snapshots: SnapshotStore) -> None:
        self.snapshots = snapshots
        self._progress: dict[Node, Progress] = {}
        self._backlog = False  # an answer made room for more
        self._notice_at = NEVER_S  # when followers hear of a commit by itself, if nothing travels before
        self.awaited = False  # somebody here waits to hear what is committed
        self._last_append: Append | None = None
        super().__init__(*args)

    # -- the leader ------------------------------------------------------------------------------

    def _SyncObj__onBecomeLeader(self) -> None:  # noqa: N802
        """Stock behaviour, after forgetting what an earlier term knew of the followers."""
        self._forget_progress()
        for node in self.peers:
            self._progress[node] = Progress(self.last().index + 1)
        for node in self.learners:
            self.match_index[node] = 0
        super()._SyncObj__onBecomeLeader()

    def _SyncObj__onNodeDisconnected(self, node: Node) -> None:  # noqa: N802
        """Stock: resumes a snapshot in the middle on the next connection, and never looks back at what was
        lost on the way. Here whatever was under way is in doubt: probe, and start a snapshot afresh.
        """
        super()._SyncObj__onNodeDisconnected(node)
        if node in self._progress:
            self._progress[node].end_transfer()
            self._progress[node].probing = True

    def _SyncObj__sendAppendEntries(self) -> None:  # noqa: N802
        """Stock: re-sends entries from earlier and earlier points, and pickles large ones into pieces."""
        now = self.now()
        self._SyncObj__newAppendEntriesTime = now + self.settings.heartbeat_ms / 1000
        self._backlog, self._notice_at = False, NEVER_S
        for node in sorted(self.peers, key=lambda node: str(node.id)):
            if node in self.connected:
                self._serve(node, self._progress[node], now)

    def _notice_commit(self) -> None:
        """More is committed, and there is nothing else to say: whoever waits for it hears it at once.

        To the others it goes with the next entries, or a moment later: a message costs what a commit does.
        """
        now = self.now()
        self._notice_at = min(self._notice_at, now + COMMIT_NOTICE_MS / 1000)
        for node in sorted(self.peers, key=lambda node: str(node.id)):
            if node in self.connected and self._progress[node].awaits:
                self._serve(node, self._progress[node], now)

    def _serve(self, node: Node, progress: Progress, now: float) -> None:
        """One follower's share of this turn: entries, snapshot chunks, or at least a heartbeat."""
        if progress.transfer is None and progress.next_index <= self.log[0].index:
            progress.transfer = self.snapshots.open_transfer()
        if progress.transfer is not None:
            if not self._send_chunks(node, progress, progress.transfer, now):
                self._send_append(node, self.log[0].index, ())
            return
        sent = False
        while not progress.probing and progress.next_index <= self.last().index and self.transport.room(node):
            entries = self._slice(progress.next_index)
            self._send_append(node, progress.next_index - 1, entries)
            progress.next_index = entries[-1].index + 1
            sent = True
        if not sent:
            self._send_append(node, progress.next_index - 1, ())

    def _send_append(self, node: Node, previous_index: int, entries: tuple[Entry, ...]) -> None:
        previous = self.entry_at(previous_index)
        append = Append(self.term, previous_index, previous.term, self.commit_index, entries)
        if append == self._last_append:  # cheap: entries are compared by identity first
            append = self._last_append  # the transport does the work for one message once
        self._last_append = append
        self.send(node, append)

    def _send_chunks(self, node: Node, progress: Progress, transfer: Transfer, now: float) -> bool:
        sent = False
        while transfer.sent_at is None and self.transport.room(node):
            self.send(node, transfer.next_chunk(self.term, now))
            sent = True
        if transfer.sent_at is not None and now - transfer.sent_at > SNAPSHOT_ANSWER_MS / 1000:
            progress.end_transfer()
            progress.probing = True
        return sent

    def _slice(self, index: int) -> tuple[Entry, ...]:
        entries: list[Entry] = []
        weight = 0
        for at in range(index - self.log[0].index, len(self.log)):
            entry: Entry = self.log[at]
            if entries and weight + len(entry.command) > APPEND_BYTES:
                break
            entries.append(entry)
            weight += len(entry.command)
        return tuple(entries)

    def on_append_reply(self, node: Node, reply: AppendReply) -> None:
        if reply.term > self.term:
            self.step_down(reply.term)
            return
        if self.state != LEADER or reply.term != self.term:
            return  # an answer to an earlier term says nothing about this one
        progress = self._progress.get(node)
        if progress is None:
            return  # it takes part no more
        self.last_answer[node] = self.now()
        progress.awaits = reply.awaits
        if reply.accepted:
            self._on_accepted(node, progress, reply.next_index - 1)
        elif progress.transfer is None:
            self._on_refused(node, progress, reply)

    def _on_accepted(self, node: Node, progress: Progress, matched: int) -> None:
        if matched > self.last().index:
            _log.error("%s claims entry %d, the log ends at %d", node.id, matched, self.last().index)
            return
        # Never backwards: what a follower accepted in this term it keeps, whatever arrives late.
        self.match_index[node] = max(self.match_index[node], matched)
        progress.next_index = max(progress.next_index, self.match_index[node] + 1)
        progress.probing = False
        if progress.transfer is not None and matched >= progress.transfer.index:
            progress.end_transfer()
            progress.next_index = self.match_index[node] + 1
        self._backlog = self._backlog or progress.next_index <= self.last().index

    def _on_refused(self, node: Node, progress: Progress, reply: AppendReply) -> None:
        matched = max(self.match_index[node], ORIGIN.index)
        if reply.previous_index <= matched and self.settings.relaxed:
            # It lost power, and with it what it had not synced: it is sent that again.
            held = max(min(reply.next_index, reply.previous_index) - 1, ORIGIN.index)
            self.match_index[node] = matched = min(matched, held)
        if reply.previous_index <= matched:
            # Either late, or the follower lost what it had accepted: it is not helped to forget.
            _log.warning("%s refuses entry %d, which it accepted before", node.id, reply.previous_index)
            return
        retry = max(matched + 1, min(reply.next_index, reply.previous_index))
        if progress.probing and retry >= progress.next_index:
            return  # an answer to an earlier probe
        progress.next_index = min(retry, self.last().index + 1)
        progress.probing = True
        self._backlog = True

    def _forget_progress(self) -> None:
        for progress in self._progress.values():
            progress.end_transfer()
        self._progress.clear()

    # -- the follower ----------------------------------------------------------------------------

    def follow(self, node: Node, message: Append | SnapshotChunk) -> bool:
        """Whether `message` comes from the leader of the current term; then it is heard."""
        if message.term < self.term:
            self.answer(node, accepted=False, next_index=self.last().index + 1)  # tells it of the new term
            return False
        if message.term > self.term:
            self.step_down(message.term)
        if self.state == LEADER or (self.leader is not None and self.leader != node):
            raise Bug(f"{node.id} leads in term {self.term} as well", place="raft")
        self.hear_leader(node)
        return True

    def on_append(self, node: Node, append: Append) -> None:
        if not self.follow(node, append):
            return
        self.leader_commit_index = append.commit_index
        first, last = self.log[0], self.last()
        previous_index, previous_term, entries = append.previous_index, append.previous_term, append.entries
        if previous_index < first.index:
            # What our snapshot covers is committed, hence the same in every log.
            entries = tuple(entry for entry in entries if entry.index > first.index)
            previous_index, previous_term = first.index, first.term
        if previous_index > last.index:
            self.answer(node, append, accepted=False, next_index=last.index + 1)
        elif self.entry_at(previous_index).term != previous_term:
            self.answer(node, append, accepted=False, next_index=self._conflict_start(previous_index))
        else:
            self._merge(entries)
            matched = previous_index + len(entries)
            self.answer(node, append, accepted=True, next_index=matched + 1)
            # Only what this very message proved to be the leader's may count as committed.
            self.commit_index = max(self.commit_index, min(append.commit_index, matched))
            self.log.setRaftCommitIndex(self.commit_index)

    def on_underway(self, node: Node, underway: Underway) -> None:
        if underway.term == self.term and node == self.leader and self.state != LEADER:
            self.hear_leader(node)
            # So that the leader hears from us too. What is committed here is in its log.
            self.answer(node, accepted=True, next_index=self.commit_index + 1)

    def _merge(self, entries: tuple[Entry, ...]) -> None:
        first_index = self.log[0].index
        for place, entry in enumerate(entries):
            if entry.index <= self.last().index:
                if self.entry_at(entry.index).term == entry.term:
                    continue  # we have it: nothing behind it is touched
                if entry.index <= self.commit_index:
                    raise Bug(f"another entry {entry.index} than the committed one", place="raft")
                self.log.deleteEntriesFrom(entry.index - first_index)
                self.log_changed(entry.index, ())
            for new in entries[place:]:
                self.log.add(*new)
            self.log_changed(None, entries[place:])
            return

    def _conflict_start(self, index: int) -> int:
        """The first entry of the conflicting term: a whole term is skipped per answer."""
        if index <= self.commit_index:
            raise Bug(f"the leader has another entry {index} than the committed one", place="raft")
        term = self.entry_at(index).term
        while index > self.commit_index + 1 and self.entry_at(index - 1).term == term:
            index -= 1
        return index

    def answer(self, node: Node, append: Append | None = None, *, accepted: bool, next_index: int) -> None:
        previous_index = append.previous_index if append else 0
        self.send(node, AppendReply(self.term, accepted, next_index, previous_index, self.awaited))
