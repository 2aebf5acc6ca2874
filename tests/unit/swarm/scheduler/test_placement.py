from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.graph import Bond, Resources
from swarm.ids import Digest, NodeId, RunId, StepKey
from swarm.scheduler.placement import (
    NodeView,
    Ordered,
    able,
    affinities,
    choose,
    fits,
    large_enough,
    sane_load,
    score,
)

AGENT = Digest("a" * 64)


def view(name: str, slots: int = 4, busy: int = 0, load: float = 0.0, failures: float = 0.0) -> NodeView:
    keys = {StepKey(RunId("r"), i, 1, 1): Resources() for i in range(busy)}
    return NodeView(NodeId(name), slots, frozenset({AGENT}), frozenset({"wasm"}), load, False, failures, keys)


signals = st.floats(0, 1)


@given(st.integers(1, 100), st.integers(0, 99), signals, signals, signals)
def test_every_score_lies_between_nought_and_one(slots, busy, load, failures, affinity):
    assert 0.0 <= score(view("n", slots, min(busy, slots - 1), load, failures), affinity) <= 1.0 + 1e-9


def test_each_signal_decides_where_the_others_are_equal():
    worse = [view("a", busy=1), view("a", load=0.5), view("a", failures=0.5)]
    for other in worse:
        assert choose([other, view("b")], {}).node == "b"
    assert choose([view("a"), view("b")], {NodeId("b"): 1.0}).node == "b"


def test_equal_nodes_are_chosen_by_name_in_whatever_order_they_come():
    assert choose([view("b"), view("a"), view("c")], {}).node == "a"
    assert choose([view("c"), view("b"), view("a")], {}).node == "a"


def test_a_shared_source_draws_twice_as_strongly():
    one, two = NodeId("one"), NodeId("two")
    assert affinities([(one, Bond.SHARED), (two, Bond.STRICT)]) == {one: 0.5, two: 0.25}
    assert affinities([]) == {}


@given(st.lists(st.tuples(st.sampled_from(["x", "y"]), st.sampled_from(list(Bond)))))
def test_affinities_are_signals(sources):
    assert all(0.0 < weight <= 1.0 for weight in affinities(sources).values())


def test_a_node_is_able_with_the_agent_and_every_layer():
    assert able(view("n"), AGENT, frozenset())
    assert able(view("n"), AGENT, frozenset({"wasm"}))
    assert not able(view("n"), AGENT, frozenset({"wasm", "seccomp"}))
    assert not able(view("n"), Digest("b" * 64), frozenset())


def test_a_draining_node_has_no_room():
    node = view("n", slots=4, busy=1)
    assert node.free == 3
    node.draining = True
    assert node.free == 0


def test_health_forgets_failures_slowly():
    node = view("n")
    for _ in range(100):
        node.judge(failed=True)
    assert node.failures == pytest.approx(1.0, abs=1e-4)
    for _ in range(100):
        node.judge(failed=False)
    assert node.failures == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize(
    ("said", "taken"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0), (1.5, 1.0), (-0.1, 1.0), (float("nan"), 1.0)]
)
def test_a_load_that_makes_no_sense_counts_as_busy(said, taken):
    assert sane_load(said) == taken


def sized(memory_mb: int, cpu_cores: float) -> NodeView:
    node = view("n", slots=8)
    node.memory_mb, node.cpu_cores = memory_mb, cpu_cores
    return node


def attempt(step: int) -> StepKey:
    return StepKey(RunId("r"), step, 1, 1)


@pytest.mark.parametrize("needs", [Resources(memory_mb=600), Resources(cpu_cores=1.5)])
def test_what_a_step_asks_for_is_taken_and_given_back(needs):
    node = sized(1_000, 2.0)
    node.take(attempt(0), needs)
    assert not fits(node, needs)
    assert fits(node, Resources())
    assert large_enough(node, needs)
    node.give_back(attempt(0))
    node.give_back(attempt(0))
    assert fits(node, needs)


def test_fractions_of_a_processor_add_up_to_a_whole_one():
    node = sized(0, 1.0)
    for step in range(10):
        assert fits(sized(0, 1.0), Resources(cpu_cores=0.1))
        node.take(attempt(step), Resources(cpu_cores=0.1))
        if step < 7:
            assert fits(node, Resources(cpu_cores=0.1))
    for step in range(10):
        node.give_back(attempt(step))
    assert fits(node, Resources(cpu_cores=1.0))


def test_what_no_idle_node_has_is_too_much():
    assert not large_enough(sized(1_000, 2.0), Resources(memory_mb=1_001))
    assert not large_enough(sized(1_000, 2.0), Resources(cpu_cores=2.5))


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)), min_size=1, max_size=5),
    st.lists(st.dictionaries(st.sampled_from("abcdefg"), st.floats(0.1, 1.0), max_size=3), max_size=12),
    st.integers(0, 2),
)
def test_nodes_in_order_give_each_step_the_node_that_looking_at_all_of_them_gives(sizes, steps, memory_mb):
    needs = Resources(memory_mb)
    views = [view(name, slots) for name, (slots, _) in zip("abcdefg", sizes, strict=False)]
    for each, (_, gives) in zip(views, sizes, strict=True):
        each.memory_mb = gives
    fitting = [each for each in views if fits(each, needs)]
    ordered = Ordered(fitting, needs)
    for step, near in enumerate(steps):
        assert bool(ordered) == bool(fitting)
        if not fitting:
            return
        best = ordered.choose(near)
        assert best is choose(fitting, near)
        best.take(StepKey("r", step, 1, 1), needs)
        ordered.taken(best)
        fitting = [each for each in fitting if fits(each, needs)]
