from __future__ import annotations

from dataclasses import replace

import pytest

from swarm import limits
from swarm.graph import Retry
from swarm.ids import CapabilityName
from swarm.scheduler.actions import Withdraw
from swarm.scheduler.rebalancing import LOOK_MS, SPARES_MAX
from swarm.scheduler.run import Status
from swarm.scheduler.together import Options
from swarm.testing.graphs import CAPABILITIES, model_agent, wide_graph
from swarm.testing.scheduling import ModelCluster

A = model_agent(CAPABILITIES[0])
LATE_MS = 3_000


def measured(agent=A, options=Options()) -> ModelCluster:  # noqa: B008 - it is frozen
    """A cluster that has seen what a step costs: next to nothing."""
    cluster = ModelCluster(agent, options=options)
    node = cluster.join("first", 4)
    run = cluster.submit(wide_graph(4))
    for key in list(node.running):
        cluster.finish(node, key)
    cluster.commit()
    assert cluster.leader.scheduler.ledger.runs[run].settled
    return cluster


def late(cluster, graph):
    """A run whose only step hangs on `first`, and a second node that idles."""
    run = cluster.submit(graph)
    ((node, key),) = cluster.running()
    idle = cluster.join("second", 4)
    for _ in range(LATE_MS // LOOK_MS):
        cluster.advance(LOOK_MS)
    return run, node, key, idle


def test_a_late_step_gets_a_second_attempt_where_a_node_idles():
    cluster = measured()
    run, node, key, idle = late(cluster, wide_graph(1))
    (spare,) = idle.running
    assert spare.attempt == key.attempt + 1
    assert key in node.running
    cluster.finish(idle, spare)
    assert key not in node.running, "the other attempt was withdrawn"
    cluster.commit()
    found = cluster.leader.scheduler.ledger.runs[run]
    assert found.status is Status.SUCCEEDED
    assert found.records[0].node == "second"


def test_the_first_attempt_may_win_too():
    cluster = measured()
    run, node, key, idle = late(cluster, wide_graph(1))
    cluster.finish(node, key)
    assert idle.running == {}
    cluster.commit()
    assert cluster.leader.scheduler.ledger.runs[run].records[0].node == "first"
    assert all(not view.busy for view in cluster.leader.scheduler.nodes())


@pytest.mark.parametrize("gone", ["first", "second"])
@pytest.mark.parametrize("how", ["lost", "failed"])
def test_when_one_attempt_is_gone_the_other_goes_on(gone, how):
    cluster = measured()
    run, node, key, idle = late(cluster, wide_graph(1))
    (spare,) = idle.running
    loser, its = (node, key) if gone == "first" else (idle, spare)
    winner, other = (idle, spare) if gone == "first" else (node, key)
    if how == "lost":
        cluster.lose(loser, killed=True)
    else:
        cluster.fail(loser, its)
    assert other in winner.running
    cluster.finish(winner, other)
    cluster.commit()
    assert cluster.leader.scheduler.ledger.runs[run].records[0].node == winner.name
    assert cluster.leader.scheduler.ledger.runs[run].settled


def test_time_that_is_up_ends_both_attempts():
    cluster = measured()
    graph = wide_graph(1)
    graph = replace(graph, nodes=tuple(replace(node, timeout_ms=LATE_MS + 50) for node in graph.nodes))
    run, node, key, idle = late(cluster, graph)
    (spare,) = idle.running
    cluster.advance(100)
    assert key not in node.running
    assert spare not in idle.running
    cluster.advance(limits.BACKOFF_MS_MAX)
    ((winner, last),) = cluster.running()
    cluster.finish(winner, last)
    cluster.commit()
    assert cluster.leader.scheduler.ledger.runs[run].settled


def test_what_is_cancelled_is_cancelled_everywhere():
    cluster = measured()
    run, node, _, idle = late(cluster, wide_graph(1))
    cluster.cancel(run)
    withdrawn = {(a.node, a.key) for a in cluster.leader.actions[-1] if isinstance(a, Withdraw)}
    assert len(withdrawn) == 2
    assert node.running == idle.running == {}


def once_agent():
    signatures = tuple(replace(one, effects="once") for one in A.capabilities)
    return replace(A, capabilities=signatures)


def test_a_step_that_must_not_run_twice_is_never_copied():
    cluster = ModelCluster(once_agent())
    first = cluster.join("first", 4)
    run = cluster.submit(wide_graph(3))
    cluster.commit()
    one, *_ = first.running
    cluster.finish(first, one)
    cluster.commit()
    idle = cluster.join("second", 4)
    for _ in range(LATE_MS // LOOK_MS):
        cluster.advance(LOOK_MS)
    assert idle.running == {}
    assert not cluster.leader.scheduler.ledger.runs[run].settled


def test_a_step_that_may_be_tried_only_once_is_never_copied():
    cluster = measured()
    graph = wide_graph(1)
    graph = replace(graph, nodes=tuple(replace(n, retry=Retry(attempts_max=1)) for n in graph.nodes))
    *_, idle = late(cluster, graph)
    assert idle.running == {}


def test_nothing_is_copied_while_steps_wait_for_room():
    cluster = measured()
    cluster.submit(wide_graph(9))
    other = model_agent(CapabilityName("model:b"))
    cluster.deploy(other)
    cluster.join("second", 4, agents=[other])
    before = len(cluster.executions)
    for _ in range(LATE_MS // LOOK_MS):
        cluster.advance(LOOK_MS)
    assert len(cluster.executions) == before


def test_nothing_is_copied_where_that_is_switched_off():
    cluster = measured(options=Options(rebalance=False))
    *_, idle = late(cluster, wide_graph(1))
    assert idle.running == {}


def test_a_slow_nodes_queue_is_shared_out_from_its_tail():
    """Each look, as many as the idle node has room for; never twice, never more than a bound."""
    cluster = ModelCluster(A)
    slow = cluster.join("slow", 200)
    cluster.submit(wide_graph(200))
    keys = list(slow.running)
    for key in keys[:20]:
        cluster.advance(200)
        cluster.finish(slow, key)
        cluster.commit()
    fast = cluster.join("fast", 100)
    for _ in range(3):
        cluster.advance(LOOK_MS)
    spares = list(fast.running)
    assert 0 < len(spares) <= min(100, 3 * SPARES_MAX)
    assert {key.step for key in spares} <= {key.step for key in keys[20:]}
    assert keys[-1].step in {key.step for key in spares}
    assert len({key.step for key in spares}) == len(spares)
