"""Who takes part, and how that changes: one voter at a time, and never without a majority."""

import pytest
from pysyncobj.node import Node

from swarm.adapters.raft import membership, roll
from swarm.adapters.raft.core import FOLLOWER
from swarm.adapters.raft.events import Failed, Reconfigured, VoterChange
from swarm.adapters.raft.messages import (
    Append,
    AppendReply,
    Entry,
    Farewell,
    SnapshotChunk,
    VoteReply,
    VoteRequest,
)
from swarm.adapters.raft.settings import VOTERS_REMOVED_MAX
from swarm.adapters.raft.snapshot import Snapshot, decode, encode_head
from swarm.errors import Conflict, NotFound, NotLeader, TooLarge
from swarm.ports import Voters
from swarm.trust.identity import NAME_CHARS_MAX
from tests.unit.swarm.adapters.raft.bench import B, Bench, C, commit_as_follower, proposal

D = Node("d")
ABC = Voters(0, {"a": "", "b": "", "c": ""}, {})
WITH_D = Voters(0, {"a": "", "b": "", "c": "", "d": "d:1"}, {})


def ask(bench, node, address=None):
    bench.engine.changes.append(VoterChange(node, address, (node, address)))
    bench.turn()


def accept(bench, *nodes):
    """These hold everything the leader has."""
    for node in nodes:
        bench.tell(node, AppendReply(bench.engine.term, True, bench.engine.last().index + 1))


def refusals(bench):
    return [event.error for event in bench.took_place(Failed)]


def join(bench):
    """d is added, and catches up."""
    bench.engine._SyncObj__onNodeConnected(D)
    ask(bench, "d", "d:1")
    accept(bench, B)
    accept(bench, D)


def test_a_newcomer_learns_first_and_votes_when_it_has_caught_up(bench):
    bench.lead()
    bench.engine._SyncObj__onNodeConnected(D)
    ask(bench, "d", "d:1")
    assert bench.engine.roll.learners == {"d": "d:1"}
    accept(bench, D)
    assert bench.engine.commit_index < bench.engine.last().index, "a learner's answer was counted"
    accept(bench, B)
    assert bench.engine.roll.voters.keys() == {"a", "b", "c", "d"}
    assert bench.engine.majority == 3
    accept(bench, D)
    accept(bench, B)
    said = bench.took_place(Reconfigured)
    assert said[-1].voters.voters["d"] == "d:1"


def test_one_change_at_a_time(bench):
    bench.lead()
    ask(bench, "d", "d:1")
    ask(bench, "e", "e:1")
    ask(bench, "c")
    assert [type(error) for error in refusals(bench)] == [Conflict, Conflict]
    accept(bench, B, C)
    ask(bench, "e", "e:1")
    (error,) = refusals(bench)
    assert "d still catches up" in error.message
    ask(bench, "d")
    accept(bench, B, C)
    assert bench.engine.roll.learners == {}


def test_a_change_waits_until_the_leader_has_committed_an_entry_of_its_own(bench):
    bench.win()
    ask(bench, "d", "d:1")
    assert bench.engine.roll.learners == {}
    assert not bench.engine.needs_turn()
    accept(bench, B)
    bench.turn()
    assert bench.engine.roll.learners == {"d": "d:1"}


def test_nobody_is_removed_where_too_few_of_the_others_would_answer(bench):
    bench.lead()
    bench.engine._SyncObj__onNodeDisconnected(C)
    ask(bench, "b")
    (error,) = refusals(bench)
    assert "nothing could be committed" in error.message
    assert "bring c back first" in error.remedy
    ask(bench, "c")
    accept(bench, B)
    assert refusals(bench) == []
    assert bench.engine.roll.voters.keys() == {"a", "b"}


def test_who_does_not_take_part_cannot_be_removed_and_the_last_one_stays(tmp_path, clock):
    bench = Bench(tmp_path / "a", clock, others=())
    bench.turn()
    bench.turn()
    ask(bench, "x")
    ask(bench, "a")
    missing, last = refusals(bench)
    assert isinstance(missing, NotFound)
    assert "nobody would be left" in last.message
    bench.close()


