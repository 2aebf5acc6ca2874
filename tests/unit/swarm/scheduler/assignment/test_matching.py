"""Assignments: the exact one is exact, the others are as near as they say."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.errors import Mistake
from swarm.scheduler.assignment import matching
from swarm.scheduler.assignment.matching import OWN_TASKS_MAX, auction, genetic, hungarian, total


@st.composite
def tables(draw):
    tasks = draw(st.integers(1, 4))
    agents = draw(st.integers(tasks, 5))
    entry = st.integers(0, 20).map(float) | st.just(np.inf)
    return np.array([[draw(entry) for _ in range(agents)] for _ in range(tasks)])


def best(costs):
    tasks, agents = costs.shape
    return min(total(costs, np.array(choice)) for choice in permutations(range(agents), tasks))


@given(tables())
@settings(max_examples=60)
def test_the_hungarian_choice_is_the_cheapest_of_all(costs):
    if best(costs) == np.inf:
        with pytest.raises(Mistake, match="forbidden"):
            hungarian(costs)
        return
    choice = hungarian(costs)
    assert len(set(choice.tolist())) == len(choice)
    assert total(costs, choice) == pytest.approx(best(costs))


@given(tables())
@settings(max_examples=60)
def test_the_auction_is_as_near_as_it_says(costs):
    if best(costs) == np.inf:
        with pytest.raises(Mistake, match="forbidden"):
            auction(costs)
        return
    choice = auction(costs)
    assert len(set(choice.tolist())) == len(choice)
    assert total(costs, choice) <= best(costs) + 0.1


@pytest.mark.parametrize("size", [(30, 30), (20, 40)])
def test_the_auction_is_within_a_hundredth_of_the_hungarian(size):
    costs = np.random.default_rng(5).random(size)
    assert total(costs, auction(costs)) <= 1.01 * total(costs, hungarian(costs))


def test_scipy_and_our_own_agree():
    pytest.importorskip("scipy")
    costs = np.random.default_rng(1).random((OWN_TASKS_MAX + 6, OWN_TASKS_MAX + 9))
    large = total(costs, hungarian(costs))
    assert matching._scipy() is not None
    assert large <= total(costs, auction(costs)) <= 1.01 * large
    small = np.random.default_rng(2).random((12, 15))
    assert total(small, hungarian(small)) == pytest.approx(total(small, matching._scipy()(small)[1]))
    costs[3] = np.inf
    with pytest.raises(Mistake, match="forbidden"):
        hungarian(costs)


def test_the_genetic_search_is_near_the_best_where_nothing_else_counts():
    costs = np.random.default_rng(5).random((40, 40))
    assert total(costs, genetic(costs)) <= 1.15 * total(costs, hungarian(costs))


def test_the_genetic_search_minds_costs_of_the_whole_choice():
    costs = np.array([[1.0, 2.0, 9.0], [1.0, 2.0, 9.0]])
    together = genetic(costs, extra=lambda choice: 100.0 if 0 in choice else 0.0)
    assert sorted(together.tolist()) == [1, 2]
    assert genetic(costs).tolist() in ([0, 1], [1, 0])


@pytest.mark.parametrize(
    "costs", [np.zeros((3, 2)), np.array([[np.nan]]), np.zeros(3), np.array([[-np.inf]])]
)
@pytest.mark.parametrize("way", [hungarian, auction, genetic])
def test_costs_that_make_no_sense_are_refused(way, costs):
    with pytest.raises(Mistake, match="costs of shape"):
        way(costs)
