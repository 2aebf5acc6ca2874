"""What a pretrained encoder adds to the evidence: nearness of meaning where no word is shared.

Three uses of the same vectors: ridge regression from the request's vector to capabilities, the same from
clauses, and plain likeness of clauses to descriptions, which also holds for capabilities no example uses.
Known requests near in meaning vote as those near in words do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.encoder.port import TextEncoder
from swarm.decompose.learn.neighbours import Near, Neighbours
from swarm.decompose.records import Capability

PENALTY: Final = 1.0
CLAUSE_PENALTY: Final = 2.0

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sensed:
    """What the encoder says of one request; `clauses` and `match` have one row per clause."""

    whole: Floats
    clauses: Floats
    match: Floats
    near: Near


@dataclass(frozen=True, slots=True)
class Sense:
    """The encoder, and what was learnt over its vectors."""

    encoder: TextEncoder
    described: Floats  # capability x size
    request: Floats  # size + 1 x capability; the last row is the bias
    clause: Floats
    known: NDArray[np.float16] | Floats  # request x size, in the order of the neighbours

    def sensed(self, text: str, clauses: Sequence[str], neighbours: Neighbours) -> Sensed:
        vectors = self.encoder.vectors([text, *clauses])
        first, rest = vectors[:1], vectors[1:]
        return Sensed(
            (first @ self.request[:-1] + self.request[-1])[0],
            rest @ self.clause[:-1] + self.clause[-1],
            rest @ self.described.T,
            neighbours.voted((self.known @ first[0].astype(self.known.dtype)).astype(np.float32)),
        )


def fit_sense(
    encoder: TextEncoder,
    capabilities: Sequence[Capability],
    texts: Sequence[str],
    targets: Floats,
    pieces: Sequence[str],
    marks: Floats,
    neighbours: int,
) -> Sense:
    """What the vectors of texts and pieces say of capabilities; the first `neighbours` texts are kept."""
    described = encoder.vectors(
        [f"{each.name.replace('_', ' ')}. {each.description}" for each in capabilities]
    )
    known = encoder.vectors(texts)
    return Sense(
        encoder,
        described,
        _ridge(known, targets, PENALTY),
        _ridge(encoder.vectors(pieces), marks, CLAUSE_PENALTY),
        known[:neighbours].astype(np.float16),
    )


def _ridge(rows: Floats, targets: Floats, penalty: float) -> Floats:
    """Weights and, below them, the bias of least squared error plus `penalty` times the squares."""
    mean, bias = rows.mean(0), targets.mean(0)
    centred = (rows - mean).astype(np.float64)
    square = centred.T @ centred + penalty * np.eye(rows.shape[1])
    weights = np.linalg.solve(square, centred.T @ (targets - bias))
    found: Floats = np.vstack([weights, bias - mean @ weights]).astype(np.float32)
    return found