def test_a_leader_that_is_to_go_resigns_and_the_others_elect_at_once(bench):
    bench.lead()
    accept(bench, B)
    ask(bench, "a")
    (error,) = refusals(bench)
    assert isinstance(error, NotLeader)
    assert bench.engine.state == FOLLOWER
    assert {to for to, _ in bench.said(Farewell)} == {"b", "c"}
    assert bench.engine.roll.voters.keys() == {"a", "b", "c"}


def test_a_follower_whose_leader_says_farewell_does_not_wait_for_its_silence(bench):
    commit_as_follower(bench, 1)
    before = bench.engine.election_deadline
    bench.tell(B, Farewell(1))
    assert bench.engine.election_deadline < before
    bench.turn(after_s=0.4)
    assert bench.said(VoteRequest)


def test_who_is_out_does_not_stand_for_election_and_hears_of_it(bench):
    bench.lead()
    accept(bench, B, C)
    ask(bench, "c")
    told = [message for to, message in bench.said(Append) if to == "c" and message.entries]
    assert told, "c was never told"
    accept(bench, B)
    without_a = Voters(0, {"b": "", "c": ""}, {})
    term = bench.engine.term + 1
    last = bench.engine.last()
    entry = Entry(roll.command(without_a), last.index + 1, term)
    bench.tell(B, Append(term, last.index, last.term, last.index, (entry,)))
    bench.sent.clear()
    bench.turn(after_s=10)
    bench.turn(after_s=10)
    assert not bench.said(VoteRequest)


def test_voters_of_an_entry_that_is_cut_off_count_no_more(bench):
    commit_as_follower(bench, 2)
    entry = Entry(roll.command(WITH_D), 4, 1)
    bench.tell(B, Append(1, 3, 1, 3, (entry,)))
    assert bench.engine.roll.voters.keys() == {"a", "b", "c", "d"}
    other = Entry(proposal(b"x").command, 4, 2)
    bench.tell(C, Append(2, 3, 1, 3, (other,)))
    assert bench.engine.roll == ABC


def test_a_restart_knows_the_voters_of_its_log(bench, tmp_path, clock):
    bench.lead()
    join(bench)
    accept(bench, B, D)
    bench.close()
    again = Bench(tmp_path / "a", clock)
    assert again.engine.roll.voters.keys() == {"a", "b", "c", "d"}
    again.close()


def test_a_snapshot_says_who_took_part_at_its_entry():
    snapshot = Snapshot(7, 2, b"state", Voters(5, {"a": "a:1"}, {"b": "b:1"}))
    assert decode(encode_head(snapshot) + b"state", "test") == snapshot


def test_a_snapshot_from_the_leader_brings_its_voters(bench):
    state = Snapshot(50, 1, b"state", Voters(40, WITH_D.voters, {}))
    data = encode_head(state) + state.state
    bench.tell(B, SnapshotChunk(1, 50, 1, 0, data, last=True))
    assert bench.engine.roll.voters.keys() == {"a", "b", "c", "d"}


def without_c(bench):
    bench.lead()
    accept(bench, B, C)
    ask(bench, "c")
    accept(bench, B)
    assert bench.engine.roll.removed == {"c"}


def test_a_name_that_was_removed_never_takes_part_again(bench):
    without_c(bench)
    ask(bench, "c", "c:2")
    (error,) = refusals(bench)
    assert isinstance(error, Conflict)
    assert "under another name" in error.remedy
    assert bench.engine.roll.learners == {}
    join(bench)
    assert bench.engine.roll.removed == {"c"}, "forgotten with the next change"


def test_a_learner_that_was_given_up_is_not_added_again_either(bench):
    bench.lead()
    ask(bench, "d", "d:1")
    accept(bench, B)
    ask(bench, "d")
    accept(bench, B)
    ask(bench, "d", "d:1")
    (error,) = refusals(bench)
    assert "d was removed" in error.message


