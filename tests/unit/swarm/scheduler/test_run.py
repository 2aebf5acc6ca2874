from __future__ import annotations

from dataclasses import replace

import pytest

from swarm.errors import AgentFailed
from swarm.graph import (
    Bond,
    Edge,
    Endpoint,
    Feed,
    Graph,
    Node,
    NodeName,
    OnFailure,
    Payload,
    PortName,
    Priority,
)
from swarm.ids import CapabilityName, NodeId, RunId
from swarm.scheduler.events import RunSubmitted, StepRecord
from swarm.scheduler.run import Run, Status, Step
from swarm.testing.graphs import chain_graph, small_graph

STRICT, SHARED, LOOSE, OBSERVE = Bond.STRICT, Bond.SHARED, Bond.LOOSE, Bond.OBSERVE
CONTINUE = OnFailure.CONTINUE
ALL = frozenset({"all"})


def value(text: str) -> Payload:
    return Payload("json", text.encode())


def run_of(graph: Graph, **inputs: Payload) -> Run:
    return Run(RunSubmitted(1_000, RunId("run-1"), graph, inputs, Priority.MEDIUM, "ann", ""))


def end(run: Run, name: str, *, ok: bool = True, outputs=None, at_ms: int = 2_000) -> list[str]:
    """Record a step; the names of the steps that may be looked at again."""
    step = position(run, name)
    outputs = outputs if outputs is not None else {"out": value(name)}
    error = None if ok else AgentFailed("it raised")
    record = StepRecord(RunId("run-1"), step, 1, 1, NodeId("n"), ok, outputs if ok else {}, error, 1, 1.0)
    return [run.graph.nodes[found].name for found in run.record(record, at_ms) or ()]


def position(run: Run, name: str) -> int:
    return next(i for i, node in enumerate(run.graph.nodes) if node.name == name)


def states(run: Run) -> dict[str, str]:
    return {node.name: state.name.lower() for node, state in zip(run.graph.nodes, run.state, strict=True)}


# -- strict ---------------------------------------------------------------------------------


def test_a_strict_step_waits_for_every_source():
    run = run_of(small_graph("a b c", ("a", "c"), ("b", "c")))
    assert states(run) == {"a": "ready", "b": "ready", "c": "waiting"}
    assert end(run, "a") == []
    assert end(run, "b") == ["c"]
    assert end(run, "c") == []
    assert (run.status, run.settled, run.reason, run.ended_ms) == (Status.SUCCEEDED, True, "", 2_000)


def test_a_strict_failure_skips_everything_that_needs_it():
    graph = small_graph("a b c d", ("a", "b"), ("b", "c"), on_failure=CONTINUE)
    run = run_of(graph)
    end(run, "a", ok=False)
    assert states(run) == {"a": "failed", "b": "skipped", "c": "skipped", "d": "ready"}
    assert run.status is Status.RUNNING
    end(run, "d")
    assert (run.status, run.reason) == (Status.FAILED, "step a: it raised")


def test_one_strict_failure_is_enough_to_skip_a_step_however_many_ways_lead_to_it():
    run = run_of(
        small_graph("a b c", ("a", "c", SHARED), ("a", "c", STRICT), ("b", "c"), on_failure=CONTINUE)
    )
    end(run, "a", ok=False)
    assert states(run)["c"] == "skipped"
    assert end(run, "b") == []
    assert (run.status, run.settled) == (Status.FAILED, True)


def test_skipping_a_long_chain_needs_no_deep_stack():
    run = run_of(replace(chain_graph(20_000), on_failure=CONTINUE))
    end(run, "s0", ok=False)
    assert run.count(Step.SKIPPED) == 19_999
    assert run.settled


# -- shared ---------------------------------------------------------------------------------


