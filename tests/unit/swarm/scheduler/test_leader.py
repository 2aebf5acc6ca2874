from __future__ import annotations

from dataclasses import replace

import pytest

from swarm import limits
from swarm.errors import AgentFailed
from swarm.graph import Bond, Graph, NodeName, OnFailure, Retry
from swarm.ids import RunId, StepKey
from swarm.scheduler.actions import Dispatch, Record, Recorded, Withdraw
from swarm.scheduler.desk import STALE_SLACK
from swarm.scheduler.events import AttemptFailed, OutcomesArrived
from swarm.scheduler.machine import Place
from swarm.scheduler.run import Status, Step
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


# -- failures and retries -----------------------------------------------------------------------


def test_a_failed_attempt_rests_and_is_tried_again():
    cluster, (node,) = cluster_with(1)
    run = cluster.submit(with_policy(small_graph("a"), backoff_ms=100))
    cluster.fail(node, only_key(node))
    assert cluster.leader.scheduler.place(run, 0) == (Place.RESTING, None)
    cluster.advance(99)
    assert node.running == {}
    cluster.advance(26 + 1)  # the rest is spread by up to a quarter
    assert only_key(node).attempt == 2
    cluster.finish(node, only_key(node))
    cluster.commit()
    assert status(cluster, run) == (Status.SUCCEEDED, "")


@pytest.mark.parametrize("attempts_max", [1, 2, 3])
def test_a_step_is_tried_as_often_as_its_policy_says_and_then_given_up(attempts_max):
    cluster, (node,) = cluster_with(1)
    run = cluster.submit(with_policy(small_graph("a"), attempts_max))
    for attempt in range(1, attempts_max + 1):
        assert only_key(node).attempt == attempt
        cluster.fail(node, only_key(node))
        cluster.advance(limits.BACKOFF_MS_MAX)
    assert node.running == {}
    cluster.commit()
    assert status(cluster, run) == (Status.FAILED, "step a: it raised")
    assert cluster.recorded[run][0].attempt == attempts_max
    assert len(cluster.executions) == attempts_max


def test_an_error_another_try_cannot_mend_is_final():
    cluster, (node,) = cluster_with(1)
    run = cluster.submit(small_graph("a"))
    error = AgentFailed("no such digit")
    cluster.tell(AttemptFailed(cluster.now_ms, node.name, only_key(node), error, False, 7, 2.5))
    cluster.commit()
    assert status(cluster, run) == (Status.FAILED, "step a: no such digit")
    record = cluster.recorded[run][0]
    assert (record.error, record.started_ms, record.wall_ms) == (error, 7, 2.5)


def test_a_failure_of_an_attempt_nobody_waits_for_changes_nothing():
    cluster, (node,) = cluster_with(1)
    run = cluster.submit(small_graph("a"))
    stale = only_key(node)._replace(attempt=7)
    cluster.tell(AttemptFailed(cluster.now_ms, node.name, stale, AgentFailed("late"), False, 1, 1.0))
    assert last_actions(cluster) == [Recorded(node.name, (stale,))]
    assert cluster.leader.scheduler.place(run, 0) == (Place.FLYING, node.name)


def test_a_node_cannot_fail_an_attempt_that_runs_elsewhere():
    cluster, (first, second) = cluster_with(1, 1)
    run = cluster.submit(small_graph("a"))
    owner, other = (first, second) if first.running else (second, first)
    key = only_key(owner)
    cluster.tell(AttemptFailed(cluster.now_ms, other.name, key, AgentFailed("lie"), False, 1, 1.0))
    assert cluster.leader.scheduler.place(run, 0) == (Place.FLYING, owner.name)


# -- timeouts ---------------------------------------------------------------------------------------


def test_an_attempt_without_a_result_in_time_is_withdrawn_and_tried_again():
    cluster, (node,) = cluster_with(1)
    cluster.submit(with_policy(small_graph("a"), backoff_ms=0, timeout_ms=500))
    first = only_key(node)
    cluster.advance(499)
    assert only_key(node) == first
    cluster.advance(1)
    assert Withdraw(node.name, first) in last_actions(cluster)
    cluster.advance(1)
    assert only_key(node).attempt == 2


def test_a_step_that_always_hangs_ends_with_a_reason():
    cluster, (node,) = cluster_with(1)
    run = cluster.submit(with_policy(small_graph("a"), attempts_max=2, timeout_ms=500))
    for _ in range(4):
        cluster.advance(500)
    cluster.commit()
    assert status(cluster, run) == (Status.FAILED, "step a: no result within 500 ms")
    assert node.running == {}


def test_deadlines_are_kept_by_the_leaders_own_clock_whatever_the_calendar_says():
    cluster, (node,) = cluster_with(1)
    cluster.submit(with_policy(small_graph("a b", ("a", "b")), timeout_ms=500))
    cluster.finish(node, only_key(node))
    cluster.commit()  # a log entry with the calendar's time makes the next step fly
    cluster.advance(499)
    assert only_key(node).attempt == 1
    cluster.advance(1)
    assert node.running == {}


