"""The closer bound is never above the best schedule, and closer where the plain one is far off."""

from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.scheduler.assignment.bounds import tight_bound
from swarm.scheduler.assignment.jobs import Job, lower_bound, shape_of
from swarm.scheduler.assignment.listing import heft
from tests.benchmarks.placement import TOPCUOGLU


@st.composite
def even_jobs(draw):
    """Jobs whose machines differ by speed alone: five tasks on at most two machines can all be tried."""
    speeds = draw(st.sampled_from([(1.0,), (1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]))
    count = draw(st.integers(1, 5))
    works = [float(draw(st.integers(0, 9))) for _ in range(count)]
    pairs = [(a, b) for b in range(count) for a in range(b)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=6)) if pairs else []
    flows = tuple((a, b, float(draw(st.integers(0, 3)))) for a, b in chosen)
    return Job(tuple(tuple(work / speed for speed in speeds) for work in works), flows)


def shortest(shape):
    """The best makespan of all: every order that respects the flows, every choice of machines."""
    best, count = float("inf"), len(shape.order)
    for order in permutations(range(count)):
        if any(order.index(source) > order.index(task) for task in order for source, _ in shape.before[task]):
            continue
        for machine in product(range(shape.job.machines), repeat=count):
            free, end = [0.0] * shape.job.machines, [0.0] * count
            for task in order:
                where = machine[task]
                arrive = [end[s] + (move if machine[s] != where else 0.0) for s, move in shape.before[task]]
                end[task] = max([free[where], *arrive]) + shape.job.durations[task][where]
                free[where] = max(free[where], end[task])
            best = min(best, max(end))
    return best


@given(even_jobs())
@settings(max_examples=50, deadline=None)
def test_no_schedule_is_shorter(job):
    shape = shape_of(job)
    assert lower_bound(shape) <= tight_bound(shape) <= shortest(shape) + 1e-9


def test_a_narrow_end_behind_a_wide_beginning_is_seen():
    wide = [(6.0, 3.0)] * 4
    narrow = [(8.0, 4.0)] * 2
    flows = [(task, 4, 0.0) for task in range(4)] + [(4, 5, 0.0)]
    shape = shape_of(Job((*wide, *narrow), tuple(flows)))
    assert lower_bound(shape) == pytest.approx(40 / 3)
    assert tight_bound(shape) == pytest.approx(9 + 8)
    assert heft(shape).makespan == pytest.approx(tight_bound(shape), rel=0.15)


def test_few_tasks_cannot_use_many_machines():
    shape = shape_of(Job(tuple((10.0, 10.0, 10.0, 5.0) for _ in range(2)), ()))
    assert lower_bound(shape) == 5.0
    assert tight_bound(shape) == pytest.approx(10.0)


def test_where_tasks_prefer_different_machines_it_is_the_plain_bound():
    shape = shape_of(TOPCUOGLU)
    assert tight_bound(shape) == lower_bound(shape)


def test_a_machine_that_may_run_nothing_helps_nobody():
    assert tight_bound(shape_of(Job(((1.0, float("inf")), (2.0, float("inf"))), ()))) == 3.0
