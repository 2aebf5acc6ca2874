"""Times of things that take microseconds, on a machine that does other things too.

The candidates take turns, so that a slow second hits them all; each turn repeats its candidate until a clock
reading is small beside it; the median over the turns is what is reported, and the 99th percentile beside it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

TURN_MIN_NS = 200_000
TURNS_MAX = 2_000
TURNS_MIN = 5
_CALLS_MAX = 100_000  # per turn


@dataclass(frozen=True, slots=True)
class Timing:
    """Microseconds of one call."""

    median_us: float
    p99_us: float
    turns: int


def measure(candidates: Mapping[str, Callable[[], object]], budget_s: float) -> dict[str, Timing]:
    """The timing of every candidate; they share the budget, and get at least a few turns each."""
    calls = {name: _calls_per_turn(candidate) for name, candidate in candidates.items()}
    found: dict[str, list[float]] = {name: [] for name in candidates}
    end_ns = time.perf_counter_ns() + int(1e9 * budget_s)
    for turn in range(TURNS_MAX):
        if turn >= TURNS_MIN and time.perf_counter_ns() > end_ns:
            break
        for name, candidate in candidates.items():
            found[name].append(_turn_ns(candidate, calls[name]) / calls[name] / 1000)
    return {
        name: Timing(float(np.median(times)), float(np.percentile(times, 99)), len(times))
        for name, times in found.items()
    }


def once_us(action: Callable[[], object]) -> float:
    """One call that cannot be repeated, such as the first."""
    began_ns = time.perf_counter_ns()
    action()
    return (time.perf_counter_ns() - began_ns) / 1000


def _calls_per_turn(candidate: Callable[[], object]) -> int:
    calls = 1
    while calls < _CALLS_MAX and _turn_ns(candidate, calls) < TURN_MIN_NS:
        calls *= 2
    return calls


def _turn_ns(candidate: Callable[[], object], calls: int) -> int:
    began_ns = time.perf_counter_ns()
    for _ in range(calls):
        candidate()
    return time.perf_counter_ns() - began_ns
