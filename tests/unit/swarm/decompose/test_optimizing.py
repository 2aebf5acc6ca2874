"""Less work for the same results."""

from swarm.decompose.optimizing import CHAINS, optimize
from swarm.graph import Edge, Endpoint, Feed, Graph, Node, Outlet, Port, Signature

PURE = Signature("t:pure", (Port("x"),), (Port("y"),), deterministic=True)
LUCKY = Signature("t:lucky", (Port("x"),), (Port("y"),))
SENDING = Signature("t:send", (Port("x"),), (Port("y"),), deterministic=True, effects="once")
CATALOGUE = {each.name: each for each in (PURE, LUCKY, SENDING)}


def graph(capabilities, edges=(), outlets=()):
    entered = {target for _, target in edges}
    return Graph(
        "g",
        tuple(Node(name, capability) for name, capability in capabilities.items()),
        tuple(Edge(Endpoint(source, "y"), Endpoint(target, "x")) for source, target in edges),
        tuple(Feed("in", Endpoint(name, "x")) for name in capabilities if name not in entered),
        tuple(Outlet(name, Endpoint(name, "y")) for name in outlets),
    )


def names(optimized):
    return [node.name for node in optimized.graph.nodes]


def test_twins_are_done_once():
    found = optimize(graph({"a": "t:pure", "b": "t:pure"}, outlets="ab"), CATALOGUE)
    assert names(found) == ["a"]
    assert [(outlet.name, outlet.source.node) for outlet in found.graph.outlets] == [("a", "a"), ("b", "a")]
    assert found.changes == ("b is the same as a: done once",)


def test_whole_branches_of_twins_are_done_once():
    twice = graph(dict.fromkeys("abcd", "t:pure"), [("a", "b"), ("c", "d")], "bd")
    assert len(names(optimize(twice, CATALOGUE))) == 2


def test_what_may_differ_or_has_effects_is_never_merged():
    assert names(optimize(graph({"a": "t:lucky", "b": "t:lucky"}, outlets="ab"), CATALOGUE)) == ["a", "b"]
    assert names(optimize(graph({"a": "t:send", "b": "t:send"}, outlets="ab"), CATALOGUE)) == ["a", "b"]


def test_a_step_nobody_sees_is_left_out_unless_it_has_effects():
    assert names(optimize(graph({"a": "t:lucky", "b": "t:lucky"}, outlets="a"), CATALOGUE)) == ["a"]
    assert names(optimize(graph({"a": "t:lucky", "b": "t:send"}, outlets="a"), CATALOGUE)) == ["a", "b"]


def test_chains_are_marked():
    line = graph(dict.fromkeys("abcd", "t:lucky"), [("a", "b"), ("b", "c"), ("b", "d")], "cd")
    assert optimize(line, CATALOGUE).graph.annotations == {CHAINS: "a>b"}
