"""Where each port's value comes from, and the constants among them.

A port takes its value from one place: one edge, one input of the graph, or one literal. A `many`
port takes any number of edges, and so does any port of a MERGE node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from swarm import limits
from swarm.graph.model import Catalogue, Endpoint, Firing, Graph, Node, NodeName, PortName
from swarm.graph.names import NAME_RULE, PAYLOAD_KINDS, is_name, shown
from swarm.graph.report import Report

Nodes: TypeAlias = Mapping[NodeName, Node]


@dataclass(slots=True)
class Sources:
    """How often each kind of source leads into one port."""

    edges: int = 0
    feeds: int = 0
    literals: int = 0

    def __str__(self) -> str:
        counts = (("edge", self.edges), ("input", self.feeds), ("literal", self.literals))
        return " and ".join(f"{count} {what}{'s' * (count > 1)}" for what, count in counts if count)


SourcesByPort: TypeAlias = dict[Endpoint, Sources]


def sources_of(graph: Graph, nodes: Nodes) -> SourcesByPort:
    """What leads into every port that anything leads into."""
    found: SourcesByPort = {}
    for edge in graph.edges:
        found.setdefault(edge.target, Sources()).edges += 1
    for feed in graph.feeds:
        found.setdefault(feed.target, Sources()).feeds += 1
    for node in nodes.values():
        for port, _ in node.literals:
            found.setdefault(Endpoint(node.name, port), Sources()).literals += 1
    return found


def check_sources(sources: SourcesByPort, nodes: Nodes, catalogue: Catalogue | None, report: Report) -> None:
    """One source for one port, but for the exceptions at the head of this module."""
    for end, there in sources.items():
        node = nodes.get(end.node)
        if there.edges + there.feeds + there.literals < 2 or node is None:
            continue
        kinds = (there.edges > 0) + there.feeds + there.literals
        if node.firing is Firing.MERGE:
            if there.literals and kinds > 1:
                message = f"it has {there}: a constant would be merged with what flows"
                report.add("too_many_sources", end, message, "remove the literal")
        elif kinds > 1:
            report.add(
                "too_many_sources", end, f"it has {there}, but takes its value from one place", "keep one"
            )
        elif _is_many(catalogue, node, end.port) is False:
            message = f"it has {there}, but takes one value"
            report.add("too_many_sources", end, message, "keep one, or gather in a port that is `many`")


def _is_many(catalogue: Catalogue | None, node: Node, name: PortName) -> bool | None:
    signature = (catalogue or {}).get(node.capability)
    port = signature.input(name) if signature else None
    return port.many if port else None


def literals_bytes(graph: Graph) -> int:
    """How large all constants are together, each counted for every node that has it."""
    return sum(len(payload.data) for node in graph.nodes for _, payload in node.literals)


def check_literals(node: Node, report: Report) -> None:
    """Names, kinds and sizes of the constants of one node."""
    total = 0
    for port, payload in node.literals:
        total += (size := len(payload.data))
        if is_name(port) and payload.kind in PAYLOAD_KINDS and size <= limits.LITERAL_BYTES_MAX:
            continue
        place = Endpoint(node.name, port)
        if not is_name(port):
            report.add("bad_name", place, "not a name for a port", f"use {NAME_RULE}")
        if payload.kind not in PAYLOAD_KINDS:
            report.add(
                "wrong_kind",
                place,
                f"its literal is of kind {shown(payload.kind)}",
                "use json, tensor or bytes",
            )
        if size > limits.LITERAL_BYTES_MAX:
            message = f"its literal has {size} bytes, at most {limits.LITERAL_BYTES_MAX}"
            report.add("too_large", place, message, "pass it as an input, or in parts")
    if total > limits.STEP_BYTES_MAX:
        message = f"its literals have {total} bytes together, at most {limits.STEP_BYTES_MAX}"
        report.add("too_large", node, message, "pass less, or in parts")
