"""What a graph will probably take: by what its capabilities took lately, on the nodes there are.

The durations are medians over the latest runs; a capability nobody ran lately counts as STEP_MS_UNKNOWN. Each
slot of a node that hosts the agent of a step is a place for it. The schedule is the list scheduler's (HEFT
with insertion, improved): a forecast to read before a graph runs. What then runs where is decided step by
step, by what is really free.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Final

from swarm.client import AgentInfo, NodeInfo
from swarm.client.blocking import BlockingSwarm
from swarm.decompose.analysis.complexity import STEP_MS_UNKNOWN
from swarm.errors import Mistake, NotAllowed, NotFound
from swarm.graph import Graph
from swarm.scheduler.assignment.jobs import Job, shape_of
from swarm.scheduler.assignment.listing import search

RUNS_LOOKED_AT: Final = 20
STEPS_MAX: Final = 1_000  # of a run that is looked at, and of a graph that is scheduled
PLACES_MAX: Final = 64
PLACEMENTS_MAX: Final = 20_000  # a tenth of a second or two
TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Placed:
    """Where and when a step would run."""

    step: str
    node: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """A schedule of a whole graph."""

    makespan_ms: float
    steps: tuple[Placed, ...]  # in the order they begin

    def lines(self) -> list[str]:
        """For people."""
        nodes = sorted({each.node for each in self.steps})
        told = [f"schedule: about {self.makespan_ms:.0f} ms on {', '.join(nodes)}"]
        return told + [f"  {each.start_ms:.0f} ms: {each.step} on {each.node}" for each in self.steps]


def measured_ms(swarm: BlockingSwarm) -> dict[str, float]:
    """What capabilities took in the latest runs that went well; nothing where they may not be read."""
    took: dict[str, list[float]] = defaultdict(list)
    with suppress(NotAllowed, NotFound):  # a run may be forgotten while we look
        for run in swarm.runs("succeeded", RUNS_LOOKED_AT):
            if run.steps_total > STEPS_MAX:
                continue
            for step in swarm.attach(run.id).show().steps:
                if step.status == "ok" and not step.cached:
                    took[step.capability].append(step.wall_ms)
    return {name: median(values) for name, values in took.items()}


def nodes_of(swarm: BlockingSwarm) -> list[NodeInfo]:
    """The nodes that take work; none where they may not be read."""
    with suppress(NotAllowed):
        return [each for each in swarm.nodes() if each.slots and each.state == "attached"]
    return []


def forecast(
    graph: Graph, agents: Sequence[AgentInfo], nodes: Sequence[NodeInfo], took: Mapping[str, float]
) -> Forecast | None:
    """The schedule; None where a step has no place, or the graph has loops or too many steps."""
    hosts = {capability.name: set(agent.nodes) for agent in agents for capability in agent.capabilities}
    places = [each.node for each in nodes for _ in range(each.slots)][:PLACES_MAX]
    durations = tuple(
        tuple(
            took.get(node.capability, STEP_MS_UNKNOWN)
            if place in hosts.get(node.capability, ())
            else float("inf")
            for place in places
        )
        for node in graph.nodes
    )
    if not durations or not places or len(durations) > STEPS_MAX:
        return None
    index = {node.name: at for at, node in enumerate(graph.nodes)}
    flows = {(index[edge.source.node], index[edge.target.node], 0.0) for edge in graph.edges}
    try:
        shape = shape_of(Job(durations, tuple(sorted(flows))))
    except Mistake:
        return None
    found = search(shape, tries=TRIES, placements_max=PLACEMENTS_MAX)
    steps = [
        Placed(node.name, places[found.machine[at]], round(found.start[at], 1), round(found.end[at], 1))
        for at, node in enumerate(graph.nodes)
    ]
    steps.sort(key=lambda each: (each.start_ms, each.step))
    return Forecast(round(found.makespan, 1), tuple(steps))
