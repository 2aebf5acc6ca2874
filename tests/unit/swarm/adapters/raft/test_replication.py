"""What a follower accepted stays, and what a leader believes of its followers: the stock class, then ours."""

from dataclasses import replace

import pytest
from pysyncobj import SyncObjConf

from swarm.adapters.raft.core import FOLLOWER
from swarm.adapters.raft.events import Failed
from swarm.adapters.raft.messages import (
    NO_OP,
    Append,
    AppendReply,
)
from swarm.adapters.raft.settings import COMMIT_NOTICE_MS
from swarm.errors import Bug, OutcomeUnknown
from tests.unit.swarm.adapters.raft.bench import SETTINGS, B, Bench, C, entries, proposal

# -- what a follower accepted stays --


def test_stock_cuts_off_entries_it_acknowledged_when_older_ones_are_sent_again(stock):
    stock.append((1, 0), entries(2, b"x", b"y", b"z"))
    stock.append((1, 0), entries(2, b"x"))
    assert len(stock.object._SyncObj__raftLog) == 2


def test_entries_sent_again_leave_what_lies_behind_them_alone(bench):
    bench.tell(B, Append(1, 1, 0, 1, entries(2, b"x", b"y", b"z")))
    bench.tell(B, Append(1, 1, 0, 1, entries(2, b"x")))
    assert bench.commands() == [NO_OP, b"\0x", b"\0y", b"\0z"]
    assert [reply.next_index for _, reply in bench.said(AppendReply)] == [5, 3]


def test_a_newer_leaders_entry_replaces_a_conflicting_one_and_all_behind_it(bench):
    bench.tell(B, Append(1, 1, 0, 1, entries(2, b"x", b"y", b"z")))
    bench.tell(C, Append(2, 2, 1, 1, entries(3, b"other", term=2)))
    assert bench.commands() == [NO_OP, b"\0x", b"\0other"]


def test_a_conflict_below_the_commit_index_stops_the_replica(bench):
    bench.tell(B, Append(1, 1, 0, 3, entries(2, b"x", b"y")))
    with pytest.raises(Bug, match="committed"):
        bench.tell(C, Append(2, 1, 0, 3, entries(2, b"other", term=2)))


def test_a_conflicting_term_is_skipped_as_a_whole(bench):
    bench.tell(B, Append(1, 1, 0, 1, entries(2, b"x", b"y", b"z")))
    bench.tell(C, Append(3, 4, 2, 1))
    ((_, reply),) = bench.said(AppendReply)[-1:]
    assert (reply.accepted, reply.next_index, reply.previous_index) == (False, 2, 4)


def test_only_what_a_message_proved_to_be_the_leaders_counts_as_committed(bench):
    bench.tell(B, Append(1, 1, 0, 1, entries(2, b"x", b"y", b"z")))
    bench.tell(C, Append(2, 2, 1, 4))
    assert bench.engine.commit_index == 2


# -- what a leader believes of its followers --


def test_stock_counts_an_answer_of_an_earlier_term(stock):
    stock.lead()
    for data in (b"x", b"y"):
        stock.replica.propose(data)
        stock.object._onTick(0)
    stock.replica.deliver(
        1, {"type": "next_node_idx", "next_node_idx": 5, "reset": False, "success": True}
    )  # it has no term: from whatever term it is, it counts
    stock.object._onTick(0)
    assert stock.object.raftCommitIndex == 4


def test_an_answer_of_an_earlier_term_counts_for_nothing(bench):
    term = bench.lead()
    bench.engine.proposals.append(proposal(b"x"))
    bench.turn()
    committed = bench.engine.commit_index
    bench.tell(B, AppendReply(term - 1, True, bench.engine.last().index + 1))
    assert bench.engine.commit_index == committed


def test_a_late_answer_does_not_take_back_what_was_accepted(bench):
    term = bench.lead()
    for _ in range(3):
        bench.engine.proposals.append(proposal(b"x"))
    bench.turn()
    last = bench.engine.last().index
    bench.tell(B, AppendReply(term, True, last + 1), AppendReply(term, True, last - 1))
    assert bench.engine.match_index[B] == last
    bench.said(Append)
    bench.turn(after_s=0.1)
    assert [append.entries for to, append in bench.said(Append) if to == "b"] == [()]


def test_a_follower_that_claims_more_than_there_is_is_not_believed(bench):
    term = bench.lead()
    committed = bench.engine.commit_index
    bench.tell(B, AppendReply(term, True, 1_000))
    assert bench.engine.commit_index == committed


def test_a_follower_that_lost_what_it_accepted_is_not_helped_to_forget(bench):
    term = bench.lead()
    bench.tell(B, AppendReply(term, False, 2, bench.engine.match_index[B]))
    bench.turn(after_s=0.1)
    for _, append in bench.said(Append):
        assert append.previous_index >= bench.engine.match_index[B]


