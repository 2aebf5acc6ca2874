"""An attempt that must not run twice is lost from sight: its agent is asked what became of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarm import limits
from swarm.errors import AgentFailed, CellLost, NeedsDecision, NotDone
from swarm.scheduler.events import AttemptFailed
from swarm.scheduler.machine import Place
from swarm.scheduler.run import Status
from swarm.testing.graphs import CAPABILITIES, model_agent
from tests.unit.swarm.scheduler.paying import begun

PURE = model_agent(CAPABILITIES[0])
TELLS = replace(
    PURE,
    capabilities=tuple(replace(one, effects="once", reconcile="model:look") for one in PURE.capabilities),
)


def asked():
    """The same, whose node was killed: the question that another one was given in the end."""
    cluster, node, run = begun(TELLS)
    cluster.lose(node, killed=True)
    cluster.advance(limits.INTENT_WAIT_MS)
    ((other, question),) = cluster.running()
    assert other is not node
    return cluster, other, question, run


def say(cluster, node, key, error):
    node.running.pop(key, None)
    cluster.tell(AttemptFailed(cluster.now_ms, node.name, key, error, True, 1, 1.0))


def run_of(cluster, run):
    return cluster.leader.scheduler.ledger.runs[run]


def test_after_the_wait_the_agent_is_asked_about_the_attempt_that_was_intended():
    cluster, node, question, run = asked()
    order = node.running[question]
    assert (order.about, order.capability, question.attempt) == ((1, 1), CAPABILITIES[0], 2)
    assert cluster.leader.scheduler.place(run, 0) == (Place.ASKING, node.name)
    assert cluster.executions[0].about is None


def test_what_was_done_is_the_result_of_the_step():
    cluster, node, question, run = asked()
    cluster.finish(node, question)
    cluster.commit()
    assert run_of(cluster, run).status is Status.SUCCEEDED
    assert sum(order.about is None for order in cluster.executions) == 1


def test_what_was_not_done_is_intended_anew_and_run_again():
    cluster, node, question, run = asked()
    say(cluster, node, question, NotDone("nothing of it is there"))
    assert cluster.leader.scheduler.place(run, 0)[0] is Place.INTENDED
    cluster.commit()
    ((again, second),) = cluster.running()
    assert (again.running[second].about, second.attempt) == (None, 3)
    assert run_of(cluster, run).intents[0].attempt == 3
    cluster.finish(again, second)
    cluster.commit()
    assert run_of(cluster, run).status is Status.SUCCEEDED


def test_an_agent_that_cannot_tell_leaves_it_to_a_person():
    cluster, node, question, run = asked()
    say(cluster, node, question, NeedsDecision("its agent cannot tell either"))
    cluster.commit()
    error = run_of(cluster, run).records[0].error
    assert isinstance(error, NeedsDecision)
    assert "cannot tell either" in error.message
    assert "submit the work again" in error.remedy


@pytest.mark.parametrize("error", [CellLost("its process ended"), AgentFailed("KeyError")])
def test_a_question_that_goes_wrong_is_put_again_until_patience_ends(error):
    cluster, node, question, run = asked()
    say(cluster, node, question, error)
    assert cluster.running() == []
    cluster.advance(limits.RECONCILE_REST_MS)
    ((again, second),) = cluster.running()
    assert again.running[second].about == (1, 1)
    cluster.advance(limits.RECONCILE_MS_MAX)
    say(cluster, again, second, error)
    cluster.advance(limits.RECONCILE_REST_MS)
    cluster.commit()
    assert isinstance(run_of(cluster, run).records[0].error, NeedsDecision)
    assert sum(order.about is None for order in cluster.executions) == 1


def test_a_question_nobody_answers_is_withdrawn_and_put_again():
    cluster, node, question, run = asked()
    cluster.advance(limits.RECONCILE_CALL_MS_MAX)
    assert question not in node.running
    cluster.advance(limits.RECONCILE_REST_MS)
    assert cluster.leader.scheduler.place(run, 0)[0] is Place.ASKING


def test_a_question_whose_node_is_lost_is_put_to_another():
    cluster, node, _, run = asked()
    cluster.lose(node, killed=True)
    cluster.join("n9", 1)
    cluster.advance(limits.RECONCILE_REST_MS)
    assert cluster.leader.scheduler.place(run, 0) == (Place.ASKING, "n9")


def test_a_question_waits_for_somebody_who_can_be_asked():
    cluster, node, run = begun(TELLS, nodes=1)
    cluster.lose(node, killed=True)
    cluster.advance(limits.INTENT_WAIT_MS)
    assert cluster.leader.scheduler.place(run, 0)[0] is Place.UNSURE
    cluster.join("n9", 1)
    cluster.advance(limits.RECONCILE_REST_MS)
    assert cluster.leader.scheduler.place(run, 0) == (Place.ASKING, "n9")


def test_an_attempt_that_ended_without_saying_what_it_did_is_asked_about_at_once():
    cluster, node, run = begun(TELLS)
    ((_, key),) = cluster.running()
    say(cluster, node, key, CellLost("its process ended"))
    ((_, question),) = cluster.running()
    assert question.attempt == key.attempt + 1
    assert cluster.leader.scheduler.place(run, 0)[0] is Place.ASKING


def test_the_attempt_itself_comes_back_and_nobody_is_asked_any_more():
    cluster, node, run = begun(TELLS)
    cluster.lose(node)
    cluster.advance(limits.INTENT_WAIT_MS)
    other = next(one for one in cluster.nodes.values() if one is not node)
    assert len(other.running) == 1
    cluster.attach(node)
    assert other.running == {}
    cluster.finish(node, *node.running)
    cluster.commit()
    assert run_of(cluster, run).status is Status.SUCCEEDED
    assert all(not view.busy for view in cluster.leader.scheduler.nodes())


def test_the_agents_own_word_about_the_attempt_ends_the_question():
    cluster, node, run = begun(TELLS)
    ((_, key),) = cluster.running()
    cluster.lose(node)
    cluster.fail(node, key)
    cluster.advance(limits.INTENT_WAIT_MS)
    cluster.attach(node)
    cluster.commit()
    assert isinstance(run_of(cluster, run).records[0].error, AgentFailed)


def test_a_node_that_comes_back_with_empty_hands_is_not_waited_for():
    cluster, node, run = begun(TELLS)
    cluster.lose(node, killed=True)
    cluster.attach(node)
    cluster.advance(limits.RECONCILE_REST_MS)
    assert cluster.leader.scheduler.place(run, 0)[0] is Place.ASKING


def test_the_next_leader_asks_anew_and_heeds_no_answer_to_the_last_ones_question():
    cluster, node, question, run = asked()
    cluster.elect(cluster.replicas[1])
    cluster.attach(node)
    assert question not in node.running
    say(cluster, node, question, NotDone("nothing of it is there"))
    cluster.advance(limits.TAKEOVER_GRACE_MS)
    assert cluster.leader.scheduler.place(run, 0)[0] is Place.UNSURE
    cluster.advance(limits.INTENT_WAIT_MS)
    ((_, again),) = cluster.running()
    assert (again.term, node.running[again].about) == (2, (1, 1))


def test_a_cancelled_run_withdraws_its_question():
    cluster, node, question, run = asked()
    cluster.cancel(run)
    assert question not in node.running
    assert all(not view.busy for view in cluster.leader.scheduler.nodes())
