"""What the bonds of a graph promise, read off their definitions, slowly and without the scheduler's help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from swarm.graph import Bond, Graph, NodeName
from swarm.scheduler.events import StepRecord


def missing(graph: Graph, step: int, records: Mapping[int, StepRecord]) -> Iterator[NodeName]:
    """Steps this one has to wait for still."""
    name = graph.nodes[step].name
    position = {node.name: i for i, node in enumerate(graph.nodes)}
    never = dead(graph, records)
    edges = [edge for edge in graph.edges if edge.target.node == name]
    watches = all(edge.bond is Bond.OBSERVE for edge in edges)
    for edge in edges:
        source = position[edge.source.node]
        record = records.get(source)
        well = record is not None and record.ok
        over = record is not None or source in never
        if (edge.bond is Bond.STRICT and not well) or (
            not over and (edge.bond is Bond.SHARED or (edge.bond is Bond.OBSERVE and watches))
        ):
            yield edge.source.node


def dead(graph: Graph, records: Mapping[int, StepRecord]) -> set[int]:
    """Steps that can never run, because what they need strictly failed."""
    position = {node.name: i for i, node in enumerate(graph.nodes)}
    failed = {step for step, record in records.items() if not record.ok}
    found: set[int] = set()
    while True:
        more = {
            position[edge.target.node]
            for edge in graph.edges
            if edge.bond is Bond.STRICT and position[edge.source.node] in failed | found
        } - found
        if not more:
            return found
        found |= more


def observers(graph: Graph) -> set[NodeName]:
    """The greatest set of steps that only watch: whatever does not fit is taken away until all do."""
    found = {node.name for node in graph.nodes}
    while True:
        fit = {name for name in found if _only_watches(graph, name, found)}
        if fit == found:
            return found
        found = fit


def _only_watches(graph: Graph, name: NodeName, others: set[NodeName]) -> bool:
    entering = [edge for edge in graph.edges if edge.target.node == name]
    needing = [e for e in graph.edges if e.source.node == name and e.bond in (Bond.STRICT, Bond.SHARED)]
    return (
        bool(entering)
        and all(edge.bond is Bond.OBSERVE or edge.source.node in others for edge in entering)
        and all(edge.target.node in others for edge in needing)
    )


def matters(graph: Graph, step: int) -> bool:
    """Whether the failure of a step is one of its run."""
    name = graph.nodes[step].name
    bonds = [edge.bond for edge in graph.edges if edge.source.node == name and edge.bond is not Bond.OBSERVE]
    owes = any(outlet.source.node == name for outlet in graph.outlets)
    return name not in observers(graph) and (owes or not bonds or Bond.STRICT in bonds)
