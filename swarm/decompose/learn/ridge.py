"""Ridge regression of many targets at once: one sparse matrix of texts, one weight per feature and target.

Trained by conjugate gradients on all targets together; asked by adding up the rows of the features
that a text has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.learn.vectors import Vector

ROUNDS_MAX: Final = 60
RESIDUAL_MIN: Final = 1e-3  # of the first one; ranking needs no more

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Linear:
    """A trained map from a vector to one score per target."""

    weights: NDArray[np.float16] | Floats  # features x targets
    bias: Floats

    def scores(self, vector: Vector) -> Floats:
        indices, values = vector
        found: Floats = values @ self.weights[indices].astype(np.float32) + self.bias
        return found


def fit_linear(
    vectors: Sequence[Vector], targets: Floats, features: int, penalty: float, weights: Floats | None = None
) -> Linear:
    """The weights of least squared error plus `penalty` times their squares."""
    rows = _stack(vectors, features)
    importance = np.ones(len(vectors), np.float32) if weights is None else weights
    bias = np.average(targets, axis=0, weights=importance).astype(np.float32)
    goal = targets - bias
    scaled = rows.multiply(importance[:, None]).tocsr()
    turned = rows.T.tocsr()

    def applied(guess: Floats) -> Floats:
        found: Floats = scaled.T @ (rows @ guess) + penalty * guess
        return found

    guess = np.zeros((features, targets.shape[1]), np.float32)
    residual: Floats = turned @ (goal * importance[:, None])
    direction = residual.copy()
    square = (residual * residual).sum(0)
    first = np.maximum(square, 1e-12)
    for _ in range(ROUNDS_MAX):
        image = applied(direction)
        step = square / np.maximum((direction * image).sum(0), 1e-12)
        guess += step * direction
        residual -= step * image
        new = (residual * residual).sum(0)
        if bool((new <= first * RESIDUAL_MIN**2).all()):
            break
        direction = residual + (new / np.maximum(square, 1e-12)) * direction
        square = new
    return Linear(guess, bias)


def _stack(vectors: Sequence[Vector], features: int) -> Any:
    # Of the extra `train`, untyped; asking needs only numpy.
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]  # noqa: PLC0415

    ends = np.cumsum([0, *(len(indices) for indices, _ in vectors)])
    indices = np.concatenate([indices for indices, _ in vectors])
    values = np.concatenate([values for _, values in vectors])
    return csr_matrix((values, indices, ends), shape=(len(vectors), features))
