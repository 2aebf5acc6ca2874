"""Stale alarms and names are thrown away before they are many."""

from __future__ import annotations

from swarm.graph import Node, NodeName, Priority, Resources
from swarm.ids import CapabilityName, NodeId, RunId, StepKey
from swarm.scheduler.desk import STALE_SLACK, Desk, Place, Where
from swarm.scheduler.placement import NodeView

RUN = RunId("run-1")


def step_of(timeout_ms: int) -> Node:
    return Node(NodeName("s"), CapabilityName("t:a"), timeout_ms=timeout_ms)


WHERE: Where = (CapabilityName("t:a"), frozenset(), Resources())


def a_node() -> NodeView:
    return NodeView(NodeId("n"), 1, frozenset(), frozenset())


def key(attempt: int, step: int = 0) -> StepKey:
    return StepKey(RUN, step, 1, attempt)


def test_alarms_of_attempts_that_ended_do_not_pile_up():
    desk, view = Desk(), a_node()
    desk.nodes[view.node] = view
    for i in range(3 * STALE_SLACK):
        entry = desk.add(RUN, i, now_ms=i)
        desk.fly(entry, view, key(1, i), i, step_of(60_000))
        desk.remove(RUN, i)
        desk.sweep()
        assert len(desk._alarms) <= STALE_SLACK + 1
    assert view.busy == {}
    assert len(desk) == 0


def test_names_of_steps_that_moved_on_do_not_pile_up():
    desk, view = Desk(), a_node()
    desk.nodes[view.node] = view
    entry = desk.add(RUN, 0, now_ms=0)
    for i in range(3 * STALE_SLACK):
        desk.queue(entry, WHERE, (RUN, 0), Priority.LOW, i, front=True)
        desk.fly(entry, view, key(1), i, step_of(60_000))
        desk.sweep()
        assert sum(map(len, desk.queues.values())) <= STALE_SLACK + 3
        assert len(desk._alarms) <= STALE_SLACK + 3


def test_sweeping_keeps_what_is_still_wanted_once():
    desk, view = Desk(), a_node()
    entries = [desk.add(RUN, step, now_ms=0) for step in range(3)]
    for step, entry in enumerate(entries):
        desk.queue(entry, WHERE, (RUN, step), Priority.LOW, 1)
    for i in range(STALE_SLACK + 10):
        desk.fly(entries[1], view, key(1, 1), i, step_of(10))
        desk.queue(entries[1], WHERE, (RUN, 1), Priority.LOW, i, front=True)
    desk.sweep()
    queue = desk.queues[WHERE]
    assert [queue.pop() for _ in range(len(queue))] == [(RUN, 1), (RUN, 0), (RUN, 2)]
    desk.sweep()
    assert desk.queues == {}


def test_an_alarm_rings_only_for_a_step_that_is_still_where_it_was():
    desk, view = Desk(), a_node()
    entry = desk.add(RUN, 0, now_ms=0)
    desk.wait(entry, RUN, 0, now_ms=0)
    desk.fly(entry, view, key(1), 5, step_of(100))
    desk.rest(entry, RUN, 0, now_ms=10, duration_ms=50)
    desk.fly(entry, view, key(2), 60, step_of(100))
    assert list(desk.ring(159)) == []
    assert [(name, step, found.key) for name, step, found in desk.ring(160)] == [(RUN, 0, key(2))]
    assert list(desk.ring(10_000)) == []


def test_moving_on_frees_the_slot():
    desk, view = Desk(), a_node()
    desk.nodes[view.node] = view
    entry = desk.add(RUN, 0, now_ms=0)
    desk.fly(entry, view, key(1), 0, step_of(100))
    assert (view.free, entry.place) == (0, Place.FLYING)
    desk.record(entry, key(2), 1)
    assert (view.free, entry.node, entry.key) == (1, None, key(2))


def test_what_is_removed_still_names_its_attempt():
    desk, view = Desk(), a_node()
    desk.nodes[view.node] = view
    entry = desk.add(RUN, 0, now_ms=0)
    desk.fly(entry, view, key(1), 0, step_of(100))
    removed = desk.remove(RUN, 0)
    assert removed is not None
    assert (removed.node, removed.key, view.busy, desk.find(RUN, 0)) == (view.node, key(1), {}, None)
    assert desk.remove(RUN, 0) is None


def test_clearing_a_run_empties_its_queues():
    desk = Desk()
    for run in (RUN, RunId("run-2")):
        for step in range(3):
            desk.queue(desk.add(run, step, 0), WHERE, (run, step), Priority.LOW, 0)
    assert len(desk.clear(RUN)) == 3
    assert (len(desk), len(desk.queues[WHERE])) == (3, 3)
    assert desk.clear(RUN) == []
