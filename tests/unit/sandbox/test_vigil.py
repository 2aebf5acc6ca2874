import pytest

from sandbox import vigil
from sandbox.lookout import Vigil
from sandbox.vigil import (
    AWAKE_S,
    FORGOTTEN_WAITS,
    LONG_PAUSE_WAITS_MAX,
    LONG_PAUSE_WAITS_MIN,
    LONG_S,
    PAUSE_WAITS,
    QUICK_S,
    Habit,
)

QUICK = AWAKE_S / 2
SLOW = QUICK_S * 2


def after(*waits: float) -> Habit:
    habit = Habit(allowed=True)
    for seconds in waits:
        habit.waited(seconds)
    return habit


def waits_until_awake(habit: Habit, seconds: float = QUICK) -> int:
    for count in range(2 * LONG_PAUSE_WAITS_MAX):
        if habit.is_awake:
            return count
        habit.waited(seconds)
    raise AssertionError("never")


def test_who_was_answered_quickly_some_times_in_a_row_stays_awake() -> None:
    assert not after().is_awake
    assert not after(*[QUICK] * (PAUSE_WAITS - 1)).is_awake
    assert after(*[QUICK] * PAUSE_WAITS).is_awake


def test_asleep_a_wait_is_longer_and_still_quick() -> None:
    between = (AWAKE_S + QUICK_S) / 2
    habit = after(*[between] * PAUSE_WAITS)
    assert habit.is_awake
    habit.waited(between)
    assert waits_until_awake(habit) == PAUSE_WAITS


def test_who_is_called_now_and_then_sleeps_in_between() -> None:
    for seconds in (SLOW, 2 * LONG_S, 10.0):
        habit = after()
        for _ in range(3 * LONG_PAUSE_WAITS_MAX):
            habit.waited(seconds)
            assert not habit.is_awake


def test_bursts_with_pauses_between_them_soon_find_it_asleep() -> None:
    habit, awake = after(), 0
    for _ in range(100):
        habit.waited(10.0)
        for _ in range(100):
            awake += habit.is_awake
            habit.waited(QUICK)
    assert awake < 100


def test_where_long_waits_come_often_hardly_any_is_spent_awake() -> None:
    """As on a machine whose processors others want, too."""
    habit, awake, calls = after(), 0, 50_000
    for at in range(calls):
        awake += habit.is_awake
        habit.waited(3 * LONG_S if at % 100 == 0 else QUICK)
    assert awake < calls / 100


def test_a_long_wait_now_and_then_costs_little() -> None:
    habit, awake, calls = after(), 0, 50_000
    for at in range(calls):
        awake += habit.is_awake
        habit.waited(3 * LONG_S if at % (2 * FORGOTTEN_WAITS) == 0 else QUICK)
    assert awake > 0.9 * calls


def test_long_pauses_double_up_to_a_bound() -> None:
    habit = after(2 * LONG_S)
    assert waits_until_awake(habit) == LONG_PAUSE_WAITS_MIN
    habit.waited(2 * LONG_S)
    assert waits_until_awake(habit) == 2 * LONG_PAUSE_WAITS_MIN
    for _ in range(20):
        habit.waited(2 * LONG_S)
    assert waits_until_awake(habit) == LONG_PAUSE_WAITS_MAX
    habit.waited(2 * LONG_S)
    assert waits_until_awake(habit) == LONG_PAUSE_WAITS_MIN  # the one before is forgotten


def test_who_may_not_never_does(monkeypatch: pytest.MonkeyPatch) -> None:
    habit = Habit(allowed=False)
    for _ in range(10 * PAUSE_WAITS):
        habit.waited(QUICK)
    assert not habit.is_awake
    monkeypatch.setattr(vigil.os, "sched_getaffinity", lambda _: {0})
    assert not Vigil().allowed
    monkeypatch.setattr(vigil.os, "sched_getaffinity", lambda _: {0, 3})
    assert Vigil().allowed
