"""Whose turn it is when there is not room for all: what each tenant has of the slots, and what is theirs.

A tenant who has less than their share goes first, whatever others call urgent; among those, and among those
who have more, priority decides, and then who has less of what is theirs. So what nobody else wants may be had
by anybody, and a flood gains a tenant nothing that another one is entitled to. Slots are what is shared, not
turns: a tenant of long steps holds theirs for long, and that counts. Where there are fewer slots than
tenants, these take turns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, TypeAlias

from swarm.scheduler.desk import Flights, Where
from swarm.scheduler.fair import FairQueue
from swarm.trust.policy import Policy

LOAD_STEPS: Final = 8  # how finely "who has less" is told: tenants in one step of load take turns
_PRIORITY: Final = 1 << 32  # in a rank, above any load
_OVER: Final = 1 << 40  # above any priority

Queue: TypeAlias = tuple[Where, FairQueue]


class Shares:
    """The tenants of one round of placing. Where there is one alone, only priority counts."""

    def __init__(self, policy: Policy, flights: Flights, waiting: Collection[str], slots: int) -> None:
        active = {*waiting, *(tenant for tenant, count in flights.counts.items() if count > 0)}
        total = sum(policy.tenant(tenant).share for tenant in active)
        self._in_flight, self._latest = flights.counts, flights.latest
        self._parts: dict[str, float] = {
            tenant: slots * policy.tenant(tenant).share / total for tenant in active
        }
        self._crowded = len(active) > 1 and slots > 0
        self._caps = {
            tenant: cap for tenant in active if (cap := policy.tenant(tenant).steps_in_flight_max) is not None
        }

    def with_room(self, queues: list[Queue]) -> list[Queue]:
        """Those whose tenant may have more steps in flight."""
        return [each for each in queues if self.room(each[0].context.tenant, 1)] if self._caps else queues

    def room(self, tenant: str, most: int) -> int:
        """How many more steps of a tenant may be in flight, at most `most`."""
        cap = self._caps.get(tenant)
        return most if cap is None else max(0, min(most, cap - self._in_flight.get(tenant, 0)))

    def turn(self, queues: Sequence[Queue], most: int) -> int:
        """How many steps may be taken from queues of one rank before it is looked at again who is next."""
        if self._crowded:
            most = min(most, len(queues))
        return min(self.room(where.context.tenant, most) for where, _ in queues)

    def ranks(self, queues: Sequence[Queue]) -> list[int]:
        """When the next step of each queue is placed; lower is earlier."""
        if not self._crowded:
            return [queue.priority for _, queue in queues]
        return [self.rank(where.context.tenant, queue.priority) for where, queue in queues]

    def rank(self, tenant: str, priority: int) -> int:
        """First who has less than their share; then what is urgent; then who has less of what is theirs."""
        has, part = self._in_flight.get(tenant, 0), self._parts[tenant]
        if part < 1:
            return _OVER * (has > 0) + self._latest.get(tenant, 0)
        # One more must still be theirs: what two halves of a slot come to would be a third one's.
        return _OVER * (has + 1 > part) + _PRIORITY * priority + int(has * LOAD_STEPS / part)
