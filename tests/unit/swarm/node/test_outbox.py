"""The outbox forgets an outcome on its receipt and on nothing else."""

import pytest

from swarm import limits
from swarm.errors import Bug
from swarm.ids import RunId, StepKey
from swarm.node.outbox import Outbox
from swarm.testing.disk import MemoryOutcomes
from swarm.wire.messages import Outcome


def outcome(step):
    return Outcome(StepKey(RunId("run-1"), step, 1, 1), True, {}, None, False, 0, 0.0)


def filled(count):
    outbox = Outbox(MemoryOutcomes())
    for step in range(count):
        outbox.add([outcome(step)])
    return outbox


def test_outcomes_are_sent_once_in_order():
    outbox = filled(3)
    assert [o.key.step for o in outbox.take(2)] == [0, 1]
    assert [o.key.step for o in outbox.take(2)] == [2]
    assert outbox.take(2) == ()


def test_sent_outcomes_are_kept_until_their_receipt():
    outbox = filled(2)
    first, second = outbox.take(2)
    outbox.receipt([first.key])
    assert len(outbox) == 1
    outbox.resend()
    assert outbox.take(9) == (second,)


def test_a_receipt_for_something_unknown_is_ignored():
    outbox = filled(1)
    outbox.receipt([outcome(7).key])
    assert len(outbox) == 1


def test_an_outcome_received_before_it_was_sent_again_is_not_sent():
    outbox = filled(1)
    (sent,) = outbox.take(1)
    outbox.resend()
    outbox.receipt([sent.key])
    assert outbox.take(1) == ()


def test_an_outbox_that_nobody_empties_is_a_bug_not_a_leak(monkeypatch):
    monkeypatch.setattr(limits, "OUTBOX_ITEMS_MAX", 2)
    with pytest.raises(Bug):
        filled(3)


def test_what_has_no_receipt_is_offered_again_by_the_next_life_of_the_node():
    store = MemoryOutcomes()
    first = Outbox(store)
    first.add([outcome(0), outcome(1)])
    first.receipt([first.take(1)[0].key])
    assert [o.key.step for o in Outbox(store).take(9)] == [1]


def test_outcomes_that_may_gather_are_stored_together_before_they_are_sent():
    store = MemoryOutcomes()
    batches = []
    keep = store.keep
    store.keep = lambda outcomes: (batches.append(len(outcomes)), keep(outcomes))
    outbox = Outbox(store)
    for step in range(3):
        outbox.add([outcome(step)], gather=True)
    assert (len(outbox), outbox.unsent, batches) == (3, 3, [])
    assert len(outbox.take(2)) == 2
    assert (batches, len(store.open)) == ([3], 3)
    outbox.receipt([outcome(0).key])
    assert len(Outbox(store)) == 2
