"""The log on disk survives what disks do, and notices what they must not do."""

import errno
import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from swarm.adapters.raft import LogDamaged
from swarm.adapters.raft.logfile import LOG_FILE, lock_directory
from swarm.adapters.raft.messages import NO_OP, Entry
from swarm.adapters.raft.records import HEADER_BYTES, read_log
from swarm.adapters.raft.settings import LONG_WRITE_BYTES
from swarm.adapters.raft.wal import Wal
from swarm.errors import Bug, Conflict
from tests.unit.swarm.adapters.raft.disks import (
    SMALL_STEP_BYTES,
    RecordedDirectory,
    contents,
    lose_power,
    open_log,
    write_without_sync,
)

pytestmark = pytest.mark.usefixtures("small_files")


class WalModel(RuleBasedStateMachine):
    """Every flush is durable; what was not flushed is wholly there or wholly gone."""

    @initialize(seed=st.integers(0, 1 << 32))
    def begin(self, seed):
        self.folder = tempfile.TemporaryDirectory()
        self.directory = Path(self.folder.name)
        self.chooser = random.Random(seed)
        self.wal = Wal.open(RecordedDirectory(self.directory), "n1")
        self.flushed = contents(self.wal)
        self.term = 0

    def teardown(self):
        if hasattr(self, "wal"):
            self.wal.close()
            self.folder.cleanup()

    @rule(sizes=st.lists(st.sampled_from([1, 2, 30, 600, 5_000]), min_size=1, max_size=4))
    def add(self, sizes):
        for size in sizes:
            self.wal.add(self.chooser.randbytes(size), self.wal[-1].index + 1, self.term)

    @rule(at=st.integers(1, 40))
    def cut(self, at):
        self.wal.deleteEntriesFrom(at)

    @rule(vote=st.sampled_from([None, "n1", "n2"]))
    def vote(self, vote):
        self.term += 1
        self.wal.setCurrentTerm(self.term, vote)

    @rule(peer=st.sampled_from(["n2", "n3"]))
    def meet(self, peer):
        self.wal.remember_peer(peer, self.chooser.randbytes(16))

    @rule()
    def commit(self):
        self.wal.setRaftCommitIndex(self.wal[-1].index)
        self.wal.onOneSecondTimer()

    @rule()
    def flush(self):
        self.wal.flush()
        self.flushed = contents(self.wal)

    @precondition(lambda self: len(self.wal) > 2)
    @rule(keep=st.integers(1, 5))
    def compact(self, keep):
        self.wal.replace(self.wal[-keep:])
        self.flushed = contents(self.wal)

    @rule()
    def restart(self):
        self.wal.close()
        self.flushed = contents(self.wal)
        self.reopen()
        assert contents(self.wal) == self.flushed

    @rule()
    def power_cut(self):
        unflushed = contents(self.wal)
        write_without_sync(self.wal)
        lose_power(self.wal, self.chooser)
        self.reopen()
        assert contents(self.wal) in (self.flushed, unflushed)
        self.flushed = contents(self.wal)

    def reopen(self):
        self.wal = Wal.open(RecordedDirectory(self.directory), "n1")
        self.term = self.wal.getCurrentTerm()
        self.term = max(self.term, self.wal[-1].term)

    @invariant()
    def entries_are_contiguous(self):
        if hasattr(self, "wal"):
            indexes = [entry.index for entry in self.wal[:]]
            assert indexes == list(range(indexes[0], indexes[0] + len(indexes)))


TestWalModel = WalModel.TestCase
TestWalModel.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def filled(tmp_path):
    """A closed log of 20 batches, and what it holds."""
    wal = open_log(tmp_path)
    for number in range(20):
        wal.setCurrentTerm(number + 1, "n2")
        wal.add(b"\0entry %d " % number * 20, number + 2, number + 1)
        wal.flush()
    wal.close()
    return tmp_path, list(wal[:])


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_flipped_bit_is_refused_or_costs_the_last_batch_at_most(filled, place, bit):
    directory, entries = filled
    good = (directory / LOG_FILE).read_bytes()
    used = read_log(good, "").end
    data = bytearray(good)
    data[int(place * used)] ^= 1 << bit
    try:
        state = read_log(bytes(data), "log")
    except LogDamaged:
        return
    # In the last batch it cannot be told from a write the power cut off.
    assert state.entries == entries[:-1]
    assert int(place * used) >= state.end


def test_damage_in_the_middle_keeps_the_replica_from_starting(filled):
    directory, _ = filled
    path = directory / LOG_FILE
    data = bytearray(path.read_bytes())
    data[HEADER_BYTES + 2_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(LogDamaged, match=r"batch \d+ at byte \d+ is damaged, yet batch \d+") as caught:
        open_log(directory)
    assert caught.value.place == str(path)
    assert "keeping the id would forget" in caught.value.remedy
    assert path.read_bytes() == data


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 1.0])
def test_a_file_cut_short_keeps_the_replica_from_starting(filled, part):
    directory, _ = filled
    path = directory / LOG_FILE
    data = path.read_bytes()
    path.write_bytes(data[: int(read_log(data, "").end * part)])
    with pytest.raises(LogDamaged):
        open_log(directory)


def test_every_length_a_file_can_be_cut_to_is_noticed(filled):
    directory, entries = filled
    data = (directory / LOG_FILE).read_bytes()
    end = read_log(data, "").end
    for length in range(end + 1):
        with pytest.raises(LogDamaged):
            read_log(data[:length], "log")
    assert read_log(data[: end + 1], "log").entries == entries


