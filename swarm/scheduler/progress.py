"""How far a run is and how long it will take: counted and estimated from its own records, on any replica.

What a step will cost is the mean of what its kind has cost in this run so far, or of all kinds where its own
has not been seen. What is left takes at least as long as the costliest way through it (the *critical path*),
and at least as long as all of it shared out over as many steps as this run has had going at once. The
estimate is the larger of the two. Before the first result there is none.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from swarm.graph import Bond, NodeName
from swarm.ids import CapabilityName
from swarm.scheduler.ranking import upward
from swarm.scheduler.run import Run, Status, Step

PATH_STEPS_MAX = 50  # told of a critical path


@dataclass(frozen=True, slots=True)
class Progress:
    """One run at one moment."""

    done: int
    running: int
    ready: int
    waiting: int
    left_ms: float | None  # None before anything could be estimated; 0 when it is over
    critical_path: tuple[NodeName, ...]  # the first steps of it that have not ended


class ProgressTracker:
    """Says how far a run is. Holds nothing: everything is in the run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def progress(self, running: Collection[int] = ()) -> Progress:
        """`running`: steps that a node works on, as far as whoever asks knows."""
        run = self._run
        left_ms, path = self._left() if run.status is Status.RUNNING else (0.0, ())
        ready = run.count(Step.READY)
        return Progress(
            done=len(run.state) - ready - run.count(Step.WAITING),
            running=len(running),
            ready=ready - len(running),
            waiting=run.count(Step.WAITING),
            left_ms=left_ms,
            critical_path=path,
        )

    def _left(self) -> tuple[float | None, tuple[NodeName, ...]]:
        costs, at_once = self._seen()
        ranks = upward(self._run, costs)
        path = tuple(self._critical(ranks))
        if not costs:
            return None, path
        mean = sum(costs.values()) / len(costs)
        nodes = self._run.graph.nodes
        work = sum(
            costs.get(nodes[step].capability, mean)
            for step, state in enumerate(self._run.state)
            if state < Step.OK
        )
        return max(*(ranks[step] for step in self._run.ready()), work / at_once), path

    def _seen(self) -> tuple[dict[CapabilityName, float], float]:
        """What each kind of step has cost on average, and how many went on at once."""
        sums: dict[CapabilityName, tuple[float, int]] = {}
        first, last, spent = float("inf"), 0.0, 0.0
        for step, record in self._run.records.items():
            if record.ok and record.started_ms and not record.cached:
                name = self._run.graph.nodes[step].capability
                total, count = sums.get(name, (0.0, 0))
                sums[name] = total + record.wall_ms, count + 1
                first = min(first, record.started_ms)
                last = max(last, record.started_ms + record.wall_ms)
                spent += record.wall_ms
        at_once = max(spent / (last - first), 1.0) if last > first else 1.0
        return {name: total / count for name, (total, count) in sums.items()}, at_once

    def _critical(self, ranks: list[float]) -> list[NodeName]:
        """The steps of the costliest way to the end, from where the run stands."""
        run = self._run
        beginnings = list(run.ready())
        path: list[NodeName] = []
        while beginnings and len(path) < PATH_STEPS_MAX:
            step = max(beginnings, key=lambda one: (ranks[one], -one))
            path.append(run.graph.nodes[step].name)
            beginnings = [
                target
                for target, bond in run.plan.outgoing[step]
                if bond is not Bond.OBSERVE and run.state[target] < Step.OK
            ]
        return path