def test_a_follower_that_lost_power_under_a_relaxed_log_is_sent_again_what_it_lost(tmp_path, clock):
    bench = Bench(tmp_path / "a", clock, settings=replace(SETTINGS, relaxed=True))
    bench.engine.proposals.extend(proposal(b"%d" % n) for n in range(4))
    term = bench.lead()
    held, committed = bench.engine.match_index[B], bench.engine.commit_index
    bench.tell(B, AppendReply(term, False, 2, held))
    bench.turn(after_s=0.1)
    sent = [append for to, append in bench.said(Append) if to == "b"]
    assert sent[-1].previous_index == 1
    bench.tell(B, AppendReply(term, True, 2, 1))
    assert [append.entries[0].index for to, append in bench.said(Append) if to == "b" and append.entries] == [
        2
    ]
    assert bench.engine.commit_index == committed
    bench.close()


def test_a_refused_probe_goes_back_and_an_old_refusal_does_not_undo_it(bench):
    bench.lead()
    bench.engine.proposals.extend(proposal(b"%d" % n) for n in range(8))
    bench.turn()
    bench.engine.step_down(bench.engine.term + 1)
    bench.win()
    term, last = bench.engine.term, bench.engine.last().index
    bench.sent.clear()
    bench.tell(C, AppendReply(term, False, 4, last - 1))
    assert [append.previous_index for to, append in bench.said(Append) if to == "c"][-1] == 3
    bench.tell(C, AppendReply(term, False, 7, last - 1))
    bench.turn(after_s=0.1)
    assert {append.previous_index for to, append in bench.said(Append) if to == "c"} == {3}
    bench.tell(C, AppendReply(term, True, 4, 3))
    sent = [append for to, append in bench.said(Append) if to == "c" and append.entries]
    assert sent[0].entries[0].index == 4


def test_stock_believes_in_itself_for_thirty_seconds_without_a_majority(clock):
    assert SyncObjConf().leaderFallbackTimeout == 30.0


def test_a_leader_that_hears_nobody_steps_down_within_an_election(bench):
    bench.lead()
    bench.engine.proposals.append(proposal(b"x"))
    bench.turn()
    bench.turn(after_s=SETTINGS.election_ms_max / 1000 + 0.01)
    assert bench.engine.state == FOLLOWER
    (failed,) = bench.took_place(Failed)
    assert isinstance(failed.error, OutcomeUnknown)
    assert [one.done for one in failed.proposals] == [b"x"]


def test_a_congested_link_still_gets_heartbeats_but_no_entries(bench):
    bench.lead()
    bench.congested = True
    bench.engine.proposals.extend(proposal(bytes(1_000)) for _ in range(10))
    for _ in range(5):
        bench.turn(after_s=0.06)
    sent = bench.said(Append)
    assert len(sent) >= 10
    assert all(append.entries == () for _, append in sent)


def test_a_row_of_entries_is_sent_in_messages_of_bounded_size(bench):
    bench.lead()
    bench.engine.proposals.extend(proposal(bytes(300 << 10)) for _ in range(10))
    bench.turn()
    sizes = [sum(len(e.command) for e in append.entries) for to, append in bench.said(Append) if to == "b"]
    assert sum(sizes) == 10 * ((300 << 10) + 1)
    assert max(sizes) <= 1 << 20


# -- what is committed, and who hears of it when --


def _committed(bench, *, awaits=False):
    """A leader whose followers hold its first entry, and the appends it sent when C's answer came."""
    term = bench.lead()
    bench.engine.proposals.append(proposal(b"x"))
    bench.turn()
    last = bench.engine.last().index
    bench.tell(B, AppendReply(term, True, last, awaits=awaits))  # it holds all but the last
    bench.sent.clear()
    bench.tell(C, AppendReply(term, True, last + 1))
    assert bench.engine.commit_index == last
    return last


def test_that_more_is_committed_travels_with_the_next_entries(bench):
    last = _committed(bench)
    assert bench.said(Append) == []
    bench.engine.proposals.append(proposal(b"y"))
    bench.turn()
    assert {to for to, append in bench.said(Append) if append.commit_index == last and append.entries} == {
        "b",
        "c",
    }


def test_that_more_is_committed_is_said_a_moment_later_where_nothing_follows(bench):
    last = _committed(bench)
    due = bench.engine.next_deadline()
    assert due <= bench.clock.s + COMMIT_NOTICE_MS / 1000
    bench.turn(after_s=COMMIT_NOTICE_MS / 1000)
    assert [(to, append.commit_index) for to, append in bench.said(Append)] == [("b", last), ("c", last)]
    bench.sent.clear()
    bench.turn(after_s=COMMIT_NOTICE_MS / 1000)
    assert bench.said(Append) == []  # once


def test_who_waits_for_what_is_committed_hears_of_it_at_once(bench):
    last = _committed(bench, awaits=True)
    assert [(to, append.commit_index) for to, append in bench.said(Append)] == [("b", last)]


def test_a_follower_says_whether_somebody_waits_there(bench):
    bench.engine.awaited = True
    bench.tell(B, Append(1, 1, 0, 1, entries(2, b"x")))
    bench.engine.awaited = False
    bench.tell(B, Append(1, 2, 1, 1, entries(3, b"y")))
    assert [reply.awaits for _, reply in bench.said(AppendReply)] == [True, False]


def test_only_a_leader_whose_term_is_durable_lets_appends_run_ahead_of_its_disk(bench):
    assert not bench.engine.may_run_ahead()
    bench.lead()
    assert bench.engine.may_run_ahead()
    bench.engine.step_down(bench.engine.term + 1)
    assert not bench.engine.may_run_ahead()