def test_a_shared_step_waits_and_runs_on_without_the_input_that_failed():
    run = run_of(small_graph("a b c", ("a", "c", SHARED), ("b", "c", SHARED)))
    assert end(run, "b") == []
    assert end(run, "a", ok=False) == ["c"]
    assert run.inputs(position(run, "c"), ALL) == {"all": (value("b"),)}
    end(run, "c")
    assert run.status is Status.SUCCEEDED


def test_a_gathering_port_none_of_whose_sources_succeeded_gets_an_empty_list():
    run = run_of(small_graph("a b", ("a", "b", SHARED)))
    assert end(run, "a", ok=False) == ["b"]
    assert run.inputs(position(run, "b"), ALL) == {"all": ()}


def test_a_shared_step_runs_on_after_a_source_was_skipped():
    run = run_of(small_graph("a b c", ("a", "b"), ("b", "c", SHARED), on_failure=CONTINUE))
    assert end(run, "a", ok=False) == ["c"]
    assert states(run)["b"] == "skipped"
    end(run, "c")
    assert run.status is Status.FAILED


# -- loose ----------------------------------------------------------------------------------


def test_a_loose_step_is_ready_at_once_and_waits_softly_until_its_inputs_came():
    run = run_of(small_graph("a b c", ("a", "c", LOOSE), ("b", "c", LOOSE)))
    c = position(run, "c")
    assert states(run)["c"] == "ready"
    assert run.waits_softly(c)
    assert end(run, "a") == ["c"]
    assert run.waits_softly(c)
    assert end(run, "b", ok=False) == ["c"]
    assert not run.waits_softly(c)
    end(run, "c")
    assert run.status is Status.SUCCEEDED


def test_a_loose_step_may_end_before_its_input():
    run = run_of(small_graph("a b", ("a", "b", LOOSE)))
    assert run.inputs(position(run, "b"), ALL) == {"all": ()}
    end(run, "b")
    assert run.status is Status.RUNNING
    assert end(run, "a") == []
    assert run.status is Status.SUCCEEDED


def test_a_loose_input_does_not_hurry_a_step_that_waits_for_a_strict_one():
    run = run_of(small_graph("a b c", ("a", "c"), ("b", "c", LOOSE)))
    assert end(run, "b") == []
    assert states(run)["c"] == "waiting"
    assert end(run, "a") == ["c"]


# -- observe --------------------------------------------------------------------------------


def test_an_observer_waits_for_what_it_watches_and_sees_failures_too():
    run = run_of(small_graph("a b w", ("a", "w", OBSERVE), ("b", "w", OBSERVE), on_failure=CONTINUE))
    assert states(run)["w"] == "waiting"
    end(run, "a", ok=False)
    assert end(run, "b") == ["w"]
    assert run.inputs(position(run, "w"), ALL) == {"all": (value("b"),)}


def test_a_run_is_decided_without_its_observer_and_settled_with_it():
    run = run_of(small_graph("a w", ("a", "w", OBSERVE)))
    end(run, "a", at_ms=3_000)
    assert (run.status, run.settled, run.ended_ms) == (Status.SUCCEEDED, False, 3_000)
    end(run, "w", ok=False, at_ms=4_000)
    assert (run.status, run.settled, run.ended_ms, run.reason) == (Status.SUCCEEDED, True, 3_000, "")


def test_a_failing_observer_stops_nothing_while_the_run_goes_on():
    run = run_of(small_graph("a b w", ("a", "b"), ("a", "w", OBSERVE)))
    end(run, "a")
    end(run, "w", ok=False)
    assert states(run) == {"a": "ok", "b": "ready", "w": "failed"}
    assert run.status is Status.RUNNING
    end(run, "b")
    assert run.status is Status.SUCCEEDED


def test_observing_delays_no_step_that_has_other_inputs():
    run = run_of(small_graph("a b c", ("a", "c"), ("b", "c", OBSERVE)))
    assert end(run, "a") == ["c"]
    assert not run.waits_softly(position(run, "c"))
    assert end(run, "b") == []
    assert run.inputs(position(run, "c"), ALL) == {"all": (value("a"), value("b"))}


