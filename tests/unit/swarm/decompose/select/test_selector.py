"""A selector learns who is better, and costs no more than it says whatever happens."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.decompose.select.network import fresh_network
from swarm.decompose.select.replay import Replay
from swarm.decompose.select.selector import MARGIN, SHADOW_MIN, Phase, StrategySelector
from swarm.errors import Mistake

NAMES = ("rules", "model", "other")


def context(kind):
    found = np.zeros(4)
    found[0], found[1 + kind] = 1.0, 1.0
    return found


def test_it_serves_the_baseline_until_it_has_proved_better_and_then_the_better_one():
    selector = StrategySelector(NAMES, 4, seed=1)
    served = []
    for _ in range(6 * SHADOW_MIN):
        choice = selector.choose(context(0))
        served.append(choice.strategy)
        selector.learn(choice, {"rules": 0.5, "model": 0.9, "other": 0.2})
    assert set(served[:SHADOW_MIN]) == {"rules"}
    assert selector.phase is Phase.LIVE
    assert served[-50:] == ["model"] * 50
    assert selector.lead > 0


def test_it_learns_which_request_wants_which_engine():
    selector = StrategySelector(NAMES, 4, seed=2)
    dice = np.random.default_rng(3)
    for _ in range(600):
        kind = int(dice.integers(0, 2))
        choice = selector.choose(context(kind))
        selector.learn(choice, {"rules": 0.5, "model": (0.9, 0.1)[kind], "other": (0.1, 0.8)[kind]})
    assert selector.choose(context(0)).strategy == "model"
    assert selector.choose(context(1)).strategy == "other"
    gate = selector.choose(context(0)).gate
    assert sum(gate) == pytest.approx(1.0)
    assert max(gate) == gate[1]


def test_it_stays_in_the_shadow_where_nothing_is_better():
    selector = StrategySelector(NAMES, 4)
    for _ in range(4 * SHADOW_MIN):
        choice = selector.choose(context(0))
        assert choice.strategy == "rules"
        selector.learn(choice, {"rules": 0.6, "model": 0.6, "other": 0.5})
    assert selector.phase is Phase.SHADOW


def test_it_goes_back_to_the_shadow_once_its_choices_are_worse():
    selector = StrategySelector(NAMES, 4, seed=1)
    for at in range(12 * SHADOW_MIN):
        choice = selector.choose(context(0))
        better = 0.9 if at < 5 * SHADOW_MIN else 0.1
        selector.learn(choice, {"rules": 0.5, "model": better, "other": better - 0.1})
    assert selector.rollbacks
    assert selector.phase is Phase.SHADOW
    assert selector.choose(context(0)).strategy == "rules"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["noise", "trap", "flip"]), st.integers(0, 8))
def test_whatever_the_rewards_it_never_costs_more_than_its_margin(seed, world, late):
    """Also against an opponent that is kind until trusted, and with outcomes that come late or never."""
    dice = np.random.default_rng(seed)
    selector = StrategySelector(NAMES, 4, seed=seed)
    waiting, lead = [], 0.0
    for at in range(1, 260):
        choice = selector.choose(context(int(dice.integers(0, 3))))
        if world == "noise":
            rewards = dict(zip(NAMES, dice.random(3), strict=True))
        elif world == "trap":
            rewards = {"rules": 0.5, "model": 1.0, "other": 0.9}
            if choice.strategy != "rules":
                rewards = {"rules": 1.0, "model": 0.0, "other": 0.0}
        else:
            rewards = {"rules": 0.5, "model": float(at % 120 < 80), "other": 0.4}
        lead += rewards[choice.strategy] - rewards["rules"]
        assert lead >= -MARGIN * at - 1e-9
        waiting.append((choice, rewards))
        if len(waiting) > late:
            told, known = waiting.pop(0)
            selector.forget(told) if late and dice.random() < 0.1 else selector.learn(told, known)


def test_an_outcome_without_the_baseline_is_refused_and_can_be_told_again():
    selector = StrategySelector(NAMES, 4)
    choice = selector.choose(context(0))
    with pytest.raises(Mistake):
        selector.learn(choice, {"model": 1.0})
    selector.learn(choice, {"rules": 1.0})
    selector.learn(choice, {"rules": 0.0})  # told twice: the first counts
    assert len(selector._replay) == 1


def test_memory_is_bounded_and_the_oldest_go_first():
    replay = Replay(2, 2, capacity=100)
    for at in range(250):
        replay.add(np.full(2, at), np.zeros(2), np.ones(2))
    assert len(replay) == 100
    drawn, _, _ = replay.draw(np.random.default_rng(0), 1000)
    assert drawn.min() >= 150
    assert len(drawn) == 100
    assert len(replay.draw(np.random.default_rng(0))[0]) == 32


def test_the_slopes_are_those_of_the_error():
    network = fresh_network(3, 2, seed=4)
    dice = np.random.default_rng(5)
    rows, rewards = dice.standard_normal((6, 3)), dice.random((6, 2))
    known = (dice.random((6, 2)) < 0.7).astype(float)
    _, slopes = network.slopes(rows, rewards, known)
    for name, array in network.parameters.items():
        at = np.unravel_index(int(dice.integers(0, array.size)), array.shape)
        ends = []
        for step in (1e-6, -1e-6):
            moved = network.copy()
            moved.parameters[name][at] += step
            ends.append(moved.slopes(rows, rewards, known)[0])
        assert slopes[name][at] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)
