"""Steps whose agent declares `effects: once`: intended in the log first, and never run twice unasked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarm import limits
from swarm.errors import CellLost, NeedsDecision, NotHosted, OutOfTime
from swarm.ids import StepKey
from swarm.scheduler.actions import Dispatch, Intend
from swarm.scheduler.events import AttemptFailed
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.machine import Place
from swarm.scheduler.run import Status
from swarm.testing.graphs import CAPABILITIES, model_agent, small_graph
from swarm.testing.scheduling import ModelCluster
from tests.unit.swarm.scheduler.paying import begun

PURE = model_agent(CAPABILITIES[0])
ONCE = replace(PURE, capabilities=tuple(replace(one, effects="once") for one in PURE.capabilities))


def error_of(cluster, run):
    cluster.commit()
    record = cluster.leader.scheduler.ledger.runs[run].records[0]
    assert not record.ok
    return record.error


def test_nothing_runs_before_its_intent_is_in_the_log():
    cluster = ModelCluster(ONCE)
    cluster.join("n0", 1)
    run = cluster.submit(small_graph("pay"))
    assert [
        type(action) for action in cluster.leader.actions[-1] if isinstance(action, Intend | Dispatch)
    ] == [Intend]
    assert cluster.executions == []
    assert cluster.leader.scheduler.place(run, 0)[0] is Place.INTENDED
    cluster.commit()
    assert len(cluster.executions) == 1
    assert cluster.leader.scheduler.ledger.runs[run].intents[0].node == "n0"


def test_an_attempt_that_ends_well_is_recorded_like_any_other_and_its_intent_forgotten():
    cluster, node, run = begun(ONCE)
    cluster.finish(node, *node.running)
    cluster.commit()
    found = cluster.leader.scheduler.ledger.runs[run]
    assert (found.status, found.intents, len(cluster.executions)) == (Status.SUCCEEDED, {}, 1)


def test_a_lost_node_asks_for_a_decision_instead_of_running_it_elsewhere():
    cluster, node, run = begun(ONCE)
    cluster.lose(node, killed=True)
    assert cluster.leader.scheduler.place(run, 0)[0] is Place.UNSURE
    cluster.advance(limits.INTENT_WAIT_MS)
    error = error_of(cluster, run)
    assert isinstance(error, NeedsDecision)
    assert "submit the work again" in error.remedy
    assert len(cluster.executions) == 1


def test_a_node_that_comes_back_in_time_goes_on_and_no_decision_is_asked_for():
    cluster, node, run = begun(ONCE)
    cluster.lose(node)
    cluster.advance(limits.INTENT_WAIT_MS - 1)
    cluster.attach(node)
    cluster.advance(limits.INTENT_WAIT_MS)
    cluster.finish(node, *node.running)
    cluster.commit()
    assert cluster.leader.scheduler.ledger.runs[run].status is Status.SUCCEEDED
    assert len(cluster.executions) == 1


def test_a_result_that_was_waiting_in_the_outbox_is_taken_when_the_node_comes_back():
    cluster, node, run = begun(ONCE)
    cluster.lose(node)
    cluster.finish(node, *node.running)
    cluster.attach(node)
    cluster.commit()
    assert cluster.leader.scheduler.ledger.runs[run].status is Status.SUCCEEDED


def test_a_new_leader_waits_for_the_node_that_was_named_and_then_asks():
    cluster, node, run = begun(ONCE)
    cluster.elect(cluster.replicas[1])
    cluster.lose(node, killed=True)
    other = next(one for one in cluster.nodes.values() if one is not node)
    cluster.attach(other)
    cluster.advance(limits.TAKEOVER_GRACE_MS)
    assert other.running == {}
    cluster.advance(limits.INTENT_WAIT_MS)
    assert isinstance(error_of(cluster, run), NeedsDecision)
    assert len(cluster.executions) == 1


def test_a_new_leader_lets_the_named_node_claim_it():
    cluster, node, run = begun(ONCE)
    cluster.elect(cluster.replicas[1])
    cluster.attach(node)
    cluster.finish(node, *node.running)
    cluster.commit()
    assert cluster.leader.scheduler.ledger.runs[run].status is Status.SUCCEEDED
    assert len(cluster.executions) == 1


def test_the_agents_own_failure_is_final_and_told_as_it_is():
    cluster, node, run = begun(ONCE)
    cluster.fail(node, *node.running)
    assert str(error_of(cluster, run)).endswith("it raised")
    cluster.advance(limits.BACKOFF_MS_MAX)
    assert len(cluster.executions) == 1


@pytest.mark.parametrize("error", [CellLost("its process ended"), OutOfTime("no reply")])
def test_an_end_that_leaves_open_what_was_done_asks_for_a_decision(error):
    cluster, node, run = begun(ONCE)
    (key,) = node.running
    cluster.tell(AttemptFailed(cluster.now_ms, node.name, key, error, True, 1, 1.0))
    assert isinstance(error_of(cluster, run), NeedsDecision)


def test_a_deadline_that_passes_asks_for_a_decision():
    cluster, _, run = begun(ONCE)
    cluster.advance(limits.STEP_TIMEOUT_MS_DEFAULT + 1)
    assert isinstance(error_of(cluster, run), NeedsDecision)


def test_a_node_lost_before_the_intent_is_committed_costs_nothing():
    cluster = ModelCluster(ONCE)
    first, second = cluster.join("n0", 1), cluster.join("n1", 1)
    run = cluster.submit(small_graph("pay"))
    chosen = cluster.leader.scheduler.place(run, 0)[1]
    cluster.lose(first if chosen == "n0" else second, killed=True)
    cluster.commit()
    cluster.commit()
    assert len(cluster.executions) == 1
    assert cluster.executions[0].node != chosen
    assert cluster.executions[0].key == StepKey(run, 0, 1, 2)


def test_a_snapshot_keeps_what_was_intended():
    cluster, _, run = begun(ONCE)
    again = Ledger()
    for event in cluster.leader.scheduler.ledger.history():
        again.apply(event)
    assert again.runs[run].intents == cluster.leader.scheduler.ledger.runs[run].intents != {}


def test_a_node_that_does_not_host_the_agent_has_begun_nothing_so_another_attempt_is_intended():
    cluster, node, run = begun(ONCE)
    (key,) = node.running
    node.running.pop(key)
    error = NotHosted(f"node {node.name} does not host it")
    cluster.tell(AttemptFailed(cluster.now_ms, node.name, key, error, True, 0, 0.0))
    cluster.advance(limits.BACKOFF_MS_MAX)
    cluster.commit()
    ((again, second),) = cluster.running()
    assert second.attempt == key.attempt + 1
    cluster.finish(again, second)
    cluster.commit()
    assert cluster.leader.scheduler.ledger.runs[run].status is Status.SUCCEEDED
