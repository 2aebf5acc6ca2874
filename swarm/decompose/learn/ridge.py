"""Ridge regression of many targets at once: one sparse matrix of texts, one weight per feature and target.

There are far more features than texts, so it is solved over texts: one factorisation of the matrix of
their likenesses serves all targets. Beyond TEXTS_MAX that matrix would be too large, and conjugate
gradients find the same weights step by step. Asked by adding up the rows of the features that a text has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.learn.vectors import Vector

TEXTS_MAX: Final = 9_000  # whose likenesses are held at once: 324 MB
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


def fit_linear(vectors: Sequence[Vector], targets: Floats, features: int, penalty: float) -> Linear:
    """The weights of least squared error plus `penalty` times their squares."""
    rows = _stack(vectors, features)
    bias = targets.mean(0).astype(np.float32)
    solve = _over_texts if len(vectors) <= TEXTS_MAX else _step_by_step
    return Linear(solve(rows, targets - bias, penalty), bias)


def _over_texts(rows: Any, goal: Floats, penalty: float) -> Floats:
    from scipy.linalg import cho_factor, cho_solve  # type: ignore[import-untyped]  # noqa: PLC0415 - as below

    likeness = (rows @ rows.T).toarray().astype(np.float32)
    likeness[np.diag_indices_from(likeness)] += penalty
    factor = cho_factor(likeness, overwrite_a=True, check_finite=False)
    found: Floats = (rows.T @ cho_solve(factor, goal, check_finite=False)).astype(np.float32)
    return found


def _step_by_step(rows: Any, goal: Floats, penalty: float) -> Floats:
    guess = np.zeros((rows.shape[1], goal.shape[1]), np.float32)
    residual: Floats = rows.T.tocsr() @ goal
    direction = residual.copy()
    square = (residual * residual).sum(0)
    first = np.maximum(square, 1e-12)
    for _ in range(ROUNDS_MAX):
        image = rows.T @ (rows @ direction) + penalty * direction
        step = square / np.maximum((direction * image).sum(0), 1e-12)
        guess += step * direction
        residual -= step * image
        new = (residual * residual).sum(0)
        if bool((new <= first * RESIDUAL_MIN**2).all()):
            break
        direction = residual + (new / np.maximum(square, 1e-12)) * direction
        square = new
    return guess


def _stack(vectors: Sequence[Vector], features: int) -> Any:
    # Of the extra `train`, untyped; asking needs only numpy.
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]  # noqa: PLC0415

    ends = np.cumsum([0, *(len(indices) for indices, _ in vectors)])
    indices = np.concatenate([indices for indices, _ in vectors])
    values = np.concatenate([values for _, values in vectors])
    return csr_matrix((values, indices, ends), shape=(len(vectors), features))
