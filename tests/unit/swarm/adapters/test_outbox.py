"""The file of finished outcomes: what it gives back after any end, and what it costs."""

import errno
import os
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm import limits
from swarm.adapters import outbox
from swarm.adapters.outbox import MAGIC, FileOutcomes
from swarm.errors import AgentFailed
from swarm.graph import Payload
from swarm.ids import RunId, StepKey
from swarm.wire.messages import Outcome


def outcome(step, size=10):
    outputs = {"out": Payload("bytes", b"x" * size)}
    return Outcome(StepKey(RunId("run-1"), step, 1, 1), True, outputs, None, False, 5, 1.5)


def keys(*steps):
    return [outcome(step).key for step in steps]


def reopened(path):
    """What the next life of the node finds."""
    store = FileOutcomes(path)
    found = store.open_outcomes()
    store.close()
    return found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox"


def test_outcomes_without_a_receipt_come_back_as_they_were(path):
    store = FileOutcomes(path)
    failed = Outcome(outcome(2).key, False, {}, AgentFailed("no", place="a"), True, 1, 2.0)
    store.keep([outcome(0), outcome(1)])
    store.keep([failed])
    store.forget(keys(0))
    store.close()
    first, second = reopened(path)
    assert first == outcome(1)
    assert (second.key, second.retryable, str(second.error)) == (failed.key, True, str(failed.error))


def test_more_outcomes_than_one_message_takes_come_back(path):
    store = FileOutcomes(path)
    store.keep([outcome(step) for step in range(limits.RECORDS_BATCH_MAX * 2 + 1)])
    store.close()
    assert len(reopened(path)) == limits.RECORDS_BATCH_MAX * 2 + 1


def test_outcomes_too_heavy_for_one_message_come_back(path, monkeypatch):
    monkeypatch.setattr(limits, "MESSAGE_BYTES_MAX", 1_000)
    store = FileOutcomes(path)
    store.keep([outcome(0, 700), outcome(1, 700)])
    store.close()
    assert len(reopened(path)) == 2


def test_a_process_that_is_killed_has_lost_nothing_it_kept(path):
    script = f"""
import os, signal
from pathlib import Path
from tests.unit.swarm.adapters.test_outbox import FileOutcomes, keys, outcome
store = FileOutcomes(Path({str(path)!r}))
store.keep([outcome(step) for step in range(20)])
store.forget(keys(*range(15)))
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert [found.key.step for found in reopened(path)] == [15, 16, 17, 18, 19]


@settings(max_examples=60)
@given(cut=st.integers(0, 400), flip=st.integers(0, 400))
def test_whatever_happens_to_its_end_the_file_gives_back_a_prefix(tmp_path_factory, cut, flip):
    path = tmp_path_factory.mktemp("outbox") / "outbox"
    store = FileOutcomes(path)
    for step in range(4):
        store.keep([outcome(step)])
    store.close()
    data = bytearray(path.read_bytes())
    whole = len(data)
    del data[whole - min(cut, whole) :]
    if flip < len(data):
        data[flip] ^= 0x55
    path.write_bytes(data)
    found = [one.key.step for one in reopened(path)]
    assert found == list(range(len(found)))
    if not cut and flip >= whole:
        assert len(found) == 4
    # and it is sound to go on writing
    store = FileOutcomes(path)
    store.keep([outcome(9)])
    store.close()
    assert [one.key.step for one in reopened(path)] == [*found, 9]


def test_a_file_whose_outcomes_all_have_their_receipt_begins_anew(path, monkeypatch):
    monkeypatch.setattr(outbox, "RESTART_BYTES_MIN", 100)
    store = FileOutcomes(path)
    for step in range(100):
        store.keep([outcome(step)])
        store.forget(keys(step))
    store.close()
    assert path.stat().st_size == len(MAGIC)


def test_dead_weight_is_dropped_while_something_stays_open(path, monkeypatch):
    monkeypatch.setattr(limits, "OUTBOX_FILE_BYTES_MIN", 2_000)
    store = FileOutcomes(path)
    store.keep([outcome(1_000)])
    for step in range(500):
        store.keep([outcome(step)])
        store.forget(keys(step))
        assert path.stat().st_size < 6_000
    store.close()
    assert [found.key.step for found in reopened(path)] == [1_000]
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_costs_durability_and_nothing_else(path, monkeypatch):
    store = FileOutcomes(path)
    store.keep([outcome(0)])
    real = os.pwrite

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    store.keep([outcome(1)])
    assert len(store.open_outcomes()) == 2
    monkeypatch.setattr(os, "pwrite", real)
    store.keep([outcome(2)])
    store.close()
    assert [found.key.step for found in reopened(path)] == [0, 2]


def test_a_file_of_something_else_is_not_believed(path):
    path.write_bytes(b"what is this" * 100)
    assert reopened(path) == ()


def test_keeping_an_outcome_costs_less_than_its_message(path):
    """No sync on the way of a result: the bound is generous, a sync of each frame would break it."""
    store = FileOutcomes(path)
    began = time.perf_counter()
    for start in range(0, 20_000, 100):
        batch = [outcome(step) for step in range(start, start + 100)]
        store.keep(batch)
        store.forget([one.key for one in batch])
    spent = time.perf_counter() - began
    store.close()
    print(f"{1e6 * spent / 20_000:.1f} us for each outcome kept and forgotten")
    assert spent < 10