def test_a_chain_of_observers_is_waited_for_by_nobody():
    run = run_of(small_graph("a v w", ("a", "v", OBSERVE), ("v", "w")))
    end(run, "a")
    assert run.status is Status.SUCCEEDED
    assert end(run, "v") == ["w"]
    assert not run.settled
    end(run, "w")
    assert run.settled


def test_a_watching_step_that_others_need_is_no_observer():
    graph = small_graph(
        "a w b x", ("a", "w", OBSERVE), ("w", "b"), ("a", "b"), ("w", "x"), on_failure=CONTINUE
    )
    run = run_of(graph)
    end(run, "a")
    assert run.status is Status.RUNNING
    end(run, "w", ok=False)
    assert states(run) == {"a": "ok", "w": "failed", "b": "skipped", "x": "skipped"}
    assert (run.status, run.reason) == (Status.FAILED, "step w: it raised")


@pytest.mark.parametrize("bond", [STRICT, SHARED])
def test_what_hangs_on_a_watching_step_that_others_need_is_waited_for(bond):
    run = run_of(small_graph("a w b x", ("a", "w", OBSERVE), ("w", "b", bond), ("a", "b"), ("w", "x")))
    for name in "awb":
        end(run, name)
    assert run.status is Status.RUNNING
    end(run, "x")
    assert run.status is Status.SUCCEEDED


# -- what a failure does ----------------------------------------------------------------------


def test_stop_ends_the_run_at_the_first_failure_that_matters():
    run = run_of(small_graph("a b c d", ("a", "c"), ("b", "d")))
    assert end(run, "a", ok=False, at_ms=5_000) == []
    assert states(run) == {"a": "failed", "b": "cancelled", "c": "skipped", "d": "cancelled"}
    assert (run.status, run.settled, run.ended_ms) == (Status.FAILED, True, 5_000)


def test_continue_finishes_the_other_branches_and_fails_at_the_end():
    run = run_of(small_graph("a b c d", ("a", "c"), ("b", "d"), on_failure=CONTINUE))
    end(run, "a", ok=False)
    assert end(run, "b") == ["d"]
    end(run, "d")
    assert states(run) == {"a": "failed", "b": "ok", "c": "skipped", "d": "ok"}
    assert (run.status, run.reason) == (Status.FAILED, "step a: it raised")


@pytest.mark.parametrize("bond", [SHARED, LOOSE])
def test_a_failure_every_dependent_tolerates_does_not_matter(bond):
    run = run_of(small_graph("a b", ("a", "b", bond)))
    end(run, "a", ok=False)
    end(run, "b")
    assert (run.status, run.reason) == (Status.SUCCEEDED, "")


def test_a_failure_nobody_but_observers_would_notice_matters():
    run = run_of(small_graph("a w", ("a", "w", OBSERVE), on_failure=CONTINUE))
    assert end(run, "a", ok=False) == ["w"]
    assert run.status is Status.FAILED


def test_a_failed_step_that_owes_the_graph_a_result_matters_whoever_tolerates_it():
    run = run_of(small_graph("a b", ("a", "b", SHARED), outlets="a"))
    end(run, "a", ok=False)
    assert run.status is Status.FAILED


def test_the_first_failure_is_the_reason():
    run = run_of(small_graph("a b", on_failure=CONTINUE))
    end(run, "b", ok=False)
    end(run, "a", ok=False)
    assert run.reason == "step b: it raised"


# -- records --------------------------------------------------------------------------------


def test_the_first_record_of_a_step_is_its_result_for_ever():
    run = run_of(small_graph("a b", ("a", "b"), outlets="a"))
    end(run, "a")
    assert end(run, "a", ok=False) == []
    assert end(run, "a", outputs={"out": value("later")}) == []
    assert run.outputs() == {"a": value("a")}
    assert run.order == [0]


