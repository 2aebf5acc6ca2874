"""Batch splitting: a graph whose rows are dealt out in parts gives what it gave, computed on real values."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.decompose.batches import JOIN, PARTS_MAX, SPLIT
from swarm.decompose.optimizing import optimize
from swarm.errors import Mistake
from swarm.graph import Edge, Endpoint, Feed, Graph, Node, Outlet, Payload, Port, Signature, problems
from tests.conformance.af.test_built_in_agents import load

ROWS_AGENT, _ = load("rows")
JSON = {"kind": "json"}
CATALOGUE = {
    "t:double": Signature("t:double", (Port("x", **JSON),), (Port("y", **JSON),), rows=frozenset("xy")),
    "t:pair": Signature(
        "t:pair", (Port("x", **JSON), Port("z", **JSON)), (Port("y", **JSON),), rows=frozenset("xyz")
    ),
    "t:shift": Signature(  # every row by all of z
        "t:shift", (Port("x", **JSON), Port("z", **JSON)), (Port("y", **JSON),), rows=frozenset("xy")
    ),
    "t:turn": Signature("t:turn", (Port("x", **JSON),), (Port("y", **JSON),), deterministic=True),
    "t:mail": Signature(
        "t:mail", (Port("x", **JSON),), (Port("y", **JSON),), effects="once", rows=frozenset("xy")
    ),
    SPLIT: Signature(
        SPLIT, (Port("rows"), Port("parts_count", **JSON)), (Port("parts", many=True),), deterministic=True
    ),
    JOIN: Signature(JOIN, (Port("parts", many=True),), (Port("rows"),), deterministic=True),
}
STEPS = {
    "t:double": lambda x: [2 * row for row in x],
    "t:pair": lambda x, z: [10 * one + two for one, two in zip(x, z, strict=True)],
    "t:shift": lambda x, z: [row + sum(z) for row in x],
    "t:turn": lambda x: x[::-1],
    "t:mail": lambda x: x,
}


@st.composite
def graphs(draw):
    """Graphs without loops whose values are all lists of one length, from two inputs and constants."""
    length = draw(st.integers(0, 7))
    values = st.lists(st.integers(-9, 9), min_size=length, max_size=length)
    given_values = {"a": draw(values), "b": draw(values)}
    kinds = draw(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=7))
    nodes, edges, feeds = [], [], []
    for at, kind in enumerate(kinds):
        literals = []
        for port in CATALOGUE[kind].inputs:
            end, source = Endpoint(f"n{at}", port.name), draw(st.integers(-3, at - 1))
            if source >= 0:
                edges.append(Edge(Endpoint(f"n{source}", "y"), end))
            elif source == -1:
                literals.append((port.name, Payload("json", json.dumps(draw(values)).encode())))
            else:
                feeds.append(Feed("ab"[source + 3], end))
        nodes.append(Node(f"n{at}", kind, tuple(literals)))
    results = draw(st.sets(st.integers(0, len(kinds) - 1), min_size=1))
    outlets = [Outlet(f"r{at}", Endpoint(f"n{at}", "y")) for at in sorted(results)]
    return Graph("g", tuple(nodes), tuple(edges), tuple(feeds), tuple(outlets)), given_values


def computed(graph, given_values):
    """Every result, and how often each step with effects ran; `many` ports gather and deal out by edge."""
    nodes, known, mailed = {node.name: node for node in graph.nodes}, {}, []

    def value(end):
        found = known[end.node] if end.node in known else known.setdefault(end.node, run(nodes[end.node]))
        return found[end.port]

    def travelling(edge):
        signature = CATALOGUE[nodes[edge.source.node].capability]
        if not signature.output(edge.source.port).many:
            return value(edge.source)
        beside = [each for each in graph.edges if each.source == edge.source]
        parts = value(edge.source)
        assert len(parts) == len(beside)
        return parts[beside.index(edge)]

    def run(node):
        inputs = {port: json.loads(literal.data) for port, literal in node.literals}
        inputs |= {
            feed.target.port: given_values[feed.name] for feed in graph.feeds if feed.target.node == node.name
        }
        for port in CATALOGUE[node.capability].inputs:
            entering = [travelling(each) for each in graph.edges if each.target == (node.name, port.name)]
            if entering:
                inputs[port.name] = entering if port.many else entering[0]
        if node.capability in {SPLIT, JOIN}:
            return ROWS_AGENT.process_input(node.capability, inputs)
        mailed.extend([node.name] if node.capability == "t:mail" else [])
        return {"y": STEPS[node.capability](**inputs)}

    found = {outlet.name: value(outlet.source) for outlet in graph.outlets}
    for node in graph.nodes:
        if node.capability == "t:mail":
            value(Endpoint(node.name, "y"))
    return found, sorted(mailed)


@settings(max_examples=120)
@given(graphs(), st.integers(1, 5))
def test_a_graph_in_parts_gives_what_the_whole_one_gave(drawn, parts):
    graph, given_values = drawn
    better = optimize(graph, CATALOGUE, parts).graph
    assert problems(better, CATALOGUE) == problems(graph, CATALOGUE) == []
    assert computed(better, given_values) == computed(graph, given_values)


def line(*kinds):
    nodes = tuple(Node(f"n{at}", kind) for at, kind in enumerate(kinds))
    edges = tuple(Edge(Endpoint(f"n{at}", "y"), Endpoint(f"n{at + 1}", "x")) for at in range(len(kinds) - 1))
    last = Outlet("r", Endpoint(nodes[-1].name, "y"))
    return Graph("line", nodes, edges, (Feed("a", Endpoint("n0", "x")),), (last,))


def test_between_two_steps_in_parts_nothing_is_joined():
    better = optimize(line("t:double", "t:double"), CATALOGUE, 3).graph
    assert sorted(node.capability for node in better.nodes) == [JOIN, SPLIT, *["t:double"] * 6]


def test_without_a_wish_for_parts_everything_stays_whole():
    assert len(optimize(line("t:double", "t:double"), CATALOGUE).graph.nodes) == 2


def test_what_has_effects_stays_whole():
    assert optimize(line("t:mail"), CATALOGUE, 4).changes == ()


def test_without_the_agent_that_deals_out_it_is_told_what_to_deploy():
    bare = {name: each for name, each in CATALOGUE.items() if name not in {SPLIT, JOIN}}
    with pytest.raises(Mistake, match="nobody offers") as caught:
        optimize(line("t:double"), bare, 2)
    assert "rows.af" in caught.value.remedy
    assert optimize(line("t:turn"), bare, 2).changes == ()


@pytest.mark.parametrize("parts", [0, -1, PARTS_MAX + 1])
def test_the_number_of_parts_is_bounded(parts):
    with pytest.raises(Mistake, match="parts"):
        optimize(line("t:double"), CATALOGUE, parts)
