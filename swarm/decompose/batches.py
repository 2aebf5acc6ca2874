"""Batch splitting: steps that work row by row become several, each with a share of the rows.

A capability says by `rows` which of its ports hold one row per item, and so that each row is worked on
by itself. Such a step may stand in a graph K times: its rows are dealt out in order by SPLIT, every copy
gets the same other inputs, and JOIN puts the rows that come out back into one value. Where one such step
feeds another, part feeds part, and nothing is joined between them. SPLIT and JOIN are capabilities of an
agent like any other (`agents/rows`), so a graph that was split is a graph like any other.

What has effects stays whole: it would have them K times. So does what deals a list out or is dealt an item of
one, where another edge would change every share, and what hangs on an edge that may fail without harm.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from swarm.decompose.building import node_name
from swarm.errors import Mistake
from swarm.graph import (
    Bond,
    Catalogue,
    Edge,
    Endpoint,
    Feed,
    Graph,
    Node,
    NodeName,
    Outlet,
    Payload,
    PortName,
)
from swarm.ids import CapabilityName

SPLIT: Final = CapabilityName("rows:split")
JOIN: Final = CapabilityName("rows:join")
PARTS_MAX: Final = 64
_ROWS: Final = PortName("rows")
_PARTS: Final = PortName("parts")
_COUNT: Final = PortName("parts_count")
_NO_EFFECTS: Final = "none"


def split_rows(
    graph: Graph, catalogue: Catalogue, order: Sequence[NodeName], parts: int, changes: list[str]
) -> Graph:
    """The graph with every step that allows it in `parts` parts; `order` has sources before targets."""
    if not 1 <= parts <= PARTS_MAX:
        raise Mistake(f"{parts} parts", place="parts", remedy=f"give a whole number from 1 to {PARTS_MAX}")
    chosen = {name for name in order if parts > 1 and _may_split(name, graph, catalogue)}
    if not chosen:
        return graph
    if missing := [name for name in (SPLIT, JOIN) if name not in catalogue]:
        raise Mistake(
            f"nobody offers {' and '.join(missing)}",
            place="parts",
            remedy="swarm deploy agents/rows/rows.af, or leave the steps whole",
        )
    found = _Splitting(graph, catalogue, parts, chosen)
    for name in order:
        found.step(name)
    changes += [f"{name} works row by row: dealt out to {parts}" for name in order if name in chosen]
    return found.result()


def _may_split(name: NodeName, graph: Graph, catalogue: Catalogue) -> bool:
    node = next(each for each in graph.nodes if each.name == name)
    signature = catalogue.get(node.capability)
    if signature is None or not signature.rows or signature.effects != _NO_EFFECTS:
        return False
    if not all(port.name in signature.rows and not port.many for port in signature.outputs):
        return False
    if any(port.many for port in signature.inputs):
        return False
    entering = [edge for edge in graph.edges if edge.target.node == name]
    leaving = [edge for edge in graph.edges if edge.source.node == name]
    if any(edge.bond is not Bond.STRICT for edge in (*entering, *leaving)):
        return False
    given = {edge.target.port for edge in entering} | {port for port, _ in node.literals}
    given |= {feed.target.port for feed in graph.feeds if feed.target.node == name}
    return bool(given & signature.rows) and not any(
        _deals(edge.source, graph, catalogue) for edge in entering
    )


def _deals(source: Endpoint, graph: Graph, catalogue: Catalogue) -> bool:
    """Whether this output is a list of which every edge gets another item, or nobody knows."""
    node = next(each for each in graph.nodes if each.name == source.node)
    signature = catalogue.get(node.capability)
    port = signature.output(source.port) if signature else None
    return port is None or port.many


@dataclass(slots=True)
class _Splitting:
    """The graph that is being made of another one, step by step, sources first."""

    graph: Graph
    catalogue: Catalogue
    parts: int
    chosen: set[NodeName]
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    feeds: list[Feed] = field(default_factory=list)
    names: set[NodeName] = field(init=False)
    copies: dict[NodeName, list[NodeName]] = field(default_factory=dict)
    joined: dict[Endpoint, Endpoint] = field(
        default_factory=dict
    )  # an output of a split step: where it is whole
    entering: dict[NodeName, list[Edge]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.names = {node.name for node in self.graph.nodes}
        for edge in self.graph.edges:
            self.entering[edge.target.node].append(edge)

    def step(self, name: NodeName) -> None:
        """Takes one step over, whole or in parts."""
        node = next(each for each in self.graph.nodes if each.name == name)
        feeds = [feed for feed in self.graph.feeds if feed.target.node == name]
        if name not in self.chosen:
            self.nodes.append(node)
            self.feeds += feeds
            self.edges += [replace(edge, source=self._whole(edge.source)) for edge in self.entering[name]]
            return
        rows = self.catalogue[node.capability].rows
        shared = tuple(each for each in node.literals if each[0] not in rows)
        self.copies[name] = [self._named(f"{name}_{part + 1}") for part in range(self.parts)]
        self.nodes += [replace(node, name=copy, literals=shared) for copy in self.copies[name]]
        for port, value in node.literals:
            if port in rows:
                self._deal(node, port, literals=((_ROWS, value),))
        for feed in feeds:
            if feed.target.port in rows:
                self.feeds.append(Feed(feed.name, Endpoint(self._deal(node, feed.target.port), _ROWS)))
            else:
                ends = self._ends(node.name, feed.target.port)
                self.feeds += [Feed(feed.name, end) for end in ends]
        for edge in self.entering[name]:
            self._enter(node, edge, rows)

    def _enter(self, node: Node, edge: Edge, rows: Iterable[PortName]) -> None:
        ends = self._ends(node.name, edge.target.port)
        if edge.target.port not in rows:
            whole = self._whole(edge.source)
            self.edges += [replace(edge, source=whole, target=end) for end in ends]
        elif edge.source.node in self.copies:
            sources = self._ends(edge.source.node, edge.source.port)
            self.edges += [
                replace(edge, source=source, target=end) for source, end in zip(sources, ends, strict=True)
            ]
        else:
            splitter = self._deal(node, edge.target.port)
            self.edges.append(replace(edge, target=Endpoint(splitter, _ROWS)))

    def _deal(
        self, node: Node, port: PortName, literals: tuple[tuple[PortName, Payload], ...] = ()
    ) -> NodeName:
        """A step that deals rows out to the copies of `node`."""
        name = self._named(f"{node.name}_{port}_split")
        count = (_COUNT, Payload("json", str(self.parts).encode()))
        self.nodes.append(Node(name, SPLIT, (*literals, count), context=node.context, layers=node.layers))
        self.edges += [Edge(Endpoint(name, _PARTS), end) for end in self._ends(node.name, port)]
        return name

    def _whole(self, source: Endpoint) -> Endpoint:
        """Where an output is in one piece; makes the step that joins it when it is asked for first."""
        if source.node not in self.copies:
            return source
        if source not in self.joined:
            node = next(each for each in self.graph.nodes if each.name == source.node)
            name = self._named(f"{source.node}_{source.port}_join")
            self.nodes.append(Node(name, JOIN, context=node.context, layers=node.layers))
            end = Endpoint(name, _PARTS)
            self.edges += [Edge(each, end) for each in self._ends(source.node, source.port)]
            self.joined[source] = Endpoint(name, _ROWS)
        return self.joined[source]

    def _ends(self, name: NodeName, port: PortName) -> list[Endpoint]:
        return [Endpoint(copy, port) for copy in self.copies[name]]

    def _named(self, wanted: str) -> NodeName:
        name = node_name(wanted, self.names)
        self.names.add(name)
        return name

    def result(self) -> Graph:
        """The new graph, once all steps are taken over."""
        outlets = tuple(Outlet(each.name, self._whole(each.source)) for each in self.graph.outlets)
        return replace(
            self.graph,
            nodes=tuple(self.nodes),
            edges=tuple(self.edges),
            feeds=tuple(self.feeds),
            outlets=outlets,
        )
