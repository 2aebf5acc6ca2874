"""An optimised graph gives what the graph gave, for every graph: both are evaluated symbolically."""

from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.decompose.optimizing import optimize
from swarm.graph import Edge, Endpoint, Feed, Graph, Node, Outlet, Payload, Port, Signature, digest, problems

_SHAPES = {
    "t:one": ((Port("x"),), (Port("y"),)),
    "t:two": ((Port("x"), Port("z")), (Port("y"),)),
    "t:gather": ((Port("x", many=True),), (Port("y"),)),
    "t:scatter": ((Port("x"),), (Port("y", many=True),)),
}
CATALOGUE = {
    f"{name}{suffix}": Signature(f"{name}{suffix}", *ports, deterministic=pure, effects=effects)
    for name, ports in _SHAPES.items()
    for suffix, pure, effects in (("", True, "none"), ("-lucky", False, "none"), ("-once", True, "once"))
}


@st.composite
def graphs(draw):
    """Graphs without loops: every port takes a literal, an input or what earlier steps give."""
    kinds = draw(st.lists(st.sampled_from(sorted(CATALOGUE)), min_size=1, max_size=9))
    nodes, edges, feeds = [], [], []
    for at, kind in enumerate(kinds):
        name, literals = f"n{at}", []
        for port in CATALOGUE[kind].inputs:
            sources = (
                sorted(draw(st.sets(st.integers(0, at - 1), max_size=3 if port.many else 1))) if at else []
            )
            end = Endpoint(name, port.name)
            edges += [Edge(Endpoint(f"n{source}", "y"), end) for source in draw(st.permutations(sources))]
            if not sources and draw(st.booleans()):
                feeds.append(Feed(draw(st.sampled_from("ab")), end))
            elif not sources:
                literals.append((port.name, Payload("json", draw(st.sampled_from([b"1", b"2"])))))
        nodes.append(Node(name, kind, tuple(literals)))
    results = sorted(draw(st.sets(st.integers(0, len(kinds) - 1), min_size=1)))
    outlets = [Outlet(f"r{at}", Endpoint(f"n{at}", "y")) for at in results]
    return Graph("g", tuple(nodes), tuple(draw(st.permutations(edges))), tuple(feeds), tuple(outlets))


def results(graph):
    """Every outlet, and every use of what has effects, as the expression it computes."""
    nodes = {node.name: node for node in graph.nodes}
    known = {}

    def share(edge):
        """What travels on one edge: all of an output, or one item of a list that is dealt out."""
        source = value(edge.source.node)
        if not CATALOGUE[nodes[edge.source.node].capability].output("y").many:
            return source
        beside = [each for each in graph.edges if each.source == edge.source]
        return (source, beside.index(edge), len(beside))

    def value(name):
        if name not in known:
            node = nodes[name]
            inputs = [("literal", *literal) for literal in node.literals]
            inputs += [
                ("feed", feed.target.port, feed.name) for feed in graph.feeds if feed.target.node == name
            ]
            inputs += [
                (
                    "edge",
                    port.name,
                    tuple(share(edge) for edge in graph.edges if edge.target == (name, port.name)),
                )
                for port in CATALOGUE[node.capability].inputs
            ]
            who = name if "lucky" in node.capability else ""
            known[name] = (node.capability, who, tuple(sorted(inputs, key=repr)))
        return known[name]

    effects = sorted(repr(value(node.name)) for node in graph.nodes if "once" in node.capability)
    return {outlet.name: value(outlet.source.node) for outlet in graph.outlets}, effects


@settings(max_examples=60)
@given(graphs())
def test_results_and_effects_stay_the_same(graph):
    better = optimize(graph, CATALOGUE).graph
    assert results(better) == results(graph)
    assert len(better.nodes) <= len(graph.nodes)


@settings(max_examples=60)
@given(graphs())
def test_a_sound_graph_stays_sound(graph):
    before = {problem.code for problem in problems(graph, CATALOGUE)}
    assert {problem.code for problem in problems(optimize(graph, CATALOGUE).graph, CATALOGUE)} <= before


@settings(max_examples=60)
@given(graphs())
def test_what_was_optimised_cannot_be_optimised_further(graph):
    once = optimize(graph, CATALOGUE).graph
    again = optimize(once, CATALOGUE)
    assert again.changes == ()
    assert digest(again.graph) == digest(once)
