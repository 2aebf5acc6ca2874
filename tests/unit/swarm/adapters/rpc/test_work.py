"""What waits for a slow link: urgent work goes before other work, and before nothing else."""

from swarm.adapters.rpc.work import QueuedDownlink
from swarm.graph import PLAIN, Priority
from swarm.ids import StepKey
from swarm.wire.messages import Assignment, Assignments, Receipts


def work(run, priority):
    return Assignments((Assignment(StepKey(run, 0, 1, 1), "a", "x:y", {}, 1, (), PLAIN, priority),))


def test_urgent_work_overtakes_other_work_but_nothing_else():
    downlink = QueuedDownlink()
    downlink.send(work("low-1", Priority.LOW))
    downlink.send(Receipts((StepKey("old", 0, 1, 1),)))
    for run, priority in (
        ("low-2", Priority.LOW),
        ("medium", Priority.MEDIUM),
        ("low-3", Priority.LOW),
        ("critical", Priority.CRITICAL),
        ("critical-2", Priority.CRITICAL),
    ):
        downlink.send(work(run, priority))
    parts = downlink._take()
    kinds = [part.WhichOneof("message") for part in parts]
    runs = [part.assignments.orders[0].run for part in parts if part.HasField("assignments")]
    assert kinds[1] == "receipts"
    assert runs == ["low-1", "critical", "critical-2", "medium", "low-2", "low-3"]
