"""BERT's forward pass over given weights, in numpy: no framework is loaded to understand a sentence.

Texts of a batch are laid end to end, so the large products need no padding; only attention is done text by
text. The answer of one text does not depend on its company.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from swarm.decompose.encoder.port import Floats
from swarm.decompose.encoder.wordpiece import tokenize

BATCH_TOKENS: Final = 2_048
EPSILON: Final = 1e-12


@dataclass(frozen=True, slots=True)
class BertEncoder:
    """A sentence encoder: BERT with mean pooling."""

    name: str
    vocabulary: Mapping[str, int]
    weights: Mapping[str, Floats]  # by the names of the original checkpoint
    layers: int
    heads: int

    @property
    def size(self) -> int:
        return int(self.weights["embeddings.word_embeddings.weight"].shape[1])

    def states(self, texts: Sequence[str]) -> list[Floats]:
        """One row per token, those that open and close the text included."""
        tokens = [tokenize(text, self.vocabulary) for text in texts]
        found: list[Floats] = []
        batch: list[list[int]] = []
        for each in tokens:
            if batch and sum(map(len, batch)) + len(each) > BATCH_TOKENS:
                found += self._forward(batch)
                batch = []
            batch.append(each)
        return found + (self._forward(batch) if batch else [])

    def vectors(self, texts: Sequence[str]) -> Floats:
        """The mean over the tokens of each text, of length 1."""
        if not texts:
            return np.zeros((0, self.size), np.float32)
        found = np.stack([states.mean(0) for states in self.states(texts)])
        unit: Floats = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), EPSILON)
        return unit

    def _forward(self, batch: Sequence[Sequence[int]]) -> list[Floats]:
        ends = np.cumsum([0, *map(len, batch)])
        places = np.concatenate([np.arange(len(each)) for each in batch])
        rows = self.weights["embeddings.word_embeddings.weight"][np.concatenate([np.array(b) for b in batch])]
        rows = rows + self.weights["embeddings.position_embeddings.weight"][places]
        rows = self._norm(
            rows + self.weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm"
        )
        for layer in range(self.layers):
            at = f"encoder.layer.{layer}"
            rows = self._norm(rows + self._attended(rows, ends, at), f"{at}.attention.output.LayerNorm")
            inner = _gelu(self._linear(rows, f"{at}.intermediate.dense"))
            rows = self._norm(rows + self._linear(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        return [rows[start:end] for start, end in pairwise(ends)]

    def _attended(self, rows: Floats, ends: np.ndarray, at: str) -> Floats:
        parts = [
            self._linear(rows, f"{at}.attention.self.{name}").reshape(len(rows), self.heads, -1)
            for name in ("query", "key", "value")
        ]
        scale = 1.0 / np.sqrt(parts[0].shape[2])
        found = np.empty_like(rows)
        for start, end in pairwise(ends):
            asks, keys, values = (part[start:end].transpose(1, 0, 2) for part in parts)
            scores = asks @ keys.transpose(0, 2, 1) * scale
            scores = np.exp(scores - scores.max(2, keepdims=True))
            scores /= scores.sum(2, keepdims=True)
            found[start:end] = (scores @ values).transpose(1, 0, 2).reshape(end - start, -1)
        return self._linear(found, f"{at}.attention.output.dense")

    def _linear(self, rows: Floats, name: str) -> Floats:
        found: Floats = rows @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
        return found

    def _norm(self, rows: Floats, name: str) -> Floats:
        centred = rows - rows.mean(1, keepdims=True)
        scale = np.sqrt((centred * centred).mean(1, keepdims=True) + EPSILON)
        found: Floats = centred / scale * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
        return found


def _gelu(values: Floats) -> Floats:
    """X * P(X <= x); the error function by Abramowitz and Stegun 7.1.26, right to 1.5e-7."""
    size = np.abs(values) * np.float32(np.sqrt(0.5))
    t = 1.0 / (1.0 + np.float32(0.3275911) * size)
    series = t * (
        np.float32(0.254829592)
        + t
        * (
            np.float32(-0.284496736)
            + t * (np.float32(1.421413741) + t * (np.float32(-1.453152027) + t * np.float32(1.061405429)))
        )
    )
    erf = np.sign(values) * (1.0 - series * np.exp(-size * size))
    found: Floats = 0.5 * values * (1.0 + erf)
    return found
