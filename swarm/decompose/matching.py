"""How well the words of a clause ask for a capability, by the capability's own description.

Every term of a capability's name and description weighs as much as it tells it from the others
of the catalogue (inverse document frequency), a name's more than a description's. A clause that
says "A from B" or "A to B" also says which kind of data goes in and which comes out; capabilities
that turn exactly that into that are lifted. No training, so it holds for capabilities never seen.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.lexicon import KIND_OF_WORD, STOPWORDS
from swarm.decompose.parse.language import Clause, Sentence, kinds_of, stem, terms_of, words_of
from swarm.decompose.records import Capability

Matrix = NDArray[np.float64]

NAME_WEIGHT: Final = 2.0
DESCRIPTION_WEIGHT: Final = 1.0
CONVERSION_LIFT: Final = 0.5
CONVERSION_FIT: Final = 0.15
WRONG_KIND_COST: Final = 0.15
KIND_TERM_WEIGHT: Final = 0.35  # kinds of data are named everywhere; they tell little
_TO: Final = frozenset({"to", "into", "as"})
_FROM: Final = frozenset(
    {"from", "of", "in", "on", "based", "using", "representing", "represents", "describing", "with"}
)
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Profile:
    """A capability as the matcher sees it."""

    capability: Capability
    weights: dict[str, float]  # of its terms
    norm: float
    named: frozenset[str]  # terms of its name
    takes: tuple[str, ...]
    gives: tuple[str, ...]


class Matcher:
    """Scores clauses against the capabilities of one catalogue."""

    def __init__(self, capabilities: Sequence[Capability]) -> None:
        self.capabilities = tuple(capabilities)
        terms = [(_name_terms(each), terms_of(words_of(each.description))) for each in capabilities]
        counts = Counter(term for name, described in terms for term in name | described)
        total = len(capabilities)
        self.rarity = {term: math.log(1.0 + total / count) for term, count in counts.items()}
        self.profiles = tuple(
            self._profile(each, *both) for each, both in zip(capabilities, terms, strict=True)
        )

    def _profile(self, capability: Capability, name: frozenset[str], described: frozenset[str]) -> Profile:
        weights = {
            term: self.rarity[term]
            * (NAME_WEIGHT if term in name else DESCRIPTION_WEIGHT)
            * (KIND_TERM_WEIGHT if _is_kind(term) else 1.0)
            for term in name | described
        }
        norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        takes = tuple(kind.lower() for kind in capability.inputs)
        gives = tuple(kind.lower() for kind in capability.outputs)
        return Profile(capability, weights, norm, name, takes, gives)

    def scores(self, sentence: Sentence) -> Matrix:
        """One row per clause, one column per capability; 0 is no sign of it, above 1 is plain."""
        return np.array([self._row(clause) for clause in sentence.clauses])

    def _row(self, clause: Clause) -> list[float]:
        terms = clause.terms
        length = math.sqrt(sum(self.rarity.get(term, 0.0) for term in terms)) or 1.0
        wanted = conversion_of(clause)
        return [self._score(profile, terms, length, wanted, clause.kinds) for profile in self.profiles]

    def _score(
        self,
        profile: Profile,
        terms: frozenset[str],
        length: float,
        wanted: tuple[str, str] | None,
        kinds: tuple[str, ...],
    ) -> float:
        weights = profile.weights
        told = [weights[term] for term in terms if term in weights]
        score = sum(told) / (profile.norm * math.sqrt(length))
        if not profile.takes:
            return score
        if wanted and wanted[0] != wanted[1]:
            if wanted[0] in profile.takes and wanted[1] in profile.gives:
                score += CONVERSION_LIFT
        elif kinds and kinds[-1] in (*profile.takes, *profile.gives):
            score += CONVERSION_FIT if told else 0.0
        if kinds and not set(kinds) & {*profile.takes, *profile.gives}:
            score -= WRONG_KIND_COST
        return score


def conversion_of(clause: Clause) -> tuple[str, str] | None:
    """(kind that goes in, kind that comes out) if the clause names both, else None."""
    at = [(index, kind) for index, word in enumerate(clause.words) for kind in kinds_of((word,))]
    for (first, left), (second, right) in pairwise(at):
        between = set(clause.words[first + 1 : second])
        if left == right:
            continue
        if between & _FROM:
            return (right, left)
        if between & _TO:
            return (left, right)
    return None


def _name_terms(capability: Capability) -> frozenset[str]:
    return terms_of(words_of(_CAMEL.sub(" ", capability.name).replace("_", " ").replace("-", " ")))


def _is_kind(term: str) -> bool:
    return term in _KIND_STEMS


_KIND_STEMS: Final = frozenset(stem(word) for word in KIND_OF_WORD if word not in STOPWORDS)
