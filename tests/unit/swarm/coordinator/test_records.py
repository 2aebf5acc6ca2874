"""What is on its way to the log is proposed until it is there, or until somebody else leads."""

import asyncio

import pytest

from swarm import limits
from swarm.coordinator.records import Records
from swarm.errors import NotLeader, OutcomeUnknown, QueueFull
from swarm.graph import Priority
from swarm.ids import NodeId, RunId
from swarm.scheduler.events import StepRecord

RECORD = StepRecord(RunId("run-1"), 0, 1, 1, NodeId("n"), True, {}, None, 0, 0.0)


class Replica:
    """A log that fails a few times first; a deposition may come with the failure."""

    def __init__(self, failures, *, deposed=False):
        self.leading_term, self.proposed, self.flying = 1, [], 0
        self._failures, self._deposed = list(failures), deposed

    @property
    def leads(self):
        return self.leading_term is not None

    def in_flight(self):
        return self.flying

    async def propose(self, event):
        if self._failures:
            if self._deposed:
                self.leading_term = None
            raise self._failures.pop(0)
        self.proposed.append(event)
        return 1


class Clock:
    def wall_ms(self):
        return 0

    async def sleep_ms(self, _):
        for _ in range(5):
            await asyncio.sleep(0)


def flush(replica):
    async def scenario():
        records = Records(replica, Clock())
        records.add(RECORD)
        task = asyncio.create_task(records.flush_forever())
        for _ in range(50):
            await asyncio.sleep(0)
        assert not task.done(), "the flusher died"
        task.cancel()

    asyncio.run(scenario())
    return [record for event in replica.proposed for record in event.records]


@pytest.mark.parametrize("failure", [NotLeader, lambda: OutcomeUnknown("lost"), lambda: QueueFull("full")])
def test_a_record_the_log_would_not_take_is_proposed_again_while_this_replica_leads(failure):
    assert flush(Replica([failure(), failure()])) == [RECORD]


def test_a_deposed_replica_leaves_its_records_to_the_nodes_that_brought_them():
    assert flush(Replica([NotLeader()], deposed=True)) == []


def test_records_that_come_one_by_one_while_much_is_in_flight_travel_together():
    replica = Replica([])
    replica.flying = 1_000

    async def scenario():
        records = Records(replica, Clock())
        task = asyncio.create_task(records.flush_forever())
        for _ in range(3):
            records.add(RECORD)
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(scenario())
    assert [len(event.records) for event in replica.proposed] == [3]


def test_an_urgent_record_is_in_the_next_batch_however_many_wait():
    replica = Replica([])

    def priority(run):
        return Priority.CRITICAL if run == "urgent" else Priority.LOW

    async def scenario():
        records = Records(replica, Clock(), priority)
        for step in range(3 * limits.RECORDS_BATCH_MAX):
            records.add(RECORD._replace(step=step))
        records.add(RECORD._replace(run="urgent"))
        task = asyncio.create_task(records.flush_forever())
        for _ in range(50):
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(scenario())
    first, *others = replica.proposed
    assert first.records[0].run == "urgent"
    assert [record.step for event in others for record in event.records][
        -1
    ] == 3 * limits.RECORDS_BATCH_MAX - 1
