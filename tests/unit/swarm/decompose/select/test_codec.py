"""A selector goes on where another process stopped, and takes nothing that does not fit."""

import numpy as np
import pytest

from swarm.decompose.select.codec import encode_selector, recall_selector
from swarm.decompose.select.selector import SHADOW_MIN, Phase, StrategySelector
from swarm.errors import Mistake

NAMES = ("rules", "model")


def taught(outcomes):
    selector = StrategySelector(NAMES, 4, seed=3)
    chance = np.random.default_rng(5)
    for _ in range(outcomes):
        choice = selector.choose(chance.normal(size=4))
        selector.learn(choice, {"rules": 0.3, "model": 0.9})
    return selector


@pytest.mark.parametrize("outcomes", [0, 10, 3 * SHADOW_MIN])
def test_what_was_learnt_is_known_again(outcomes):
    before, after = taught(outcomes), StrategySelector(NAMES, 4, seed=9)
    recall_selector(after, encode_selector(before))
    assert (after.phase, after.decisions, after.lead) == (before.phase, before.decisions, before.lead)
    context = np.array([0.1, -1.0, 2.0, 0.5])
    assert after.choose(context) == before.choose(context)


def test_a_live_selector_stays_live_and_bounded():
    after = StrategySelector(NAMES, 4)
    recall_selector(after, encode_selector(taught(3 * SHADOW_MIN)))
    assert after.phase is Phase.LIVE
    assert after.lead > 0


def test_a_departure_nobody_judged_counts_as_the_worst():
    before = taught(3 * SHADOW_MIN)
    lead = before.lead
    assert before.choose(np.zeros(4)).strategy == "model"
    after = StrategySelector(NAMES, 4)
    recall_selector(after, encode_selector(before))
    assert after.lead == lead - 1.0


@pytest.mark.parametrize(
    "broken",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data.replace(b'"model"', b'"metal"'),
        lambda data: data.replace(b'"live"', b'"dead"'),
    ],
)
def test_what_is_no_selector_is_refused(broken):
    data = encode_selector(taught(3 * SHADOW_MIN))
    with pytest.raises(Mistake, match="no trained model"):
        recall_selector(StrategySelector(NAMES, 4), broken(data))


def test_a_selector_over_other_contexts_is_refused():
    with pytest.raises(Mistake):
        recall_selector(StrategySelector(NAMES, 5), encode_selector(taught(5)))
