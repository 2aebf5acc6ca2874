"""Data flows along an edge only to a context that dominates its own, or through an agent that may switch."""

import dataclasses

import pytest

from swarm import limits
from swarm.graph import PLAIN, Context, Transition, decode, digest, encode, problems
from tests.unit.swarm.graph.building import CATALOGUE, edge, graph, node

SECRET = Context(2, "lab", "acme", frozenset({"phi"}))


def two(source=PLAIN, target=PLAIN):
    first, second = node("a"), node("b")
    return graph(
        [dataclasses.replace(first, context=source), dataclasses.replace(second, context=target)],
        [edge("a.out -> b.in")],
        feeds=[("x", "a.in")],
    )


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Context(1), Context(0)),
        (Context(domain="lab"), Context()),
        (Context(domain="lab"), Context(domain="shop")),
        (Context(tenant="acme"), Context(9, tenant="zeta")),
        (Context(permissions=frozenset({"phi"})), Context(9)),
    ],
)
def test_what_flows_to_a_context_that_does_not_dominate_is_refused(source, target):
    [problem] = problems(two(source, target), CATALOGUE)
    assert problem.code == "forbidden_flow"
    assert problem.place == "edge a.out -> b.in"
    assert str(source) in problem.message
    assert "dominate" in problem.remedy
    assert problems(two(target=source), CATALOGUE) == []


def switching(*switches):
    capability = node("a").capability
    return {**CATALOGUE, capability: dataclasses.replace(CATALOGUE[capability], switches=switches)}


def test_an_agent_that_may_switch_contexts_lets_data_out_as_far_as_it_may():
    public = Context(0)
    assert problems(two(SECRET, public), switching(Transition(SECRET, public))) == []
    assert problems(two(Context(1), public), switching(Transition(SECRET, public))) == []
    too_secret = Context(3, "lab", "acme", frozenset({"phi"}))
    assert len(problems(two(too_secret, public), switching(Transition(SECRET, public)))) == 1
    assert len(problems(two(SECRET, public), switching(Transition(SECRET, Context(1))))) == 1


def test_without_a_catalogue_nothing_is_said_of_flows():
    assert problems(two(SECRET), None) == []


def test_a_context_is_made_of_names():
    bad = Context(0, "a b", "c\n", frozenset({"", "ok"}))
    found = problems(two(target=bad), None)
    assert [problem.code for problem in found] == ["bad_name"] * 3
    crowd = Context(permissions=frozenset(f"p{at}" for at in range(limits.CONTEXT_PERMISSIONS_MAX + 1)))
    assert [problem.code for problem in problems(two(target=crowd), None)] == ["out_of_bounds"]
    high = Context(limits.CONTEXT_LEVEL_MAX + 1)
    assert [problem.code for problem in problems(two(target=high), None)] == ["out_of_bounds"]


def test_permissions_survive_the_encoding_and_change_the_name_of_a_graph():
    marked, plain = two(target=SECRET), two()
    assert decode(encode(marked)) == marked
    assert digest(marked) != digest(plain)
    assert b"context" not in encode(plain)
    assert b'"permissions":["phi"]' in encode(marked)
