"""Whether there is room for one more run."""

import pytest

from swarm import limits
from swarm.coordinator.tenancy import Tenancy
from swarm.errors import QueueFull
from swarm.graph import Priority
from swarm.ids import RunId
from swarm.scheduler.events import RunCancelled, RunSubmitted
from swarm.scheduler.ledger import Ledger
from swarm.testing.graphs import wide_graph


class Clock:
    """Stands still."""

    def monotonic_ms(self):
        return 0


def test_a_cluster_with_as_many_steps_as_it_takes_has_no_room_until_some_end(monkeypatch):
    monkeypatch.setattr(limits, "STEPS_ACTIVE_MAX", 10)
    ledger = Ledger()
    tenancy = Tenancy(lambda: ledger, Clock())
    for number in range(2):
        with tenancy.room("", 0):
            run = RunId(f"run-{number}")
            ledger.apply(RunSubmitted(1, run, wide_graph(6), {}, Priority.LOW, "ann", ""))
    with pytest.raises(QueueFull, match="10 steps") as caught, tenancy.room("", 0):
        pass
    assert caught.value.place == "cluster"
    ledger.apply(RunCancelled(2, run, "enough", "ann"))
    with tenancy.room("", 0):
        pass