def test_a_step_whose_inputs_are_missing_cannot_have_a_result():
    run = run_of(small_graph("a b", ("a", "b")))
    assert end(run, "b") == []
    assert states(run) == {"a": "ready", "b": "waiting"}
    assert run.records == {}


def test_nothing_is_recorded_after_the_run_was_cancelled():
    run = run_of(small_graph("a b"))
    end(run, "a")
    run.cancel("enough", 7_000)
    end(run, "b")
    assert states(run) == {"a": "ok", "b": "cancelled"}
    assert (run.status, run.reason, run.ended_ms, run.settled) == (Status.CANCELLED, "enough", 7_000, True)


def test_a_run_without_steps_has_succeeded():
    run = run_of(Graph("empty", ()))
    assert (run.status, run.settled, run.ended_ms) == (Status.SUCCEEDED, True, 1_000)


# -- inputs and outputs -----------------------------------------------------------------------


def test_literals_feeds_and_edges_each_fill_their_port():
    node = Node(NodeName("b"), CapabilityName("t:b"), literals=((PortName("fixed"), value("literal")),))
    graph = Graph(
        "g",
        (Node(NodeName("a"), CapabilityName("t:a")), node),
        (Edge(Endpoint(NodeName("a"), PortName("out")), Endpoint(NodeName("b"), PortName("one"))),),
        (Feed("given", Endpoint(NodeName("b"), PortName("open"))),),
    )
    run = run_of(graph, given=value("feed"))
    end(run, "a")
    assert run.inputs(1, frozenset()) == {"fixed": value("literal"), "open": value("feed"), "one": value("a")}
    assert run.inputs(1, frozenset({"fixed", "open"})) == {
        "fixed": (value("literal"),), "open": (value("feed"),), "one": value("a"),
    }  # fmt: skip


def test_a_scattered_output_gives_each_edge_its_own_item_in_the_order_they_are_written():
    run = run_of(small_graph("a b c", ("a", "c"), ("a", "b")))
    end(run, "a", outputs={"out": (value("first"), value("second"))})
    assert run.inputs(position(run, "c"), ALL) == {"all": (value("first"),)}
    assert run.inputs(position(run, "b"), frozenset()) == {"all": value("second")}
    assert run.scatter(0) == (("out", 2),)


def test_a_single_output_is_given_to_every_edge():
    run = run_of(small_graph("a b c", ("a", "c"), ("a", "b")))
    end(run, "a")
    assert run.inputs(1, ALL) == run.inputs(2, ALL) == {"all": (value("a"),)}


def test_gathered_items_come_in_the_order_the_edges_are_written():
    run = run_of(small_graph("a b c", ("b", "c"), ("a", "c")))
    end(run, "a")
    end(run, "b")
    assert run.inputs(2, ALL) == {"all": (value("b"), value("a"))}


def test_too_short_a_result_that_got_into_the_log_stops_no_replica():
    run = run_of(small_graph("a b c", ("a", "b"), ("a", "c")))
    end(run, "a", outputs={"out": (value("only"),)})
    assert run.inputs(2, ALL) == {"all": ()}


def test_a_result_must_give_what_the_graph_is_wired_to():
    run = run_of(small_graph("a b c", ("a", "b"), ("a", "c"), outlets="b"))
    assert run.output_problem(0, {"out": value("x")}) is None
    assert run.output_problem(0, {"out": (value("x"), value("y"))}) is None
    assert str(run.output_problem(0, {"out": (value("x"),)})) == "a.out: 1 items for 2 edges"
    assert str(run.output_problem(0, {})) == "a.out: the agent gave no such output"
    assert str(run.output_problem(1, {})) == "b.out: the agent gave nothing for outlet b"
    assert run.output_problem(2, {}) is None


def test_sources_tell_where_inputs_were_made():
    run = run_of(small_graph("a b c", ("a", "c", SHARED), ("b", "c")))
    end(run, "a")
    assert list(run.sources(2)) == [("n", SHARED)]
