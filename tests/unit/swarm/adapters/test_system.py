"""The machine's files: what is stored is what is read, and a full disk is a typed error."""

import json
import os
import subprocess
import sys

import pytest

from swarm import limits
from swarm.adapters.system import FileJournal, SystemMachine, new_id
from swarm.errors import OverLimit


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_journal_goes_on_where_it_ended(tmp_path):
    path = tmp_path / "journal.jsonl"
    for step in range(2):
        journal = FileJournal(path)
        journal.append([{"step": step}])
        journal.close()
    assert lines(path) == [{"step": 0}, {"step": 1}]


def test_a_journal_at_its_bound_begins_anew_and_keeps_one_before(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "JOURNAL_BYTES_MAX", 40)
    path = tmp_path / "journal.jsonl"
    journal = FileJournal(path)
    for step in range(4):
        journal.append([{"step": step}])
    journal.close()
    assert lines(path) == [{"step": 3}] or lines(path) == [{"step": 2}, {"step": 3}]
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 40


def test_a_journal_on_a_full_disk_says_so():
    journal = FileJournal.__new__(FileJournal)
    journal._path, journal._size = "/dev/full", 0
    journal._fd = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OverLimit, match="No space left") as caught:
        journal.append([{"step": 0}])
    journal.close()
    assert caught.value.remedy


def test_ids_do_not_repeat_and_sort_by_time():
    ids = [new_id() for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    assert {len(one) for one in ids} == {len(ids[0])}


def test_the_machine_has_processors_memory_and_a_load_that_is_a_share():
    machine = SystemMachine()
    assert machine.cpu_cores() >= 1
    assert machine.memory_mb() > 0
    assert 0.0 <= machine.load() <= 1.0


FAULTS = """
import resource, sys
from swarm.adapters.system import keep_memory
from swarm.wire.gen.client_pb2 import BlobPart
if sys.argv[1] == "keep" and not keep_memory():
    sys.exit(3)
data = bytes(1 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    BlobPart(data=data).SerializeToString()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_memory_of_large_messages_is_kept_for_the_next_ones():
    def faults(how):
        ended = subprocess.run(
            [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=False, timeout=60
        )
        if ended.returncode == 3:
            pytest.skip("this C library cannot be told")
        return int(ended.stdout)

    assert faults("keep") * 4 < faults("default")