def test_a_result_that_comes_after_its_timeout_still_counts_and_ends_the_other_attempt():
    cluster, (first, second) = cluster_with(1, 1)
    run = cluster.submit(with_policy(small_graph("a"), backoff_ms=0, timeout_ms=500))
    slow, other = (first, second) if first.running else (second, first)
    late = only_key(slow)
    cluster.lose(slow)  # it works on, unheard
    assert only_key(other).attempt == 2
    cluster.finish(slow, late)
    cluster.attach(slow)
    assert other.running == {}
    assert cluster.leader.scheduler.place(run, 0) == (Place.RECORDING, None)
    cluster.commit()
    assert cluster.recorded[run][0].attempt == 1
    assert slow.outbox == {}


def test_a_late_result_of_a_step_that_rests_is_taken():
    cluster, (node,) = cluster_with(1)
    run = cluster.submit(with_policy(small_graph("a"), backoff_ms=30_000, timeout_ms=500))
    late = only_key(node)
    cluster.advance(500)
    cluster.tell(OutcomesArrived(cluster.now_ms, node.name, (late,)))
    assert cluster.leader.scheduler.place(run, 0) == (Place.RECORDING, None)
    cluster.advance(60_000)
    assert node.running == {}


# -- loose inputs -------------------------------------------------------------------------------


def test_a_loose_step_waits_so_long_and_no_longer():
    cluster, (node,) = cluster_with(2)
    run = cluster.submit(small_graph("a b", ("a", "b", Bond.LOOSE)))
    assert cluster.leader.scheduler.place(run, 1) == (Place.LATE, None)
    cluster.advance(limits.LOOSE_WAIT_MS - 1)
    assert [key.step for key in node.running] == [0]
    cluster.advance(1)
    assert [key.step for key in node.running] == [0, 1]


def test_a_loose_step_starts_as_soon_as_its_last_input_came():
    cluster, (node,) = cluster_with(3)
    cluster.submit(small_graph("a b c", ("a", "c", Bond.LOOSE), ("b", "c", Bond.LOOSE)))
    for _ in range(2):
        cluster.finish(node, next(iter(node.running)))
        assert all(key.step != 2 for key in node.running)
        cluster.commit()
    assert only_key(node).step == 2


def test_one_log_entry_may_hold_a_late_input_and_the_result_made_without_it():
    cluster, (node,) = cluster_with(2)
    run = cluster.submit(small_graph("a b", ("a", "b", Bond.LOOSE)))
    cluster.advance(limits.LOOSE_WAIT_MS)
    for key in list(node.running):
        cluster.finish(node, key)
    cluster.commit()
    assert status(cluster, run) == (Status.SUCCEEDED, "")
    assert node.running == {}
    assert len(cluster.executions) == 2


# -- the end of a run -------------------------------------------------------------------------------


def test_cancelling_ends_everything_and_withdraws_what_flies():
    cluster, (node,) = cluster_with(2)
    run = cluster.submit(small_graph("a b c d", ("a", "d")))
    flying = list(node.running)
    cluster.cancel(run)
    withdrawn = [action.key for action in last_actions(cluster) if isinstance(action, Withdraw)]
    assert withdrawn[:2] == flying
    assert [key.step for key in withdrawn[2:]] == [3]  # what its node would have gone on with
    assert node.running == {}
    assert status(cluster, run) == (Status.CANCELLED, "enough")
    assert cluster.leader.scheduler.waiting() == 0
    assert all(cluster.leader.scheduler.place(run, step) is None for step in range(4))


def test_a_late_result_of_a_cancelled_run_is_forgotten_by_its_node():
    cluster, (node,) = cluster_with(1)
    run = cluster.submit(small_graph("a"))
    key = only_key(node)
    cluster.finish(node, key)
    cluster.cancel(run)
    cluster.commit()
    assert last_actions(cluster) == [Recorded(node.name, [key])]
    assert cluster.leader.scheduler.ledger.runs[run].state == [Step.CANCELLED]


def test_cancelling_twice_or_what_nobody_knows_does_nothing():
    cluster, _ = cluster_with(1)
    run = cluster.submit(small_graph("a"))
    cluster.cancel(run)
    cluster.cancel(run, "again")
    assert last_actions(cluster) == []
    assert status(cluster, run) == (Status.CANCELLED, "enough")
    cluster.cancel(RunId("run-nobody"))
    assert last_actions(cluster) == []


def test_a_failure_that_stops_the_run_withdraws_its_other_attempts():
    cluster, (node,) = cluster_with(3)
    run = cluster.submit(with_policy(small_graph("a b c"), attempts_max=1))
    first, *others = node.running
    cluster.fail(node, first)
    cluster.commit()
    assert status(cluster, run)[0] is Status.FAILED
    assert [a for a in last_actions(cluster) if isinstance(a, Withdraw)] == [
        Withdraw(node.name, key) for key in others
    ]


def test_the_end_of_one_run_leaves_the_others_alone():
    cluster, (node,) = cluster_with(1)
    gone, kept = cluster.submit(wide_graph(2)), cluster.submit(wide_graph(2))
    cluster.cancel(gone)
    for _ in range(2):
        cluster.finish(node, only_key(node))
        cluster.commit()
    assert status(cluster, kept)[0] is Status.SUCCEEDED


