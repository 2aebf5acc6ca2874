"""What a request and the engines' own opinions look like to the selector, as a few numbers in about 0..1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.parse.language import parse_sentence
from swarm.decompose.records import Capability, Decomposition

FACTS: Final = 6  # about the request alone
OPINIONS: Final = 4  # about each engine's answer

Context = NDArray[np.float64]


def context_size(strategies: Sequence[str]) -> int:
    return FACTS + OPINIONS * len(strategies)


def context_of(
    request: str,
    capabilities: Sequence[Capability],
    answers: Mapping[str, Decomposition],
    strategies: Sequence[str],
) -> Context:
    """The facts of a request, then of each strategy in order: sure, how many steps, unmapped, agreement."""
    sentence = parse_sentence(request)
    clauses = sentence.clauses
    words = sum(len(clause.words) for clause in clauses)
    facts = [
        1.0,
        math.log1p(len(clauses)) / 3,
        math.log1p(words) / 5,
        len(sentence.kinds) / 5,
        math.log1p(len(capabilities)) / 6,
        float(np.mean([bool(each.inputs) for each in capabilities])) if capabilities else 0.0,
    ]
    for name in strategies:
        answer = answers.get(name)
        if answer is None:
            facts += [0.0] * OPINIONS
            continue
        others = [each for key, each in answers.items() if key != name]
        facts += [
            answer.confidence,
            len(answer.subtasks) / max(len(clauses), 1),
            len(answer.unmapped) / max(len(clauses), 1),
            float(np.mean([_overlap(answer, each) for each in others])) if others else 1.0,
        ]
    return np.array(facts)


def _overlap(one: Decomposition, two: Decomposition) -> float:
    both = one.nodes | two.nodes
    return len(one.nodes & two.nodes) / len(both) if both else 1.0
