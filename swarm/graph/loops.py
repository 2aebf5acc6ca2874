"""What follows from the shape of a graph alone: its loops, and which nodes can ever fire.

Nodes are positions and links are plain lists here, every walk is linear in nodes and edges, and
none recurses: a chain of 100,000 nodes is a graph like any other.

Two kinds of silence are told apart. In a *loop* without MERGE each member waits for the one
before it. A node is *never fed* when nothing that starts by itself leads to it, such as a MERGE
that only its own loop feeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from swarm.graph.model import Bond, Edge, Firing, Node, NodeName

Links: TypeAlias = list[list[int]]

_WAITED_FOR = frozenset({Bond.STRICT, Bond.SHARED})


class Shape:
    """A graph as positions: `after[i]` are the nodes that node i feeds.

    Edges from or to unknown nodes are left out, and so are self-edges of nodes that are no MERGE:
    both are mistakes of their own.
    """

    def __init__(
        self, nodes: Mapping[NodeName, Node], edges: Iterable[Edge], fed: Iterable[NodeName]
    ) -> None:
        position = {name: at for at, name in enumerate(nodes)}
        self.names = list(nodes)
        self.merges = [node.firing is Firing.MERGE for node in nodes.values()]
        self.after: Links = [[] for _ in nodes]
        self.awaited_after: Links = [[] for _ in nodes]  # where the target does not run on without it
        self.fed = [False] * len(nodes)
        for edge in edges:
            source, target = position.get(edge.source.node), position.get(edge.target.node)
            if source is None or target is None or (source == target and not self.merges[target]):
                continue
            self.after[source].append(target)
            if edge.bond in _WAITED_FOR or self.merges[target]:
                self.awaited_after[source].append(target)
        for name in fed:
            if name in position:
                self.fed[position[name]] = True


def loops(shape: Shape) -> list[list[int]]:
    """Every group of nodes that wait for each other in a circle, with no MERGE in it."""
    after = [
        [] if shape.merges[at] else [to for to in links if not shape.merges[to]]
        for at, links in enumerate(shape.after)
    ]
    return [sorted(group) for group in _strong_components(after) if len(group) > 1] if any(after) else []


def one_circle(shape: Shape, loop: list[int]) -> list[int]:
    """A way through `loop` that ends where it began, as an example to show."""
    inside = set(loop)
    seen: dict[int, int] = {}
    way: list[int] = []
    at = loop[0]
    while at not in seen:
        seen[at] = len(way)
        way.append(at)
        at = next(to for to in shape.after[at] if to in inside)
    return [*way[seen[at] :], at]


def never_fed(shape: Shape, loops_found: list[list[int]]) -> list[int]:
    """Nodes that can never fire, unless it is for a loop that was found already.

    ONCE and ZIP wait for every edge that is waited for, MERGE for any; a node with nothing to wait
    for starts by itself.
    """
    waits = [0] * len(shape.names)
    for links in shape.awaited_after:
        for to in links:
            waits[to] = 1 if shape.merges[to] else waits[to] + 1
    in_loop = {at for loop in loops_found for at in loop}
    fires = [
        count == 0 or (shape.merges[at] and shape.fed[at]) or at in in_loop for at, count in enumerate(waits)
    ]
    todo = [at for at, does in enumerate(fires) if does]
    while todo:
        for to in shape.awaited_after[todo.pop()]:
            waits[to] -= 1
            if waits[to] <= 0 and not fires[to]:
                fires[to] = True
                todo.append(to)
    return [at for at, does in enumerate(fires) if not does]


def _strong_components(after: Links) -> list[list[int]]:
    """Tarjan's algorithm with its own stack of (node, next link to look at)."""
    order = [-1] * len(after)
    low = [0] * len(after)
    open_ = [False] * len(after)
    waiting: list[int] = []
    found: list[list[int]] = []
    count = 0
    for root in range(len(after)):
        path = [(root, 0)] if order[root] < 0 else []
        while path:
            at, link = path.pop()
            if link == 0:
                order[at] = low[at] = count
                count += 1
                waiting.append(at)
                open_[at] = True
            if link > 0:
                low[at] = min(low[at], low[after[at][link - 1]])
            while link < len(after[at]):
                to = after[at][link]
                link += 1
                if order[to] < 0:
                    path += [(at, link), (to, 0)]
                    break
                if open_[to]:
                    low[at] = min(low[at], order[to])
            else:
                if low[at] == order[at]:
                    found.append(_cut(waiting, at, open_))
    return found


def _cut(waiting: list[int], root: int, open_: list[bool]) -> list[int]:
    component: list[int] = []
    while True:
        at = waiting.pop()
        open_[at] = False
        component.append(at)
        if at == root:
            return component
