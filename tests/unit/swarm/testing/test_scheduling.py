"""The model of a cluster is what the scheduler is judged by, so it is judged itself."""

from __future__ import annotations

from random import Random

import pytest

from swarm.graph import Bond, problems
from swarm.ids import NodeId
from swarm.scheduler.actions import Dispatch
from swarm.scheduler.events import StepRecord
from swarm.scheduler.run import Run
from swarm.testing.chaos import Chaos, Odds
from swarm.testing.graphs import (
    CAPABILITIES,
    chain_graph,
    model_agent,
    model_reply,
    random_graph,
    small_graph,
)
from swarm.testing.oracle import dead, matters, missing, observers
from swarm.testing.scheduling import ModelCluster

A = model_agent(CAPABILITIES[0])
CATALOGUE = {sig.name: sig for agent in map(model_agent, CAPABILITIES) for sig in agent.capabilities}


def started() -> tuple[ModelCluster, Dispatch]:
    cluster = ModelCluster(A)
    cluster.join("n", 1)
    cluster.submit(small_graph("a b", ("a", "b")))
    (sent,) = cluster.executions
    return cluster, sent


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 1}, "no free slot"),
        ({"attempt": 2}, "no free slot"),
    ],
)
def test_a_dispatch_beyond_the_slots_is_noticed(change, message):
    cluster, sent = started()
    with pytest.raises(AssertionError, match=message):
        cluster._carry_out([sent._replace(key=sent.key._replace(**change))])


def test_every_other_wrong_dispatch_is_noticed():
    cluster, sent = started()
    node = cluster.nodes[NodeId("n")]
    node.slots = 2
    wrong = {
        "began before": sent._replace(key=sent.key._replace(step=1)),
        "in term 1": sent._replace(key=sent.key._replace(term=7)),
        "has no such agent": sent._replace(agent=model_agent(CAPABILITIES[1]).digest),
        "twice": sent,
    }
    for message, dispatch in wrong.items():
        with pytest.raises(AssertionError, match=message):
            cluster._carry_out([dispatch])
    node.attached = False
    with pytest.raises(AssertionError, match="not attached"):
        cluster._carry_out([sent])
    node.attached = True
    cluster.finish(node, sent.key)
    cluster.commit()
    with pytest.raises(AssertionError, match="recorded already"):
        cluster._carry_out([sent._replace(key=sent.key._replace(attempt=2))])


def test_a_run_that_falls_silent_is_noticed(monkeypatch):
    monkeypatch.setattr(Run, "record", lambda *_: [])
    cluster, _ = started()
    with pytest.raises(AssertionError, match="fell silent"):
        Chaos(cluster, Random(1), Odds()).settle()


def test_random_graphs_are_graphs_a_coordinator_would_take():
    for seed in range(200):
        assert problems(random_graph(Random(seed), 12), CATALOGUE) == []


def test_random_graphs_show_every_bond_and_every_policy():
    graphs = [random_graph(Random(seed), 12) for seed in range(100)]
    assert {edge.bond for graph in graphs for edge in graph.edges} == set(Bond)
    assert {graph.on_failure.value for graph in graphs} == {"stop", "continue"}
    assert {edge.source.port for graph in graphs for edge in graph.edges} == {"out", "parts"}
    assert any(observers(graph) for graph in graphs)


def test_a_reply_depends_on_what_was_given_and_fills_every_port():
    one = model_reply("a", {"all": ()}, [("parts", 3)])
    assert len(one["parts"]) == 3
    assert one != model_reply("a", {"all": (one["out"],)}, [("parts", 3)])


def record(step: int, *, ok: bool) -> StepRecord:
    return StepRecord("r", step, 1, 1, "n", ok, {}, None, 1, 1.0)


def test_the_oracle_reads_bonds_by_their_definition():
    bonds = (Bond.STRICT, Bond.SHARED, Bond.LOOSE, Bond.OBSERVE)
    graph = small_graph("a b c d e", *(("a", name, bond) for name, bond in zip("bcde", bonds, strict=True)))
    waiting = [list(missing(graph, step, {})) for step in range(5)]
    assert waiting == [[], ["a"], ["a"], [], ["a"]]
    failed = {0: record(0, ok=False)}
    assert [list(missing(graph, step, failed)) for step in range(5)] == [[], ["a"], [], [], []]
    assert dead(graph, failed) == {1}
    assert observers(graph) == {"e"}
    assert [matters(graph, step) for step in range(5)] == [True, True, True, True, False]


def test_the_oracle_follows_chains():
    graph = chain_graph(4)
    assert dead(graph, {0: record(0, ok=False)}) == {1, 2, 3}
    assert observers(small_graph("a v w b", ("a", "v", Bond.OBSERVE), ("v", "w"), ("a", "b"))) == {"v", "w"}
    assert observers(small_graph("a v b", ("a", "v", Bond.OBSERVE), ("v", "b"), ("a", "b"))) == set()
