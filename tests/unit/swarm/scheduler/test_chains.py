"""Chains: handed over as one piece, recorded step by step, never on a result that is not in the log."""

from __future__ import annotations

from dataclasses import replace

from swarm import limits
from swarm.scheduler import chains
from swarm.scheduler.actions import Dispatch, Withdraw
from swarm.scheduler.machine import Place
from swarm.scheduler.run import Status
from swarm.testing.graphs import CAPABILITIES, chain_graph, model_agent, small_graph
from swarm.testing.scheduling import ModelCluster

A = model_agent(CAPABILITIES[0])
LINE = chain_graph(4)


def begun(graph=LINE, nodes=2, slots=1):
    cluster = ModelCluster(A)
    for number in range(nodes):
        cluster.join(f"n{number}", slots)
    run = cluster.submit(graph)
    ((node, head),) = cluster.running()
    return cluster, run, node, head


def orders(cluster):
    return [
        action for actions in cluster.leader.actions for action in actions if isinstance(action, Dispatch)
    ]


def status(cluster, run):
    return cluster.leader.scheduler.ledger.runs[run].status


def place(cluster, run, step):
    return cluster.leader.scheduler.place(run, step)


def finish_next(cluster, node):
    (key,) = node.running
    cluster.finish(node, key)
    return key


def test_a_line_of_steps_is_one_order_and_each_step_has_its_record():
    cluster, run, node, _ = begun()
    assert [follower.key.step for follower in orders(cluster)[0].followers] == [1, 2, 3]
    for _ in range(4):
        finish_next(cluster, node)
    cluster.commit(count=1)
    cluster.commit()
    assert len(orders(cluster)) == 1
    assert status(cluster, run) is Status.SUCCEEDED
    assert sorted(cluster.recorded[run]) == [0, 1, 2, 3]


def test_a_follower_runs_where_it_is_once_the_step_before_it_is_in_the_log():
    cluster, run, node, _ = begun()
    finish_next(cluster, node)
    assert place(cluster, run, 1) is None
    cluster.commit()
    assert place(cluster, run, 1) == (Place.FLYING, node.name)
    assert len(orders(cluster)) == 1


def test_the_slot_of_a_chain_is_taken_from_its_first_step_to_its_last():
    cluster, _, node, _ = begun(nodes=1)
    other = cluster.submit(small_graph("x"))
    for _ in range(3):
        finish_next(cluster, node)
        cluster.commit()
        assert other not in {key.run for _, key in cluster.running()}
    finish_next(cluster, node)
    assert {key.run for _, key in cluster.running()} == {other}


def test_what_follows_a_failure_is_not_begun_and_has_its_turn_after_the_next_attempt():
    cluster, _, node, head = begun()
    cluster.fail(node, head)
    assert node.running == {}
    cluster.advance(1_000)
    second = orders(cluster)[-1]
    assert (second.key.attempt, [each.key.attempt for each in second.followers]) == (2, [2, 2, 2])


def test_a_follower_that_fails_before_the_step_before_it_is_in_the_log_is_tried_again():
    cluster, run, node, _ = begun(nodes=1)
    finish_next(cluster, node)
    (key,) = node.running
    cluster.fail(node, key)
    cluster.commit()
    assert place(cluster, run, 1) == (Place.RESTING, None)
    cluster.advance(1_000)
    for _ in range(3):
        finish_next(cluster, node)
    cluster.commit()
    assert status(cluster, run) is Status.SUCCEEDED


def test_a_follower_with_one_attempt_that_failed_early_fails_its_run():
    nodes = tuple(replace(node, retry=replace(node.retry, attempts_max=1)) for node in LINE.nodes)
    cluster, run, node, _ = begun(replace(LINE, nodes=nodes), nodes=1)
    finish_next(cluster, node)
    (key,) = node.running
    cluster.fail(node, key)
    cluster.commit()
    cluster.commit()
    assert status(cluster, run) is Status.FAILED


def test_a_node_that_is_lost_takes_its_promises_with_it():
    cluster, _, node, _ = begun()
    finish_next(cluster, node)
    cluster.lose(node, killed=True)
    cluster.commit()
    ((other, key),) = cluster.running()
    assert (other.name != node.name, key.step, key.attempt) == (True, 1, 2)


def test_a_result_that_rests_on_another_attempt_than_the_recorded_one_does_not_count():
    cluster, _, node, head = begun()
    finish_next(cluster, node)  # its outcome arrives, and is lost with the leader's office before it commits
    (follower,) = node.running
    node.outbox.clear()
    other = cluster.nodes["n1"] if node.name == "n0" else cluster.nodes["n0"]
    cluster.elect(cluster.replicas[1])
    cluster.attach(other)
    cluster.advance(limits.TAKEOVER_GRACE_MS)
    ((_, again),) = [(each, key) for each, key in cluster.running() if each is other]
    assert again.step == 0
    cluster.finish(other, again)
    cluster.commit()
    assert not cluster.leader.scheduler.accepts(follower, (head.term, head.attempt))
    assert cluster.leader.scheduler.accepts(follower, (again.term, again.attempt))


def test_a_cancelled_run_calls_back_what_its_node_has_begun_by_itself():
    cluster, run, node, _ = begun(nodes=1)
    finish_next(cluster, node)
    (key,) = node.running
    cluster.cancel(run)
    assert Withdraw(node.name, key) in cluster.leader.actions[-1]
    assert node.running == {}


def test_a_chain_is_bounded_and_goes_on_behind_its_bound(monkeypatch):
    monkeypatch.setattr(chains, "CHAIN_STEPS_MAX", 2)
    cluster, run, node, _ = begun(nodes=1)
    assert len(orders(cluster)[0].followers) == 2
    for _ in range(3):
        finish_next(cluster, node)
    cluster.commit()
    finish_next(cluster, node)
    cluster.commit()
    assert (len(orders(cluster)), status(cluster, run)) == (2, Status.SUCCEEDED)


def test_a_step_with_two_sources_or_two_targets_ends_a_chain():
    cluster, *_ = begun(small_graph("a b c d", ("a", "b"), ("b", "c"), ("b", "d")), slots=4)
    assert [follower.key.step for follower in orders(cluster)[0].followers] == [1]
