"""First steps that are begun while their run is on its way into the log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarm import limits
from swarm.graph import Priority
from swarm.ids import RunId, StepKey
from swarm.scheduler.actions import Dispatch, Recorded, Withdraw
from swarm.scheduler.events import RunForeseen, RunForsaken, RunSubmitted, StepRecord
from swarm.scheduler.machine import Place
from swarm.scheduler.run import Status
from swarm.testing.graphs import CAPABILITIES, chain_graph, model_agent, model_reply, small_graph
from swarm.testing.scheduling import CALENDAR_MS, ModelCluster

PURE = model_agent(CAPABILITIES[0])
ONCE = replace(PURE, capabilities=tuple(replace(one, effects="once") for one in PURE.capabilities))
RUN = RunId("run-ahead")
KEY = StepKey(RUN, 0, 1, 1)


def submission(graph=None, run=RUN, key="k"):
    graph = graph or small_graph("a", outlets="a")
    return RunSubmitted(CALENDAR_MS, run, graph, {}, Priority.MEDIUM, "ann", key)


def begun(event, agent=PURE, nodes=2, slots=1):
    """A cluster that foresees a submission; what was sent out ahead of it."""
    cluster = ModelCluster(agent)
    for number in range(nodes):
        cluster.join(f"n{number}", slots)
    cluster.graphs[event.run] = event.graph
    actions = cluster.leader.tell(RunForeseen(cluster.now_ms, event))
    return cluster, [action for action in actions if isinstance(action, Dispatch)]


def result(order):
    outputs = model_reply("a", order.inputs, order.scatter)
    return StepRecord(*order.key, order.node, True, outputs, None, 1, 1.0)


def sent(cluster, kind):
    return [action for action in cluster.leader.actions[-1] if isinstance(action, kind)]


def free(cluster):
    return sum(view.free for view in cluster.leader.scheduler.nodes())


def test_the_first_step_is_sent_out_and_nothing_of_it_is_true_yet():
    cluster, (order,) = begun(submission())
    scheduler = cluster.leader.scheduler
    assert (order.key, free(cluster)) == (KEY, 1)
    assert (list(scheduler.ledger.runs), scheduler.place(RUN, 0), scheduler.accepts(KEY)) == ([], None, False)


def test_once_the_run_is_in_the_log_the_attempt_goes_on_and_is_not_made_again():
    cluster, (order,) = begun(submission())
    cluster._commit(submission())
    assert sent(cluster, Dispatch) == []
    assert cluster.leader.scheduler.place(RUN, 0) == (Place.FLYING, order.node)
    assert cluster.leader.scheduler.accepts(KEY)
    assert free(cluster) == 1


def test_a_result_that_came_in_time_is_in_the_runs_own_entry():
    cluster, (order,) = begun(submission())
    cluster._commit(replace(submission(), records=(result(order),)))
    assert sent(cluster, Recorded) == [Recorded(order.node, [KEY])]
    assert sent(cluster, Dispatch) == []
    for replica in cluster.replicas:
        run = replica.scheduler.ledger.runs[RUN]
        assert (run.status, run.order, run.submitted.records) == (Status.SUCCEEDED, [0], ())
    assert (cluster.leader.scheduler.place(RUN, 0), free(cluster)) == (None, 2)


def test_what_a_result_in_the_entry_made_ready_is_placed():
    graph = small_graph("a b c", ("a", "b"), ("a", "c"))
    cluster, (order,) = begun(submission(graph))
    cluster.recorded[RUN] = {0: result(order)}
    cluster._commit(replace(submission(graph), records=(result(order),)))
    assert sorted(action.key.step for action in sent(cluster, Dispatch)) == [1, 2]


def test_a_run_that_does_not_come_to_be_is_withdrawn_and_its_slot_is_free():
    cluster, (order,) = begun(submission())
    cluster.tell(RunForsaken(cluster.now_ms, RUN))
    assert sent(cluster, Withdraw) == [Withdraw(order.node, KEY)]
    assert free(cluster) == 2
    cluster.tell(RunForsaken(cluster.now_ms, RUN))
    assert sent(cluster, Withdraw) == []


def test_a_forsaken_run_that_comes_to_be_after_all_uses_no_key_twice():
    cluster, _ = begun(submission())
    cluster.tell(RunForsaken(cluster.now_ms, RUN))
    cluster._commit(submission())
    assert [action.key.attempt for action in sent(cluster, Dispatch)] == [2]


def test_a_key_that_names_another_run_withdraws_what_was_begun():
    cluster, (order,) = begun(submission())
    cluster.graphs[RunId("first")] = submission().graph
    cluster._commit(submission(run=RunId("first")))
    cluster._commit(submission())
    assert sent(cluster, Withdraw) == [Withdraw(order.node, KEY)]
    assert list(cluster.leader.scheduler.ledger.runs) == ["first"]


def test_a_node_that_is_lost_meanwhile_has_lost_the_attempt():
    cluster, (order,) = begun(submission())
    cluster.lose(cluster.nodes[order.node], killed=True)
    cluster._commit(submission())
    (again,) = sent(cluster, Dispatch)
    assert again.node != order.node
    assert again.key == StepKey(RUN, 0, 1, 2)


@pytest.mark.parametrize(
    ("event", "agent"),
    [
        (submission(), ONCE),
        (submission(chain_graph(3)), PURE),
        (submission(small_graph(" ".join(f"s{i}" for i in range(limits.STEPS_AHEAD_MAX + 1)))), PURE),
    ],
    ids=["must not run twice", "a line is one order", "too many"],
)
def test_what_is_not_begun_ahead(event, agent):
    cluster, orders = begun(event, agent, nodes=4, slots=8)
    assert orders == []
    cluster._commit(event)
    cluster.commit()
    assert cluster.executions


def test_the_node_beside_the_leader_goes_first_while_it_idles():
    cluster = ModelCluster(PURE)
    for name in ("n0", "n1", "n2"):
        cluster.join(name, 4)
    placed = []
    for number in range(3):
        event = submission(run=RunId(f"run-{number}"), key=f"k{number}")
        actions = cluster.leader.tell(RunForeseen(cluster.now_ms, event, "n1"))
        placed += [action.node for action in actions if isinstance(action, Dispatch)]
    assert placed[0] == "n1"
    assert sorted(placed) == ["n0", "n1", "n2"]


def test_nobody_is_overtaken():
    cluster, orders = begun(submission(), nodes=0)
    cluster.submit(small_graph("x"))
    cluster.join("n0", 1)
    cluster.submit(small_graph("y"))
    assert orders == []
    assert cluster.leader.tell(RunForeseen(cluster.now_ms, submission(run=RunId("late"), key="l"))) == []


def test_a_new_leader_knows_nothing_of_it():
    cluster, (order,) = begun(submission())
    cluster.executions.clear()
    cluster.nodes[order.node].running[order.key] = order
    cluster.elect(cluster.replicas[1])
    cluster.attach(cluster.nodes[order.node])
    assert Withdraw(order.node, KEY) in sent(cluster, Withdraw)
