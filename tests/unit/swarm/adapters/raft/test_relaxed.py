"""A log that is synced a moment later: what waits all the same, and what a power cut may take."""

import errno
import os
import queue
import random
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarm.adapters.raft import LogDamaged, relaxed
from swarm.adapters.raft.logfile import LogDirectory
from swarm.adapters.raft.relaxed import BackgroundSync, BootMark
from swarm.adapters.raft.wal import Wal
from tests.unit.swarm.adapters.raft.disks import RecordedDirectory, contents, lose_power, open_log

pytestmark = pytest.mark.usefixtures("small_files")


def _raise_no_space(*_args):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_relaxed_log_syncs_terms_votes_and_cuts_at_once_and_entries_a_moment_later(tmp_path):
    background = BackgroundSync(pytest.fail)  # its thread is not started: nothing is synced behind our back
    wal = Wal.open(RecordedDirectory(tmp_path), "n1", background)
    for change in (
        lambda: wal.setCurrentTerm(3, "n2"),
        lambda: wal.deleteEntriesFrom(2),
        lambda: wal.remember_peer("n2", bytes(16)),
    ):
        wal.add(b"\0x", 2, 1)
        wal.add(b"\0x", 3, 1)
        wal.flush()
        assert wal._file.unsynced
        change()
        wal.flush()
        assert not wal._file.unsynced
        wal.replace(wal[:1])
    wal.close()


def test_a_relaxed_log_that_its_disk_cannot_follow_waits_for_it(tmp_path, monkeypatch):
    wal = Wal.open(RecordedDirectory(tmp_path), "n1", BackgroundSync(pytest.fail))
    wal.add(b"\0x", 2, 1)
    wal.flush()
    monkeypatch.setattr(relaxed, "RELAXED_LAG_MS_MAX", -1)
    wal.add(b"\0x", 3, 1)
    wal.flush()
    assert not wal._file.unsynced
    wal.close()


def test_a_relaxed_log_is_durable_soon_after_it_was_written(tmp_path):
    background = BackgroundSync(pytest.fail)
    wal = Wal.open(LogDirectory(tmp_path), "n1", background)
    background.start()
    for number in range(50):
        wal.add(b"\0x", number + 2, 1)
        wal.flush()
    wait_until(lambda: background.synced == wal._sequence)
    background.stop()
    wal.close()


def wait_until(condition, patience_s=20.0):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def test_a_background_sync_that_fails_is_told(tmp_path, monkeypatch):
    told = queue.SimpleQueue()
    background = BackgroundSync(told.put)
    wal = Wal.open(LogDirectory(tmp_path), "n1", background)
    wal.add(b"\0x", 2, 1)
    wal.flush()
    monkeypatch.setattr(os, "fdatasync", _raise_no_space)
    background.start()
    assert isinstance(told.get(timeout=20), OSError)
    monkeypatch.undo()
    background.stop()
    wal.close()


@given(seed=st.integers(0, 1 << 32), synced=st.integers(0, 12), batches=st.integers(1, 12))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_power_cut_takes_no_more_of_a_relaxed_log_than_was_not_synced(seed, synced, batches):
    chooser = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        background = BackgroundSync(pytest.fail)
        wal = Wal.open(RecordedDirectory(Path(folder)), "n1", background)
        kept = 1
        for number in range(batches):
            wal.add(chooser.randbytes(chooser.choice([1, 600, 5_000])), number + 2, 1)
            wal.flush()
            if number < synced:
                wal._file.sync()
                background.settled(wal._sequence)
                kept = len(wal)
        entries = list(wal[:])
        lose_power(wal, chooser)
        again = Wal.open(RecordedDirectory(Path(folder)), "n1", BackgroundSync(pytest.fail))
        assert list(again[:]) == entries[: len(again)]
        assert len(again) >= kept
        held = contents(again)
        again.add(b"\0on", again[-1].index + 1, 1)
        again.flush()
        again.close()
        third = open_log(Path(folder))  # also without relaxing: nothing of the lost end is left to find
        assert list(third[:-1]) == held[0]
        third.close()


def test_damage_to_what_a_relaxed_log_had_synced_keeps_the_replica_from_starting(tmp_path):
    background = BackgroundSync(pytest.fail)
    wal = Wal.open(RecordedDirectory(tmp_path), "n1", background)
    for number in range(6):
        wal.add(b"\0entry" * 20, number + 2, 1)
        wal.flush()
        if number == 3:
            background.settled(wal._sequence)
            end = wal.file_bytes
    image = bytearray(wal._file.image())
    wal.close()
    image[end - 5] ^= 1
    Path(wal.place).write_bytes(image)
    with pytest.raises(LogDamaged, match="is damaged, yet batch"):
        open_log(tmp_path)


def test_only_a_boot_of_the_machine_in_between_makes_a_relaxed_log_forgetful(tmp_path, monkeypatch):
    boot_id = tmp_path / "boot_id"
    monkeypatch.setattr(relaxed, "_BOOT_ID", boot_id)
    boot_id.write_text("monday")
    mark = BootMark(tmp_path)
    assert not mark.outlived()
    mark.put()
    assert not mark.outlived()
    boot_id.write_text("tuesday")
    assert mark.outlived()
    mark.remove()
    assert not mark.outlived()
