"""Nodes that come, go and come back, and leaders that take over from each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarm import limits
from swarm.graph import Bond, Graph, Retry
from swarm.ids import NodeId, RunId, StepKey
from swarm.scheduler.actions import Withdraw
from swarm.scheduler.desk import CLAIMED_ATTEMPT_MAX
from swarm.scheduler.events import NodeChanged, NodeJoined, OutcomesArrived
from swarm.scheduler.machine import Place
from swarm.scheduler.run import Status
from swarm.testing.graphs import CAPABILITIES, model_agent, small_graph, wide_graph
from swarm.testing.scheduling import ModelCluster, ModelNode

A = model_agent(CAPABILITIES[0])


def with_policy(graph: Graph, attempts_max: int = 3, backoff_ms: int = 50, timeout_ms: int = 60_000) -> Graph:
    retry = Retry(attempts_max, backoff_ms)
    return replace(
        graph, nodes=tuple(replace(node, retry=retry, timeout_ms=timeout_ms) for node in graph.nodes)
    )


def cluster_with(*slots: int) -> tuple[ModelCluster, list[ModelNode]]:
    cluster = ModelCluster(A)
    return cluster, [cluster.join(f"n{i}", count) for i, count in enumerate(slots)]


def only_key(node: ModelNode) -> StepKey:
    (key,) = node.running
    return key


def last_actions(cluster: ModelCluster) -> list[object]:
    return list(cluster.leader.actions[-1])


def status(cluster: ModelCluster, run: RunId) -> tuple[Status, str]:
    found = cluster.leader.scheduler.ledger.runs[run]
    return found.status, found.reason


# -- nodes ------------------------------------------------------------------------------------------


def test_a_lost_node_costs_a_retry_that_does_not_count_as_a_failure():
    cluster, (first, second) = cluster_with(1, 1)
    run = cluster.submit(with_policy(small_graph("a"), attempts_max=1))
    owner, other = (first, second) if first.running else (second, first)
    cluster.lose(owner, killed=True)
    assert only_key(other).attempt == 2
    cluster.finish(other, only_key(other))
    cluster.commit()
    assert status(cluster, run) == (Status.SUCCEEDED, "")


def test_a_step_whose_node_was_lost_goes_before_steps_that_had_no_turn():
    cluster, (node,) = cluster_with(1)
    cluster.submit(wide_graph(5))
    cluster.lose(node, killed=True)
    cluster.attach(node)
    assert only_key(node).step == 0


def test_a_step_that_outlives_too_many_nodes_is_given_up():
    cluster, (node,) = cluster_with(1)
    run = cluster.submit(small_graph("a"))
    for _ in range(limits.NODE_LOSSES_MAX):
        cluster.lose(node, killed=True)
        cluster.attach(node)
    assert len(node.running) == 1
    cluster.lose(node, killed=True)
    cluster.commit()
    assert status(cluster, run) == (Status.FAILED, "step a: 9 nodes were lost while they ran it")


def test_a_node_that_comes_back_goes_on_with_what_it_runs():
    cluster, (node,) = cluster_with(2)
    run = cluster.submit(small_graph("a"))
    key = only_key(node)
    for _ in range(3 * limits.NODE_LOSSES_MAX):  # a bad cable is no reason to give a step up
        cluster.lose(node)
        cluster.attach(node)
    assert only_key(node) == key
    cluster.finish(node, key)
    cluster.commit()
    assert status(cluster, run) == (Status.SUCCEEDED, "")
    assert len(cluster.executions) == 1


def test_a_second_link_of_a_node_replaces_the_first_and_keeps_its_deadlines():
    cluster, (node,) = cluster_with(1)
    cluster.submit(with_policy(small_graph("a"), timeout_ms=500))
    cluster.advance(400)
    cluster.attach(node)
    cluster.advance(99)
    assert only_key(node).attempt == 1
    cluster.advance(1)
    assert node.running == {}


def test_what_a_node_no_longer_runs_when_it_comes_back_runs_again():
    cluster, (node,) = cluster_with(2)
    cluster.submit(wide_graph(2))
    forgotten, kept = list(node.running)
    del node.running[forgotten]
    cluster.attach(node)
    assert set(node.running) == {kept, forgotten._replace(attempt=2)}


def test_a_node_is_told_to_stop_what_others_took_over():
    cluster, (first, second) = cluster_with(1, 1)
    cluster.submit(small_graph("a"))
    owner = first if first.running else second
    stale = only_key(owner)
    cluster.lose(owner)
    cluster.attach(owner)
    assert owner.running == {}
    assert Withdraw(owner.name, stale) in last_actions(cluster)


@pytest.mark.parametrize(
    "claim",
    [
        StepKey(RunId("run-00001"), 0, 99, 1),  # of a term that never was
        StepKey(RunId("run-00001"), 0, 1, 5),  # of this term, and never ordered
        StepKey(RunId("run-00001"), 0, 0, CLAIMED_ATTEMPT_MAX + 1),
        StepKey(RunId("run-00001"), 0, 0, 0),
        StepKey(RunId("run-00001"), 9, 0, 1),
        StepKey(RunId("run-nobody"), 0, 0, 1),
    ],
)
def test_a_claim_that_cannot_be_true_is_withdrawn(claim):
    cluster = ModelCluster(A)
    run = cluster.submit(small_graph("a"))
    assert run == "run-00001"
    node = NodeJoined(cluster.now_ms, NodeId("liar"), 1, frozenset(), frozenset(), (claim,))
    cluster.tell(node)
    assert last_actions(cluster) == [Withdraw(NodeId("liar"), claim)]
    assert cluster.leader.scheduler.place(run, 0) == (Place.QUEUED, None)


def test_a_draining_node_gets_no_more_work():
    cluster, (node,) = cluster_with(1)
    cluster.tell(NodeChanged(cluster.now_ms, node.name, draining=True))
    cluster.submit(small_graph("a"))
    assert node.running == {}
    cluster.tell(NodeChanged(cluster.now_ms, node.name, draining=False))
    assert len(node.running) == 1


@pytest.mark.parametrize("load", [float("nan"), float("inf"), -1.0, 17.0])
def test_no_load_a_node_can_report_keeps_work_from_being_placed(load):
    cluster, (node,) = cluster_with(1)
    cluster.tell(NodeChanged(cluster.now_ms, node.name, load=load))
    cluster.submit(small_graph("a"))
    assert len(node.running) == 1


def test_news_of_a_node_nobody_knows_is_ignored():
    cluster, _ = cluster_with(1)
    cluster.tell(NodeChanged(cluster.now_ms, NodeId("stranger"), load=0.5))
    cluster.tell(OutcomesArrived(cluster.now_ms, NodeId("stranger"), (StepKey(RunId("r"), 0, 1, 1),)))
    assert last_actions(cluster) == []


# -- taking over --------------------------------------------------------------------------------------


def test_a_new_leader_places_nothing_before_nodes_could_claim_what_they_run():
    cluster, (first, second) = cluster_with(1, 1)
    cluster.submit(small_graph("a"))
    owner, other = (first, second) if first.running else (second, first)
    key = only_key(owner)
    cluster.elect(cluster.replicas[1])
    cluster.attach(other)
    cluster.advance(limits.TAKEOVER_GRACE_MS - 1)
    assert other.running == {}
    cluster.attach(owner)
    cluster.advance(1)
    assert (owner.running.keys(), other.running) == ({key}, {})
    cluster.finish(owner, key)
    cluster.commit()
    assert len(cluster.executions) == 1


def test_a_new_leader_runs_again_what_nobody_claims():
    cluster, (node,) = cluster_with(1)
    run = cluster.submit(small_graph("a"))
    cluster.elect(cluster.replicas[1])
    node.running.clear()
    cluster.attach(node)
    cluster.advance(limits.TAKEOVER_GRACE_MS)
    assert only_key(node) == StepKey(run, 0, 2, 1)


def test_a_claim_keeps_its_attempt_and_the_next_one_counts_on():
    cluster, (node,) = cluster_with(1)
    cluster.submit(with_policy(small_graph("a"), backoff_ms=0))
    cluster.fail(node, only_key(node))
    cluster.advance(1)
    claimed = only_key(node)
    assert (claimed.term, claimed.attempt) == (1, 2)
    cluster.elect(cluster.replicas[1])
    cluster.attach(node)
    assert only_key(node) == claimed
    cluster.fail(node, claimed)
    cluster.advance(limits.TAKEOVER_GRACE_MS)
    assert (only_key(node).term, only_key(node).attempt) == (2, 3)


def test_an_outcome_offered_during_the_grace_is_not_run_again():
    cluster, (node,) = cluster_with(1)
    run = cluster.submit(small_graph("a"))
    key = only_key(node)
    cluster.lose(node)
    cluster.finish(node, key)
    cluster.elect(cluster.replicas[1])
    cluster.attach(node)
    cluster.advance(limits.TAKEOVER_GRACE_MS)
    assert cluster.leader.scheduler.place(run, 0) == (Place.RECORDING, None)
    cluster.commit()
    assert len(cluster.executions) == 1


def test_a_result_of_the_last_term_that_commits_in_this_one_ends_the_attempt_of_this_one():
    cluster, (first, second) = cluster_with(1, 1)
    cluster.submit(small_graph("a"))
    owner, other = (first, second) if first.running else (second, first)
    cluster.finish(owner, only_key(owner))
    (record,) = cluster.proposed
    cluster.elect(cluster.replicas[1])
    cluster.attach(other)
    cluster.advance(limits.TAKEOVER_GRACE_MS)
    stale = only_key(other)
    assert stale.term == 2
    cluster.proposed.append(record)  # the proposal was in the log after all
    cluster.commit()
    assert Withdraw(other.name, stale) in last_actions(cluster)
    assert other.running == {}


def test_a_step_that_waits_for_a_loose_input_can_be_claimed():
    cluster, (node,) = cluster_with(2)
    cluster.submit(small_graph("a b", ("a", "b", Bond.LOOSE)))
    cluster.advance(limits.LOOSE_WAIT_MS)
    running = dict(node.running)
    assert {key.step for key in running} == {0, 1}
    cluster.elect(cluster.replicas[1])
    cluster.attach(node)
    cluster.advance(limits.TAKEOVER_GRACE_MS + limits.LOOSE_WAIT_MS)
    assert node.running == running
    assert len(cluster.executions) == 2
