"""How capabilities went together in known answers: how often, with whom, before whom, into whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.records import Example

PAIR_PRIOR: Final = 3.0  # imaginary sightings of every pair, so that rare ones say little
UNUSUAL: Final = 100  # one answer in so many may break a rule

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Habits:
    """Counts turned into rates; `a x b` arrays read "a ... b"."""

    frequency: Array  # share of requests that use it
    affinity: Array  # log of how much more often than by chance a and b are used together
    feeds: Array  # of the answers with both, the share where a feeds b
    precedes: Array  # of the answers with both, the share where a is written before b
    together: Array  # answers with both
    nodes_min: int  # nearly every answer has so many
    chains: bool  # every answer is one chain in the order its nodes are written


def fit_habits(examples: Sequence[Example], index: dict[str, int]) -> Habits:
    """The habits of some answers."""
    count = len(index)
    alone = np.zeros(count, np.float32)
    together = np.zeros((count, count), np.float32)
    feeds = np.zeros((count, count), np.float32)
    precedes = np.zeros((count, count), np.float32)
    for example in examples:
        nodes = [index[name] for name in dict.fromkeys(example.nodes)]
        alone[nodes] += 1
        for left, right in combinations(nodes, 2):
            together[left, right] += 1
            together[right, left] += 1
            precedes[left, right] += 1
        for source, target in set(example.links):
            feeds[index[source], index[target]] += 1
    total = max(len(examples), 1)
    expected = np.outer(alone, alone) / total
    base = feeds.sum() / max(together.sum(), 1.0)
    chained = [len(example.links) == len(example.nodes) - 1 and _is_chain(example) for example in examples]
    return Habits(
        (alone / total).astype(np.float32),
        np.log((together + PAIR_PRIOR) / (expected + PAIR_PRIOR)).astype(np.float32),
        ((feeds + base * PAIR_PRIOR) / (together + PAIR_PRIOR)).astype(np.float32),
        ((precedes + 0.5 * PAIR_PRIOR) / (together + PAIR_PRIOR)).astype(np.float32),
        together,
        _usual_least([len(set(example.nodes)) for example in examples]),
        sum(chained) >= (1 - 1 / UNUSUAL) * total,
    )


def _usual_least(sizes: Sequence[int]) -> int:
    """What all but one answer in a hundred reach: a slip in the examples is no rule."""
    ordered = sorted(sizes)
    return ordered[len(ordered) // UNUSUAL] if ordered else 0


def _is_chain(example: Example) -> bool:
    return example.links == tuple(zip(example.nodes, example.nodes[1:], strict=False))