def test_a_payload_cannot_pose_as_a_later_batch(tmp_path):
    """Else a client could keep a replica from starting by proposing the bytes of a batch."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    other = open_log(tmp_path / "a")
    for number in range(5):
        other.add(b"\0x", number + 2, 1)
        other.flush()
    other.close()
    forged = (tmp_path / "a" / LOG_FILE).read_bytes()[HEADER_BYTES:2_000]
    wal = Wal.open(RecordedDirectory(tmp_path / "b"), "n1")
    wal.add(forged, 2, 1)
    torn = write_without_sync(wal)
    wal.close()
    torn[HEADER_BYTES + 150] ^= 1
    (tmp_path / "b" / LOG_FILE).write_bytes(torn)
    again = open_log(tmp_path / "b")
    again.close()


def test_a_torn_last_write_is_erased_so_that_it_never_comes_back(tmp_path):
    wal = Wal.open(RecordedDirectory(tmp_path), "n1")
    wal.add(b"\0kept", 2, 1)
    wal.flush()
    end = wal.file_bytes
    wal.add(b"\0torn" * 200, 3, 1)
    image = write_without_sync(wal)
    wal.close()
    image[end + 600] ^= 0xFF
    Path(wal.place).write_bytes(image)
    again = open_log(tmp_path)
    assert [entry.command for entry in again[:]] == [NO_OP, b"\0kept"]
    again.close()
    assert not Path(wal.place).read_bytes()[end:].strip(b"\0")


def test_a_crash_while_the_log_is_rewritten_leaves_the_old_one(tmp_path, monkeypatch):
    wal = open_log(tmp_path)
    for number in range(10):
        wal.add(b"\0x", number + 2, 1)
    wal.flush()
    before = contents(wal)
    monkeypatch.setattr("pathlib.Path.rename", _raise_no_space)
    with pytest.raises(OSError, match="No space"):
        wal.replace(wal[5:])
    monkeypatch.undo()
    wal.close()
    again = open_log(tmp_path)
    assert contents(again) == before
    assert not list(tmp_path.glob("*.new"))
    again.close()


def _raise_no_space(*_args):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fdatasync", "pwrite", "posix_fallocate"])
def test_after_a_failed_write_the_log_is_never_written_again(tmp_path, monkeypatch, call):
    wal = open_log(tmp_path)
    wal.add(b"\0x" * SMALL_STEP_BYTES, 2, 1)
    monkeypatch.setattr(os, call, _raise_no_space)
    with pytest.raises(OSError, match="No space"):
        wal.flush()
    monkeypatch.undo()
    with pytest.raises(Bug, match="must not be used"):
        wal.flush()
    wal.close()
    again = open_log(tmp_path)
    assert len(again) == (
        2 if call == "fdatasync" else 1
    )  # what was written is there, if nobody pulls the plug
    again.close()


def test_one_flush_is_one_sync_however_many_changes(tmp_path, monkeypatch):
    wal = open_log(tmp_path)
    syncs = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: syncs.append(real(fd)))
    for number in range(500):
        wal.add(b"\0x", number + 2, 1)
    wal.setCurrentTerm(1, "n1")
    assert wal.flush()
    assert len(syncs) == 1
    assert not wal.flush()
    assert len(syncs) == 1
    wal.close()


def test_a_rewritten_log_keeps_term_vote_commit_index_and_acquaintances(tmp_path):
    wal = open_log(tmp_path)
    wal.setCurrentTerm(7, "n3")
    wal.remember_peer("n2", b"i" * 16)
    for number in range(10):
        wal.add(b"\0x", number + 2, 7)
    wal.setRaftCommitIndex(9)
    wal.replace(wal[5:])
    wal.close()
    again = open_log(tmp_path)
    assert (again.getCurrentTerm(), again.getVotedForNodeId(), again.getRaftCommitIndex()) == (7, "n3", 9)
    assert again.peers == {"n2": b"i" * 16}
    assert again.incarnation == wal.incarnation
    assert again[0] == Entry(b"\0x", 6, 7)
    again.close()


def test_another_nodes_log_is_not_taken_over(tmp_path):
    open_log(tmp_path).close()
    with pytest.raises(Conflict, match="holds the log of node 'n1'"):
        open_log(tmp_path, "n2")


def test_two_processes_cannot_share_a_directory(tmp_path):
    held = lock_directory(tmp_path)
    with pytest.raises(Conflict, match="another process"):
        lock_directory(tmp_path)
    os.close(held)
    os.close(lock_directory(tmp_path))


def test_a_log_of_another_version_or_another_file_is_refused(filled):
    directory, _ = filled
    path = directory / LOG_FILE
    data = path.read_bytes()
    for wrong in (b"SWARMLOG" + b"\x09" + data[9:], b"something else" + data, b"", b"\0" * 5_000):
        path.write_bytes(wrong)
        with pytest.raises(LogDamaged):
            open_log(directory)


def test_a_long_write_is_synced_in_steps_with_room_to_breathe_in_between(tmp_path, monkeypatch):
    wal = open_log(tmp_path)
    breaths, syncs = [], []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: syncs.append(real(fd)))
    wal.between_writes = lambda: breaths.append(len(syncs))
    commands = [b"\0" + bytes(size) for size in (10, LONG_WRITE_BYTES * 3, 20, LONG_WRITE_BYTES - 5, 30)]
    for place, command in enumerate(commands):
        wal.add(command, place + 2, 1)
    wal.flush()
    assert breaths == list(range(1, len(syncs)))
    assert len(syncs) >= 5
    wal.close()
    again = open_log(tmp_path)
    assert [entry.command for entry in again[1:]] == commands
    again.close()
