"""The checks agree with the slow and obvious way to say the same thing."""

import dataclasses
import itertools

from hypothesis import given
from hypothesis import strategies as st

from swarm.graph import Bond, Edge, Endpoint, Feed, Firing, Graph, Node, Port, Signature, problems
from tests.property.graphs import sound_graphs, wild_graphs

SIGNATURE = Signature("a:b", (Port("in", many=True, optional=True),), (Port("out"),))
WAITED_FOR = {Bond.STRICT, Bond.SHARED}


@st.composite
def tangles(draw):
    """Any links between a few nodes, loops and all."""
    count = draw(st.integers(1, 7))
    nodes = [Node(f"n{at}", "a:b", firing=draw(st.sampled_from(Firing))) for at in range(count)]
    pairs = draw(st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=14))
    edges = [
        Edge(Endpoint(f"n{source}", "out"), Endpoint(f"n{target}", "in"), draw(st.sampled_from(Bond)))
        for source, target in sorted(pairs)
        if source != target
    ]
    fed = draw(st.sets(st.integers(0, count - 1), max_size=2))
    return Graph(
        "g", tuple(nodes), tuple(edges), tuple(Feed(f"f{at}", Endpoint(f"n{at}", "in")) for at in sorted(fed))
    )


def reachable(links):
    """Pairs (a, b) with a way from a to b, by repeated squaring of the obvious."""
    found = set(links)
    while more := {(a, d) for (a, b), (c, d) in itertools.product(found, found) if b == c} - found:
        found |= more
    return found


def nodes_in_bad_loops(graph):
    merges = {node.name for node in graph.nodes if node.firing is Firing.MERGE}
    links = {(edge.source.node, edge.target.node) for edge in graph.edges}
    ways = reachable({link for link in links if not merges & set(link)})
    return {a for a, b in ways if a == b}, ways


def nodes_that_fire(graph, assumed):
    fires = set(assumed)
    while True:
        more = set()
        for node in graph.nodes:
            into = [edge for edge in graph.edges if edge.target.node == node.name]
            if node.firing is Firing.MERGE:
                fed = any(feed.target.node == node.name for feed in graph.feeds)
                can = fed or not into or any(edge.source.node in fires for edge in into)
            else:
                can = all(edge.source.node in fires for edge in into if edge.bond in WAITED_FOR)
            if can:
                more.add(node.name)
        if more <= fires:
            return fires
        fires |= more


@given(tangles())
def test_loops_and_dead_ends_are_found_exactly(graph):
    found = problems(graph, {"a:b": SIGNATURE})
    looping, ways = nodes_in_bad_loops(graph)
    groups = {frozenset({a} | {b for b in looping if (a, b) in ways and (b, a) in ways}) for a in looping}
    assert len([told for told in found if told.code == "cycle"]) == len(groups)
    silent = {node.name for node in graph.nodes} - nodes_that_fire(graph, looping)
    assert {told.place for told in found if told.code == "unreachable"} == {f"node {name}" for name in silent}


@given(tangles())
def test_the_loop_that_is_shown_is_one(graph):
    links = {(edge.source.node, edge.target.node) for edge in graph.edges}
    for told in problems(graph, None):
        if told.code == "cycle":
            circle = told.message.partition(": ")[2].split(" -> ")
            assert circle[0] == circle[-1]
            assert set(itertools.pairwise(circle)) <= links


@given(wild_graphs)
def test_nothing_a_stranger_writes_breaks_the_check_or_the_terminal(graph):
    for told in problems(graph, {"a:b": SIGNATURE}):
        assert f"{told}".isprintable()
        assert len(f"{told}") < 1000


@given(sound_graphs())
def test_a_sound_graph_has_no_problems(graph):
    assert problems(graph, None) == []


@given(sound_graphs())
def test_the_catalogue_a_graph_was_made_for_has_nothing_to_add(graph):
    ports = {node.name: (set(), set()) for node in graph.nodes}
    for edge in graph.edges:
        ports[edge.source.node][1].add(edge.source.port)
        ports[edge.target.node][0].add(edge.target.port)
    for feed in graph.feeds:
        ports[feed.target.node][0].add(feed.target.port)
    for outlet in graph.outlets:
        ports[outlet.source.node][1].add(outlet.source.port)
    nodes, catalogue = [], {}
    for at, node in enumerate(graph.nodes):
        inputs, outputs = ports[node.name]
        inputs |= {port for port, _ in node.literals}
        signature = Signature(
            f"own:{at}",
            tuple(Port(name, optional=True) for name in sorted(inputs)),
            tuple(Port(name) for name in sorted(outputs)),
        )
        literals = tuple((port, payload._replace(kind="json")) for port, payload in node.literals)
        catalogue[signature.name] = signature
        nodes.append(dataclasses.replace(node, capability=signature.name, literals=literals))
    assert problems(dataclasses.replace(graph, nodes=tuple(nodes)), catalogue) == []
