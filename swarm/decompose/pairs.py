"""What is known of a (request, capability) pair without knowing either: rows for a scorer of any
catalogue.

Everything is about how the pair stands among the other pairs of the same request (ranks, margins,
shares), so a network trained on some catalogues has something to say about others. The scorer is passed
in: it is an agent like any other, run by the engines of agents.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.learn.features import clause_parts
from swarm.decompose.matching import Matcher
from swarm.decompose.parse.language import Clause, Sentence, kinds_of, terms_of, words_of

PAIR_FEATURES: Final = 21

Rows = NDArray[np.float64]


class PairScorer(Protocol):
    """How likely each pair is meant, 0..1, from its row of PAIR_FEATURES."""

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]: ...


def pair_rows(sentence: Sentence, match: Rows, matcher: Matcher) -> Rows:
    """One row per capability of the matcher; `match` is what the matcher says of the sentence's clauses."""
    words = words_of(sentence.text)
    whole = Clause(sentence.text, 0, words, terms_of(words), kinds_of(words))
    joint = matcher.scores(Sentence(sentence.text, (whole,), sentence.kinds))[0]
    order = np.sort(joint)[::-1]
    count = len(matcher.profiles)
    names = [profile.named & whole.terms for profile in matcher.profiles]
    rarity = matcher.rarity
    parts = [
        *clause_parts(match),
        joint,
        joint - order[0],
        (-joint).argsort(kind="stable").argsort() / max(count, 1),
        np.array([len(n) / max(len(p.named), 1) for n, p in zip(names, matcher.profiles, strict=True)]),
        np.array([max((rarity[term] for term in n), default=0.0) / 5 for n in names]),
        np.array(
            [
                sum(weight for term, weight in p.weights.items() if term in whole.terms)
                / max(sum(p.weights.values()), 1e-9)
                for p in matcher.profiles
            ]
        ),
        np.array([float(bool(p.takes)) for p in matcher.profiles]),
        np.array([_share(p.takes, sentence.kinds) for p in matcher.profiles]),
        np.array([_share(p.gives, sentence.kinds) for p in matcher.profiles]),
        np.array([float(bool(set(p.takes) & set(p.gives))) for p in matcher.profiles]),
        np.full(count, math.log1p(len(sentence.clauses))),
        np.full(count, math.log1p(len(words)) / 4),
        (match >= match.max(1, keepdims=True) - 0.1).sum(0) / len(match),
    ]
    table = np.stack(parts, 1)
    assert table.shape[1] == PAIR_FEATURES
    return table


def _share(kinds: tuple[str, ...], named: frozenset[str]) -> float:
    return sum(kind in named for kind in kinds) / len(kinds) if kinds else 0.0
