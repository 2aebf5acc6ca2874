"""Proposals, long writes, and nothing unpickled: the stock class, then ours."""

import os
import struct
import zlib

import pytest
from pysyncobj.journal import FileJournal
from pysyncobj.tcp_connection import TcpConnection

from swarm.adapters.raft.engine import ApplyRoom
from swarm.adapters.raft.events import Applied, CaptureWanted, Failed
from swarm.adapters.raft.logfile import LogFile
from swarm.adapters.raft.messages import (
    Append,
    AppendReply,
    Underway,
    VoteRequest,
)
from swarm.errors import Bug, NotBuilt, NotLeader, OutcomeUnknown
from tests.unit.swarm.adapters.raft.bench import B, C, entries, proposal

# -- proposals --


def test_a_follower_refuses_a_proposal_and_names_the_leader(bench):
    bench.tell(B, Append(1, 1, 0, 1))
    bench.engine.proposals.append(proposal(b"x"))
    bench.turn()
    (failed,) = bench.took_place(Failed)
    assert isinstance(failed.error, NotLeader)
    assert failed.error.hint == "b"


def test_a_proposal_is_answered_when_a_majority_holds_it(bench):
    term = bench.lead()
    bench.took_place(Applied)
    bench.engine.proposals.append(proposal(b"x"))
    bench.turn()
    assert bench.took_place(Applied) == []
    index = bench.engine.last().index
    bench.tell(B, AppendReply(term, True, index + 1))
    (applied,) = bench.took_place(Applied)
    assert [(one.done, at) for one, at in applied.answers] == [(b"x", index)]


def test_who_waits_is_told_when_another_leads_before_an_entry_can_take_the_place(bench):
    term = bench.lead()
    bench.took_place(Applied)
    bench.engine.proposals.append(proposal(b"mine"))
    bench.turn()
    index = bench.engine.last().index
    theirs = entries(index, b"theirs", term=term + 1)
    previous = bench.engine.entry_at(index - 1)
    bench.tell(B, Append(term + 1, previous.index, previous.term, index, theirs))
    (failed,) = bench.took_place(Failed)
    assert isinstance(failed.error, OutcomeUnknown)
    (applied,) = bench.took_place(Applied)
    assert applied.answers == ()
    assert [entry.data for entry in applied.entries] == [b"theirs"]


def test_stock_applies_an_entry_twice_when_a_callback_raises(stock):
    stock.lead()

    def break_down(_result, _error):
        raise ValueError

    stock.object._applyCommand(b"x", break_down, 0)
    stock.object._onTick(0)
    stock.replica.deliver(1, {"type": "next_node_idx", "next_node_idx": 4, "reset": False, "success": True})
    with pytest.raises(ValueError):  # noqa: PT011 - our own, without a text
        stock.object._onTick(0)
    stock.object._onTick(0)
    assert stock.applied_entries == [(3, b"x"), (3, b"x")]


def test_stock_never_answers_when_another_replica_leads(stock):
    stock.lead()
    answers = []
    stock.object._applyCommand(b"x", lambda *answer: answers.append(answer), 0)
    stock.object._onTick(0)
    stock.append((1, 0), entries(2, b"y", term=5), term=5, commit=1)
    stock.object._onTick(0)
    assert answers == []


def test_entries_are_handed_over_only_as_fast_as_they_are_applied(bench):
    bench.tell(B, Append(1, 1, 0, 9, entries(2, *(b"%d" % n for n in range(8)))))
    assert sum(event.places for event in bench.took_place(Applied)) == 8
    bench.tell(B, Append(1, 9, 1, 9, entries(10, *(b"%d" % n for n in range(8)))))
    bench.engine.room = ApplyRoom(3, 1 << 20)
    bench.engine._SyncObj__onMessageReceived(B, Append(1, 17, 1, 17))
    bench.engine.turn()
    assert [event.through for event in bench.took_place(Applied)] == [12]


# -- a long write, a large entry --


def test_signs_of_life_say_nothing_that_was_not_durable_before(bench):
    bench.tell(B, Append(1, 1, 0, 1))
    bench.engine._SyncObj__onMessageReceived(B, Append(1, 1, 0, 3, entries(2, b"x", b"y")))
    bench.engine.turn()
    assert bench.engine.commit_index == 3
    assert bench.engine.signs_of_life() == [(B, AppendReply(1, True, 2))]
    bench.engine.log.flush()
    bench.engine.now_durable()
    assert bench.engine.signs_of_life() == [(B, AppendReply(1, True, 4))]
    bench.engine.step_down(2)
    assert bench.engine.signs_of_life() == []


