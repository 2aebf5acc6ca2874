"""Both ways to solve a ridge regression find the same weights, which are those of the normal equations."""

import numpy as np
import pytest

pytest.importorskip("scipy", reason="pip install 'neural-swarm[train]'")

from swarm.decompose.learn import ridge


@pytest.mark.parametrize("texts_max", [0, 10_000])
def test_the_weights_are_those_of_least_squares(monkeypatch, texts_max):
    monkeypatch.setattr(ridge, "TEXTS_MAX", texts_max)
    dice = np.random.default_rng(1)
    table = (dice.random((30, 50)) * (dice.random((30, 50)) < 0.2)).astype(np.float32)
    targets = (dice.random((30, 4)) < 0.3).astype(np.float32)
    vectors = [(np.flatnonzero(row).astype(np.int32), row[row > 0]) for row in table]
    found = ridge.fit_linear(vectors, targets, 50, 0.3)
    goal = targets - targets.mean(0)
    exact = np.linalg.solve(table.T @ table + 0.3 * np.eye(50), table.T @ goal)
    np.testing.assert_allclose(found.weights, exact, atol=2e-3)
    np.testing.assert_allclose(found.scores(vectors[3]), table[3] @ exact + targets.mean(0), atol=5e-3)
