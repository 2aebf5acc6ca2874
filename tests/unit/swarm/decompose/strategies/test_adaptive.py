"""Several engines, and who of them serves."""

import pytest

from swarm.decompose.records import Decomposition, SubTask
from swarm.decompose.select.selector import SHADOW_MIN, Phase
from swarm.decompose.strategies.adaptive import AdaptiveEngine
from swarm.errors import NotBuilt
from tests.unit.swarm.decompose.catalogues import CATALOGUE


def answer(engine, request, *names):
    steps = tuple(SubTask(name, name, 0.9) for name in names)
    return Decomposition(engine, request, steps, (), 0.9)


class Fixed:
    def __init__(self, name, *says, fails=False):
        self.name, self.capabilities, self._says, self._fails = name, CATALOGUE, says, fails

    def decompose(self, request):
        if self._fails:
            raise NotBuilt("no", place="here", remedy="none")
        return answer(self.name, request, *self._says)


def test_the_engine_whose_answers_are_agreed_to_comes_to_serve():
    engine = AdaptiveEngine([Fixed("rules", "a", "b"), Fixed("model", "a", "c")], seed=1)
    for at in range(5 * SHADOW_MIN):
        request = f"do thing {at}"
        engine.decompose(request)
        engine.learn(request, answer("person", request, "a", "c"))
    assert engine.decompose("do one more").engine == "model"
    engine.learn("never asked", answer("person", "x", "a"))  # nothing to learn from


def test_an_engine_that_fails_costs_nothing_but_its_turn():
    engine = AdaptiveEngine([Fixed("rules", "a"), Fixed("model", fails=True)])
    assert engine.decompose("do it").engine == "rules"
    engine.learn("do it", answer("person", "do it", "a"))
    assert engine.selector.lead == 0.0


def test_the_baselines_failure_is_told():
    with pytest.raises(NotBuilt):
        AdaptiveEngine([Fixed("rules", fails=True), Fixed("model", "a")]).decompose("do it")


def test_while_in_shadow_another_than_the_baseline_may_serve():
    engine = AdaptiveEngine([Fixed("rules", "a"), Fixed("model", "b")], meanwhile="model")
    assert engine.decompose("do it").engine == "model"
    engine.learn("do it", answer("person", "do it", "b"))
    assert engine.selector.lead == 0.0


def test_what_is_refused_again_and_again_does_not_come_to_serve():
    engine = AdaptiveEngine([Fixed("rules", "a"), Fixed("model", "b")], seed=1, meanwhile="model")
    for at in range(3 * SHADOW_MIN):
        engine.decompose(f"do thing {at}")
        engine.refuse(f"do thing {at}")
    assert engine.selector.phase is Phase.SHADOW
    engine.refuse("never asked")


def test_a_refused_departure_costs_the_most_there_is():
    engine = AdaptiveEngine([Fixed("rules", "a"), Fixed("model", "b")], seed=1)
    for at in range(5 * SHADOW_MIN):
        engine.decompose(f"do thing {at}")
        engine.learn(f"do thing {at}", answer("person", "x", "b"))
    lead = engine.selector.lead
    assert engine.decompose("do one more").engine == "model"
    engine.refuse("do one more")
    assert engine.selector.lead == lead - 1.0
