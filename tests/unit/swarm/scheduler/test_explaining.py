from __future__ import annotations

import pytest

from swarm.ids import NodeId
from swarm.scheduler.explaining import REMEMBERED_STEPS_MAX, History, Turn
from swarm.scheduler.placement import NodeView, affinities, score
from swarm.testing.graphs import CAPABILITIES, chain_graph, model_agent, small_graph, wide_graph
from swarm.testing.scheduling import ModelCluster

A, B = model_agent(CAPABILITIES[0]), model_agent(CAPABILITIES[1])


def test_each_term_is_told_and_they_make_the_score():
    cluster = ModelCluster(A)
    cluster.join("one", 2)
    cluster.join("two", 4)
    run = cluster.submit(wide_graph(3))
    for step, sent in enumerate(cluster.executions):
        found = cluster.leader.scheduler.explain(run, step)
        assert found.placed
        assert found.node == sent.node
        best = found.candidates[0]
        assert best.node == found.node
        assert abs(sum(best.terms.values()) - best.score) < 1e-9
        assert set(best.terms) == {"room", "machine", "health", "affinity"}
    first = cluster.leader.scheduler.explain(run, 0)
    fresh = NodeView(NodeId("one"), 2, frozenset(), frozenset())
    assert first.candidates[0].score == pytest.approx(score(fresh, 0.0))
    assert first.runner_up == "two"


def test_what_was_seen_then_is_told_whatever_happened_since():
    cluster = ModelCluster(A)
    node = cluster.join("one", 2)
    run = cluster.submit(wide_graph(2))
    before = cluster.leader.scheduler.explain(run, 1)
    cluster.finish(node, next(iter(node.running)))
    cluster.commit()
    cluster.join("late", 8)
    after = cluster.leader.scheduler.explain(run, 1)
    assert after == before


def test_it_is_told_why_each_other_node_could_not_be():
    cluster = ModelCluster(A, B)
    cluster.join("chosen", 2)
    cluster.join("full", 1)
    cluster.join("stranger", 2, agents=[B])
    cluster.submit(wide_graph(2))
    run = cluster.submit(wide_graph(1))
    found = cluster.leader.scheduler.explain(run, 0)
    assert found.node == "chosen"
    assert found.runner_up is None
    whys = {each.node: each.why_not for each in found.candidates}
    assert whys == {
        "chosen": "",
        "full": "all of its 1 slots are taken",
        "stranger": "it does not host the agent",
    }


def test_a_step_nearer_to_its_inputs_is_told_so():
    cluster = ModelCluster(A)
    node = cluster.join("one", 2)
    run = cluster.submit(chain_graph(2))
    cluster.join("two", 2)
    cluster.finish(node, next(iter(node.running)))
    cluster.commit()
    found = cluster.leader.scheduler.explain(run, 1)
    terms = {each.node: each.terms["affinity"] for each in found.candidates}
    bonds = affinities([(NodeId("one"), cluster.graphs[run].edges[0].bond)])
    assert terms["two"] == 0.0 < terms["one"] == pytest.approx(0.15 * bonds[NodeId("one")])


def test_a_step_that_is_not_placed_is_told_what_it_waits_for():
    cluster = ModelCluster(A)
    run = cluster.submit(small_graph("a b", ("a", "b")))
    assert "it waits for a" in cluster.leader.scheduler.explain(run, 1).note
    queued = cluster.leader.scheduler.explain(run, 0)
    assert (queued.placed, queued.node, queued.candidates) == (False, None, ())
    cluster.remove(A)
    assert "no agent offers" in cluster.leader.scheduler.explain(run, 0).note


def test_only_the_leader_can_tell():
    cluster = ModelCluster(A)
    run = cluster.submit(small_graph("a"))
    assert cluster.replicas[1].scheduler.explain(run, 0) is None


def test_what_is_remembered_is_bounded():
    history = History()
    for i in range(30):
        history.keep(Turn(i, "greedy", (), [("r", step, NodeId("n")) for step in range(1_000)]))
    assert history._steps <= REMEMBERED_STEPS_MAX
    assert history.find("r", 5)[0].at_ms == 29
