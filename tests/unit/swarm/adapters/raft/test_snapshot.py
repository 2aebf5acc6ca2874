"""Snapshots and restarts: the stock class, then ours."""

import os
from types import SimpleNamespace

import pysyncobj.syncobj as library
import pytest
from pysyncobj import SyncObjConf
from pysyncobj.node import Node
from pysyncobj.serializer import Serializer

from swarm.adapters.raft import LogDamaged
from swarm.adapters.raft.events import Applied, CaptureWanted, Restored
from swarm.adapters.raft.messages import (
    Append,
    AppendReply,
    SnapshotChunk,
)
from swarm.adapters.raft.snapshot import Snapshot, SnapshotStore, encode_head
from tests.unit.swarm.adapters.raft.bench import B, Bench, C, commit_as_follower, entries


def test_a_snapshot_is_asked_for_exactly_after_an_applied_entry(bench):
    commit_as_follower(bench, 12)
    (wanted,) = bench.took_place(CaptureWanted)
    applied = bench.took_place(Applied)
    assert wanted.index in {event.through for event in applied}
    bench.turn()
    assert bench.took_place(CaptureWanted) == []


def test_what_a_snapshot_covers_leaves_the_log_only_when_the_snapshot_is_durable(bench, monkeypatch):
    monkeypatch.setattr("swarm.adapters.raft.compaction.TAIL_ENTRIES_KEPT", 2)
    commit_as_follower(bench, 12)
    (wanted,) = bench.took_place(CaptureWanted)
    assert len(bench.engine.log) == 13
    bench.engine.snapshots.write_aside(Snapshot(wanted.index, wanted.term, b"state"))
    assert len(bench.engine.log) == 13
    bench.engine.snapshot_written(wanted.index, wanted.term)
    assert bench.engine.log[0].index == wanted.index - 2


def test_a_snapshot_never_forks(bench, monkeypatch):
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    commit_as_follower(bench, 25)


@pytest.fixture
def compacted(tmp_path, clock, monkeypatch):
    """A directory whose log was compacted, with entries behind the snapshot."""
    monkeypatch.setattr("swarm.adapters.raft.compaction.TAIL_ENTRIES_KEPT", 2)
    bench = Bench(tmp_path / "a", clock)
    commit_as_follower(bench, 12)
    (wanted,) = bench.took_place(CaptureWanted)
    bench.engine.snapshots.write_aside(Snapshot(wanted.index, wanted.term, b"state"))
    bench.engine.snapshot_written(wanted.index, wanted.term)
    bench.close()
    return tmp_path / "a", wanted.index, bench.commands()


def test_a_restart_keeps_everything_behind_the_snapshot(compacted, clock):
    directory, index, commands = compacted
    again = Bench(directory, clock)
    assert again.engine.recovered == Snapshot(index, 1, b"state")
    assert again.commands() == commands
    assert again.engine.last_applied == index
    again.close()


def test_stock_throws_the_log_away_when_the_dump_is_newer_than_its_start(tmp_path, clock, monkeypatch):
    """As after a crash between a finished dump and the compaction of the journal."""
    monkeypatch.setattr("pysyncobj.serializer.logger.exception", lambda *_: None)

    def conf():
        return SyncObjConf(
            autoTick=False, journalFile=str(tmp_path / "journal"), fullDumpFile=str(tmp_path / "dump"),
            useFork=False,
        )  # fmt: skip

    transport = SimpleNamespace(ready=True, send=lambda *_: True, destroy=lambda: None)
    for name in dir(library.Transport):
        if name.startswith("setOn"):
            setattr(transport, name, lambda *_: None)
    first = library.SyncObj(Node("a"), [Node("b")], conf(), transport=transport, nodeClass=Node)
    journal = first._SyncObj__raftLog
    for index in range(2, 50):
        journal.add(b"\1", index, 1)
    dump = (None, (b"\1", 20, 1), (b"\1", 19, 1), set())
    first._SyncObj__serializer.serialize(dump, 19)
    journal._destroy()
    again = library.SyncObj(Node("a"), [Node("b")], conf(), transport=transport, nodeClass=Node)
    again._onTick(0)
    assert again._SyncObj__raftLog[-1][1] == 20
    again._SyncObj__raftLog._destroy()


def test_a_crash_between_the_snapshot_and_the_compaction_loses_nothing(tmp_path, clock):
    bench = Bench(tmp_path / "a", clock)
    commit_as_follower(bench, 12)
    bench.close()
    store = SnapshotStore(tmp_path / "a")
    store.write_aside(Snapshot(8, 1, b"state"))
    store.adopt(8, 1)
    again = Bench(tmp_path / "a", clock)
    assert again.engine.last().index == 13
    assert again.engine.last_applied == 8
    again.close()


