"""From probabilities to a set of nodes and a set of edges.

Where every known answer was a chain, the best order of the chosen nodes is sought among all orders;
otherwise edges above a threshold are taken, strongest first, unless one would close a circle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, permutations
from typing import Final

ORDERED_MAX: Final = 6  # nodes whose orders are all tried; 720 of them
CHANCE_MIN: Final = 1e-4

Link = tuple[int, int]


def choose_nodes(chances: Sequence[float], least: float, count_min: int) -> list[int]:
    """Places of the chances at or above `least`, at least `count_min` of them, best first."""
    order = sorted(range(len(chances)), key=lambda at: -chances[at])
    return [at for place, at in enumerate(order) if chances[at] >= least or place < count_min]


def choose_links(chances: Mapping[Link, float], least: float) -> list[Link]:
    """Edges at or above `least` that close no circle, strongest first."""
    kept: list[Link] = []
    after: dict[int, set[int]] = {}
    for (source, target), chance in sorted(chances.items(), key=lambda item: (-item[1], item[0])):
        if chance < least:
            break
        if source not in _reached(after, target):
            kept.append((source, target))
            after.setdefault(source, set()).add(target)
    return kept


def _reached(after: Mapping[int, set[int]], start: int) -> set[int]:
    seen = {start}
    waiting = [start]
    while waiting:
        new = after.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return seen


def choose_chain(nodes: Sequence[int], chances: Mapping[Link, float]) -> list[int]:
    """The order of the nodes whose neighbouring edges are likeliest together."""
    if len(nodes) > ORDERED_MAX:
        return _greedy_chain(nodes, chances)
    return list(max(permutations(nodes), key=lambda order: _likelihood(pairwise(order), chances)))


def _likelihood(links: Iterable[Link], chances: Mapping[Link, float]) -> float:
    return sum(math.log(max(chances[link], CHANCE_MIN)) for link in links)


def _greedy_chain(nodes: Sequence[int], chances: Mapping[Link, float]) -> list[int]:
    order: list[int] = []
    for node in nodes:
        places = [[*order[:at], node, *order[at:]] for at in range(len(order) + 1)]
        order = max(places, key=lambda each: _likelihood(pairwise(each), chances))
    return order
