"""Improved schedules are sound, never longer, and better where there is something to gain."""

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.scheduler.assignment.improving import _Reader, improve
from swarm.scheduler.assignment.jobs import Job, faults, lower_bound, shape_of
from swarm.scheduler.assignment.listing import heft
from tests.benchmarks.placement import TOPCUOGLU, round_robin
from tests.unit.swarm.scheduler.assignment.test_listing import jobs


@given(jobs(), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_an_improved_schedule_is_sound_and_no_longer(job, seed):
    shape = shape_of(job)
    before = heft(shape)
    after = improve(shape, before, seed, placements_max=2_000)
    assert faults(shape, after) == []
    assert lower_bound(shape) - 1e-6 <= after.makespan <= before.makespan + 1e-9


def test_a_bad_schedule_becomes_as_good_as_a_searched_one():
    shape = shape_of(TOPCUOGLU)
    found = [improve(shape, round_robin(shape), seed, placements_max=50_000) for seed in range(4)]
    assert max(each.makespan for each in found) < 90 < round_robin(shape).makespan
    assert min(each.makespan for each in found) <= 76
    assert not any(faults(shape, each) for each in found)


def test_it_stops_when_told_and_where_nothing_can_be_gained():
    shape = shape_of(TOPCUOGLU)
    plain = heft(shape)
    assert improve(shape, plain, stop=lambda: True) == plain
    assert improve(shape, plain, bound=plain.makespan) is plain
    alone = shape_of(Job(((3.0, 1.0),), ()))
    assert improve(alone, heft(alone)).makespan == 1.0


def test_one_seed_gives_one_schedule():
    shape = shape_of(TOPCUOGLU)
    one, two = (improve(shape, heft(shape), 7, placements_max=5_000) for _ in range(2))
    assert one == two


@given(jobs(), st.integers(0, 3), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_a_plan_read_from_where_it_differs_is_the_plan_read_whole(job, seed, dice):
    shape = shape_of(job)
    reader = _Reader(shape)
    now = reader.read(list(heft(shape).machine), list(shape.order), inf, None, 0)
    for _ in range(5):
        before, place = list(now.machine), dice.randrange(len(now.order))
        task = now.order[place]
        allowed = [at for at, each in enumerate(job.durations[task]) if each < inf]
        before[task] = dice.choice(allowed)
        whole = reader.read(before, list(now.order), inf, None, 0)
        now = reader.read(before, now.order, inf, now, place)
        assert now == whole
