"""What reaches the state machine, in which order, and what happens when it fails."""

import asyncio
from types import SimpleNamespace

import pytest

from swarm.adapters.raft.delivery import Delivery
from swarm.adapters.raft.events import Applied, CaptureWanted, Failed, Led, Proposal, Restored
from swarm.adapters.raft.snapshot import Snapshot
from swarm.errors import Bug, LogTooNew, OutcomeUnknown
from swarm.ports import Committed, Leadership, Voters

NOBODY = Voters(0, {}, {})


class Machine:
    def __init__(self):
        self.calls = []

    def apply(self, entries):
        self.calls.append(("apply", [entry.index for entry in entries]))

    def snapshot(self):
        self.calls.append(("snapshot",))
        return lambda: b"state"

    def restore(self, data, index):
        self.calls.append(("restore", data, index))


@pytest.fixture
def world():
    rings = []
    runner = SimpleNamespace(
        delivered=SimpleNamespace(entries=0, size_bytes=0),
        inbox=SimpleNamespace(ring=lambda: rings.append(True)),
        wants_room=False,
        rings=rings,
        snapshots=[],
        faults=[],
    )
    runner.write_snapshot = lambda wanted, encode: runner.snapshots.append((wanted, encode()))
    runner.fail = runner.faults.append
    machine = Machine()
    news = []
    return SimpleNamespace(
        runner=runner,
        machine=machine,
        news=news,
        delivery=Delivery(machine, news.append, lambda _: None, runner),
    )


def applied(*indexes, through=None, answers=()):
    entries = tuple(Committed(index, 1, b"x") for index in indexes)
    return Applied(entries, through or indexes[-1], tuple(answers), len(indexes), 10 * len(indexes))


def test_events_take_effect_in_their_order(world):
    world.delivery.take(
        [
            applied(2, 3),
            CaptureWanted(3, 1, NOBODY),
            Led(Leadership(4, "n2")),
            Restored(50, b"theirs"),
            applied(51),
        ]
    )
    assert world.machine.calls == [
        ("apply", [2, 3]),
        ("snapshot",),
        ("restore", b"theirs", 50),
        ("apply", [51]),
    ]
    assert world.runner.snapshots == [(CaptureWanted(3, 1, NOBODY), b"state")]
    assert world.news == [Leadership(4, "n2")]
    assert world.delivery.leadership == Leadership(4, "n2")
    assert world.delivery.applied_index == 51
    assert (world.runner.delivered.entries, world.runner.delivered.size_bytes) == (3, 30)


def test_a_place_that_carries_nothing_moves_the_index_and_calls_nobody(world):
    world.delivery.take([Applied((), 7, (), 1, 1)])
    assert world.machine.calls == []
    assert world.delivery.applied_index == 7


def test_a_caller_is_told_after_its_entry_was_applied_and_not_if_it_gave_up(world):
    async def scenario():
        told, gone = (Proposal(b"", asyncio.get_running_loop().create_future()) for _ in range(2))
        gone.done.cancel()
        told.done.add_done_callback(lambda _: world.machine.calls.append(("told",)))
        world.delivery.take([applied(2, 3, answers=[(told, 2), (gone, 3)])])
        await asyncio.sleep(0)
        assert world.machine.calls == [("apply", [2, 3]), ("told",)]
        assert await told.done == 2

    asyncio.run(scenario())


def test_after_the_state_machine_failed_nothing_more_is_applied_but_callers_are_answered(world):
    async def scenario():
        world.machine.apply = lambda entries: 1 / 0
        waiting = [Proposal(b"", asyncio.get_running_loop().create_future()) for _ in range(2)]
        world.delivery.take(
            [applied(2, answers=[(waiting[0], 2)]), Restored(9, b""), Led(Leadership(9, None))]
        )
        world.delivery.take([Failed(tuple(waiting), OutcomeUnknown("stopped"))])
        assert world.machine.calls == []
        assert world.news == []
        assert [type(fault) for fault in world.runner.faults] == [Bug]
        for proposal in waiting:
            with pytest.raises(OutcomeUnknown):
                await proposal.done

    asyncio.run(scenario())


def test_a_log_that_is_too_new_stops_the_replica_with_its_own_remedy(world):
    def refuse(_entries):
        raise LogTooNew("the log speaks schema 9")

    world.machine.apply = refuse
    world.delivery.take([applied(2)])
    (fault,) = world.runner.faults
    assert isinstance(fault, LogTooNew)
    assert "upgrade this daemon first" in str(fault)


def test_a_life_begins_with_the_snapshot_of_the_last_one(world):
    world.delivery.recover(None)
    assert world.delivery.applied_index == 0
    world.delivery.recover(Snapshot(8, 2, b"state"))
    assert world.machine.calls == [("restore", b"state", 8)]
    assert world.delivery.applied_index == 8


def test_the_raft_thread_is_woken_only_where_entries_wait_for_room(world):
    world.delivery.take([applied(1)])
    assert world.runner.rings == []
    world.runner.wants_room = True
    world.delivery.take([applied(2)])
    assert world.runner.rings == [True]
