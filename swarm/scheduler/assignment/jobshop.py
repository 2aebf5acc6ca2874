"""Steps bound to machines: in which order should each machine take them? Tabu search on the critical path.

Every job is a line of operations, each on a given machine. A solution is an order per machine; its
length is the longest path through "next of the job" and "next on the machine". Only exchanging two
neighbours at the edge of a block of the critical path can shorten it (Nowicki and Smutnicki 1996). Each
round makes the exchange that looks best by Taillard's estimate and forbids its reverse for a while; when
nothing has improved for long, the search goes back to the best orders, shakes them and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

ROUNDS_MAX: Final = 200_000
PATIENCE: Final = 1_500  # rounds without a better solution before the search goes back to the best
SHAKES: Final = 6
TABU_ROUNDS: Final = (8, 15)
ASK_EVERY: Final = 20  # rounds between two questions whether to stop


@dataclass(frozen=True, slots=True)
class JobShop:
    """Jobs as lines of (machine, duration)."""

    jobs: tuple[tuple[tuple[int, int], ...], ...]

    def lower_bound(self) -> int:
        """The longest job, and the work of the busiest machine between the least before and after it."""
        longest = max(sum(duration for _, duration in job) for job in self.jobs)
        loads: dict[int, list[tuple[int, int, int]]] = {}
        for job in self.jobs:
            whole, done = sum(duration for _, duration in job), 0
            for machine, duration in job:
                loads.setdefault(machine, []).append((done, duration, whole - done - duration))
                done += duration
        busiest = (
            min(head for head, _, _ in load)
            + sum(each for _, each, _ in load)
            + min(tail for _, _, tail in load)
            for load in loads.values()
        )
        return max(longest, *busiest)


class _Orders:
    """An order per machine as neighbours of operations, with the longest way to and from each."""

    def __init__(self, shop: JobShop, sequences: Sequence[Sequence[int]]) -> None:
        self.duration = [duration for job in shop.jobs for _, duration in job]
        count = len(self.duration)
        self.job_before, self.job_after = [-1] * count, [-1] * count
        at = 0
        for job in shop.jobs:
            for index in range(at, at + len(job) - 1):
                self.job_after[index], self.job_before[index + 1] = index + 1, index
            at += len(job)
        self.before, self.after = [-1] * count, [-1] * count
        for sequence in sequences:
            for one, two in pairwise(sequence):
                self.after[one], self.before[two] = two, one
        self.head, self.tail = [0] * count, [0] * count
        self.length = 0

    def measure(self) -> bool:
        """Heads, tails and length; False if the orders contradict the jobs."""
        duration, head, tail = self.duration, self.head, self.tail
        job_before, job_after, before, after = self.job_before, self.job_after, self.before, self.after
        count = len(duration)
        waiting = [(job_before[each] >= 0) + (before[each] >= 0) for each in range(count)]
        order = [each for each in range(count) if not waiting[each]]
        for each in order:  # grows as it goes
            one, two = job_before[each], before[each]
            begin = head[one] + duration[one] if one >= 0 else 0
            if two >= 0 and head[two] + duration[two] > begin:
                begin = head[two] + duration[two]
            head[each] = begin
            for following in (job_after[each], after[each]):
                if following >= 0:
                    waiting[following] -= 1
                    if not waiting[following]:
                        order.append(following)
        if len(order) < count:
            return False
        length = 0
        for each in reversed(order):
            one, two = job_after[each], after[each]
            rest = tail[one] + duration[one] if one >= 0 else 0
            if two >= 0 and tail[two] + duration[two] > rest:
                rest = tail[two] + duration[two]
            tail[each] = rest
            length = max(length, head[each] + duration[each] + rest)
        self.length = length
        return True

    def exchange(self, one: int, two: int) -> None:
        """Put `two` right before `one`, which stands right before it now."""
        first, last = self.before[one], self.after[two]
        if first >= 0:
            self.after[first] = two
        if last >= 0:
            self.before[last] = one
        self.before[two], self.after[two] = first, one
        self.before[one], self.after[one] = two, last

    def moves(self, pick: int) -> list[tuple[int, int]]:
        """Exchanges at the edges of the blocks of one critical path."""
        head, tail, duration = self.head, self.tail, self.duration
        starts = [
            each
            for each in range(len(duration))
            if head[each] == 0 and duration[each] + tail[each] == self.length
        ]
        at = starts[pick % len(starts)]
        blocks = [[at]]
        while tail[at]:
            following, beside = self.after[at], self.job_after[at]
            on = head[at] + duration[at]
            if (
                following >= 0
                and head[following] == on
                and on + duration[following] + tail[following] == self.length
            ):
                blocks[-1].append(following)
                at = following
            else:
                blocks.append([beside])
                at = beside
        found = []
        for place, block in enumerate(blocks):
            if len(block) < 2:
                continue
            if place > 0:
                found.append((block[0], block[1]))
            if place < len(blocks) - 1 and (len(block) > 2 or place == 0):
                found.append((block[-2], block[-1]))
        return found

    def estimate(self, one: int, two: int) -> int:
        """The longest path through the two after their exchange; exact or too low."""
        head, tail, duration = self.head, self.tail, self.duration
        first, last = self.before[one], self.after[two]
        job_two, job_one = self.job_before[two], self.job_before[one]
        head_two = max(
            head[job_two] + duration[job_two] if job_two >= 0 else 0,
            head[first] + duration[first] if first >= 0 else 0,
        )
        head_one = max(head[job_one] + duration[job_one] if job_one >= 0 else 0, head_two + duration[two])
        next_one, next_two = self.job_after[one], self.job_after[two]
        tail_one = max(
            tail[next_one] + duration[next_one] if next_one >= 0 else 0,
            tail[last] + duration[last] if last >= 0 else 0,
        )
        tail_two = max(tail[next_two] + duration[next_two] if next_two >= 0 else 0, tail_one + duration[one])
        return max(head_two + duration[two] + tail_two, head_one + duration[one] + tail_one)


def solve(
    shop: JobShop, seed: int = 0, stop: Callable[[], bool] = lambda: False, rounds_max: int = ROUNDS_MAX
) -> int:
    """The length of the best schedule found within `rounds_max` rounds or until `stop` says so."""
    chance = np.random.default_rng(seed)
    bound = shop.lower_bound()
    orders = _started(shop)
    best, kept = orders.length, (list(orders.before), list(orders.after))
    tabu: dict[tuple[int, int], int] = {}
    quiet = 0
    for now in range(rounds_max):
        if best <= bound or (now % ASK_EVERY == 0 and stop()):
            break
        moves = orders.moves(int(chance.integers(0, 1 << 20)))
        if not moves:  # one block or none: nothing can be shorter
            break
        values = [(orders.estimate(*move), move) for move in moves]
        allowed = [each for each in values if tabu.get(each[1], -1) < now or each[0] < best]
        value = min(allowed) if allowed else values[int(chance.integers(0, len(values)))]
        one, two = value[1]
        orders.exchange(one, two)
        tabu[two, one] = now + int(chance.integers(*TABU_ROUNDS))
        if not orders.measure():
            raise AssertionError("an exchange on the critical path closes no circle")
        quiet += 1
        if orders.length < best:
            best, kept, quiet = orders.length, (list(orders.before), list(orders.after)), 0
        elif quiet >= PATIENCE:
            orders.before, orders.after = list(kept[0]), list(kept[1])
            _shake(orders, chance)
            tabu.clear()
            quiet = 0
    return best


def _shake(orders: _Orders, chance: np.random.Generator) -> None:
    orders.measure()
    for _ in range(SHAKES):
        moves = orders.moves(int(chance.integers(0, 1 << 20)))
        if moves:
            orders.exchange(*moves[int(chance.integers(0, len(moves)))])
            orders.measure()


def _started(shop: JobShop) -> _Orders:
    """The better of two dispatching rules: the job with the most work left, or the shortest operation."""
    found = [
        _Orders(shop, _dispatched(shop, rule))
        for rule in (lambda left, _: -left, lambda _, duration: duration)
    ]
    for orders in found:
        orders.measure()
    return min(found, key=lambda orders: orders.length)


def _dispatched(shop: JobShop, rule: Callable[[int, int], int]) -> list[list[int]]:
    """An active schedule (Giffler and Thompson): no operation could begin sooner without delaying another."""
    starts = np.cumsum([0, *(len(job) for job in shop.jobs)]).tolist()
    sequences: dict[int, list[int]] = {machine: [] for job in shop.jobs for machine, _ in job}
    free = dict.fromkeys(sequences, 0)
    at, ready = [0] * len(shop.jobs), [0] * len(shop.jobs)
    left = [sum(duration for _, duration in job) for job in shop.jobs]
    waiting = {index for index, job in enumerate(shop.jobs) if job}
    while waiting:
        begins = {index: max(ready[index], free[shop.jobs[index][at[index]][0]]) for index in waiting}
        first = min(waiting, key=lambda index: (begins[index] + shop.jobs[index][at[index]][1], index))
        machine, limit = shop.jobs[first][at[first]][0], begins[first] + shop.jobs[first][at[first]][1]
        rivals = [
            i for i in waiting if shop.jobs[i][at[i]][0] == machine and (begins[i] < limit or i == first)
        ]
        index = min(rivals, key=lambda i: (rule(left[i], shop.jobs[i][at[i]][1]), i))
        duration = shop.jobs[index][at[index]][1]
        sequences[machine].append(starts[index] + at[index])
        ready[index] = free[machine] = begins[index] + duration
        left[index] -= duration
        at[index] += 1
        if at[index] == len(shop.jobs[index]):
            waiting.discard(index)
    return list(sequences.values())
