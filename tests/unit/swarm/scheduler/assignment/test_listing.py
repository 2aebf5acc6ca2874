"""List schedulers on a published graph and on random ones."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.errors import Mistake
from swarm.scheduler.assignment.jobs import Job, Schedule, faults, lower_bound, shape_of
from swarm.scheduler.assignment.listing import heft, search
from tests.benchmarks.placement import TOPCUOGLU, round_robin

INFINITE = float("inf")


@st.composite
def jobs(draw):
    machines = draw(st.integers(1, 3))
    count = draw(st.integers(1, 8))
    allowed = st.integers(0, 9).map(float)
    durations = []
    for _ in range(count):
        row = [draw(allowed | st.just(INFINITE)) for _ in range(machines)]
        durations.append(tuple(row) if min(row) < INFINITE else (1.0,) * machines)
    pairs = [(a, b) for b in range(count) for a in range(b)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=10)) if pairs else []
    return Job(tuple(durations), tuple((a, b, float(draw(st.integers(0, 5)))) for a, b in chosen))


def test_heft_has_the_published_makespan():
    assert heft(shape_of(TOPCUOGLU)).makespan == 80


def test_the_search_does_better_than_heft_there():
    shape = shape_of(TOPCUOGLU)
    found = search(shape, placements_max=50_000)
    assert found.makespan < 80
    assert faults(shape, found) == []


@given(jobs())
@settings(max_examples=60)
def test_every_schedule_is_sound_and_above_the_bound(job):
    shape = shape_of(job)
    plain, ahead, best = heft(shape), heft(shape, ahead=True), search(shape, tries=5, placements_max=500)
    for schedule in (plain, ahead, best):
        assert faults(shape, schedule) == []
        assert schedule.makespan >= lower_bound(shape) - 1e-6
    assert best.makespan <= min(plain.makespan, ahead.makespan) + 1e-9


def test_a_task_slips_into_a_gap_left_by_a_more_urgent_one():
    job = Job(
        ((1.0, INFINITE), (INFINITE, 5.0), (5.0, INFINITE), (2.0, INFINITE)), ((0, 1, 1.0), (1, 2, 1.0))
    )
    found = heft(shape_of(job))
    assert found.end[3] <= found.start[2]


def test_faults_are_found():
    shape = shape_of(Job(((2.0,), (2.0,)), ((0, 1, 0.0),)))
    wrong = faults(shape, Schedule((0, 0), (0.0, 1.0), (2.0, 3.0)))
    assert len(wrong) == 2
    assert faults(shape, round_robin(shape)) == []


def test_a_circle_is_refused():
    with pytest.raises(Mistake, match="circle"):
        shape_of(Job(((1.0,), (1.0,)), ((0, 1, 0.0), (1, 0, 0.0))))


def test_a_task_that_may_run_nowhere_is_refused():
    with pytest.raises(Mistake, match="nowhere"):
        shape_of(Job(((INFINITE,),), ()))
