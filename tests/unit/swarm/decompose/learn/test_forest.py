"""Trees as arrays say what the trees they were made of say."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.ensemble import HistGradientBoostingClassifier

from swarm.decompose.learn import forest


def test_the_arrays_answer_like_the_trained_model(monkeypatch):
    trained = []
    fit = HistGradientBoostingClassifier.fit
    monkeypatch.setattr(
        HistGradientBoostingClassifier,
        "fit",
        lambda self, *given, **named: trained.append(fit(self, *given, **named)) or trained[-1],
    )
    chance = np.random.default_rng(1)
    rows = chance.normal(size=(400, 5))
    labels = (rows[:, 0] * rows[:, 1] + chance.normal(size=400) / 4 > 0).astype(float)
    ours = forest.fit_forest(rows, labels).probabilities(rows)
    np.testing.assert_allclose(ours, trained[0].predict_proba(rows)[:, 1], atol=1e-9)
    assert np.mean((ours > 0.5) == labels) > 0.9


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_where_all_rows_are_alike_no_tree_is_needed(label):
    found = forest.fit_forest(np.ones((30, 2)), np.full(30, label)).probabilities(np.ones((3, 2)))
    assert found.shape == (3,)
    assert np.allclose(found, label, atol=1e-3)


def test_the_mean_of_forests_has_the_mean_of_their_log_odds():
    chance = np.random.default_rng(2)
    rows = chance.normal(size=(300, 4))
    labels = (rows[:, 0] > 0).astype(float)
    one, two = (forest.fit_forest(rows[part], labels[part]) for part in (slice(0, 200), slice(100, 300)))
    both = forest.mean_of([one, two, forest.constant(0.5)])
    expected = (log_odds(one.probabilities(rows)) + log_odds(two.probabilities(rows))) / 3
    np.testing.assert_allclose(log_odds(both.probabilities(rows)), expected, atol=1e-9)


def log_odds(chances):
    return np.log(chances / (1 - chances))


def test_rows_that_are_too_narrow_are_refused():
    rows = np.random.default_rng(3).normal(size=(60, 3))
    found = forest.fit_forest(rows, (rows[:, 2] > 0).astype(float))
    with pytest.raises(IndexError, match="feature 2 of 2"):
        found.probabilities(rows[:, :2])
