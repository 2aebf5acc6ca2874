from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from swarm.graph import Priority
from swarm.ids import NodeId, RunId
from swarm.scheduler.events import RunSubmitted, StepRecord
from swarm.scheduler.progress import ProgressTracker
from swarm.scheduler.run import Run, Status
from swarm.testing.graphs import chain_graph, model_reply, random_graph, small_graph, wide_graph


def run_of(graph) -> Run:
    return Run(RunSubmitted(0, RunId("r"), graph, {}, Priority.MEDIUM, "ann", ""))


def end(run: Run, step: int, started_ms: int = 1_000, wall_ms: float = 100.0) -> None:
    outputs = model_reply(run.graph.nodes[step].name, {}, run.scatter(step))
    run.record(StepRecord(RunId("r"), step, 1, 1, NodeId("n"), True, outputs, None, started_ms, wall_ms), 1)


def test_before_the_first_result_nothing_is_estimated_but_the_path_is_known():
    found = ProgressTracker(run_of(small_graph("a b c", ("a", "b")))).progress([0])
    assert (found.done, found.running, found.ready, found.waiting) == (0, 1, 1, 1)
    assert found.left_ms is None
    assert found.critical_path == ("a", "b")


def test_what_is_left_of_a_chain_takes_as_long_as_its_steps_one_after_the_other():
    run = run_of(chain_graph(5))
    end(run, 0)
    end(run, 1, 1_100)
    found = ProgressTracker(run).progress()
    assert found.left_ms == 300.0
    assert found.critical_path == ("s2", "s3", "s4")


def test_steps_side_by_side_are_shared_out_over_as_many_as_went_on_at_once():
    run = run_of(wide_graph(12))
    for step in range(4):
        end(run, step)
    assert ProgressTracker(run).progress().left_ms == 200.0


def test_a_run_that_is_over_has_nothing_left():
    run = run_of(wide_graph(1))
    end(run, 0)
    found = ProgressTracker(run).progress()
    assert (found.done, found.left_ms, found.critical_path) == (1, 0.0, ())


@given(st.integers(0, 10_000), st.integers(0, 12))
def test_every_step_is_counted_once_and_no_estimate_is_negative(seed, ended):
    dice = Random(seed)
    run = run_of(random_graph(dice, 12))
    for _ in range(ended):
        if ready := list(run.ready()):
            end(run, dice.choice(ready), wall_ms=dice.uniform(0, 1_000))
    ready = list(run.ready())
    found = ProgressTracker(run).progress(ready[: len(ready) // 2])
    assert found.done + found.running + found.ready + found.waiting == len(run.state)
    assert found.left_ms is None or found.left_ms >= 0
    assert bool(found.critical_path) == (run.status is Status.RUNNING and bool(ready))
