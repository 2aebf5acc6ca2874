"""Logs of every schema there was are read for ever; newer ones are refused before anything is taken in."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from swarm.coordinator.replica import Replica
from swarm.errors import Bug, LogTooNew
from swarm.graph import Payload, Priority
from swarm.ids import NodeId, RunId
from swarm.ports import Committed
from swarm.scheduler.events import RunSubmitted, StepRecord
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.machine import DEFAULTS
from swarm.tasks import Tasks
from swarm.testing.clock import FakeClock, run_virtually
from swarm.testing.graphs import small_graph
from swarm.wire import schema
from swarm.wire.entries import decode_event, decode_history, demand_readable, encode_event, encode_history
from swarm.wire.gen import entry_pb2 as pb
from swarm.wire.schema import (
    SNAPSHOT_VERSION,
    UPGRADES,
    VERSION,
    VERSION_FIRST,
    VERSION_WITH_RECORDS,
    upgraded,
)
from tests.unit.swarm.wire.written_log import facts

GOLDEN = Path(__file__).with_name("golden")
SCHEMAS = range(VERSION_FIRST, VERSION + 1)


def written(version: int) -> SimpleNamespace:
    """A log as a cluster of that schema wrote it, and what that came to."""
    found = json.loads(GOLDEN.joinpath(f"schema-{version}.json").read_text(encoding="utf-8"))
    entries = [bytes.fromhex(entry) for entry in found["entries"]]
    return SimpleNamespace(entries=entries, snapshot=bytes.fromhex(found["snapshot"]), facts=found["facts"])


def plain(ledger: Ledger) -> object:
    """Its facts, as JSON has them."""
    return json.loads(json.dumps(facts(ledger)))


def folded(entries: list[bytes]) -> Ledger:
    ledger = Ledger()
    for data in entries:
        ledger.apply(decode_event(data))
    return ledger


def test_every_schema_has_a_log_and_every_older_one_an_upgrade():
    assert sorted(path.name for path in GOLDEN.iterdir()) == [f"schema-{one}.json" for one in SCHEMAS]
    assert sorted(UPGRADES) == list(SCHEMAS)[:-1]


@pytest.mark.parametrize("version", SCHEMAS)
def test_a_log_of_any_schema_comes_to_what_it_came_to(version):
    log = written(version)
    versions = {pb.Entry.FromString(data).version for data in log.entries}
    assert max(versions) == version
    kinds = {pb.Entry.FromString(data).WhichOneof("event") for data in log.entries}
    assert kinds == {field.name for field in pb.Entry.DESCRIPTOR.oneofs_by_name["event"].fields}
    assert plain(folded(log.entries)) == log.facts


@pytest.mark.parametrize("version", SCHEMAS)
def test_a_snapshot_of_any_schema_comes_to_what_it_came_to(version):
    log = written(version)
    ledger = Ledger()
    for event in decode_history(log.snapshot):
        ledger.apply(event)
    assert plain(ledger) == log.facts


@pytest.mark.parametrize("version", SCHEMAS)
def test_what_is_read_of_an_old_log_is_written_in_this_ones_words_and_comes_to_the_same(version):
    log = written(version)
    again = [encode_event(decode_event(data)) for data in log.entries]
    assert plain(folded(again)) == log.facts
    history = folded(again).history()
    ledger = Ledger()
    for event in decode_history(encode_history(history)):
        ledger.apply(event)
    assert plain(ledger) == log.facts


@pytest.mark.parametrize("version", SCHEMAS)
def test_a_replica_that_replays_an_old_log_has_its_state(version):
    """From the first entry, and from a snapshot with nothing behind it: the way both arrive from the log."""
    log = written(version)

    async def main() -> None:
        whole, restored = replica(), replica()
        whole.apply([Committed(index + 2, 1, data) for index, data in enumerate(log.entries)])
        restored.restore(log.snapshot, len(log.entries) + 1)
        assert plain(whole.scheduler.ledger) == plain(restored.scheduler.ledger) == log.facts

    run_virtually(main())


def replica() -> Replica:
    log = SimpleNamespace(applied_index=lambda: 0, awaited=None)
    return Replica(NodeId("c1"), log, FakeClock(), Tasks(), DEFAULTS)


# -- from one schema to the next --


def submission(version: int) -> pb.Entry:
    record = StepRecord(RunId("r"), 0, 1, 1, NodeId("n"), True, {"out": Payload("json", b"1")}, None, 3, 1.0)
    event = RunSubmitted(1, RunId("r"), small_graph("a"), {}, Priority.LOW, "ann", "", records=(record,))
    entry = pb.Entry.FromString(encode_event(event))
    assert entry.version == VERSION_WITH_RECORDS
    entry.version = version
    return entry


def test_schema_1_knew_no_results_of_submissions():
    """A daemon of its time passed over what lay there; whoever took it in would disagree with that daemon."""
    assert len(decode_event(submission(2).SerializeToString()).records) == 1
    assert decode_event(submission(1).SerializeToString()).records == ()


def test_an_upgrade_leaves_what_it_was_given_as_it_was():
    entry = submission(1)
    before = entry.SerializeToString()
    upgraded(entry)
    assert entry.SerializeToString() == before


def test_upgrades_are_made_one_after_the_other(monkeypatch):
    made = []
    monkeypatch.setattr(schema, "VERSION", 4)
    steps = {one: lambda entry, one=one: made.append(one) or entry for one in (1, 2, 3)}
    monkeypatch.setattr(schema, "UPGRADES", steps)
    upgraded(submission(2))
    upgraded(submission(1))
    upgraded(submission(4))
    assert made == [2, 3, 1, 2, 3]


def test_an_entry_of_the_newest_schema_is_read_without_a_second_look(monkeypatch):
    monkeypatch.setattr("swarm.wire.entries.upgraded", lambda _: pytest.fail("looked at twice"))
    assert decode_event(submission(VERSION).SerializeToString()).run == "r"


def test_an_entry_says_the_oldest_schema_that_can_say_it():
    """So that daemons of the version before read it while a cluster is restarted one by one."""
    log = written(VERSION)
    versions = [pb.Entry.FromString(encode_event(decode_event(data))).version for data in log.entries]
    assert set(versions) == {VERSION_FIRST, VERSION_WITH_RECORDS}


# -- newer ones --


@pytest.mark.parametrize("version", [VERSION + 1, 127, 128, 1 << 31])
def test_an_entry_of_a_newer_schema_is_refused_and_says_what_to_do(version):
    data = submission(version).SerializeToString()
    for read in (decode_event, demand_readable):
        with pytest.raises(LogTooNew, match=f"schema {version}, this daemon reads schemas up to 2") as caught:
            read(data)
        assert "upgrade this daemon first" in caught.value.remedy


def test_a_snapshot_of_a_newer_schema_or_with_a_newer_entry_in_it_is_refused():
    for newer in (
        pb.Snapshot(version=SNAPSHOT_VERSION + 1),
        pb.Snapshot(version=SNAPSHOT_VERSION, entries=[submission(VERSION + 1)]),
    ):
        with pytest.raises(LogTooNew, match="upgrade this daemon first"):
            decode_history(newer.SerializeToString())


def test_a_schema_there_never_was_is_a_bug():
    with pytest.raises(Bug, match="schema 0"):
        decode_event(submission(0).SerializeToString())


def test_a_replica_refuses_a_newer_entry_the_moment_it_comes_although_it_reads_later():
    """A follower reads what it is asked about; it must not vouch for what it will not be able to read."""

    async def main() -> None:
        await asyncio.sleep(0)
        log = written(1)
        one = replica()
        newer = submission(VERSION + 1).SerializeToString()
        with pytest.raises(LogTooNew):
            one.apply([Committed(2, 1, log.entries[0]), Committed(3, 1, newer)])

    run_virtually(main())
