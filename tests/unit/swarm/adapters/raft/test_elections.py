"""Who may lead, and when: the stock class, then ours."""

from pysyncobj.node import Node

from swarm.adapters.raft.core import CANDIDATE, LEADER
from swarm.adapters.raft.events import Applied, Led
from swarm.adapters.raft.messages import (
    Append,
    AppendReply,
    VoteReply,
    VoteRequest,
)
from tests.unit.swarm.adapters.raft.bench import B, Bench, C, entries, proposal


def test_stock_raises_its_term_every_time_it_hears_nobody(stock):
    for _ in range(5):
        stock.clock.s += 2
        stock.object._onTick(0)
    assert stock.object.raftCurrentTerm == 5


def test_a_replica_that_hears_nobody_asks_before_it_raises_its_term(bench):
    for _ in range(5):
        bench.turn(after_s=0.7)
    assert bench.engine.term == 0
    assert {request.trial for _, request in bench.said(VoteRequest)} == {True}


def test_at_the_start_nobody_waits_out_a_silence_once_a_majority_is_there(bench):
    bench.turn()
    bench.turn(after_s=0.151)  # less than the shortest election
    assert {request.trial for _, request in bench.said(VoteRequest)} == {True}
    bench.turn(after_s=0.151)
    assert not bench.said(VoteRequest)  # once


def test_without_a_majority_a_silence_is_waited_out(bench):
    for other in (B, C):
        bench.engine._SyncObj__onNodeDisconnected(other)
    bench.turn()
    bench.turn(after_s=0.151)
    assert not bench.said(VoteRequest)


def test_a_trial_that_is_won_is_followed_by_an_election(bench):
    bench.turn(after_s=0.7)
    bench.tell(B, VoteReply(1, granted=True, trial=True))
    assert (bench.engine.state, bench.engine.term) == (CANDIDATE, 1)
    assert [request.trial for _, request in bench.said(VoteRequest)] == [True, True, False, False]


def test_stock_gives_its_vote_away_while_it_hears_its_leader(stock):
    stock.append((1, 0), entries(2, b"x"))
    stock.sent.clear()
    stock.replica.deliver(2, {"type": "request_vote", "term": 9, "last_log_index": 5, "last_log_term": 1})
    assert [message["type"] for _, message in stock.sent] == ["response_vote"]


def test_a_replica_that_hears_its_leader_gives_nobody_else_a_vote(bench):
    bench.tell(B, Append(1, 1, 0, 1))
    bench.tell(C, VoteRequest(9, 5, 1), VoteRequest(9, 5, 1, trial=True))
    assert bench.engine.term == 1
    assert bench.said(VoteReply) == []
    bench.clock.s += 0.3
    bench.tell(C, VoteRequest(9, 5, 1, trial=True))
    assert bench.said(VoteReply) == [("c", VoteReply(9, granted=True, trial=True))]


def test_a_leader_whose_process_ended_is_not_waited_for(bench):
    bench.tell(B, Append(1, 1, 0, 1))
    bench.engine.on_stream_ended("b")
    bench.turn(after_s=0.151)
    assert bench.said(VoteRequest)
    bench.tell(C, VoteRequest(2, 1, 0, trial=True))
    assert bench.said(VoteReply) == [("c", VoteReply(2, granted=True, trial=True))]


def test_one_vote_per_term_survives_a_restart(tmp_path, clock):
    bench = Bench(tmp_path / "a", clock)
    bench.clock.s += 1
    bench.tell(B, VoteRequest(5, 1, 0))
    assert bench.said(VoteReply) == [("b", VoteReply(5, granted=True))]
    bench.close()
    again = Bench(tmp_path / "a", clock)
    again.tell(C, VoteRequest(5, 9, 4))
    again.tell(B, VoteRequest(5, 1, 0))
    assert again.said(VoteReply) == [("c", VoteReply(5, granted=False)), ("b", VoteReply(5, granted=True))]
    again.close()


def test_a_candidate_with_an_older_log_gets_no_vote_but_learns_the_term(bench):
    bench.tell(B, Append(3, 1, 0, 1, entries(2, b"x", term=3)))
    bench.clock.s += 1
    bench.tell(C, VoteRequest(4, 9, 2), VoteRequest(2, 9, 9))
    assert bench.said(VoteReply) == [("c", VoteReply(4, granted=False)), ("c", VoteReply(4, granted=False))]


def test_a_vote_that_arrives_twice_is_one_vote(tmp_path, clock):
    bench = Bench(tmp_path / "a", clock, others=("b", "c", "d", "e"))
    bench.turn(after_s=0.7)
    bench.tell(B, VoteReply(1, granted=True, trial=True))
    bench.tell(C, VoteReply(1, granted=True, trial=True))
    bench.tell(B, VoteReply(1, granted=True), VoteReply(1, granted=True))
    assert bench.engine.state == CANDIDATE
    bench.tell(C, VoteReply(1, granted=True))
    assert bench.engine.state == LEADER
    bench.close()


def test_the_votes_and_answers_of_who_does_not_take_part_count_for_nothing(bench):
    stranger = Node("stranger")
    bench.turn(after_s=0.7)
    bench.tell(stranger, VoteReply(1, granted=True, trial=True))
    assert bench.engine.term == 0
    bench.tell(B, VoteReply(1, granted=True, trial=True))
    bench.tell(stranger, VoteReply(1, granted=True))
    assert bench.engine.state == CANDIDATE
    bench.tell(B, VoteReply(1, granted=True))
    assert bench.engine.state == LEADER
    bench.tell(stranger, AppendReply(1, True, bench.engine.last().index + 1))
    assert bench.engine.commit_index == 1


def test_alone_a_voter_leads_at_once(tmp_path, clock):
    bench = Bench(tmp_path / "a", clock, others=())
    bench.turn()
    bench.engine.proposals.append(proposal(b"x"))
    while bench.engine.needs_turn():
        bench.turn()
    assert [event.leadership.leader for event in bench.took_place(Led)] == ["a"]
    applied = bench.took_place(Applied)
    assert [entry.data for event in applied for entry in event.entries] == [b"x"]
    bench.close()


def test_a_trial_won_for_an_older_term_does_not_count(bench):
    bench.turn(after_s=0.7)
    bench.engine._SyncObj__onMessageReceived(B, VoteReply(1, granted=True, trial=True))
    bench.engine._SyncObj__onMessageReceived(C, VoteRequest(5, 1, 0))
    bench.sent.clear()
    bench.turn(after_s=0.7)
    assert {request.trial for _, request in bench.said(VoteRequest)} == {True}
    assert bench.engine.term == 5


def test_a_replica_that_may_have_forgotten_votes_late_and_stands_later_still(bench):
    bench.engine.abstain(5)
    bench.tell(C, VoteRequest(9, 5, 1), VoteRequest(9, 5, 1, trial=True))
    bench.turn(after_s=4.9)
    assert not bench.said(VoteReply)
    bench.turn(after_s=0.2)
    bench.tell(C, VoteRequest(9, 5, 1, trial=True))
    assert bench.said(VoteReply) == [("c", VoteReply(9, granted=True, trial=True))]
    bench.tell(B, Append(1, 1, 0, 1))
    bench.engine.on_stream_ended("b")
    bench.turn(after_s=4)
    assert not bench.said(VoteRequest)
    bench.turn(after_s=1)
    bench.turn(after_s=0.1)
    assert bench.said(VoteRequest)
