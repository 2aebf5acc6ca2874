"""A second opinion counts as far as it pays on requests nobody had seen."""

from types import SimpleNamespace

import numpy as np
import pytest

from swarm.decompose.learn.blending import (
    Unseen,
    blended,
    fit_second,
    join_models,
    split_models,
)
from swarm.decompose.learn.decode import Taste
from swarm.errors import Mistake

TASTE = Taste(0.4, 0.0, 0.0)
COUNT = 6
BASE = SimpleNamespace(
    habits=SimpleNamespace(affinity=np.zeros((COUNT, COUNT)), nodes_min=1),
    neighbours=SimpleNamespace(answers={}),
)


def unseen(seed=0, requests=200):
    """Requests about which the first model is right, but not sure."""
    chance = np.random.default_rng(seed)
    for at in range(requests):
        labels = (chance.random(COUNT) < 0.4).astype(float)
        odds = 1.5 * (2 * labels - 1) + 1.5 * chance.standard_normal(COUNT)
        yield Unseen(f"{at}", BASE, np.arange(COUNT), 1 / (1 + np.exp(-odds)), labels, int(labels.sum()))


def second_of(requests, noise):
    chance = np.random.default_rng(7)
    found = {
        each.text: 1 / (1 + np.exp(-(2 * each.labels - 1) - noise * chance.standard_normal(COUNT)))
        for each in requests
    }
    return found.__getitem__


def test_what_knows_something_else_is_listened_to():
    requests = list(unseen())
    second = fit_second(requests, second_of(requests, 0.3), TASTE)
    assert second is not None
    assert second.weight >= 0.3
    first = requests[0]
    mixed = second.mixed(first.text, first.columns, first.chances)
    assert np.abs(mixed - first.labels).sum() < np.abs(first.chances - first.labels).sum()


def test_what_knows_nothing_is_not_listened_to():
    requests = list(unseen())
    chance = np.random.default_rng(1)
    assert fit_second(requests, lambda text: chance.random(COUNT), TASTE) is None
    assert fit_second([], lambda text: np.full(COUNT, 0.5), TASTE) is None


def test_without_weight_nothing_changes_and_with_all_of_it_only_the_other_counts():
    first, other = np.array([0.2, 0.7]), np.array([0.9, 0.1])
    np.testing.assert_allclose(blended(first, other, 0.0), first)
    np.testing.assert_allclose(blended(first, other, 1.0), other)


def test_both_models_and_how_they_are_mixed_come_back_from_one_file():
    requests = list(unseen())
    ask = second_of(requests, 0.3)
    second = fit_second(requests, ask, TASTE)
    data = join_models(b"first", b"second", second, None)
    first, other, again = split_models(data)
    assert (first, other) == (b"first", b"second")
    assert again(ask) == second
    with pytest.raises(Mistake, match="no trained model"):
        split_models(data[:-1])