def test_a_log_whose_snapshot_is_missing_is_not_taken_for_an_empty_one(compacted, clock):
    directory, _, _ = compacted
    (directory / "snapshot").unlink()
    with pytest.raises(LogDamaged, match="there is no snapshot"):
        Bench(directory, clock)


def test_a_damaged_snapshot_keeps_the_replica_from_starting(compacted, clock):
    directory, _, _ = compacted
    data = bytearray((directory / "snapshot").read_bytes())
    data[-1] ^= 1
    (directory / "snapshot").write_bytes(data)
    with pytest.raises(LogDamaged, match="damaged"):
        Bench(directory, clock)


def snapshot_chunks(state, index=50, term=1, size=100):
    data = encode_head(Snapshot(index, term, state)) + state
    return [
        SnapshotChunk(term, index, term, at, data[at : at + size], at + size >= len(data))
        for at in range(0, len(data), size)
    ]


def test_a_snapshot_from_the_leader_replaces_what_is_behind_it_and_is_acknowledged(bench):
    bench.tell(B, Append(1, 1, 0, 1, entries(2, b"x")))
    bench.said(AppendReply)
    bench.tell(B, *snapshot_chunks(b"s" * 1_000))
    (restored,) = bench.took_place(Restored)
    assert (restored.index, restored.state) == (50, b"s" * 1_000)
    assert [(e.index, e.term) for e in bench.engine.log[:]] == [(50, 1)]
    assert bench.said(AppendReply) == [("b", AppendReply(1, True, 51))]


def test_a_snapshot_from_the_leader_keeps_acknowledged_entries_behind_it(bench):
    commit_as_follower(bench, 3)
    bench.tell(B, Append(1, 4, 1, 4, entries(5, *(b"%d" % n for n in range(5, 60)))))
    bench.took_place(Applied)
    bench.tell(B, *snapshot_chunks(b"state", index=50))
    assert bench.engine.last().index == 59


def test_a_snapshot_older_than_what_is_applied_changes_nothing(bench):
    commit_as_follower(bench, 8)
    bench.said(AppendReply)
    bench.tell(B, *snapshot_chunks(b"old" * 200, index=5))
    assert bench.took_place(Restored) == []
    assert bench.engine.snapshots.index == 0
    assert {reply for _, reply in bench.said(AppendReply)} == {AppendReply(1, True, 10)}


def test_stock_splices_two_transfers_and_replaces_a_good_dump_with_the_result(tmp_path):
    path = tmp_path / "dump"
    path.write_bytes(b"good")
    serializer = Serializer(str(path), 10, False, None, None, None)
    serializer.setTransmissionData((b"first half of one, ", True, False))
    assert serializer.setTransmissionData((b"second half of another", False, True))
    assert path.read_bytes() == b"first half of one, second half of another"


def test_two_transfers_are_never_mixed(bench):
    one, other = snapshot_chunks(b"1" * 300), snapshot_chunks(b"2" * 300)
    assert len(one) == len(other) > 3
    bench.tell(B, *one[:2], *other[3:])
    assert bench.took_place(Restored) == []
    bench.tell(B, one[0], SnapshotChunk(1, 51, 1, one[1].offset, one[1].data, False), *one[2:])
    assert bench.took_place(Restored) == []
    bench.tell(B, *other)
    assert [event.state for event in bench.took_place(Restored)] == [b"2" * 300]


def test_a_damaged_snapshot_from_the_leader_never_replaces_ours(compacted, clock):
    directory, index, _ = compacted
    bench = Bench(directory, clock)
    chunks = snapshot_chunks(b"x" * 300)
    bad = bytearray(chunks[-1].data)
    bad[-1] ^= 1
    bench.tell(B, *chunks[:-1], SnapshotChunk(1, 50, 1, chunks[-1].offset, bytes(bad), True))
    assert bench.took_place(Restored) == []
    assert bench.said(AppendReply) == []
    assert bench.engine.snapshots.load() == Snapshot(index, 1, b"state")
    bench.tell(B, *chunks)
    assert [event.index for event in bench.took_place(Restored)] == [50]
    bench.close()


def test_a_leader_sends_its_snapshot_to_who_needs_what_it_has_dropped(compacted, clock):
    directory, index, _ = compacted
    bench = Bench(directory, clock)
    term = bench.win()
    bench.sent.clear()
    bench.tell(C, AppendReply(term, False, 2, bench.engine.last().index - 1))
    chunks = [message for to, message in bench.said(SnapshotChunk) if to == "c"]
    assert [chunk.last for chunk in chunks] == [True]
    assert chunks[0].index == index
    bench.tell(C, AppendReply(term, True, index + 1))
    following = [append for to, append in bench.said(Append) if to == "c" and append.entries]
    assert following[0].entries[0].index == index + 1
    bench.close()
