"""Is this graph runnable? Every reason why not, at once, each with its place and remedy.

`problems` says what is wrong with a graph; `input_problems` (in `swarm.graph.inputs`) what is
wrong with the values given to it; `unsupported` what is right but not built yet. All are linear in
the size of the graph. Without a catalogue nothing is said about capabilities and their ports.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping

from swarm import limits
from swarm.errors import Problem
from swarm.graph import loops
from swarm.graph.flows import check_contexts
from swarm.graph.model import Catalogue, Endpoint, Firing, Graph, Node, NodeName, PortName
from swarm.graph.names import (
    CAPABILITY_RULE,
    NAME_RULE,
    TITLE_RULE,
    is_capability,
    is_name,
    is_title,
    shown,
    spoken,
)
from swarm.graph.ports import check_ports
from swarm.graph.reading import CONTEXT, RESOURCES, RETRY, TIMEOUT_MS
from swarm.graph.report import Place, Report, place_of
from swarm.graph.sources import check_literals, check_sources, literals_bytes, sources_of

CIRCLE_NAMES_MAX = 8  # of a loop, in one message


def problems(graph: Graph, catalogue: Catalogue | None) -> list[Problem]:
    """Every reason `graph` cannot run; an empty list means it can."""
    known: tuple[Catalogue | None, list[Problem]] | None = graph.derived.get("problems")
    if known is None or known[0] is not catalogue:
        known = graph.derived["problems"] = catalogue, _problems(graph, catalogue)
    return list(known[1])


def _problems(graph: Graph, catalogue: Catalogue | None) -> list[Problem]:
    report = Report()
    nodes: dict[NodeName, Node] = {}
    for node in graph.nodes:
        nodes.setdefault(node.name, node)
    _check_size(graph, report)
    _check_names(graph, report)
    _check_port_names(graph, report)
    good: set[str] = set()
    for node in graph.nodes:
        _check_node(node, good, report)
    _check_edges(graph, nodes, report)
    _check_ends(graph, nodes, report)
    sources = sources_of(graph, nodes)
    check_sources(sources, nodes, catalogue, report)
    if catalogue is not None:
        check_ports(graph, nodes, catalogue, sources, report)
    check_contexts(graph, nodes, catalogue, report)
    _check_shape(graph, nodes, report)
    return report.problems


def unsupported(graph: Graph) -> list[Problem]:
    """What the model knows and this version cannot run yet."""
    return [
        Problem(
            "not_built",
            place_of(node),
            f"firing {node.firing.value} cannot be run by this version",
            f"use firing {Firing.ONCE.value}",
        )
        for node in graph.nodes
        if node.firing is not Firing.ONCE
    ]


def _check_size(graph: Graph, report: Report) -> None:
    if not graph.nodes:
        report.add("empty_graph", "graph", "it has no nodes", "give it at least one node")
    if (count := len(graph.nodes)) > limits.GRAPH_NODES_MAX:
        report.add(
            "too_many_nodes", "graph", f"{count} nodes, at most {limits.GRAPH_NODES_MAX}", "split the work"
        )
    if (size := literals_bytes(graph)) > limits.GRAPH_BYTES_MAX:
        message = f"literals of {size} bytes together, at most {limits.GRAPH_BYTES_MAX}"
        report.add("too_large", "graph", message, "pass them as inputs of the run")
    if (count := len(graph.edges)) > limits.GRAPH_EDGES_MAX:
        report.add(
            "too_many_edges", "graph", f"{count} edges, at most {limits.GRAPH_EDGES_MAX}", "split the work"
        )


def _check_names(graph: Graph, report: Report) -> None:
    if not is_title(graph.name):
        report.add("bad_name", "graph", f"{shown(graph.name)} is no name for a graph", f"use {TITLE_RULE}")
    for node in graph.nodes:
        if not is_name(node.name):
            report.add("bad_name", node, "not a name for a node", f"use {NAME_RULE}")
    for name, count in Counter(node.name for node in graph.nodes).items():
        if count > 1:
            report.add(
                "duplicate_name",
                f"node {spoken(name)}",
                f"{count} nodes have this name",
                "rename all but one",
            )
    for feed in {feed.name: feed for feed in graph.feeds}.values():
        if not is_name(feed.name):
            report.add("bad_name", feed, "not a name for an input", f"use {NAME_RULE}")
    for outlet in {outlet.name: outlet for outlet in graph.outlets}.values():
        if not is_name(outlet.name):
            report.add("bad_name", outlet, "not a name for an output", f"use {NAME_RULE}")
    for result, count in Counter(outlet.name for outlet in graph.outlets).items():
        if count > 1:
            report.add(
                "duplicate_name",
                f"output {spoken(result)}",
                f"{count} outputs have this name",
                "rename all but one",
            )


def _check_port_names(graph: Graph, report: Report) -> None:
    places: dict[PortName, Place] = {}
    for edge in graph.edges:
        places[edge.source.port] = places[edge.target.port] = edge
    places |= {feed.target.port: feed for feed in graph.feeds}
    places |= {outlet.source.port: outlet for outlet in graph.outlets}
    for name, place in places.items():
        if not is_name(name):
            report.add("bad_name", place, f"{shown(name)} is no name for a port", f"use {NAME_RULE}")


def _check_node(node: Node, good: set[str], report: Report) -> None:
    """One node by itself; `good` are names of capabilities that were looked at already."""
    if node.capability not in good:
        if is_capability(node.capability):
            good.add(node.capability)
        else:
            message = f"{shown(node.capability)} is not the name of a capability"
            report.add("bad_name", node, message, f"use {CAPABILITY_RULE}")
    if node.literals:
        check_literals(node, report)
    usual = node.retry is RETRY and node.resources is RESOURCES and node.context is CONTEXT
    if not (usual and node.timeout_ms == TIMEOUT_MS and not node.layers):
        _check_policies(node, report)


def _check_policies(node: Node, report: Report) -> None:
    for what, value, low, high in (
        ("timeout_ms", node.timeout_ms, 1, limits.STEP_TIMEOUT_MS_MAX),
        ("attempts_max", node.retry.attempts_max, 1, limits.ATTEMPTS_MAX),
        ("backoff_ms", node.retry.backoff_ms, 0, limits.BACKOFF_MS_MAX),
        ("memory_mb", node.resources.memory_mb, 0, math.inf),
        ("cpu_cores", node.resources.cpu_cores, 0, sys.float_info.max),
        ("level", node.context.level, 0, limits.CONTEXT_LEVEL_MAX),
    ):
        if not low <= value <= high:
            report.add_out_of_bounds(node, what, value, low, high)
    for layer in sorted(layer for layer in node.layers if not is_name(layer)):
        report.add("bad_name", node, f"{shown(layer)} is no name of a sandbox layer", f"use {NAME_RULE}")


def _check_edges(graph: Graph, nodes: Mapping[NodeName, Node], report: Report) -> None:
    seen: set[tuple[Endpoint, Endpoint]] = set()
    for edge in graph.edges:
        source, target = edge.source, edge.target
        if source.node not in nodes or target.node not in nodes:
            for name in dict.fromkeys(end.node for end in (source, target) if end.node not in nodes):
                _add_unknown_node(edge, name, nodes, report)
        elif source.node == target.node and nodes[target.node].firing is not Firing.MERGE:
            message = "a node cannot wait for itself"
            report.add("self_edge", edge, message, "remove the edge, or let the node fire merge")
        if not 1 <= edge.items_max <= limits.EDGE_ITEMS_MAX:
            report.add_out_of_bounds(edge, "items_max", edge.items_max, 1, limits.EDGE_ITEMS_MAX)
        pair = (source, target)
        if pair in seen:
            report.add("duplicate_edge", edge, "it is there twice", "keep one of the two")
        seen.add(pair)


def _add_unknown_node(place: Place, name: NodeName, nodes: Mapping[NodeName, Node], report: Report) -> None:
    report.add_unknown("unknown_node", place, f"there is no node {spoken(name)}", name, nodes, "add the node")


def _check_ends(graph: Graph, nodes: Mapping[NodeName, Node], report: Report) -> None:
    ends: list[tuple[Place, Endpoint]] = [(feed, feed.target) for feed in graph.feeds]
    ends += [(outlet, outlet.source) for outlet in graph.outlets]
    for place, end in ends:
        if end.node not in nodes:
            _add_unknown_node(place, end.node, nodes, report)
    for feed, count in Counter(graph.feeds).items():
        if count > 1:
            report.add(
                "duplicate_name",
                feed,
                f"it goes to {place_of(feed.target)} {count} times",
                "keep one of them",
            )


def _check_shape(graph: Graph, nodes: Mapping[NodeName, Node], report: Report) -> None:
    entered = {edge.target.node for edge in graph.edges} | {feed.target.node for feed in graph.feeds}
    for node in nodes.values():
        if node.firing is not Firing.ONCE and node.name not in entered:
            message = f"it fires {node.firing.value} and has no input, so it would never stop"
            report.add("no_inputs", node, message, "connect an edge or an input to it, or let it fire once")
    shape = loops.Shape(nodes, graph.edges, (feed.target.node for feed in graph.feeds))
    found = loops.loops(shape)
    for loop in found:
        names = [spoken(shape.names[at]) for at in loops.one_circle(shape, loop)]
        circle = " -> ".join(
            names if len(names) <= CIRCLE_NAMES_MAX + 1 else [*names[:CIRCLE_NAMES_MAX], "..."]
        )
        message = f"{len(loop)} nodes wait for each other in a loop: {circle}"
        remedy = "remove an edge of the loop, or let one of its nodes fire merge"
        report.add("cycle", nodes[shape.names[loop[0]]], message, remedy)
    for at in loops.never_fed(shape, found):
        message = "it can never fire: nothing that starts by itself leads to it"
        report.add("unreachable", nodes[shape.names[at]], message, "connect an input of the graph to it")
