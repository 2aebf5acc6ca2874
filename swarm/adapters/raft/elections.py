"""Who may lead: votes, trial votes, and when to step down.

Before a voter stands for election it asks, in a trial that changes nobody's term, whether it would win. A
voter that still hears its leader refuses both trials and votes. So a voter that was cut off or paused
does not depose a healthy leader when it comes back.
"""

from __future__ import annotations

from typing import Any

from pysyncobj.node import Node

from swarm.adapters.raft.core import CANDIDATE, FOLLOWER, LEADER, Core
from swarm.adapters.raft.messages import ORIGIN, Farewell, VoteReply, VoteRequest

_LONG_AGO_S = float("-inf")


class Elections(Core):
    """Closes: no trial votes and no loyalty to a live leader; votes that are counted twice; refusals and
    newer terms that are never told, so that a deposed leader goes on for 30 seconds.
    """

    def __init__(self, *args: Any) -> None:
        self._leader_heard_at = _LONG_AGO_S
        self._trial_term = 0
        self._trial_voters: set[str] = set()
        self._trial_won = False
        self._vote_term = 0
        self._voters: set[str] = set()
        self._votes_from = self._stands_from = _LONG_AGO_S
        self._met_majority = False
        super().__init__(*args)

    def begin(self) -> None:
        """Time starts now, not when the object was made; alone there is nobody to wait for."""
        if self.others or not self.votes:
            self.postpone_election()
        else:
            self.election_deadline = _LONG_AGO_S

    def abstain(self, duration_s: float) -> None:
        """Vote for nobody for so long, and stand for election only after twice that: what this replica
        forgot, another may remember, and is to lead first.
        """
        if self.others and self.votes:
            self._votes_from = self.now() + duration_s
            self._stands_from = self.election_deadline = self._votes_from + duration_s

    def abstains(self) -> bool:
        """Whether that time goes on."""
        return self.now() < self._stands_from

    def seek_trial(self) -> None:
        """When the leader has been silent for too long, ask for trial votes instead of standing at once."""
        self._hurry_at_the_start()
        now = self.now()
        if self.state == LEADER or not (self.others and self.votes) or self.election_deadline >= now:
            return
        if self.abstains():
            self.election_deadline = self._stands_from
            return
        if self._trial_won:
            self._trial_won = False  # the deadline stays in the past: the library stands for election
            return
        self._trial_term, self._trial_voters = self.term + 1, {self.me.id}
        self.postpone_election()
        last = self.last()
        for node in self.others:
            self.send(node, VoteRequest(self._trial_term, last.index, last.term, trial=True))

    def _hurry_at_the_start(self) -> None:
        """Once a majority is there nobody waits out a silence: whoever follows a leader refuses the trial."""
        if self._met_majority or self.state == LEADER or not (self.others and self.votes):
            return
        if len(self.connected & self.others) + 1 < self.majority:
            return
        self._met_majority = True
        if self._leader_heard_at == _LONG_AGO_S:
            self.election_deadline = min(self.election_deadline, self.now() + self._spread_s())

    def _spread_s(self) -> float:
        """A short while by chance, for voters that notice something at the same moment."""
        timeout: float = self._SyncObj__generateRaftTimeout()
        return (timeout - self.settings.election_ms_min / 1000) / 2

    def note_candidacy(self) -> None:
        """After the library's turn: a candidate begins with its own vote and no other."""
        if self.state == CANDIDATE and self._vote_term != self.term:
            self._vote_term, self._voters = self.term, {self.me.id}

    def step_down(self, term: int) -> None:
        """A newer term exists: follow in it, undecided."""
        was_leader = self.state == LEADER
        self._trial_won = False  # it was for an older term
        self.set_term(term, None)
        self._SyncObj__setState(FOLLOWER)
        self.leader = None
        if was_leader:
            self.postpone_election()

    def hear_leader(self, node: Node) -> None:
        self.postpone_election()
        self._leader_heard_at = self.now()
        self._trial_won = False
        self._SyncObj__setState(FOLLOWER)
        self.leader = node

    def resign(self) -> None:
        """Leave the office: the others elect at once, this one stays back."""
        for node in self.others:
            self.send(node, Farewell(self.term))
        self._SyncObj__setState(FOLLOWER)
        self.leader = None
        self.election_deadline = self.now() + 2 * self.settings.election_ms_max / 1000

    def on_stream_ended(self, peer: str) -> None:
        """The leader's process is gone, or its connection: no need to wait for its silence.

        If it lives, the others still hear it and refuse the trial.
        """
        if self.state == LEADER or self.leader is None or self.leader.id != peer:
            return
        self._leader_heard_at = _LONG_AGO_S
        if not self.votes:
            return
        # Followers notice at the same moment; chance keeps them from standing against each other.
        self.election_deadline = min(self.election_deadline, self.now() + self._spread_s())

    def on_vote_request(self, node: Node, request: VoteRequest) -> None:
        last = self.last()
        newborn = not self.votes and last == ORIGIN
        if newborn or self._leader_lives() or self.now() < self._votes_from:
            return  # who bore this name before may have voted already, and nobody here knows
        up_to_date = (request.last_term, request.last_index) >= (last.term, last.index)
        if request.trial:
            granted = request.term > self.term and up_to_date
            self.send(node, VoteReply(request.term if granted else self.term, granted, trial=True))
            return
        if request.term > self.term:
            self.step_down(request.term)
        granted = (
            request.term == self.term
            and self.state != LEADER
            and self.voted_for in (None, node.id)
            and up_to_date
        )
        if granted:
            self.set_term(self.term, node.id)  # durable before the answer leaves: both wait for the flush
            self.postpone_election()
        self.send(node, VoteReply(self.term, granted))

    def on_vote_reply(self, node: Node, reply: VoteReply) -> None:
        if reply.trial:
            self._on_trial_reply(node, reply)
            return
        if reply.term > self.term:
            self.step_down(reply.term)
            return
        if self.state != CANDIDATE or reply.term != self.term or not reply.granted or node not in self.others:
            return
        self.note_candidacy()
        self._voters.add(node.id)
        self.vote_count = len(self._voters)
        if self.vote_count >= self.majority:
            self._SyncObj__onBecomeLeader()

    def _on_trial_reply(self, node: Node, reply: VoteReply) -> None:
        if not reply.granted:
            if reply.term > self.term:
                self.step_down(reply.term)
            return
        if self.state == LEADER or not reply.term == self._trial_term == self.term + 1:
            return
        if node not in self.others or not self.votes:
            return
        self._trial_voters.add(node.id)
        if len(self._trial_voters) >= self.majority:
            self._trial_won = True
            self.election_deadline = _LONG_AGO_S

    def _leader_lives(self) -> bool:
        # A heartbeat less than others wait before they stand: all heard the leader last at about one time.
        patience = (self.settings.election_ms_min - self.settings.heartbeat_ms) / 1000
        since = self.now() - patience
        if self.state != LEADER:
            return self._leader_heard_at > since
        heard = sum(1 for node in self.others if self.last_answer.get(node, _LONG_AGO_S) > since)
        return heard + 1 >= self.majority