def test_a_leaders_signs_of_life_are_about_what_each_follower_holds(bench):
    term = bench.lead()
    held = bench.engine.last().index
    bench.engine.proposals.append(proposal(b"large"))
    bench.engine.turn()
    signs = bench.engine.signs_of_life()
    assert {node.id for node, _ in signs} == {"b", "c"}
    assert {message for _, message in signs} == {Append(term, held, term, held)}


def test_the_pieces_of_a_large_message_keep_the_follower_and_the_leader_calm(bench):
    bench.tell(B, Append(1, 1, 0, 2, entries(2, b"x")))
    bench.said(AppendReply)
    for _ in range(10):
        bench.clock.s += 0.2
        bench.tell(B, Underway(1))
    assert bench.said(VoteRequest) == []
    assert {reply for _, reply in bench.said(AppendReply)} == {AppendReply(1, True, 3)}
    bench.tell(C, Underway(1))
    assert bench.said(AppendReply) == []


# -- nothing is unpickled, nothing unsupported pretends --


def test_stock_calls_what_a_stranger_sends(tmp_path):
    told = f"cos\nmkdir\n(V{tmp_path / 'made by a stranger'}\ntR."  # a pickle: call os.mkdir with that
    body = zlib.compress(told.encode())
    connection = TcpConnection(poller=None)
    connection._TcpConnection__readBuffer = struct.pack("i", len(body)) + body
    connection._TcpConnection__processParseMessage()
    assert [path.name for path in tmp_path.iterdir()] == ["made by a stranger"]


def test_what_would_need_a_pickle_is_refused(bench):
    for call in (
        bench.engine.addNodeToCluster,
        bench.engine.removeNodeFromCluster,
        bench.engine.setCodeVersion,
    ):
        with pytest.raises((NotBuilt, Bug)):
            call("d")
    with pytest.raises(Bug):
        bench.engine._SyncObj__doApplyCommand(b"\0")
    assert bench.engine._SyncObj__parseChangeClusterRequest(b"\2anything") is None


def test_no_pickle_is_made_or_read(bench, monkeypatch):
    for module in ("pysyncobj.pickle", "pickle"):
        for name in ("loads", "dumps", "load", "dump"):
            monkeypatch.setattr(f"{module}.{name}", lambda *_: pytest.fail("pickled"), raising=False)
    bench.lead()
    bench.engine.proposals.extend(proposal(bytes(200 << 10)) for _ in range(20))
    bench.turn()
    bench.tell(B, AppendReply(bench.engine.term, True, bench.engine.last().index + 1))
    assert bench.took_place(CaptureWanted)


# -- the stock journal --


@pytest.mark.filterwarnings("ignore")  # the library leaves a file open
def test_stock_accepts_a_flipped_byte_and_forgets_its_term_when_its_file_is_torn(tmp_path):
    path = tmp_path / "journal"
    journal = FileJournal(str(path))
    journal.add(b"\0payload", 2, 1)
    journal.setCurrentTerm(7, "b")
    journal._destroy()
    data = bytearray(path.read_bytes())
    data[data.find(b"payload")] ^= 1
    path.write_bytes(data)
    (tmp_path / "journal.meta").write_bytes(b"torn")
    again = FileJournal(str(path))
    assert again[0][0] == b"\0qayload"
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (0, None)
    again._destroy()


@pytest.mark.filterwarnings("ignore")  # the library leaves a file open
def test_stock_cannot_say_where_a_journal_of_four_gigabytes_ends(tmp_path, monkeypatch):
    journal = FileJournal(str(tmp_path / "journal"))
    monkeypatch.setattr(journal._FileJournal__journalFile, "write", lambda *_: None)
    monkeypatch.setattr(journal, "_FileJournal__currentOffset", 1 << 32)
    with pytest.raises(struct.error):
        journal.add(b"\0payload", 2, 1)
    assert len(journal) == 1  # and in memory the entry is there


def test_our_log_file_goes_on_behind_four_gigabytes(tmp_path):
    file = LogFile(tmp_path / "log", os.O_CREAT)
    file.write(5 << 30, b"batch")  # of which nothing but these bytes takes room
    file.close()
    with (tmp_path / "log").open("rb") as found:
        found.seek(5 << 30)
        assert found.read() == b"batch"


def test_stock_never_syncs(tmp_path, monkeypatch):
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _fd: pytest.fail("synced"))
    journal = FileJournal(str(tmp_path / "journal"))
    journal.add(b"\0payload", 2, 1)
    journal.setCurrentTerm(7, "b")
    journal.onOneSecondTimer()
    journal._destroy()
