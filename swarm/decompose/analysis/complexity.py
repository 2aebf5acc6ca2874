"""ComplexityAnalyzer: how much work a graph is, before it runs.

Steps, breadth (the most steps that could run at once) and depth (the longest path) are facts of the graph.
Data volume is known for what is given and for tensors of known shape, and unknown otherwise. Cost is in
milliseconds of one step after the other: what a capability took before, where that is known, and
STEP_MS_UNKNOWN where it is not; the share that is known is told with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import Final

from swarm.graph import Catalogue, Graph, NodeName, Port

STEP_MS_UNKNOWN: Final = 100.0
SIMPLE_STEPS_MAX: Final = 2
MODERATE_STEPS_MAX: Final = 8
_ITEM_BYTES: Final = {"f64": 8, "i64": 8, "u64": 8, "f32": 4, "i32": 4, "u32": 4, "i16": 2, "u16": 2}


class Level(StrEnum):
    """How involved a graph is, by its steps."""

    SIMPLE = "simple"
    MODERATE = "moderate"
    COMPLEX = "complex"


@dataclass(frozen=True, slots=True)
class Complexity:
    """How much work a graph is."""

    steps: int
    edges: int
    breadth: int
    depth: int
    volume_bytes: int  # of what is given and of outputs whose shape is known
    volume_known: bool  # whether that is all of it
    cost_ms: float  # all steps one after the other
    path_ms: float  # the longest path: no number of nodes makes it faster
    cost_known: float  # share of the steps whose cost was measured
    level: Level

    @property
    def speedup_max(self) -> float:
        """How much faster than one node any number of nodes could be."""
        return self.cost_ms / self.path_ms if self.path_ms else 1.0


def analyze_complexity(
    graph: Graph,
    catalogue: Catalogue,
    *,
    measured_ms: Mapping[str, float] | None = None,
    input_bytes: int | None = None,
) -> Complexity:
    """How much work `graph` is; what its capabilities took before and the size of its inputs, if known."""
    known = measured_ms or {}
    cost = {node.name: known.get(node.capability, STEP_MS_UNKNOWN) for node in graph.nodes}
    rank, path = _ranks(graph, cost)
    outputs = [
        port
        for node in graph.nodes
        if (signature := catalogue.get(node.capability))
        for port in signature.outputs
    ]
    sizes = [_bytes(port) for port in outputs]
    measured = sum(node.capability in known for node in graph.nodes)
    count = len(graph.nodes)
    level = (
        Level.SIMPLE
        if count <= SIMPLE_STEPS_MAX
        else Level.MODERATE
        if count <= MODERATE_STEPS_MAX
        else Level.COMPLEX
    )
    return Complexity(
        steps=count,
        edges=len(graph.edges),
        breadth=max(Counter(rank.values()).values(), default=0),
        depth=max(rank.values(), default=-1) + 1,
        volume_bytes=(input_bytes or 0) + sum(size or 0 for size in sizes),
        volume_known=None not in sizes and (input_bytes is not None or not graph.feeds),
        cost_ms=sum(cost.values()),
        path_ms=max(path.values(), default=0.0),
        cost_known=measured / count if count else 1.0,
        level=level,
    )


def _ranks(graph: Graph, cost: Mapping[NodeName, float]) -> tuple[dict[NodeName, int], dict[NodeName, float]]:
    """Of each node how many lie before it on the longest way, and when it is done; loops are passed once."""
    waiting = Counter(edge.target.node for edge in graph.edges)
    rank = {node.name: 0 for node in graph.nodes}
    path = dict(cost)
    after: dict[NodeName, list[NodeName]] = {name: [] for name in rank}
    for edge in graph.edges:
        after[edge.source.node].append(edge.target.node)
    ready = [name for name in rank if not waiting[name]]
    for name in ready:  # grows as it goes
        for target in after[name]:
            rank[target] = max(rank[target], rank[name] + 1)
            path[target] = max(path[target], path[name] + cost[target])
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return rank, path


def _bytes(port: Port) -> int | None:
    if port.shape is None or None in port.shape:
        return None
    return prod(size or 0 for size in port.shape) * _ITEM_BYTES.get(port.dtype or "", 1)
