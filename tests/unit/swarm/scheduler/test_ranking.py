from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from swarm.graph import Bond, Priority
from swarm.ids import NodeId, RunId
from swarm.scheduler.events import RunSubmitted, StepRecord
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.ranking import GRAPHS_MAX, SHARED_STEPS_MIN, Ranks, in_order, upward
from swarm.scheduler.run import Run
from swarm.testing.graphs import CAPABILITIES, chain_graph, model_agent, random_graph, small_graph, wide_graph
from swarm.testing.scheduling import ModelCluster

A = model_agent(CAPABILITIES[0])


def run_of(graph, name: str = "r") -> Run:
    return Run(RunSubmitted(0, RunId(name), graph, {}, Priority.MEDIUM, "ann", ""))


@given(st.integers(0, 10_000))
def test_a_rank_is_its_cost_and_the_longest_way_behind_it(seed):
    run = run_of(random_graph(Random(seed), 12))
    costs = {name: float(i + 1) for i, name in enumerate(CAPABILITIES)}
    ranks = upward(run, costs)
    for step in range(len(run.state)):
        behind = [ranks[target] for target, bond in run.plan.outgoing[step] if bond is not Bond.OBSERVE]
        own = costs[run.graph.nodes[step].capability]
        assert abs(ranks[step] - own - max(behind, default=0.0)) < 1e-9
    order = in_order(run)
    assert sorted(order) == list(range(len(run.state)))
    assert all(order.index(step) < order.index(t) for step in order for t, _ in run.plan.outgoing[step])


def test_chains_and_steps_that_know_nothing_of_each_other_have_no_ranks():
    ranks = Ranks()
    assert ranks.of(run_of(chain_graph(9))) is None
    assert ranks.of(run_of(wide_graph(9))) is None


def test_a_large_graph_is_ranked_once_and_a_bounded_number_of_them_is_remembered():
    ranks = Ranks()
    fan = small_graph(
        " ".join(["a", *(f"s{i}" for i in range(SHARED_STEPS_MIN))]),
        *[("a", f"s{i}") for i in range(SHARED_STEPS_MIN)],
    )
    first = ranks.of(run_of(fan, "one"))
    assert ranks.of(run_of(fan, "two")) is first
    ranks.forget(RunId("one"))
    assert ranks.of(run_of(fan, "three")) is first
    assert len(ranks._of_graph) == 1 <= GRAPHS_MAX


def test_costs_follow_what_results_took():
    ledger, ranks = Ledger(), Ranks()
    run = RunSubmitted(0, RunId("r"), wide_graph(40), {}, Priority.MEDIUM, "ann", "")
    ledger.apply(run)
    records = [StepRecord(run.run, i, 1, 1, NodeId("n"), True, {}, None, 1, 20.0) for i in range(40)]
    ranks.learn(ledger, records)
    assert abs(ranks.costs[CAPABILITIES[0]] - 20.0) < 1e-6
    ranks.learn(ledger, [StepRecord(RunId("gone"), 0, 1, 1, NodeId("n"), True, {}, None, 1, 9e9)])
    assert abs(ranks.costs[CAPABILITIES[0]] - 20.0) < 1e-6


def test_the_step_with_the_longest_way_behind_it_goes_first():
    cluster = ModelCluster(A)
    node = cluster.join("n", 1)
    graph = small_graph("root x y long l1 l2", ("root", "x"), ("root", "y"), ("root", "long"),
                        ("long", "l1"), ("l1", "l2"))  # fmt: skip
    cluster.submit(graph)
    order = []
    while cluster.running():
        (key,) = node.running
        order.append(graph.nodes[key.step].name)
        cluster.finish(node, key)
        cluster.commit()
    assert order[:2] == ["root", "long"]  # its successor is not ready yet when the slot is free again
