"""Job shops with known optimum."""

from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.scheduler.assignment.jobshop import JobShop, solve

# H. Fisher, G. L. Thompson 1963: six jobs on six machines, at best 55.
FT06 = JobShop(
    (
        ((2, 1), (0, 3), (1, 6), (3, 7), (5, 3), (4, 6)),
        ((1, 8), (2, 5), (4, 10), (5, 10), (0, 10), (3, 4)),
        ((2, 5), (3, 4), (5, 8), (0, 9), (1, 1), (4, 7)),
        ((1, 5), (0, 5), (2, 5), (3, 3), (4, 8), (5, 9)),
        ((2, 9), (1, 3), (4, 5), (5, 4), (0, 3), (3, 1)),
        ((1, 3), (3, 3), (5, 9), (0, 10), (4, 4), (2, 1)),
    )
)


def test_the_known_optimum_is_found():
    assert solve(FT06, rounds_max=3000) == 55


def test_it_stops_when_asked():
    asked = []
    assert solve(FT06, stop=lambda: asked.append(1) or len(asked) > 2) >= 55
    assert len(asked) == 3


def test_one_machine_is_as_long_as_its_work():
    assert solve(JobShop((((0, 3),), ((0, 4),), ((0, 5),)))) == 12


@given(st.integers(1, 4), st.integers(1, 4), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_no_schedule_beats_the_bound_and_the_search_never_contradicts_a_job(jobs, machines, chance):
    shop = JobShop(
        tuple(
            tuple((machine, chance.randint(1, 9)) for machine in chance.sample(range(machines), machines))
            for _ in range(jobs)
        )
    )
    found = solve(shop, rounds_max=200)
    assert shop.lower_bound() <= found <= sum(duration for job in shop.jobs for _, duration in job)
