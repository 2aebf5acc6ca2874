from __future__ import annotations

from swarm.graph import Priority
from swarm.ids import NodeId, RunId, StepKey
from swarm.scheduler.actions import Changed
from swarm.scheduler.events import (
    AgentDeployed,
    Deposed,
    Elected,
    NodeJoined,
    NodeLost,
    OutcomesArrived,
    RunSubmitted,
    Tick,
)
from swarm.scheduler.machine import Scheduler
from swarm.testing.graphs import CAPABILITIES, model_agent, small_graph

A = model_agent(CAPABILITIES[0])
RUN = RunId("run-1")
JOINED = NodeJoined(10, NodeId("n"), 1, frozenset({A.digest}), frozenset(), ())


def follower() -> Scheduler:
    scheduler = Scheduler()
    scheduler.apply(AgentDeployed(1, A, "ann"))
    return scheduler


def submitted() -> RunSubmitted:
    return RunSubmitted(2, RUN, small_graph("a"), {}, Priority.MEDIUM, "ann", "")


def test_a_follower_absorbs_and_orders_nothing():
    scheduler = follower()
    assert scheduler.apply(submitted()) == [Changed(RUN)]
    assert not scheduler.leading
    assert scheduler.accepts(StepKey(RUN, 0, 1, 1))


def test_a_follower_has_no_desk():
    scheduler = follower()
    scheduler.apply(submitted())
    for event in (JOINED, Tick(20), OutcomesArrived(30, NodeId("n"), ()), NodeLost(40, NodeId("n"))):
        assert scheduler.apply(event) == []
    assert list(scheduler.nodes()) == []
    assert scheduler.place(RUN, 0) is None
    assert scheduler.waiting() == 0


def test_a_deposed_leader_forgets_its_nodes_and_keeps_the_ledger():
    scheduler = follower()
    scheduler.apply(Elected(0, 1))
    scheduler.apply(submitted())
    scheduler.apply(JOINED)
    assert (scheduler.leading, scheduler.term, scheduler.waiting()) == (True, 1, 1)
    scheduler.apply(Deposed(50))
    assert (scheduler.leading, scheduler.waiting(), list(scheduler.nodes())) == (False, 0, [])
    assert list(scheduler.ledger.runs) == [RUN]


def test_an_election_starts_from_the_ledger_even_where_the_last_one_was_never_lost():
    scheduler = follower()
    scheduler.apply(Elected(0, 1))
    scheduler.apply(submitted())
    scheduler.apply(JOINED)
    scheduler.apply(Elected(100, 2))
    assert (scheduler.term, list(scheduler.nodes()), scheduler.waiting()) == (2, [], 1)
