"""From probabilities to a set of nodes and a set of edges.

Nodes are chosen together: two that the examples never use together, because either does, should not
both be taken when both are fairly likely.

Where every known answer was a chain, the best order of the chosen nodes is sought among all orders;
otherwise edges above a threshold are taken, strongest first, unless one would close a circle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations, product
from typing import Final

import numpy as np
from numpy.typing import NDArray

ORDERED_MAX: Final = 6  # nodes whose orders are all tried; 720 of them
CHANCE_MIN: Final = 1e-4

WEIGHED_MAX: Final = 8  # nodes whose subsets are all weighed; 256 of them
SETS_COMPARED: Final = 24  # subsets that are looked up among known answers

Link = tuple[int, int]
Floats = NDArray[np.float64]
_SUBSETS: Final = [np.array(list(product((0.0, 1.0), repeat=count))) for count in range(WEIGHED_MAX + 1)]


@dataclass(frozen=True, slots=True)
class Taste:
    """How a set of nodes is chosen: above `least`, and how much company and custom count."""

    least: float  # a node's chance that speaks neither for nor against it
    company: float  # of two chosen nodes: how much more often than by chance they went together
    custom: float  # of a whole set: how often it was an answer


def choose_nodes(
    chances: Floats, affinity: Floats, seen: Callable[[frozenset[int]], float], taste: Taste, count_min: int
) -> list[int]:
    """Places of the chosen chances, best first; at least `count_min` of them.

    Those far above or below `least` are settled by it; among the few others every subset is weighed.
    """
    order = np.argsort(-chances, kind="stable")
    gains = _log_odds(chances) - float(_log_odds(np.array(taste.least)))
    unsure = [int(at) for at in order[:WEIGHED_MAX]]
    settled = [int(at) for at in order[WEIGHED_MAX:] if gains[at] >= 0]
    gain = gains[unsure] @ _SUBSETS[len(unsure)].T
    pair = affinity[np.ix_(unsure, unsure)].copy()
    np.fill_diagonal(pair, 0.0)
    subsets = _SUBSETS[len(unsure)]
    sizes = subsets.sum(1) + len(settled)
    company = ((subsets @ pair) * subsets).sum(1) / np.maximum(2 * sizes, 1)
    value = gain + taste.company * company
    value[sizes < min(count_min, len(order))] = -np.inf
    best = np.argsort(-value, kind="stable")[:SETS_COMPARED]
    if taste.custom:
        sets = [frozenset([*(unsure[at] for at in np.flatnonzero(subsets[row])), *settled]) for row in best]
        value[best] += taste.custom * np.array([seen(each) for each in sets])
    winner = subsets[int(best[value[best].argmax()])]
    chosen = [unsure[at] for at in np.flatnonzero(winner)] + settled
    return sorted(chosen, key=lambda at: (-chances[at], at))


def _log_odds(chances: Floats) -> Floats:
    held = np.clip(chances, CHANCE_MIN, 1 - CHANCE_MIN)
    found: Floats = np.log(held / (1 - held))
    return found


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
    """Up to a constant, how likely these links are there and all others are not."""
    held = [min(max(chances[link], CHANCE_MIN), 1 - CHANCE_MIN) for link in links]
    return sum(math.log(chance / (1 - chance)) for chance in held)


def _greedy_chain(nodes: Sequence[int], chances: Mapping[Link, float]) -> list[int]:
    order: list[int] = []
    for node in nodes:
        places = [[*order[:at], node, *order[at:]] for at in range(len(order) + 1)]
        order = max(places, key=lambda each: _likelihood(pairwise(each), chances))
    return order


def in_order(nodes: Sequence[int], links: Sequence[tuple[int, int]], places: Sequence[float]) -> list[int]:
    """Sources before targets; among those that could come next, the one asked for first."""
    waiting = {node: sum(target == node for _, target in links) for node in nodes}
    place = dict(zip(nodes, places, strict=True))
    order: list[int] = []
    while waiting:
        node = min((each for each in waiting if waiting[each] == 0), key=lambda each: (place[each], each))
        del waiting[node]
        order.append(node)
        for source, target in links:
            if source == node:
                waiting[target] -= 1
    return order
