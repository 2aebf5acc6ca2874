"""A text as a sparse vector: words, pairs of words and pieces of words, weighted by how rare they are.

Fitting keeps the most common features seen at least twice, up to a bound, so a trained model has a
known size. Encoding is a dictionary look-up per feature: microseconds, no matrix of the whole vocabulary.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.lexicon import STOPWORDS
from swarm.decompose.parse.language import stem, words_of

FEATURES_MAX: Final = 24_000
SEEN_MIN: Final = 2
PIECE_CHARS: Final = (3, 4, 5)
PIECE_WEIGHT: Final = 0.35
PAIR_WEIGHT: Final = 0.8

Vector = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Indices of features and their weights; of length 1 unless nothing is known of the text."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Known features, each with its index and rarity."""

    index: dict[str, int]
    rarity: NDArray[np.float32]

    def encode(self, text: str) -> Vector:
        """The text as a vector."""
        counts = Counter(_features(text))
        known = [(self.index[name], count, name) for name, count in counts.items() if name in self.index]
        indices = np.array([index for index, _, _ in known], np.int32)
        values = np.array([(1.0 + math.log(count)) * _weight(name) for _, count, name in known], np.float32)
        values *= self.rarity[indices]
        norm = float(np.sqrt(values @ values))
        return indices, values / norm if norm else values


def fit_vocabulary(texts: Iterable[str]) -> Vocabulary:
    """The features worth knowing of some texts."""
    seen: Counter[str] = Counter()
    total = 0
    for text in texts:
        seen.update(set(_features(text)))
        total += 1
    kept = sorted(
        (name for name, count in seen.items() if count >= SEEN_MIN),
        key=lambda name: (-seen[name] * _weight(name), name),
    )[:FEATURES_MAX]
    rarity = np.array([math.log((1 + total) / (1 + seen[name])) + 1.0 for name in kept], np.float32)
    return Vocabulary({name: index for index, name in enumerate(kept)}, rarity)


def _weight(name: str) -> float:
    return PIECE_WEIGHT if name[0] == "#" else PAIR_WEIGHT if name[0] == "&" else 1.0


def _features(text: str) -> list[str]:
    """Words as they are, pairs of stems (`&`), and pieces of words (`#`)."""
    words = words_of(text)
    found = [stem(word) for word in words]
    pairs = [f"&{left} {right}" for left, right in pairwise(found)]
    return found + pairs + [piece for word in words if word not in STOPWORDS for piece in _pieces(word)]


def _pieces(word: str) -> Sequence[str]:
    padded = f"<{word}>"
    return [f"#{padded[at : at + size]}" for size in PIECE_CHARS for at in range(len(padded) - size + 1)]
