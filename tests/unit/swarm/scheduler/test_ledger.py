from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm import limits
from swarm.graph import Bond, Graph, Payload, Priority
from swarm.ids import NodeId, RunId
from swarm.scheduler.events import (
    AgentDeployed,
    AgentRecord,
    AgentRemoved,
    RunCancelled,
    RunSubmitted,
    StepRecord,
    StepsRecorded,
)
from swarm.scheduler.ledger import Ledger, payload_bytes
from swarm.scheduler.run import Status
from swarm.testing.graphs import CAPABILITIES, model_agent, small_graph

FIRST, SECOND, THIRD = CAPABILITIES
LINE = small_graph("a b c", ("a", "b"), ("b", "c"))


def submit(ledger: Ledger, name: str, graph: Graph | None = None, key: str = "", by: str = "ann") -> RunId:
    run = RunId(name)
    ledger.apply(RunSubmitted(1_000, run, graph or small_graph("a"), {}, Priority.MEDIUM, by, key))
    return run


def record(run: RunId, step: int = 0, data: bytes = b"x", attempt: int = 1) -> StepRecord:
    outputs = {"out": Payload("bytes", data)}
    return StepRecord(run, step, 1, attempt, NodeId("n"), True, outputs, None, 1, 1.0)


def end(ledger: Ledger, *records: StepRecord) -> list[RunId]:
    return [run.submitted.run for run, _ in ledger.apply(StepsRecorded(2_000, records))]


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("submit"),
                st.integers(0, 4),
                st.sampled_from([small_graph("a"), small_graph("a b c d"), LINE]),
            ),
            st.tuples(st.just("record"), st.integers(0, 4), st.integers(0, 3)),
            st.tuples(st.just("cancel"), st.integers(0, 4), st.just(0)),
        ),
        max_size=40,
    )
)
def test_the_steps_that_are_left_are_counted(moves):
    ledger = Ledger()
    for kind, number, what in moves:
        run = RunId(f"run-{number}")
        if kind == "submit":
            submit(ledger, run, what)
        elif kind == "record":
            end(ledger, record(run, what), record(run, what))
        else:
            ledger.apply(RunCancelled(3_000, run, "enough", "ann"))
        assert ledger.steps_left == sum(each.left for each in ledger.runs.values())


# -- runs -----------------------------------------------------------------------------------------


def test_a_run_is_submitted_once():
    ledger = Ledger()
    run = submit(ledger, "run-1")
    end(ledger, record(run))
    assert ledger.apply(ledger.runs[run].submitted) == []
    assert ledger.runs[run].status is Status.SUCCEEDED


def test_a_key_names_one_run_of_its_caller():
    ledger = Ledger()
    first = submit(ledger, "run-1", key="k")
    submit(ledger, "run-2", key="k")
    other = submit(ledger, "run-3", key="k", by="bob")
    assert list(ledger.runs) == [first, other]
    assert (ledger.run_of_key("ann", "k"), ledger.run_of_key("bob", "k")) == (first, other)
    assert ledger.run_of_key("eve", "k") is None


def test_no_key_is_nobodys_key():
    ledger = Ledger()
    assert submit(ledger, "run-1") != submit(ledger, "run-2")
    assert len(ledger.runs) == 2
    assert ledger.run_of_key("ann", "") is None


def test_records_of_unknown_runs_and_steps_are_ignored():
    ledger = Ledger()
    run = submit(ledger, "run-1")
    assert end(ledger, record(RunId("run-nobody")), record(run, 1)) == []
    assert ledger.runs[run].records == {}


def test_one_entry_may_record_steps_of_many_runs():
    ledger = Ledger()
    one, two = submit(ledger, "run-1"), submit(ledger, "run-2", small_graph("a b", ("a", "b")))
    assert end(ledger, record(one), record(two), record(two, 1), record(one, attempt=2)) == [one, two]
    assert ledger.active() == 0
    assert ledger.runs[one].records[0].attempt == 1


# -- bounds ---------------------------------------------------------------------------------------


def test_runs_that_are_over_are_remembered_up_to_a_number_and_the_oldest_go(monkeypatch):
    monkeypatch.setattr(limits, "RUNS_KEPT_MAX", 3)
    ledger = Ledger()
    active = submit(ledger, "run-active")
    for i in range(5):
        end(ledger, record(submit(ledger, f"run-{i}", key=f"key-{i}")))
    assert list(ledger.runs) == [active, "run-2", "run-3", "run-4"]
    assert [ledger.run_of_key("ann", f"key-{i}") for i in range(3)] == [None, None, "run-2"]
    assert ledger.active() == 1


def test_runs_that_are_over_are_remembered_up_to_a_weight(monkeypatch):
    monkeypatch.setattr(limits, "RUNS_KEPT_BYTES_MAX", 100)
    ledger = Ledger()
    for i in range(4):
        end(ledger, record(submit(ledger, f"run-{i}"), data=bytes(40)))
    assert list(ledger.runs) == ["run-2", "run-3"]
    end(ledger, record(submit(ledger, "run-heavy"), data=bytes(400)))
    assert list(ledger.runs) == ["run-heavy"]
    end(ledger, record(submit(ledger, "run-light")))
    assert list(ledger.runs) == ["run-light"]


