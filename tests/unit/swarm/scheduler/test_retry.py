from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarm import limits
from swarm.graph import Retry
from swarm.ids import RunId
from swarm.scheduler.retry import may_retry, rest_ms

RUN = RunId("run-1")


@given(st.integers(0, limits.BACKOFF_MS_MAX), st.integers(1, limits.ATTEMPTS_MAX), st.integers(0, 10**6))
def test_a_rest_doubles_stays_bounded_and_is_spread_by_at_most_a_quarter(backoff_ms, failures, step):
    base = min(backoff_ms * 2 ** (failures - 1), limits.BACKOFF_MS_MAX)
    rest = rest_ms(Retry(3, backoff_ms), RUN, step, failures)
    assert base <= rest <= base * 1.25


def test_rests_are_spread_and_the_same_in_every_replay():
    rests = [rest_ms(Retry(3, 1_000), RUN, step, 1) for step in range(100)]
    assert len(set(rests)) > 50
    assert rests == [rest_ms(Retry(3, 1_000), RUN, step, 1) for step in range(100)]


def test_attempts_are_counted_and_hopeless_ones_are_not_repeated():
    policy = Retry(attempts_max=3)
    assert [may_retry(policy, failures, retryable=True) for failures in (1, 2, 3, 4)] == [
        True,
        True,
        False,
        False,
    ]
    assert not may_retry(policy, 1, retryable=False)