def test_a_restart_knows_who_was_removed(bench, tmp_path, clock):
    without_c(bench)
    bench.close()
    again = Bench(tmp_path / "a", clock, others=("b",))
    assert again.engine.roll.removed == {"c"}
    again.close()


def test_a_replica_that_only_gets_the_snapshot_knows_who_was_removed(bench):
    """And so does the one it makes itself: whoever leads next refuses the name as well."""
    said = Voters(40, {"a": "", "b": "", "d": "d:1"}, {}, frozenset({"c"}))
    state = Snapshot(50, 1, b"state", said)
    bench.tell(B, SnapshotChunk(1, 50, 1, 0, encode_head(state) + state.state, last=True))
    assert bench.engine.roll == said
    assert bench.engine.voters_at(50) == said


def test_a_removal_that_is_cut_off_leaves_the_name_as_it_was(bench):
    commit_as_follower(bench, 2)
    gone = Voters(0, {"a": "", "b": ""}, {}, frozenset({"c"}))
    bench.tell(B, Append(1, 3, 1, 3, (Entry(roll.command(gone), 4, 1),)))
    assert bench.engine.roll.removed == {"c"}
    bench.tell(B, Append(2, 3, 1, 3, (Entry(proposal(b"x").command, 4, 2),)))
    assert bench.engine.roll == ABC


def test_no_more_names_are_removed_than_a_log_can_keep(bench, monkeypatch):
    monkeypatch.setattr(membership, "VOTERS_REMOVED_MAX", 1)
    without_c(bench)
    join(bench)
    accept(bench, B, D)
    ask(bench, "d")
    (error,) = refusals(bench)
    assert isinstance(error, TooLarge)


def test_the_longest_list_of_names_fits_into_a_snapshot():
    longest = {f"{number:0{NAME_CHARS_MAX}d}" for number in range(VOTERS_REMOVED_MAX)}
    snapshot = Snapshot(7, 2, b"state", Voters(5, {"a": "a:1"}, {}, frozenset(longest)))
    assert decode(encode_head(snapshot) + b"state", "test") == snapshot


def test_a_learner_may_be_given_another_address(bench):
    bench.lead()
    ask(bench, "d", "wrong:1")
    accept(bench, B)
    ask(bench, "d", "d:1")
    assert refusals(bench) == []
    assert bench.engine.roll.learners == {"d": "d:1"}


def test_a_voter_is_not_made_a_learner(bench):
    bench.lead()
    ask(bench, "c", "c:2")
    (error,) = refusals(bench)
    assert "c votes already" in error.message


@pytest.mark.parametrize("voters", [ABC, WITH_D, Voters(9, {}, {"a": "x"}, frozenset({"b", "c"}))])
def test_voters_survive_the_wire(voters):
    assert roll.voters_from_pb(roll.voters_to_pb(voters)) == voters


def test_a_deposed_leader_that_hears_who_is_out_owes_them_nothing(bench):
    bench.lead()
    matched = bench.engine.last()
    for number in range(5):
        bench.engine.proposals.append(proposal(b"%d" % number))
    bench.turn()
    term = bench.engine.term + 1
    entry = Entry(roll.command(Voters(0, {"a": "", "b": ""}, {})), matched.index + 1, term)
    bench.tell(B, Append(term, matched.index, matched.term, 1, (entry,)))
    assert bench.engine.roll.voters.keys() == {"a", "b"}
    assert bench.engine.last().index == matched.index + 1


def test_a_newborn_votes_for_nobody_whoever_asks(tmp_path, clock):
    bench = Bench(tmp_path / "d", clock, learns=True)
    bench.tell(B, VoteRequest(3, 50, 2, trial=True), VoteRequest(3, 50, 2))
    assert bench.engine.voted_for is None
    assert bench.said(VoteReply) == []
    bench.close()
