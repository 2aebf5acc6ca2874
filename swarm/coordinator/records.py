"""Results on their way to the log: while one batch commits, the next one gathers."""

from __future__ import annotations

import asyncio
from collections import deque

from swarm import limits
from swarm.coordinator.replica import Replica
from swarm.errors import NotLeader, OutcomeUnknown
from swarm.ports import Clock
from swarm.scheduler.events import StepRecord, StepsRecorded
from swarm.scheduler.ledger import payload_bytes


class Records:
    """A queue of step records and the task that proposes them."""

    def __init__(self, replica: Replica, clock: Clock) -> None:
        self._replica = replica
        self._clock = clock
        self._waiting: deque[StepRecord] = deque()
        self._kick = asyncio.Event()

    def add(self, record: StepRecord) -> None:
        self._waiting.append(record)
        self._kick.set()

    def clear(self) -> None:
        """This replica leads no more: the nodes keep their outcomes and offer them to the next leader."""
        self._waiting.clear()

    async def flush_forever(self) -> None:
        while True:
            await self._kick.wait()
            self._kick.clear()
            while self._waiting and self._replica.leads:
                term, batch = self._replica.leading_term, self._take()
                try:
                    await self._replica.propose(StepsRecorded(self._clock.wall_ms(), tuple(batch)))
                except NotLeader:
                    break
                except OutcomeUnknown:
                    if self._replica.leading_term == term:  # recording twice is harmless: the first wins
                        self._waiting.extendleft(reversed(batch))
                        await self._clock.sleep_ms(limits.TICK_MS)

    def _take(self) -> list[StepRecord]:
        batch: list[StepRecord] = []
        weight = 0
        while self._waiting and len(batch) < limits.RECORDS_BATCH_MAX:
            weight += payload_bytes(self._waiting[0].outputs.values())
            if batch and weight > limits.RECORDS_BATCH_BYTES_MAX:
                break
            batch.append(self._waiting.popleft())
        return batch
