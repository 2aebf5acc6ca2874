"""Results and intents on their way to the log: while one batch commits, the next one gathers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from swarm import limits
from swarm.coordinator.replica import Replica
from swarm.errors import NotLeader, OutcomeUnknown, QueueFull
from swarm.graph import Priority
from swarm.ids import RunId
from swarm.ports import Clock
from swarm.scheduler.events import (
    Durable,
    KeyRegistered,
    StepIntent,
    StepRecord,
    StepsIntended,
    StepsRecorded,
)
from swarm.scheduler.ledger import payload_bytes
from swarm.scheduler.urgency import Urgent

GATHER_ITEMS = 128  # fewer wait a moment for others, while at least as many are being worked on
GATHER_MS = 3.0


class Records:
    """A queue of step records, the urgent first, and the task that proposes them."""

    def __init__(
        self,
        replica: Replica,
        clock: Clock,
        priority: Callable[[RunId], Priority] = lambda _: Priority.MEDIUM,
    ) -> None:
        self._priority = priority
        self._replica = replica
        self._clock = clock
        self._waiting: Urgent[StepRecord] = Urgent()
        self._intents: deque[StepIntent] = deque()
        self._keys: deque[KeyRegistered] = deque()
        self._kick = asyncio.Event()

    def add(self, record: StepRecord) -> None:
        self._waiting.add(self._priority(record.run), record)
        self._kick.set()

    def register(self, key: KeyRegistered) -> None:
        """A node signs with another key. It is proposed before what it signs."""
        self._keys.append(key)
        self._kick.set()

    def intend(self, intent: StepIntent) -> None:
        self._intents.append(intent)
        self._kick.set()

    def clear(self) -> None:
        """This replica leads no more: the nodes keep their outcomes and offer them to the next leader."""
        self._waiting.clear()
        self._intents.clear()
        self._keys.clear()

    async def flush_forever(self) -> None:
        while True:
            await self._kick.wait()
            self._kick.clear()
            while self._keys and self._replica.leads:
                if await self._propose(self._keys[0]) and self._keys:
                    self._keys.popleft()
            while self._intents and self._replica.leads:
                intents = self._take_intents()
                if not await self._propose(StepsIntended(self._clock.wall_ms(), tuple(intents))):
                    self._intents.extendleft(reversed(intents))
            while self._waiting and self._replica.leads:
                if len(self._waiting) < GATHER_ITEMS < self._replica.in_flight():
                    await self._clock.sleep_ms(GATHER_MS)  # more are coming: one commit costs what many do
                batch = self._take()
                if not await self._propose(StepsRecorded(self._clock.wall_ms(), tuple(batch))):
                    for record in reversed(batch):
                        self._waiting.add(self._priority(record.run), record, front=True)

    async def _propose(self, event: Durable) -> bool:
        """Whether the event is off our hands; if not, it is to be proposed again: twice is harmless.

        Nothing is dropped while this replica leads: nobody else would bring it.
        """
        term = self._replica.leading_term
        try:
            await self._replica.propose(event)
        except (NotLeader, OutcomeUnknown, QueueFull):
            if self._replica.leading_term == term:
                await self._clock.sleep_ms(limits.TICK_MS)
                return False
        return True

    def _take_intents(self) -> list[StepIntent]:
        count = min(len(self._intents), limits.RECORDS_BATCH_MAX)
        return [self._intents.popleft() for _ in range(count)]

    def _take(self) -> list[StepRecord]:
        batch: list[StepRecord] = []
        weight = 0
        while self._waiting and len(batch) < limits.RECORDS_BATCH_MAX:
            weight += payload_bytes(self._waiting.head().outputs.values())
            if batch and weight > limits.RECORDS_BATCH_BYTES_MAX:
                break
            batch.append(self._waiting.pop())
        return batch
