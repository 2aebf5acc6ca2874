"""Who takes part, and how that changes while the log goes on: one voter at a time.

An entry of the log says who the voters are, and counts from the moment it is in a replica's log, committed or
not; if it is cut off again, the one before it counts again. Two sets that differ by one voter have no two
majorities without a common member, so a leader of the old one and a leader of the new one cannot both commit.
For that a change has to be committed before the next one begins, and the leader has to have committed
an entry of its own term first.

A newcomer begins as a learner: it is sent everything, by snapshot if need be, and counts for nothing. Once it
has caught up the leader makes it a voter by itself. No change is begun that would leave the leader without a
majority that answers.

A name that was removed is kept in the set and can never be added again. A replica is told by its name; were
a name to come back with another log, everyone who counts its votes and answers would have to know which of
the two speaks, and so would the newcomer itself, which on its way through the log meets entries that count
its former self as a voter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pysyncobj.node import Node

from swarm.adapters.raft import roll
from swarm.adapters.raft.compaction import Compaction
from swarm.adapters.raft.core import CANDIDATE, FOLLOWER, LEADER, NEVER_S
from swarm.adapters.raft.events import Failed, Proposal, Reconfigured, VoterChange
from swarm.adapters.raft.messages import MEMBERS, Entry
from swarm.adapters.raft.replication import Progress
from swarm.adapters.raft.settings import PROMOTION_LAG_ENTRIES, VOTERS_MAX, VOTERS_REMOVED_MAX
from swarm.adapters.raft.snapshot import Snapshot
from swarm.errors import Conflict, NotFound, NotLeader, SwarmError, TooLarge
from swarm.ids import NodeId
from swarm.ports import Voters

_LATER = "try again in a moment"
_OTHER_NAME = (
    "let the machine join under another name: `swarm coordinators prepare` and `add`, an empty data_dir"
)


class Membership(Compaction):
    """Closes: a change that a restart before its commit forgets; one that anybody could ask for, in pickles;
    changes that overlap; a leader that cannot be removed; a voter that counts before it has anything.
    """

    def __init__(self, *args: Any, founders: Voters, **kwargs: Any) -> None:
        self.changes: deque[VoterChange] = deque()
        self._founders = founders
        self._rolls: list[Voters] = [founders]  # each in force from its index on; the last is in force now
        super().__init__(*args, **kwargs)
        self._reread(self.recovered)

    @property
    def roll(self) -> Voters:
        """Who takes part now, as far as this log says."""
        return self._rolls[-1]

    def voters_at(self, index: int) -> Voters:
        return next(one for one in reversed(self._rolls) if one.index <= index)

    # -- following the log -----------------------------------------------------------------------

    def log_changed(self, cut_from: int | None, added: Sequence[Entry]) -> None:
        before = self.roll
        if cut_from is not None:
            while self._rolls[-1].index >= cut_from:
                self._rolls.pop()
        self._rolls += [
            roll.from_command(one.command, one.index) for one in added if one.command[:1] == MEMBERS
        ]
        if self.roll is not before:
            self._take_effect()

    def snapshot_written(self, index: int, term: int) -> None:
        super().snapshot_written(index, term)
        base = self.voters_at(self.snapshots.index)
        self._rolls = [one for one in self._rolls if one.index >= base.index]

    def _install(self, snapshot: Snapshot) -> None:
        super()._install(snapshot)
        self._reread(snapshot)

    def _reread(self, snapshot: Snapshot | None) -> None:
        """The log begins elsewhere: what it and its snapshot say."""
        base = snapshot.voters if snapshot is not None and snapshot.voters is not None else self._founders
        said = [
            roll.from_command(entry.command, entry.index)
            for entry in self.log[:]
            if entry.command[:1] == MEMBERS and entry.index > base.index
        ]
        self._rolls = [base, *said]
        self._take_effect()

    def _take_effect(self) -> None:
        now, me = self.roll, str(self.me.id)
        before = self.peers
        self.votes = me in now.voters
        self.others = {Node(voter) for voter in now.voters if voter != me}
        self.learners = {Node(learner) for learner in now.learners if learner != me}
        for node in before - self.peers:
            self._dismiss(node)
        if self.state == LEADER:
            for node in self.peers - self._progress.keys():
                self._progress[node] = Progress(self.last().index + 1)
                self.match_index[node], self.last_answer[node] = 0, self.now()
        if not self.votes:
            if self.state == CANDIDATE:
                self._SyncObj__setState(FOLLOWER)
            self.election_deadline = NEVER_S
        elif self.election_deadline == NEVER_S:
            self.postpone_election()
        self.events.append(Reconfigured(now))

    def _dismiss(self, node: Node) -> None:
        """Send nothing more, after one last try to tell it: who knows that it is out stays quiet."""
        if (progress := self._progress.pop(node, None)) is None:
            return
        progress.end_transfer()
        if self.state != LEADER or progress.probing or progress.next_index <= self.log[0].index:
            return
        if progress.next_index <= self.last().index:
            self._send_append(node, progress.next_index - 1, self._slice(progress.next_index))

    # -- the leader ------------------------------------------------------------------------------

    def take_changes(self, append: Callable[[Proposal], None]) -> None:
        """Begin what was asked for, and make a voter of a learner that has caught up."""
        while self.changes and not self.settling:
            change = self.changes.popleft()
            try:
                voters = self._decide(change)
            except SwarmError as error:
                self.events.append(Failed((change,), error))
            else:
                append(Proposal(roll.command(voters), change.done))
        if self.state == LEADER and self.learners and self._why_not_now() is None:
            for node in self.learners:
                if self._caught_up(node):
                    self._promote(NodeId(str(node.id)))
                    return

    @property
    def settling(self) -> bool:
        """A leader that has committed nothing of its own term yet: changes wait for that."""
        return self.state == LEADER and self.entry_at(self.commit_index).term != self.term

    def _decide(self, change: VoterChange) -> Voters:
        """The voters after a change; raises what is against it."""
        if self.state != LEADER:
            raise NotLeader(str(self.leader.id) if self.leader is not None else None)
        if (why := self._why_not_now()) is not None:
            raise Conflict(why, place="voters", remedy=_LATER)
        if change.address is not None:
            return self._with(change.node, change.address)
        return self._without(change.node)

    def _with(self, node: NodeId, address: str) -> Voters:
        now = self.roll
        if node in now.removed:
            raise Conflict(
                f"{node} was removed, and a name that was removed never takes part again",
                place="voters",
                remedy=_OTHER_NAME,
            )
        if node in now.voters:
            raise Conflict(f"{node} votes already", place="voters", remedy="list who does")
        if others := now.learners.keys() - {node}:
            raise Conflict(f"{', '.join(sorted(others))} still catches up", place="voters", remedy=_LATER)
        if len(now.voters) >= VOTERS_MAX:
            raise TooLarge(f"{len(now.voters)} voters", place="voters", remedy=f"at most {VOTERS_MAX}")
        return replace(now, learners={node: address})

    def _without(self, node: NodeId) -> Voters:
        now = self.roll
        if node not in now.voters and node not in now.learners:
            raise NotFound(f"{node} takes no part", place="voters", remedy="list who does")
        if len(now.removed) >= VOTERS_REMOVED_MAX:
            raise TooLarge(
                f"{len(now.removed)} names were removed from this log, which has to keep them all",
                place="voters",
                remedy=f"bring {node} back instead, or move the log into etcd: `swarm log migrate`",
            )
        voters = {one: address for one, address in now.voters.items() if one != node}
        learners = {one: address for one, address in now.learners.items() if one != node}
        if node in now.voters:
            self._demand_removable(node, voters)
        return replace(now, voters=voters, learners=learners, removed=now.removed | {node})

    def _demand_removable(self, node: NodeId, left: dict[NodeId, str]) -> None:
        if not left:
            raise Conflict("nobody would be left", place="voters", remedy="add another first")
        self._demand_majority(left)
        if node == self.me.id:
            if not any(self.match_index[other] == self.last().index for other in self.others):
                raise Conflict("nobody is ready to take over", place="voters", remedy=_LATER)
            self.resign()
            raise NotLeader(None)

    def _why_not_now(self) -> str | None:
        if self.roll.index > self.commit_index:
            return "another change is under way"
        return "the leader has only just been elected" if self.settling else None

    def _demand_majority(self, voters: dict[NodeId, str]) -> None:
        since = self.now() - self.settings.election_ms_min / 1000
        alive = [
            voter
            for voter in voters
            if voter == self.me.id
            or (Node(voter) in self.connected and self.last_answer.get(Node(voter), 0) > since)
        ]
        if 2 * len(alive) <= len(voters):
            silent = ", ".join(sorted(set(voters) - set(alive)))
            raise Conflict(
                f"of {len(voters)} voters only {', '.join(alive)} would answer: nothing could be committed",
                place="voters",
                remedy=f"bring {silent} back first, or remove them instead",
            )

    def _caught_up(self, node: Node) -> bool:
        since = self.now() - self.settings.election_ms_min / 1000
        return (
            node in self.connected
            and self.last_answer.get(node, 0) > since
            and self._progress[node].transfer is None
            and self.match_index[node] > 0
            and self.match_index[node] >= self.commit_index - PROMOTION_LAG_ENTRIES
        )

    def _promote(self, node: NodeId) -> None:
        voters = {**self.roll.voters, node: self.roll.learners[node]}
        try:
            self._demand_majority(voters)
        except Conflict:
            return
        learners = {one: address for one, address in self.roll.learners.items() if one != node}
        promoted = replace(self.roll, voters=voters, learners=learners)
        entry = Entry(roll.command(promoted), self.last().index + 1, self.term)
        self.log.add(*entry)
        self.log_changed(None, (entry,))