def test_observers_may_finish_after_the_run_was_decided():
    cluster, (node,) = cluster_with(1)
    run = cluster.submit(small_graph("a w", ("a", "w", Bond.OBSERVE), on_failure=OnFailure.CONTINUE))
    cluster.finish(node, only_key(node))
    cluster.commit()
    assert status(cluster, run)[0] is Status.SUCCEEDED
    assert only_key(node).step == 1
    cluster.finish(node, only_key(node))
    cluster.commit()
    assert cluster.leader.scheduler.ledger.runs[run].settled


# -- results --------------------------------------------------------------------------------------


def test_a_slot_is_free_as_soon_as_the_result_is_on_its_way():
    cluster, (node,) = cluster_with(1)
    cluster.submit(wide_graph(2))
    cluster.finish(node, only_key(node))
    assert only_key(node).step == 1
    assert cluster.recorded == {}


def test_the_second_of_two_results_is_received_and_not_recorded():
    cluster, (first, second) = cluster_with(1, 1)
    run = cluster.submit(small_graph("a"))
    owner, other = (first, second) if first.running else (second, first)
    late = only_key(owner)
    cluster.lose(owner)
    cluster.finish(other, only_key(other))
    cluster.commit()
    cluster.finish(owner, late)
    cluster.attach(owner)
    assert owner.outbox == {}
    assert cluster.recorded[run][0].attempt == 2


def test_a_node_may_forget_its_result_while_that_of_another_attempt_is_being_recorded():
    cluster, (first, second) = cluster_with(1, 1)
    cluster.submit(small_graph("a"))
    owner, other = (first, second) if first.running else (second, first)
    late = only_key(owner)
    cluster.lose(owner)
    winner = only_key(other)
    cluster.finish(other, winner)
    assert cluster.leader.scheduler.accepts(winner)  # it may be offered again: its own is not in the log yet
    assert not cluster.leader.scheduler.accepts(late)
    cluster.finish(owner, late)
    cluster.attach(owner)
    assert (owner.outbox, len(other.outbox)) == ({}, 1)
    cluster.commit()
    assert other.outbox == {}


def test_a_record_that_commits_unannounced_frees_its_slot():
    cluster, (node,) = cluster_with(1)
    cluster.submit(wide_graph(2))
    key = only_key(node)
    cluster.finish(node, key)
    (record,) = cluster.proposed
    cluster.elect(cluster.leader)  # the proposal of the last term commits in this one
    node.outbox.clear()
    cluster.proposed.append(record)
    cluster.attach(node)
    cluster.commit()
    cluster.advance(limits.TAKEOVER_GRACE_MS)
    assert {key.step for key in node.running} == {1}


def test_results_are_accepted_for_ready_steps_only():
    cluster, (node,) = cluster_with(1)
    run = cluster.submit(small_graph("a b", ("a", "b")))
    accepts = cluster.leader.scheduler.accepts
    key = only_key(node)
    assert accepts(key)
    assert accepts(key._replace(attempt=9))
    assert not accepts(key._replace(step=1))
    assert not accepts(key._replace(step=2))
    assert not accepts(key._replace(run=RunId("run-nobody")))
    cluster.finish(node, key)
    cluster.commit()
    assert not accepts(key)
    assert accepts(StepKey(run, 1, 1, 1))


def test_a_step_given_up_is_proposed_once():
    cluster, (node,) = cluster_with(1)
    run = cluster.submit(with_policy(small_graph("a"), attempts_max=1))
    cluster.fail(node, only_key(node))
    cluster.advance(60_000)
    cluster.advance(60_000)
    records = [a for actions in cluster.leader.actions for a in actions if isinstance(a, Record)]
    assert [(a.record.run, a.record.ok) for a in records] == [(run, False)]


def test_dispatches_carry_what_the_step_needs():
    cluster, (node,) = cluster_with(1)
    run = cluster.submit(small_graph("a b c", ("a", "b"), ("a", "c")))
    sent = cluster.executions[0]
    assert sent == Dispatch(
        node.name, StepKey(run, 0, 1, 1), A.digest, CAPABILITIES[0], {}, sent.timeout_ms, ()
    )
    assert sent.timeout_ms == limits.STEP_TIMEOUT_MS_DEFAULT
    cluster.finish(node, only_key(node))
    cluster.commit()
    (given,) = cluster.executions[1].inputs["all"]
    assert given.data.startswith(NodeName("a").encode())


def test_the_desk_of_a_busy_leader_stays_small():
    cluster, (node,) = cluster_with(8)
    leader = cluster.leader.scheduler._leader
    assert leader is not None
    for _ in range(600):
        cluster.submit(wide_graph(8))
        for key in list(node.running):
            cluster.finish(node, key)
        cluster.commit()
        cluster.advance(1)
        assert len(leader.desk._alarms) <= STALE_SLACK + 16
    assert (len(leader.desk), leader.desk.queues) == (0, {})
