from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarm.graph import Priority
from swarm.ids import RunId
from swarm.scheduler.fair import FairQueue

ONE, TWO, THREE = RunId("one"), RunId("two"), RunId("three")


def drained(queue: FairQueue) -> list[tuple[RunId, int]]:
    found = []
    while name := queue.pop():
        found.append(name)
    return found


def test_runs_take_turns_and_keep_their_own_order():
    queue = FairQueue()
    for step in range(3):
        queue.push(Priority.LOW, ONE, step)
    queue.push(Priority.LOW, TWO, 7)
    queue.push(Priority.LOW, TWO, 8)
    assert drained(queue) == [(ONE, 0), (TWO, 7), (ONE, 1), (TWO, 8), (ONE, 2)]
    assert queue.pop() is None


def test_a_more_urgent_run_goes_first():
    queue = FairQueue()
    assert queue.priority > Priority.LOW
    queue.push(Priority.LOW, ONE, 0)
    assert queue.priority == Priority.LOW
    queue.push(Priority.CRITICAL, TWO, 0)
    queue.push(Priority.HIGH, THREE, 0)
    assert queue.priority == Priority.CRITICAL
    assert drained(queue) == [(TWO, 0), (THREE, 0), (ONE, 0)]


def test_a_step_pushed_to_the_front_is_the_next_of_its_run():
    queue = FairQueue()
    queue.push(Priority.LOW, ONE, 0)
    queue.push(Priority.LOW, ONE, 1, front=True)
    assert drained(queue) == [(ONE, 1), (ONE, 0)]


def test_a_dropped_run_leaves_nothing():
    queue = FairQueue()
    for run in (ONE, TWO):
        for step in range(3):
            queue.push(Priority.HIGH, run, step)
    queue.drop(ONE)
    queue.drop(THREE)
    assert len(queue) == 3
    assert drained(queue) == [(TWO, 0), (TWO, 1), (TWO, 2)]


def test_keeping_some_steps_keeps_their_turns():
    queue = FairQueue()
    for step in range(4):
        for run in (ONE, TWO, THREE):
            queue.push(Priority.MEDIUM, run, step)
    queue.keep(lambda run, step: run is not TWO and step % 2 == 1)
    assert len(queue) == 4
    assert drained(queue) == [(ONE, 1), (THREE, 1), (ONE, 3), (THREE, 3)]


pushes = st.tuples(st.sampled_from([ONE, TWO, THREE]), st.integers(0, 9), st.booleans())


@given(st.lists(st.one_of(pushes, st.none(), st.sampled_from([ONE, TWO]))))
def test_everything_pushed_and_not_dropped_comes_out_once(acts):
    queue, inside, priorities = FairQueue(), [], {ONE: Priority.HIGH, TWO: Priority.LOW, THREE: Priority.LOW}
    for act in acts:
        match act:
            case None:
                name = queue.pop()
                assert (name is None) == (not inside)
                if name is not None:
                    inside.remove(name)
                    assert priorities[name[0]] is min(priorities[run] for run, _ in [*inside, name])
            case (run, step, front):
                queue.push(priorities[run], run, step, front=front)
                inside.append((run, step))
            case run:
                queue.drop(run)
                inside = [name for name in inside if name[0] != run]
        assert len(queue) == len(inside)
    assert sorted(drained(queue)) == sorted(inside)
