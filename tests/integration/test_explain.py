"""Why a step went where it went, asked of real daemons."""

import pytest

from swarm.errors import NotFound
from swarm.graph import Resources
from tests.integration.cluster import slow_graph


def test_every_node_is_told_apart_by_the_terms_of_its_score(swarm, cluster, command):
    run = swarm.submit(slow_graph(2, 0))
    run.result()
    code, found = command("explain", run.id, "s0")
    assert code == 0
    assert found["placed"]
    assert {each["node"] for each in found["candidates"]} == set(cluster.nodes)
    assert found["node"] == next(s.node for s in run.show().steps if s.step == "s0")
    best = found["candidates"][0]
    assert best["node"] == found["node"] or (found["how"], found["node"]) == ("home", swarm.status().leader)
    assert sum(best["terms"].values()) == pytest.approx(best["score"])
    assert found["runner_up"] in cluster.nodes


def test_every_daemon_passes_the_question_to_the_leader(swarm, cluster):
    run = swarm.submit(slow_graph(1, 0))
    run.result()
    told = []
    for _ in cluster.nodes:
        told.append(run.explain("s0"))
        swarm._inner._connection.move_on(None)
    assert len({(each.node, each.candidates[0].score) for each in told}) == 1


def test_what_no_node_has_the_memory_for_is_said_of_each(swarm, cluster, command):
    graph = slow_graph(1, 0, resources=Resources(memory_mb=1 << 24))
    run = swarm.submit(graph)
    try:
        code, found = command("explain", run.id, "s0")
        assert code == 0
        assert (found["placed"], found["node"]) == (False, None)
        assert all("MB of memory are free of" in each["why_not"] for each in found["candidates"])
        # The nodes did say how much they have: it is not nothing.
        assert not any("free of 0," in each["why_not"] for each in found["candidates"])
    finally:
        run.cancel()


def test_a_step_that_is_not_there_is_said_so(swarm, command):
    run = swarm.submit(slow_graph(1, 0))
    with pytest.raises(NotFound, match="no step 'nope'"):
        run.explain("nope")
    code, found = command("explain", run.id, "nope")
    assert code == 2
    assert "runs show" in found["error"]["remedy"]
    run.result()