def test_runs_that_are_over_are_remembered_up_to_a_number_of_steps(monkeypatch):
    monkeypatch.setattr(limits, "STEPS_KEPT_MAX", 5)
    ledger = Ledger()
    for i in range(4):
        name = submit(ledger, f"run-{i}", small_graph("a b"))
        end(ledger, record(name), record(name, 1))
    assert list(ledger.runs) == ["run-2", "run-3"]
    name = submit(ledger, "run-wide", small_graph("a b c d e f"))
    end(ledger, *(record(name, step) for step in range(6)))
    assert list(ledger.runs) == ["run-wide"]


def test_a_run_weighs_its_inputs_and_its_first_results(monkeypatch):
    monkeypatch.setattr(limits, "RUNS_KEPT_BYTES_MAX", 100)
    ledger = Ledger()
    inputs = {"x": Payload("bytes", bytes(60))}
    for i in range(2):
        name = RunId(f"run-{i}")
        ledger.apply(RunSubmitted(1, name, small_graph("a"), inputs, Priority.LOW, "ann", ""))
        end(ledger, record(name), record(name, data=bytes(10_000), attempt=2))
    assert list(ledger.runs) == ["run-1"]


def test_a_run_is_over_only_when_its_observers_are(monkeypatch):
    monkeypatch.setattr(limits, "RUNS_KEPT_MAX", 1)
    ledger = Ledger()
    watched = submit(ledger, "run-1", small_graph("a w", ("a", "w", Bond.OBSERVE)))
    end(ledger, record(watched))
    assert (ledger.runs[watched].status, ledger.active()) == (Status.SUCCEEDED, 1)
    for i in range(3):
        end(ledger, record(submit(ledger, f"run-other-{i}")))
    assert watched in ledger.runs
    end(ledger, record(watched, 1))
    assert ledger.active() == 0


def test_weight_counts_every_payload():
    items = [Payload("bytes", bytes(3)), (Payload("bytes", bytes(4)), Payload("json", b"{}")), ()]
    assert payload_bytes(items) == 9


# -- agents ---------------------------------------------------------------------------------------


def deploy(ledger: Ledger, agent: AgentRecord) -> None:
    ledger.apply(AgentDeployed(1, agent, "ann"))


def serving(ledger: Ledger) -> list[AgentRecord | None]:
    return [offer.agent if (offer := ledger.offer(name)) else None for name in CAPABILITIES]


def test_of_two_agents_with_one_capability_the_last_deployed_serves_it():
    ledger = Ledger()
    one, two = model_agent(FIRST, SECOND, name="one"), model_agent(SECOND, THIRD, name="two")
    deploy(ledger, one)
    deploy(ledger, two)
    assert serving(ledger) == [one, two, two]
    deploy(ledger, replace(one, version="2"))
    assert serving(ledger)[1] == replace(one, version="2")
    ledger.apply(AgentRemoved(1, one.name, "ann"))
    assert serving(ledger) == [None, two, two]
    assert ledger.digests() == (two.digest,)
    assert set(ledger.catalogue()) == {SECOND, THIRD}


def test_the_catalogue_has_the_signature_of_the_agent_that_serves():
    ledger = Ledger()
    two = model_agent(FIRST, name="two")
    deploy(ledger, model_agent(FIRST, name="one"))
    deploy(ledger, replace(two, capabilities=(replace(two.capabilities[0], deterministic=True),)))
    assert ledger.catalogue()[FIRST].deterministic
    offer = ledger.offer(FIRST)
    assert offer is not None
    assert (offer.gathers, offer.scatters) == ({"all"}, {"parts"})


def test_removing_an_agent_nobody_deployed_does_nothing():
    ledger = Ledger()
    assert ledger.apply(AgentRemoved(1, model_agent(FIRST).name, "ann")) == []
    assert ledger.digests() == ()


# -- history ----------------------------------------------------------------------------------------


def rebuilt(ledger: Ledger) -> Ledger:
    again = Ledger()
    for event in ledger.history():
        again.apply(event)
    return again


def test_history_keeps_who_came_first_and_who_ended_first(monkeypatch):
    monkeypatch.setattr(limits, "RUNS_KEPT_MAX", 2)
    ledger = Ledger()
    for name in ("run-1", "run-2", "run-3"):
        submit(ledger, name)
    end(ledger, record(RunId("run-3")))
    end(ledger, record(RunId("run-1")))
    for book in (ledger, rebuilt(ledger)):
        assert list(book.runs) == ["run-1", "run-2", "run-3"]
        end(book, record(RunId("run-2")))
        assert list(book.runs) == ["run-1", "run-2"]  # the one that ended first went first


@pytest.mark.parametrize("reason", ["enough", ""])
def test_history_keeps_what_was_recorded_before_a_run_was_cancelled(reason):
    ledger = Ledger()
    run = submit(ledger, "run-1", small_graph("a b", outlets="a"), key="k")
    end(ledger, record(run))
    ledger.apply(RunCancelled(3_000, run, reason, "ann"))
    before, after = ledger.runs[run], rebuilt(ledger).runs[run]
    assert (after.status, after.reason, after.ended_ms) == (Status.CANCELLED, reason or "cancelled", 3_000)
    assert (after.state, after.records, after.outputs()) == (before.state, before.records, before.outputs())
    assert rebuilt(ledger).run_of_key("ann", "k") == run


def test_history_of_nothing_is_nothing():
    assert Ledger().history() == []
