"""What the scheduler promises for every graph and every run of bad luck."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from swarm import limits
from swarm.graph import Graph, OnFailure, Priority
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.machine import Scheduler
from swarm.scheduler.run import Run, Status, Step
from swarm.scheduler.together import Options
from swarm.testing.chaos import KIND, LOSSES, Chaos, Odds
from swarm.testing.graphs import CAPABILITIES, model_agent, random_graph
from swarm.testing.oracle import dead, matters
from swarm.testing.scheduling import ModelCluster

LONG_MS = (limits.STEP_TIMEOUT_MS_MAX,)
HASTY_MS = (500, 5_000)


@st.composite
def dags(draw: st.DrawFn, steps_max: int = 10, timeouts_ms: tuple[int, ...] = HASTY_MS) -> Graph:
    return random_graph(draw(st.randoms(use_true_random=False)), steps_max, timeouts_ms)


def cluster_of_three(dice: Random, *, rebalance: bool = True) -> ModelCluster:
    first, second, third = CAPABILITIES
    options = Options(rebalance=rebalance)
    cluster = ModelCluster(model_agent(first, second), model_agent(third), options=options)
    for name in ("n0", "n1", "n2"):
        cluster.join(name, dice.randint(1, 3))
    return cluster


def played(graphs: list[Graph], seed: int, odds: Odds, turns: int, *, rebalance: bool = True) -> ModelCluster:
    """A cluster after its runs have ended, with this much of that luck on the way."""
    dice = Random(seed)
    cluster = cluster_of_three(dice, rebalance=rebalance)
    chaos = Chaos(cluster, dice, odds)
    for graph in graphs:
        cluster.submit(graph, dice.choice(list(Priority)))
        chaos.turn(turns // len(graphs))
    chaos.settle()
    return cluster


def graphs(timeouts_ms: tuple[int, ...]) -> st.SearchStrategy[list[Graph]]:
    return st.lists(dags(timeouts_ms=timeouts_ms), min_size=1, max_size=3)


seeds = st.integers(0, 2**32)
any_odds = st.sampled_from([Odds(), Odds(cancel=1), Odds(lose=10, kill=5, elect=3)])
several = settings(max_examples=120, deadline=None)


@several
@given(graphs(LONG_MS), seeds, st.integers(0, 150))
def test_any_graph_runs_each_step_to_exactly_one_result_and_never_before_its_inputs(graphs, seed, turns):
    # The cluster checks inputs at every dispatch. Steps that are late run once all the same, without spares.
    cluster = played(graphs, seed, KIND, turns, rebalance=False)
    executions = Counter((sent.key.run, sent.key.step) for sent in cluster.executions)
    for name, run in cluster.leader.scheduler.ledger.runs.items():
        steps = [(name, step) for step in range(len(run.graph.nodes))]
        assert [executions[step] for step in steps] == [1] * len(steps)
        assert run.status is Status.SUCCEEDED
        assert set(run.state) == {Step.OK}


@several
@given(graphs(LONG_MS), seeds, st.integers(0, 150))
def test_a_step_that_is_late_may_be_begun_twice_and_has_one_result(graphs, seed, turns):
    cluster = played(graphs, seed, KIND, turns)
    for run in cluster.leader.scheduler.ledger.runs.values():
        assert run.status is Status.SUCCEEDED
        assert sorted(run.order) == list(range(len(run.state)))


@several
@given(graphs(LONG_MS), seeds, st.integers(0, 150))
def test_lost_nodes_and_leaders_cost_retries_and_never_results(graphs, seed, turns):
    cluster = played(graphs, seed, LOSSES, turns)
    executions = Counter((sent.key.run, sent.key.step) for sent in cluster.executions)
    for name, run in cluster.leader.scheduler.ledger.runs.items():
        if run.status is Status.SUCCEEDED:
            assert set(run.state) == {Step.OK}
        else:
            assert "nodes were lost" in run.reason
            assert max(executions[(name, step)] for step in run.records) > limits.NODE_LOSSES_MAX


@several
@given(graphs(HASTY_MS), seeds, any_odds, st.integers(0, 150))
def test_whatever_happens_every_run_ends_as_its_bonds_say(graphs, seed, odds, turns):
    cluster = played(graphs, seed, odds, turns)
    for run in cluster.leader.scheduler.ledger.runs.values():
        assert run.status is not Status.RUNNING
        assert_ended_rightly(run)


@several
@given(graphs(HASTY_MS), seeds, any_odds, st.integers(0, 150))
def test_when_all_runs_are_over_nothing_is_left_of_them_anywhere(graphs, seed, odds, turns):
    cluster = played(graphs, seed, odds, turns)
    for node in cluster.nodes.values():
        if not node.attached:
            cluster.attach(node)
    assert cluster.running() == []
    assert [node.outbox for node in cluster.nodes.values()] == [{}, {}, {}]
    cluster.advance(1)
    scheduler = cluster.leader.scheduler
    assert scheduler.waiting() == 0
    assert [len(view.busy) for view in scheduler.nodes()] == [0, 0, 0]
    assert scheduler.ledger.active() == 0
    name, run = next(iter(scheduler.ledger.runs.items()))
    assert [scheduler.place(name, step) for step in range(len(run.state))] == [None] * len(run.state)


@several
@given(graphs(HASTY_MS), seeds, any_odds, st.integers(0, 150), st.booleans())
def test_a_ledger_follows_from_durable_events_and_from_its_own_history(graphs, seed, odds, turns, finish):
    dice = Random(seed)
    cluster = cluster_of_three(dice)
    chaos = Chaos(cluster, dice, odds)
    for graph in graphs:
        cluster.submit(graph, key=f"key{len(cluster.durable)}")
        chaos.turn(turns)
    if finish:
        chaos.settle()
    follower, rebuilt = Scheduler(), Ledger()
    for event in cluster.durable:
        follower.apply(event)
    for event in follower.ledger.history():
        rebuilt.apply(event)
    lead, follow = (replica.scheduler.ledger for replica in cluster.replicas)
    assert facts(lead) == facts(follow) == facts(follower.ledger) == facts(rebuilt)


def facts(ledger: Ledger) -> dict[str, object]:
    """Everything a ledger can be asked."""
    return {
        "runs": [
            (name, run.submitted, run.state, run.records, run.order, run.status, run.reason, run.ended_ms,
             run.left, list(run.ready()), run.outputs())
            for name, run in ledger.runs.items()
        ],
        "soft": [[run.waits_softly(step) for step in run.ready()] for run in ledger.runs.values()],
        "agents": list(ledger.agents.items()),
        "catalogue": ledger.catalogue(),
        "digests": ledger.digests(),
        "active": ledger.active(),
        "keys": [ledger.run_of_key("ann", run.submitted.key) for run in ledger.runs.values()],
    }  # fmt: skip


def assert_ended_rightly(run: Run) -> None:
    """The end of a run, worked out again from its records by the definition of the bonds."""
    failed = {step for step, record in run.records.items() if not record.ok}
    blamed = {step for step in failed if matters(run.graph, step)}
    if run.status is Status.CANCELLED:
        assert run.reason == "enough"
        assert not blamed or run.graph.on_failure is OnFailure.CONTINUE
        return
    assert run.status is (Status.FAILED if blamed else Status.SUCCEEDED)
    assert bool(run.reason) == bool(blamed)
    never = dead(run.graph, run.records)
    for step, state in enumerate(run.state):
        if step in run.records:
            assert state is (Step.FAILED if step in failed else Step.OK)
        elif blamed and run.graph.on_failure is OnFailure.STOP:
            assert state in (Step.CANCELLED, Step.SKIPPED)
        else:
            assert state is Step.SKIPPED
            assert step in never
