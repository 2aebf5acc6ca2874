"""The metric: pooled counts, sets, and what an empty answer costs."""

import pytest

from swarm.decompose.metric import quality
from swarm.decompose.records import Decomposition, Dependency, Example, SubTask


def answer(*nodes, links=()):
    steps = tuple(SubTask(node, "", 1.0) for node in nodes)
    return Decomposition("test", "", steps, tuple(Dependency(*link, 1.0) for link in links), 1.0)


def test_equal_graphs_score_one():
    wanted = Example("", ("a", "b"), (("a", "b"),))
    found = quality([(answer("b", "a", links=[("a", "b")]), wanted)])
    assert (found.node_f1, found.edge_f1, found.exact) == (1.0, 1.0, 1.0)


def test_counts_are_pooled_before_the_ratio_is_taken():
    small, large = Example("", ("a",), ()), Example("", ("a", "b", "c"), ())
    found = quality([(answer("a"), small), (answer("x"), large)])
    assert found.node_f1 == pytest.approx(2 * 1 / (2 + 4))
    assert found.exact == 0.5


def test_an_empty_answer_counts_as_all_missed():
    found = quality([(answer(), Example("", ("a", "b"), (("a", "b"),)))])
    assert (found.node_f1, found.edge_f1, found.exact) == (0.0, 0.0, 0.0)


def test_an_invented_edge_costs_precision():
    wanted = Example("", ("a", "b"), (("a", "b"),))
    found = quality([(answer("a", "b", links=[("a", "b"), ("b", "a")]), wanted)])
    assert found.edge_f1 == pytest.approx(2 / 3)
    assert found.exact == 0.0
