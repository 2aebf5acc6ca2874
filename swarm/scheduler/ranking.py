"""Which ready step of a run goes first: the one with the longest way to the end behind it.

That is the upward rank of list scheduling (HEFT), in milliseconds: what a step costs, and the costliest way
from it to the end of its graph. Costs are measured: a running average over the results of a capability, of
which a few are looked at per entry of the log. What was never measured costs as much as the average of what
was. The ranks of a graph are worked out once, when steps of it first compete, and kept under its digest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from swarm.graph import Bond
from swarm.ids import CapabilityName, Digest, RunId
from swarm.scheduler.events import StepRecord
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.run import Run

SAMPLES: Final = 8  # results looked at in one entry of the log
MEMORY: Final = 0.8  # of a running average
CAPABILITIES_MAX: Final = 10_000  # whose costs are remembered; then the oldest go
GRAPHS_MAX: Final = 256  # whose ranks are remembered
SHARED_STEPS_MIN: Final = 64  # of smaller graphs the ranks cost less than the name to keep them under


class Ranks:
    """Costs by capability, ranks by graph."""

    def __init__(self) -> None:
        self.costs: dict[CapabilityName, float] = {}
        self._of_graph: OrderedDict[Digest, Sequence[float]] = OrderedDict()
        self._of_run: dict[RunId, Sequence[float]] = {}

    def learn(self, ledger: Ledger, records: Sequence[StepRecord]) -> None:
        """Look at some results of an entry of the log."""
        for record in islice(records, 0, None, max(1, len(records) // SAMPLES)):
            run = ledger.runs.get(record.run)
            if run is None or not record.ok or record.cached or record.step >= len(run.state):
                continue
            name = run.graph.nodes[record.step].capability
            known = self.costs.get(name)
            if known is None and len(self.costs) >= CAPABILITIES_MAX:
                del self.costs[next(iter(self.costs))]
            value = record.wall_ms
            self.costs[name] = value if known is None else known * MEMORY + value * (1 - MEMORY)

    def of(self, run: Run) -> Sequence[float] | None:
        """The rank of each step; None where no order is better than another."""
        if not run.plan.branches:
            return None
        name = run.submitted.run
        ranks = self._of_run.get(name)
        if ranks is None:
            ranks = self._of_run[name] = self._shared(run)
        return ranks

    def forget(self, run: RunId) -> None:
        """Nothing of it is placed any more."""
        self._of_run.pop(run, None)

    def _shared(self, run: Run) -> Sequence[float]:
        if len(run.state) < SHARED_STEPS_MIN:
            return upward(run, self.costs)
        ranks = self._of_graph.pop(run.digest, None)
        if ranks is None:
            ranks = upward(run, self.costs)
        self._of_graph[run.digest] = ranks
        if len(self._of_graph) > GRAPHS_MAX:
            self._of_graph.popitem(last=False)
        return ranks


def upward(run: Run, costs: Mapping[CapabilityName, float]) -> list[float]:
    """The costliest way from the beginning of each step to the end."""
    other = sum(costs.values()) / len(costs) if costs else 1.0
    nodes = run.graph.nodes
    rank = [0.0] * len(nodes)
    for step in reversed(in_order(run)):
        after = max(
            (rank[target] for target, bond in run.plan.outgoing[step] if bond is not Bond.OBSERVE),
            default=0.0,
        )
        rank[step] = costs.get(nodes[step].capability, other) + after
    return rank


def in_order(run: Run) -> list[int]:
    """Every step after all that feed it."""
    size = len(run.state)
    waiting = [0] * size
    for step in range(size):
        for target, _ in run.plan.outgoing[step]:
            waiting[target] += 1
    order = [step for step in range(size) if not waiting[step]]
    for step in order:  # grows as it goes
        for target, _ in run.plan.outgoing[step]:
            waiting[target] -= 1
            if not waiting[target]:
                order.append(target)
    return order
