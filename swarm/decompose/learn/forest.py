"""Boosted trees as plain arrays: trained by scikit-learn, asked by numpy alone.

All rows walk down all trees at once, one level per step, so a few dozen rows through hundreds of
trees cost a few milliseconds and no library beyond numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ROUNDS: Final = 160
LEAVES: Final = 15
LEARNING_RATE: Final = 0.06
LEAF_ROWS_MIN: Final = 20
SHRINKAGE: Final = 3.0
CHANCE_MIN: Final = 1e-4  # of what was never, or always, seen


@dataclass(frozen=True, slots=True)
class Forest:
    """Nodes of all trees one after another; a leaf points to itself."""

    roots: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    baseline: float
    depth: int

    def probabilities(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """One probability per row of features."""
        if int(self.feature.max(initial=-1)) >= rows.shape[1]:
            raise IndexError(f"trees look at feature {self.feature.max()} of {rows.shape[1]}")
        flat = np.ascontiguousarray(rows).ravel()  # `take` from one line is far faster than a pair of indices
        first = (np.arange(len(rows)) * rows.shape[1])[:, None]
        at = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        for _ in range(self.depth):
            goes_left = flat.take(first + self.feature.take(at)) <= self.threshold.take(at)
            at = np.where(goes_left, self.left.take(at), self.right.take(at))
        raw = self.value[at].sum(1) + self.baseline
        found: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-raw))
        return found


def fit_forest(
    rows: NDArray[np.float64],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> Forest:
    """Trees that tell the rows labelled 1 from those labelled 0; none where all are labelled alike."""
    if len(set(labels.tolist())) < 2:
        return constant(float(labels.mean()) if len(labels) else 0.0)
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - of the extra `train`
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

    model = HistGradientBoostingClassifier(
        max_iter=ROUNDS,
        max_leaf_nodes=LEAVES,
        learning_rate=LEARNING_RATE,
        min_samples_leaf=LEAF_ROWS_MIN,
        l2_regularization=SHRINKAGE,
        early_stopping=False,
        max_features=0.5,
        random_state=seed,
    )
    # OpenMP's threads spin while they wait: where others share the processors, two are far slower than one.
    with threadpool_limits(limits=1, user_api="openmp"):
        return _flattened(model.fit(rows, labels, sample_weight=weights))


def mean_of(forests: Sequence[Forest]) -> Forest:
    """One forest whose log-odds are the mean of those of all."""
    starts = np.cumsum([0, *(len(each.value) for each in forests)]).astype(np.int32)

    def moved(name: str) -> NDArray[np.int32]:
        parts = [getattr(each, name) + at for each, at in zip(forests, starts[:-1], strict=True)]
        return np.concatenate(parts).astype(np.int32)

    return Forest(
        roots=moved("roots"),
        feature=np.concatenate([each.feature for each in forests]),
        threshold=np.concatenate([each.threshold for each in forests]),
        left=moved("left"),
        right=moved("right"),
        value=np.concatenate([each.value for each in forests]) / len(forests),
        baseline=float(np.mean([each.baseline for each in forests])),
        depth=max(each.depth for each in forests),
    )


def constant(chance: float) -> Forest:
    """No tree at all: every row has the same probability."""
    none, nothing = np.zeros(0, np.int32), np.zeros(0)
    held = min(max(chance, CHANCE_MIN), 1 - CHANCE_MIN)
    return Forest(none, none, nothing, none, none, nothing, float(np.log(held / (1 - held))), 0)


def _flattened(trained: Any) -> Forest:
    """The trees of a fitted scikit-learn model; a test holds both to the same answers."""
    trees = [stage[0].nodes for stage in trained._predictors]  # noqa: SLF001 - its only export is pickle
    starts = np.cumsum([0, *(len(tree) for tree in trees)]).astype(np.int32)
    leaf = np.concatenate([tree["is_leaf"].astype(bool) for tree in trees])
    own = np.arange(len(leaf), dtype=np.int32)

    def moved(key: str) -> NDArray[np.int32]:
        pointers = [tree[key].astype(np.int32) + at for tree, at in zip(trees, starts[:-1], strict=True)]
        return np.where(leaf, own, np.concatenate(pointers)).astype(np.int32)

    return Forest(
        roots=starts[:-1],
        feature=np.where(leaf, 0, np.concatenate([tree["feature_idx"] for tree in trees])).astype(np.int32),
        threshold=np.concatenate([tree["num_threshold"] for tree in trees]).astype(np.float64),
        left=moved("left"),
        right=moved("right"),
        value=np.where(leaf, np.concatenate([tree["value"] for tree in trees]), 0.0),
        baseline=float(np.ravel(trained._baseline_prediction)[0]),  # noqa: SLF001 - as above
        depth=int(max(tree["depth"].max() for tree in trees)),
    )
