"""One replica: pysyncobj's Raft with what loses data taken out. Touched by the Raft thread alone.

Each turn takes messages, proposals and finished work in, lets the library turn the crank once, and leaves
`events` for the event loop and messages for the peers behind. The caller flushes the log and only then
lets any of it go: durable before visible, one sync per turn however much happened in it.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

from pysyncobj.node import Node

from swarm.adapters.raft.core import LEADER, Transport
from swarm.adapters.raft.events import Applied, Failed, Led, Proposal
from swarm.adapters.raft.membership import Membership
from swarm.adapters.raft.messages import (
    MEMBERS,
    REGULAR,
    Append,
    AppendReply,
    Entry,
    Farewell,
    Incoming,
    Message,
    SnapshotChunk,
    Underway,
    VoteReply,
    VoteRequest,
)
from swarm.adapters.raft.settings import (
    APPLY_BATCH_ENTRIES,
    LOG_BYTES_MAX,
    TICK_PROPOSAL_BYTES,
    RaftSettings,
)
from swarm.adapters.raft.snapshot import SnapshotStore
from swarm.adapters.raft.wal import Wal
from swarm.errors import NotLeader, OutcomeUnknown, QueueFull
from swarm.ids import NodeId
from swarm.ports import Committed, Leadership, Voters

_log = logging.getLogger("swarm.raft")


@dataclass(slots=True)
class ApplyRoom:
    """How much more the event loop may be handed before it has caught up."""

    entries: int
    size_bytes: int


class Engine(Membership):
    """Closes: entries applied twice, or never, when a callback or an apply raises; callers left waiting for
    ever; results shown before they are durable.
    """

    def __init__(
        self,
        node_id: str,
        founders: Voters,
        wal: Wal,
        snapshots: SnapshotStore,
        transport: Transport,
        settings: RaftSettings,
    ) -> None:
        self.proposals: deque[Proposal] = deque()
        self.room = ApplyRoom(0, 0)
        self._pending: dict[int, tuple[int, Proposal]] = {}
        self._durable_term, self._durable_commit = 0, 0
        self._announced = Leadership(0, None)
        others = [voter for voter in founders.voters if voter != node_id]
        super().__init__(node_id, others, wal, transport, settings, snapshots=snapshots, founders=founders)

    # -- one turn --------------------------------------------------------------------------------

    def turn(self) -> None:
        """Let time and the messages taken since the last turn have their effect."""
        committed, last = self.commit_index, self.last().index
        self._disown_pending()
        self.seek_trial()
        self._onTick(0.0)
        self.note_candidacy()
        if self.state == LEADER:
            if self._backlog or self.last().index != last or self._notice_at <= self.now():
                self._SyncObj__sendAppendEntries()  # whatever this turn produced is one message per follower
            elif self.commit_index != committed:
                self._notice_commit()
        self._disown_pending()
        self._announce()

    def needs_turn(self) -> bool:
        """Whether time alone would change something: more to take, to apply, or, alone, to commit."""
        alone = self.votes and not self.others and self.commit_index < self.last().index
        appliable = self.behind() and self.room.entries > 0 and self.room.size_bytes > 0
        changes = bool(self.changes) and not self.settling
        return bool(self.proposals) or changes or alone or appliable

    def behind(self) -> bool:
        """Whether committed entries were not handed over yet."""
        return self.last_applied < self.commit_index

    def signs_of_life(self) -> list[tuple[Node, Message]]:
        """What keeps a long write from looking like death, and says nothing that was not durable before."""
        if self.term != self._durable_term:
            return []
        if self.state == LEADER:
            return [(node, self._reminder(node)) for node in self.peers]
        if self.leader is not None:
            return [(self.leader, AppendReply(self.term, True, self._durable_commit + 1))]
        return []

    def _reminder(self, node: Node) -> Append:
        """A heartbeat about what the follower is known to hold."""
        held = self.entry_at(max(self.match_index[node], self.log[0].index))
        return Append(self.term, held.index, held.term, min(self._durable_commit, held.index))

    def now_durable(self) -> None:
        """The log was flushed."""
        self._durable_term, self._durable_commit = self.term, self.commit_index

    def next_deadline(self) -> float:
        """When to turn again though nothing arrives."""
        if self.state != LEADER:
            return self.election_deadline
        heartbeat: float = self._SyncObj__newAppendEntriesTime
        return min(heartbeat, self._notice_at)

    def may_run_ahead(self) -> bool:
        """Whether appends may leave before this turn's entries are durable here.

        What they say of term and commit is durable already, and the entries count as held here only in a
        later turn, hence after the flush.
        """
        return self.state == LEADER and self.term == self._durable_term

    def stop(self, error: OutcomeUnknown) -> None:
        """Nothing pending will be answered any more."""
        waiting = [proposal for _, proposal in self._pending.values()]
        self.events.append(Failed((*waiting, *self.proposals, *self.changes), error))
        self._pending.clear()
        self.proposals.clear()
        self.changes.clear()
        self._forget_progress()
        self.snapshots.abandon()

    # -- messages --------------------------------------------------------------------------------

    def _SyncObj__onMessageReceived(self, node: Node, message: Incoming) -> None:  # noqa: N802
        """Stock: unpickled dictionaries, votes and answers from non-members included.

        Here who may speak at all is decided by certificates (`links`), and who counts where counting is
        done: a voter that was away may first hear from a leader it has never heard of.
        """
        match message:
            case VoteRequest():
                self.on_vote_request(node, message)
            case VoteReply():
                self.on_vote_reply(node, message)
            case Append():
                self.on_append(node, message)
            case AppendReply():
                self.on_append_reply(node, message)
            case SnapshotChunk():
                self.on_snapshot_chunk(node, message)
            case Underway():
                self.on_underway(node, message)
            case Farewell():
                if message.term == self.term:
                    self.on_stream_ended(str(node.id))

    # -- proposals -------------------------------------------------------------------------------

    def _checkCommandsToApply(self) -> None:  # noqa: N802
        """Stock: forwards to the leader and forgets the caller when that leader changes. Here only a leader
        takes proposals, and every one is answered: applied, not taken, or unknown.
        """
        self.take_changes(self._append_own)
        if self.state != LEADER:
            if self.proposals:
                refused = tuple(self.proposals)
                self.proposals.clear()
                self.events.append(Failed(refused, NotLeader(self.leader_id())))
            return
        taken_bytes = 0
        while self.proposals and taken_bytes < TICK_PROPOSAL_BYTES:
            proposal = self.proposals.popleft()
            if self.log.entries_bytes > LOG_BYTES_MAX:
                error = QueueFull("the log is full", place="raft", remedy="wait for a snapshot")
                self.events.append(Failed((proposal,), error))
                continue
            self._append_own(proposal)
            taken_bytes += len(proposal.command)

    def _append_own(self, proposal: Proposal) -> None:
        entry = Entry(proposal.command, self.last().index + 1, self.term)
        self.log.add(*entry)
        self._pending[entry.index] = (self.term, proposal)
        if proposal.command[:1] == MEMBERS:
            self.log_changed(None, (entry,))

    def _disown_pending(self) -> None:
        """Before a new leader's entry can take the place of one that is waited for."""
        if self._pending and self.state != LEADER:
            unknown = OutcomeUnknown(
                "this replica stopped leading before the entry was committed",
                place=str(self.me.id),
                remedy="propose it again with the same idempotency key",
            )
            self.events.append(Failed(tuple(proposal for _, proposal in self._pending.values()), unknown))
            self._pending.clear()

    # -- applying --------------------------------------------------------------------------------

    def _SyncObj__applyLogEntries(self) -> bool:  # noqa: N802
        """Stock: calls back inside the loop, so that an exception there applies an entry again, or never."""
        end = min(self.commit_index, self.last().index)
        while self.last_applied < end and self.room.entries > 0 and self.room.size_bytes > 0:
            self.events.append(self._apply_batch(end))
        return False

    def _apply_batch(self, end: int) -> Applied:
        entries: list[Committed] = []
        answers: list[tuple[Proposal, int]] = []
        taken, size_bytes = 0, 0
        start = self.last_applied + 1 - self.log[0].index
        count = min(APPLY_BATCH_ENTRIES, self.room.entries, end - self.last_applied)
        for command, index, term in self.log[start : start + count]:
            if taken and size_bytes >= self.room.size_bytes:
                break
            if command.startswith(REGULAR):
                entries.append(Committed(index, term, command[1:]))
            if self._pending and (waiting := self._pending.pop(index, None)) is not None:
                # Pending entries are disowned the moment leadership ends, so the term is always its own.
                assert waiting[0] == term, "an entry took the place of one that somebody waits for"
                answers.append((waiting[1], index))
            taken += 1
            size_bytes += len(command)
        self.last_applied += taken
        self.room.entries -= taken
        self.room.size_bytes -= size_bytes
        self.fresh_bytes += size_bytes
        return Applied(tuple(entries), self.last_applied, tuple(answers), taken, size_bytes)

    # -- leadership ------------------------------------------------------------------------------

    def leader_id(self) -> NodeId | None:
        return NodeId(str(self.leader.id)) if self.leader is not None else None

    def _announce(self) -> None:
        now = Leadership(self.term, self.leader_id())
        if now != self._announced:
            self._announced = now
            self.events.append(Led(now))
