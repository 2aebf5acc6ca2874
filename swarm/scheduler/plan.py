"""A graph as the run wants it: names turned into positions, edges sorted by where they lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from swarm.graph import Bond, Graph

HARD = frozenset({Bond.STRICT, Bond.SHARED})
"""Bonds that hold a step back until the step they come from has ended."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A graph with names turned into positions; made once for each run."""

    incoming: tuple[
        tuple[tuple[int, str, str, Bond, int], ...], ...
    ]  # (source, its port, our port, bond, slot)
    outgoing: tuple[tuple[tuple[int, Bond], ...], ...]
    scatter: tuple[tuple[tuple[str, int], ...], ...]
    feeds: tuple[tuple[tuple[str, str], ...], ...]  # (our port, feed name)
    watches: tuple[bool, ...]  # every edge in is an observe edge
    hard: tuple[int, ...]  # how many edges hold each step back until they end
    soft: tuple[int, ...]  # how many may hold it back a while
    alike: tuple[int, ...]  # the first step that asks the same of a node, for each step
    observer: tuple[bool, ...]
    outlets: Mapping[int, tuple[tuple[str, str], ...]]  # by step: (outlet, its port)
    followers: Mapping[int, int]  # the one step that a step feeds, where that is fed by nothing else
    branches: bool  # there are edges, and steps that may compete with each other for a node


def plan(graph: Graph) -> Plan:
    """The plan of a graph; worked out once for one object."""
    found: Plan | None = graph.derived.get("plan")
    if found is None:
        found = graph.derived["plan"] = _plan(graph)
    return found


def _plan(graph: Graph) -> Plan:
    position = {node.name: i for i, node in enumerate(graph.nodes)}
    size = len(graph.nodes)
    incoming: list[list[tuple[int, str, str, Bond, int]]] = [[] for _ in range(size)]
    outgoing: list[list[tuple[int, Bond]]] = [[] for _ in range(size)]
    leaving: list[dict[str, int]] = [{} for _ in range(size)]
    feeds: list[list[tuple[str, str]]] = [[] for _ in range(size)]
    for edge in graph.edges:
        source, target = position[edge.source.node], position[edge.target.node]
        slot = leaving[source].get(edge.source.port, 0)
        leaving[source][edge.source.port] = slot + 1
        incoming[target].append((source, edge.source.port, edge.target.port, edge.bond, slot))
        outgoing[source].append((target, edge.bond))
    for feed in graph.feeds:
        feeds[position[feed.target.node]].append((feed.target.port, feed.name))
    outlets: dict[int, list[tuple[str, str]]] = {}
    for outlet in graph.outlets:
        outlets.setdefault(position[outlet.source.node], []).append((outlet.name, outlet.source.port))
    watches = tuple(
        all(bond is Bond.OBSERVE for _, _, _, bond, _ in edges) if edges else False for edges in incoming
    )
    return Plan(
        incoming=tuple(map(tuple, incoming)),
        outgoing=tuple(map(tuple, outgoing)),
        scatter=tuple(tuple(ports.items()) for ports in leaving),
        feeds=tuple(map(tuple, feeds)),
        watches=watches,
        hard=tuple(
            len(edges) if watching else sum(bond in HARD for _, _, _, bond, _ in edges)
            for edges, watching in zip(incoming, watches, strict=True)
        ),
        soft=tuple(sum(bond is Bond.LOOSE for _, _, _, bond, _ in edges) for edges in incoming),
        alike=_alike(graph),
        observer=_observers(incoming, outgoing),
        outlets={step: tuple(named) for step, named in outlets.items()},
        followers=_followers(incoming, outgoing),
        branches=bool(graph.edges) and (max(map(len, outgoing)) > 1 or incoming.count([]) > 1),
    )


def _alike(graph: Graph) -> tuple[int, ...]:
    first: dict[tuple[object, ...], int] = {}
    return tuple(
        first.setdefault((node.capability, node.layers, node.resources, node.context), step)
        for step, node in enumerate(graph.nodes)
    )


def _followers(
    incoming: list[list[tuple[int, str, str, Bond, int]]], outgoing: list[list[tuple[int, Bond]]]
) -> dict[int, int]:
    """Pairs that are a line: one target, one source, every edge between them strict."""
    found: dict[int, int] = {}
    for step, edges in enumerate(outgoing):
        if not edges or any(target != edges[0][0] or bond is not Bond.STRICT for target, bond in edges):
            continue
        target = edges[0][0]
        if len(incoming[target]) == len(edges):
            found[step] = target
    return found


def _observers(
    incoming: list[list[tuple[int, str, str, Bond, int]]], outgoing: list[list[tuple[int, Bond]]]
) -> tuple[bool, ...]:
    """Steps that only watch: fed by observe edges or other observers, and no other step needs them."""
    if not any(bond is Bond.OBSERVE for edges in outgoing for _, bond in edges):
        return (False,) * len(incoming)
    weighty = [sum(bond is not Bond.OBSERVE for _, _, _, bond, _ in edges) for edges in incoming]
    observer = [False] * len(incoming)
    todo = [step for step, edges in enumerate(incoming) if edges and weighty[step] == 0]
    while todo:
        step = todo.pop()
        observer[step] = True
        for target, bond in outgoing[step]:
            if bond is not Bond.OBSERVE:
                weighty[target] -= 1
                if weighty[target] == 0:
                    todo.append(target)
    # What another step needs is no observer; nor is, then, what it needs itself, nor what it feeds.
    others = [step for step, watching in enumerate(observer) if not watching]
    while others:
        step = others.pop()
        needed = [source for source, _, _, bond, _ in incoming[step] if bond in HARD]
        fed = [target for target, bond in outgoing[step] if bond is not Bond.OBSERVE]
        for other in needed + fed:
            if observer[other]:
                observer[other] = False
                others.append(other)
    return tuple(observer)
