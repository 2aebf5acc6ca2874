"""How right a set of decompositions is: pooled F1 of nodes and of edges, and whole graphs.

Per request the SET of capability names and the SET of (source, target) pairs are compared; hits,
misses and inventions are pooled over all requests before the ratio is taken. A request that
yields nothing counts as all missed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from swarm.decompose.records import Decomposition, Example


@dataclass(frozen=True, slots=True)
class Quality:
    """Three ratios in 0..1."""

    node_f1: float
    edge_f1: float
    exact: float


@dataclass(slots=True)
class _Pool:
    hits: int = 0
    given: int = 0
    wanted: int = 0

    def add(self, given: Collection[object], wanted: Collection[object]) -> None:
        given_set, wanted_set = set(given), set(wanted)
        self.hits += len(given_set & wanted_set)
        self.given += len(given_set)
        self.wanted += len(wanted_set)

    @property
    def f1(self) -> float:
        total = self.given + self.wanted
        return 2 * self.hits / total if total else 1.0


def quality(pairs: Iterable[tuple[Decomposition, Example]]) -> Quality:
    """How the given decompositions compare with the known answers."""
    nodes, edges = _Pool(), _Pool()
    count = exact = 0
    for given, wanted in pairs:
        nodes.add(given.nodes, wanted.nodes)
        edges.add(given.links, wanted.links)
        exact += given.nodes == set(wanted.nodes) and given.links == set(wanted.links)
        count += 1
    return Quality(nodes.f1, edges.f1, exact / count if count else 1.0)


def likeness(one: Decomposition, two: Decomposition) -> float:
    """How like two decompositions are, in 0..1: the mean of the F1 of their nodes and of their edges."""
    nodes, edges = _Pool(), _Pool()
    nodes.add(one.nodes, two.nodes)
    edges.add(one.links, two.links)
    return (nodes.f1 + edges.f1) / 2
