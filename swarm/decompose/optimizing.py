"""Optimizer: graphs that give the same results for less work.

Two passes always change the graph: steps that must give the same result because they are the same
deterministic capability on the same inputs become one, and steps whose result nobody can see are
dropped. Where parts are asked for, a third deals the rows of what works row by row out (`batches`). The last
only marks: chains of steps with one successor and one predecessor are named in an
annotation, which is no part of a graph's digest. What has effects is never merged, dropped or split.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from swarm.decompose.batches import split_rows
from swarm.graph import Bond, Catalogue, Edge, Endpoint, Firing, Graph, Node, NodeName

CHAINS: Final = "chains"  # the annotation: `a>b>c d>e`
NO_EFFECTS: Final = "none"


@dataclass(frozen=True, slots=True)
class Optimized:
    """The better graph, and what was done, in plain words."""

    graph: Graph
    changes: tuple[str, ...]


def optimize(graph: Graph, catalogue: Catalogue, parts: int = 1) -> Optimized:
    """All passes over a graph without loops; one with loops or other firing rules is given back as it is."""
    order = _order(graph)
    if order is None or any(node.firing is not Firing.ONCE for node in graph.nodes):
        return Optimized(graph, ())
    changes: list[str] = []
    merged = _merge(graph, catalogue, order, changes)
    kept = _drop(merged, catalogue, changes)
    remaining = {node.name for node in kept.nodes}
    dealt = split_rows(kept, catalogue, [name for name in order if name in remaining], parts, changes)
    return Optimized(_mark(dealt), tuple(changes))


def _order(graph: Graph) -> list[NodeName] | None:
    """Sources before targets; None if the graph has a loop."""
    waiting = Counter(edge.target.node for edge in graph.edges)
    after: dict[NodeName, list[NodeName]] = defaultdict(list)
    for edge in graph.edges:
        after[edge.source.node].append(edge.target.node)
    order = [node.name for node in graph.nodes if not waiting[node.name]]
    for name in order:  # grows as it goes
        for target in after[name]:
            waiting[target] -= 1
            if not waiting[target]:
                order.append(target)
    return order if len(order) == len(graph.nodes) else None


def _merge(graph: Graph, catalogue: Catalogue, order: Sequence[NodeName], changes: list[str]) -> Graph:
    nodes = {node.name: node for node in graph.nodes}
    entering: dict[NodeName, list[Edge]] = defaultdict(list)
    for edge in graph.edges:
        entering[edge.target.node].append(edge)
    feeds: dict[NodeName, list[tuple[str, str]]] = defaultdict(list)
    for feed in graph.feeds:
        feeds[feed.target.node].append((feed.target.port, feed.name))
    scattering = _scattering(graph, catalogue)
    same: dict[NodeName, NodeName] = {}
    first: dict[Hashable, NodeName] = {}
    targets: dict[NodeName, set[Endpoint]] = defaultdict(set)  # no port takes the same output twice
    for edge in graph.edges:
        targets[edge.source.node].add(edge.target)
    for name in order:
        node = nodes[name]
        key = _key(node, entering[name], feeds[name], same)
        twin = first.get(key)
        if (
            twin
            and _is_pure(node, catalogue)
            and name not in scattering
            and not targets[twin] & targets[name]
        ):
            same[name] = twin
            targets[twin] |= targets[name]
            changes.append(f"{name} is the same as {twin}: done once")
        else:
            first.setdefault(key, name)
    if not same:
        return graph

    def moved(end: Endpoint) -> Endpoint:
        return Endpoint(same.get(end.node, end.node), end.port)

    return replace(
        graph,
        nodes=tuple(node for node in graph.nodes if node.name not in same),
        edges=tuple(
            replace(edge, source=moved(edge.source)) for edge in graph.edges if edge.target.node not in same
        ),
        feeds=tuple(feed for feed in graph.feeds if feed.target.node not in same),
        outlets=tuple(replace(outlet, source=moved(outlet.source)) for outlet in graph.outlets),
    )


def _key(
    node: Node, edges: Sequence[Edge], feeds: Sequence[tuple[str, str]], same: dict[NodeName, NodeName]
) -> Hashable:
    """What the result of a step depends on, its own name aside; on a `many` port the order counts."""
    entering = [
        (edge.target.port, same.get(edge.source.node, edge.source.node), edge.source.port, edge.bond)
        for edge in edges
    ]
    by_port = tuple(sorted(entering, key=lambda entry: entry[0]))  # a stable sort: within a port as written
    return replace(node, name=NodeName("")), by_port, tuple(sorted(feeds))


def _scattering(graph: Graph, catalogue: Catalogue) -> set[NodeName]:
    """Steps that deal a list out over their edges, where one edge more or less would change every share,
    and the steps they deal it to, each of which gets another item.
    """
    nodes = {node.name: node for node in graph.nodes}
    found: set[NodeName] = set()
    for edge in graph.edges:
        signature = catalogue.get(nodes[edge.source.node].capability)
        port = signature.output(edge.source.port) if signature else None
        if port is None or port.many:
            found |= {edge.source.node, edge.target.node}
    return found


def _is_pure(node: Node, catalogue: Catalogue) -> bool:
    signature = catalogue.get(node.capability)
    return signature is not None and signature.deterministic and signature.effects == NO_EFFECTS


def _drop(graph: Graph, catalogue: Catalogue, changes: list[str]) -> Graph:
    """Without the steps that lead to no outlet and to nothing with effects."""
    if not graph.outlets:
        return graph
    needs: dict[NodeName, list[NodeName]] = defaultdict(list)
    scattering = _scattering(graph, catalogue)
    for edge in graph.edges:
        needs[edge.target.node].append(edge.source.node)
        if edge.source.node in scattering:
            needs[edge.source.node].append(edge.target.node)
    waiting = [outlet.source.node for outlet in graph.outlets]
    for node in graph.nodes:
        signature = catalogue.get(node.capability)
        if signature is None or signature.effects != NO_EFFECTS:
            waiting.append(node.name)
    seen: set[NodeName] = set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += needs[name]
    changes += [f"{node.name} leads to no result: left out" for node in graph.nodes if node.name not in seen]
    return replace(
        graph,
        nodes=tuple(node for node in graph.nodes if node.name in seen),
        edges=tuple(edge for edge in graph.edges if edge.target.node in seen),
        feeds=tuple(feed for feed in graph.feeds if feed.target.node in seen),
    )


def _mark(graph: Graph) -> Graph:
    """Names the chains that one node can run from end to end without asking anybody."""
    leaving = Counter(source for source, _ in {(e.source.node, e.target.node) for e in graph.edges})
    entering = Counter(target for _, target in {(e.source.node, e.target.node) for e in graph.edges})
    follows: dict[NodeName, NodeName] = {}
    for edge in graph.edges:
        source, target = edge.source.node, edge.target.node
        if leaving[source] == 1 and entering[target] == 1 and edge.bond in (Bond.STRICT, Bond.SHARED):
            follows[source] = target
    starts = [name for name in follows if name not in follows.values()]
    chains = []
    for start in starts:
        chain = [start]
        while chain[-1] in follows:
            chain.append(follows[chain[-1]])
        chains.append(">".join(chain))
    if not chains:
        return graph
    return replace(graph, annotations={**graph.annotations, CHAINS: " ".join(chains)})
