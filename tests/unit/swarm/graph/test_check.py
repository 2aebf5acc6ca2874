"""Every reason why a graph cannot run is told, with its place and what to do about it."""

import dataclasses
import gc
import time

import pytest

from swarm import limits
from swarm.graph import (
    Bond,
    Context,
    Firing,
    Graph,
    Payload,
    Port,
    Resources,
    Retry,
    Signature,
    problems,
    unsupported,
)
from tests.unit.swarm.graph.building import CATALOGUE, codes, edge, graph, node

DIGITS = graph(
    [
        node("split", "data:split", parts_count="2"),
        node("classify.0", "vision:digit"),
        node("classify.1", "vision:digit"),
        node("doubt", "vision:doubt"),
    ],
    [
        "split.parts -> classify.0.image",
        "split.parts -> classify.1.image",
        "classify.0.scores -> doubt.scores",
        "classify.1.scores -> doubt.scores",
    ],
    feeds=[("images", "split.images")],
    outlets=[("found", "doubt.found")],
)


def only(found):
    assert len(found) == 1, [str(problem) for problem in found]
    return found[0]


def test_a_sound_graph_has_no_problems():
    assert problems(DIGITS, CATALOGUE) == []
    assert problems(DIGITS, None) == []
    assert unsupported(DIGITS) == []


def test_an_empty_graph_is_refused():
    assert only(problems(graph([]), CATALOGUE)).code == "empty_graph"


def test_too_many_nodes_and_edges_are_refused(monkeypatch):
    monkeypatch.setattr(limits, "GRAPH_NODES_MAX", 3)
    monkeypatch.setattr(limits, "GRAPH_EDGES_MAX", 3)
    assert codes(problems(dataclasses.replace(DIGITS), CATALOGUE)) == ["too_many_nodes", "too_many_edges"]
    monkeypatch.setattr(limits, "GRAPH_NODES_MAX", 4)
    monkeypatch.setattr(limits, "GRAPH_EDGES_MAX", 4)
    assert problems(dataclasses.replace(DIGITS), CATALOGUE) == []


def test_the_same_graph_is_checked_again_only_against_another_catalogue():
    whole = dataclasses.replace(DIGITS)
    assert problems(whole, CATALOGUE) == []
    problems(whole, CATALOGUE).append("a guest's note")
    assert problems(whole, CATALOGUE) == []
    assert "unknown_capability" in codes(problems(whole, {}))
    assert problems(whole, CATALOGUE) == []


def test_what_is_just_within_its_bounds_is_fine():
    for extreme in (
        {"timeout_ms": 1, "retry": Retry(1, 0)},
        {
            "timeout_ms": limits.STEP_TIMEOUT_MS_MAX,
            "retry": Retry(limits.ATTEMPTS_MAX, limits.BACKOFF_MS_MAX),
        },
        {"resources": Resources(0, 0.0), "context": Context(0)},
    ):
        assert problems(graph([dataclasses.replace(node("a"), **extreme)]), CATALOGUE) == []
    for items_max in (1, limits.EDGE_ITEMS_MAX):
        assert (
            problems(graph([node("a"), node("b")], [edge("a.out -> b.in", items_max=items_max)]), None) == []
        )


def test_a_port_whose_name_is_none_is_refused_without_any_catalogue():
    found = problems(
        graph(
            [node("a"), node("b")],
            ["a.o ut -> b.in"],
            feeds=[("x", "a.i n")],
            outlets=[("y", "b.o ut!")],
        ),
        None,
    )
    assert [(told.code, told.place) for told in found] == [
        ("bad_name", "edge a.'o ut' -> b.in"),
        ("bad_name", "input x"),
        ("bad_name", "output y"),
    ]


@pytest.mark.parametrize("name", ["", "a b", "é", "-a", ".a", "a*", "a" * 129, "a\n"])
def test_a_name_that_is_none_is_refused_wherever_it_stands(name):
    found = problems(
        dataclasses.replace(
            graph([node(name)], feeds=[("x", f"{name}.in")], outlets=[("y", f"{name}.out")]), name="bad\n"
        ),
        CATALOGUE,
    )
    assert codes(found) == ["bad_name", "bad_name"]
    ends = problems(graph([node("a")], feeds=[(name, "a.in")], outlets=[(name, "a.out")]), CATALOGUE)
    assert codes(ends) == ["bad_name", "bad_name"]
    assert all(problem.place.isprintable() and problem.message.isprintable() for problem in found + ends)


def test_names_that_stand_twice_are_refused():
    found = problems(
        graph(
            [node("a"), node("a"), node("b")],
            feeds=[("x", "b.in"), ("x", "b.in")],
            outlets=[("y", "a.out"), ("y", "b.out")],
        ),
        None,
    )
    assert codes(found) == ["duplicate_name", "duplicate_name", "duplicate_name", "too_many_sources"]
    assert [problem.place for problem in found] == ["node a", "output y", "input x", "port b.in"]


def test_an_unknown_capability_is_told_once_with_the_closest_one_and_a_remedy():
    found = only(problems(graph([node("a", "vision:digt"), node("b", "vision:digt")]), CATALOGUE))
    assert found.code == "unknown_capability"
    assert found.place == "node a and 1 more"
    assert "did you mean 'vision:digit'?" in found.remedy
    assert "deploy an agent that offers it" in found.remedy


def test_a_capability_that_one_node_wants_is_told_of_that_node():
    assert only(problems(graph([node("a", "no:body"), node("b")]), CATALOGUE)).place == "node a"


def test_a_capability_without_a_group_is_refused():
    assert only(problems(graph([node("a", "digit")]), None)).code == "bad_name"


@pytest.mark.parametrize(
    ("wrong", "place", "guess"),
    [
        (
            {"edges": [edge("split.parts -> clasify.0.image")]},
            "edge split.parts -> clasify.0.image",
            "classify.0",
        ),
        ({"edges": [edge("splid.parts -> doubt.scores")]}, "edge splid.parts -> doubt.scores", "split"),
        ({"feeds": graph([], feeds=[("x", "spli.images")]).feeds}, "input x", "split"),
        ({"outlets": graph([], outlets=[("x", "doub.found")]).outlets}, "output x", "doubt"),
    ],
)
def test_an_unknown_node_is_refused_with_the_closest_one(wrong, place, guess):
    found = problems(dataclasses.replace(DIGITS, **wrong), None)
    told = only([problem for problem in found if problem.code == "unknown_node"])
    assert told.place == place
    assert f"did you mean '{guess}'?" in told.remedy


def test_an_unknown_port_is_refused_with_the_closest_one():
    found = problems(
        graph(
            [node("a"), node("b", "vision:digit", imago="1")],
            ["a.put -> b.image"],
            feeds=[("x", "b.bia")],
            outlets=[("y", "b.score")],
        ),
        CATALOGUE,
    )
    assert [(problem.code, problem.place) for problem in found] == [
        ("unknown_port", "edge a.put -> b.image"),
        ("unknown_port", "input x"),
        ("unknown_port", "output y"),
        ("unknown_port", "port b.imago"),
    ]
    assert [problem.remedy.split("?")[0] for problem in found] == [
        "did you mean 'out'",
        "did you mean 'bias'",
        "did you mean 'scores'",
        "did you mean 'image'",
    ]


@pytest.mark.parametrize(
    ("out", "into", "fits"),
    [
        (Port("p"), Port("p", "tensor", "f32", (3,)), True),
        (Port("p", "json"), Port("p"), True),
        (Port("p", "json"), Port("p", "tensor"), False),
        (Port("p", "tensor", "f32"), Port("p", "tensor", "f64"), False),
        (Port("p", "tensor", "f32"), Port("p", "tensor"), True),
        (Port("p", "tensor", "f32", (None, 10)), Port("p", "tensor", "f32", (5, 10)), True),
        (Port("p", "tensor", "f32", (4, 10)), Port("p", "tensor", "f32", (None, 10)), True),
        (Port("p", "tensor", "f32", (4, 10)), Port("p", "tensor", "f32", (4, 11)), False),
        (Port("p", "tensor", "f32", (4, 10)), Port("p", "tensor", "f32", (4,)), False),
        (Port("p", "tensor", "f32", (4, 10)), Port("p", "tensor"), True),
    ],
)
def test_an_edge_joins_ports_of_one_kind_dtype_and_shape(out, into, fits):
    catalogue = {"a:out": Signature("a:out", (), (out,)), "a:in": Signature("a:in", (into,))}
    found = problems(graph([node("a", "a:out"), node("b", "a:in")], ["a.p -> b.p"]), catalogue)
    assert codes(found) == ([] if fits else ["wrong_kind"])


def test_a_port_takes_its_value_from_one_place():
    image = ["split.parts -> digit.image"]
    nodes = [node("split", "data:split"), node("digit", "vision:digit")]
    feeds = [("images", "split.images")]
    assert problems(graph(nodes, image, feeds), CATALOGUE) == []
    twice = graph(
        [*nodes, node("other", "data:split")],
        [*image, "other.parts -> digit.image"],
        [*feeds, ("more", "other.images")],
    )
    told = only(problems(twice, CATALOGUE))
    assert (told.code, told.place) == ("too_many_sources", "port digit.image")
    assert problems(twice, None) == []  # only the signature says that the port is not `many`
    fed = graph(nodes, image, [*feeds, ("image", "digit.image")])
    assert (
        only(problems(fed, None)).message == "it has 1 edge and 1 input, but takes its value from one place"
    )


def test_a_literal_does_not_mix_with_an_edge():
    found = problems(graph([node("a"), node("b", **{"in": "1"})], ["a.out -> b.in"]), CATALOGUE)
    assert only(found).code == "too_many_sources"


def test_a_merge_may_have_several_sources_on_any_port():
    merge = Signature("any:merge", (Port("in"),), (Port("out"),))
    found = problems(
        graph(
            [node("a"), node("m", "any:merge", Firing.MERGE), node("b")],
            ["a.out -> m.in", "m.out -> b.in", "b.out -> m.in"],
            feeds=[("x", "m.in")],
        ),
        CATALOGUE | {"any:merge": merge},
    )
    assert found == []


def test_a_merge_does_not_merge_a_constant_with_what_flows():
    merge = node("m", firing=Firing.MERGE, **{"in": "1"})
    (told,) = problems(graph([node("a"), merge], ["a.out -> m.in"]), None)
    assert (told.code, told.place) == ("too_many_sources", "port m.in")
    assert told.message.startswith("it has 1 edge and 1 literal")
    other = graph([node("a"), node("m", firing=Firing.MERGE, other="1")], ["a.out -> m.in", "a.two -> m.in"])
    assert problems(other, None) == []


def test_a_constant_given_twice_is_refused():
    twice = dataclasses.replace(
        node("a"), literals=(("p", Payload("json", b"1")), ("p", Payload("json", b"2")))
    )
    assert only(problems(graph([twice]), None)).message.startswith("it has 2 literals")


def test_a_required_port_without_a_source_is_refused():
    told = only(problems(graph([node("a", "vision:digit")]), CATALOGUE))
    assert (told.code, told.place) == ("missing_input", "port a.image")


@pytest.mark.parametrize("bond", [Bond.SHARED, Bond.LOOSE, Bond.OBSERVE])
def test_a_bond_that_may_bring_nothing_does_not_lead_into_a_port_that_needs_a_value(bond):
    weak = graph([node("a"), node("b", "vision:digit")], [edge("a.out -> b.image", bond)])
    assert codes(problems(weak, CATALOGUE)) == ["weak_bond"]
    optional = graph(
        [node("s", "data:split"), node("a"), node("b", "vision:digit")],
        ["s.parts -> b.image", edge("a.out -> b.bias", bond)],
        feeds=[("x", "s.images")],
    )
    assert problems(optional, CATALOGUE) == []
    gathering = graph([node("a"), node("b", "vision:doubt")], [edge("a.out -> b.scores", bond)])
    assert problems(gathering, CATALOGUE) == []


def test_a_loop_without_merge_is_refused_and_its_nodes_are_named():
    found = problems(
        graph(
            [node(name) for name in "abcdxy"],
            [
                "a.out -> b.in",
                "b.out -> c.in",
                "c.out -> b.in",
                "c.out -> d.in",
                "x.out -> y.in",
                "y.out -> x.in",
            ],
        ),
        CATALOGUE,
    )
    assert codes(found) == ["cycle", "cycle"]  # and d, behind a loop, is not another problem
    assert "b -> c -> b" in found[0].message
    assert "x -> y -> x" in found[1].message


def test_a_loop_of_eight_is_named_in_full():
    edges = [f"n{at}.out -> n{(at + 1) % 8}.in" for at in range(8)]
    told = only(problems(graph([node(f"n{at}") for at in range(8)], edges), CATALOGUE))
    assert told.message.endswith("n6 -> n7 -> n0")


def test_a_long_loop_is_named_in_part():
    nodes = [node(f"n{at}") for at in range(50)]
    edges = [f"n{at}.out -> n{(at + 1) % 50}.in" for at in range(50)]
    told = only(problems(graph(nodes, edges), CATALOGUE))
    assert told.message.startswith("50 nodes wait for each other")
    assert told.message.endswith("n7 -> ...")


def test_a_loop_with_a_merge_that_is_fed_is_fine():
    nodes = [node("m", firing=Firing.MERGE), node("b", firing=Firing.ZIP)]
    loop = ["m.out -> b.in", "b.out -> m.in"]
    assert problems(graph(nodes, loop, feeds=[("x", "m.in")]), None) == []
    unfed = problems(graph(nodes, loop), None)
    assert [(told.code, told.place) for told in unfed] == [
        ("unreachable", "node m"),
        ("unreachable", "node b"),
    ]


@pytest.mark.parametrize("firing", [Firing.ZIP, Firing.MERGE])
def test_a_node_that_fires_again_and_again_needs_an_input(firing):
    assert only(problems(graph([node("a", firing=firing)]), CATALOGUE)).code == "no_inputs"
    assert problems(graph([node("a", firing=firing)], feeds=[("x", "a.in")]), CATALOGUE) == []


def test_a_node_cannot_wait_for_itself_unless_it_merges():
    told = only(problems(graph([node("a")], ["a.out -> a.in"]), CATALOGUE))
    assert told.code == "self_edge"
    merging = graph([node("a", firing=Firing.MERGE)], ["a.out -> a.in"], feeds=[("x", "a.in")])
    assert problems(merging, None) == []


def test_an_edge_that_stands_twice_is_refused():
    twice = [edge("a.out -> b.in"), edge("a.out -> b.in", Bond.LOOSE)]
    assert only(problems(graph([node("a"), node("b")], twice), CATALOGUE)).code == "duplicate_edge"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"timeout_ms": 0}, "timeout_ms"),
        ({"timeout_ms": limits.STEP_TIMEOUT_MS_MAX + 1}, "timeout_ms"),
        ({"retry": Retry(attempts_max=0)}, "attempts_max"),
        ({"retry": Retry(attempts_max=limits.ATTEMPTS_MAX + 1)}, "attempts_max"),
        ({"retry": Retry(backoff_ms=-1)}, "backoff_ms"),
        ({"retry": Retry(backoff_ms=limits.BACKOFF_MS_MAX + 1)}, "backoff_ms"),
        ({"resources": Resources(memory_mb=-1)}, "memory_mb"),
        ({"resources": Resources(cpu_cores=float("nan"))}, "cpu_cores"),
        ({"resources": Resources(cpu_cores=float("inf"))}, "cpu_cores"),
        ({"context": Context(level=-1)}, "level"),
        ({"layers": frozenset({"no such\n"})}, "layer"),
    ],
)
def test_a_number_outside_its_bounds_is_refused(change, word):
    told = only(problems(graph([dataclasses.replace(node("a"), **change)]), CATALOGUE))
    assert told.code in {"out_of_bounds", "bad_name"}
    assert word in told.message
    assert told.remedy.startswith("use ")


@pytest.mark.parametrize("items_max", [0, -1, limits.EDGE_ITEMS_MAX + 1])
def test_a_queue_without_a_sensible_bound_is_refused(items_max):
    wide = graph([node("a"), node("b")], [edge("a.out -> b.in", items_max=items_max)])
    assert only(problems(wide, CATALOGUE)).code == "out_of_bounds"


def literal(port, payload):
    return graph([dataclasses.replace(node("a", "vision:digit"), literals=((port, payload),))])


def test_a_constant_has_a_port_that_can_be_named():
    assert only(problems(literal("i mage", Payload("json", b"1")), None)).code == "bad_name"


def test_a_mismatch_says_what_is_carried_and_what_is_taken():
    found = problems(
        graph([node("a", "vision:digit", image="1"), node("b", "vision:digit")], ["a.note -> b.image"]),
        CATALOGUE,
    )
    assert found[0].message == "it carries json, the port takes tensor f32 [?, 64]"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (Payload("json", b"1"), "wrong_kind"),
        (Payload("any", b"1"), "wrong_kind"),
        (Payload("tensor", b"1"), "bad_tensor"),
    ],
)
def test_a_literal_that_does_not_fit_its_port_is_refused(payload, code):
    told = only(problems(literal("image", payload), CATALOGUE))
    assert (told.code, told.place) == (code, "port a.image")


def test_literals_are_bounded_alone_and_together():
    large = Payload("bytes", bytes(limits.LITERAL_BYTES_MAX + 1))
    assert only(problems(literal("image", large), None)).code == "too_large"
    full = Payload("bytes", bytes(limits.LITERAL_BYTES_MAX))
    assert problems(literal("image", full), None) == []
    enough = dataclasses.replace(node("a"), literals=tuple((f"p{at}", full) for at in range(8)))
    assert problems(graph([enough]), None) == []
    many = dataclasses.replace(node("a"), literals=tuple((f"p{at}", full) for at in range(9)))
    assert only(problems(graph([many]), None)).place == "node a"


def test_literals_of_all_nodes_together_fit_into_one_encoding(monkeypatch):
    shared = Payload("bytes", bytes(10))
    nodes = [dataclasses.replace(node(name), literals=(("p", shared),)) for name in "abc"]
    monkeypatch.setattr(limits, "GRAPH_BYTES_MAX", 30)
    assert problems(graph(nodes), None) == []
    monkeypatch.setattr(limits, "GRAPH_BYTES_MAX", 29)
    told = only(problems(graph(nodes), None))
    assert (told.code, told.place) == ("too_large", "graph")


def test_all_problems_come_at_once():
    broken = Graph(
        "broken",
        (node("a", "vision:digt"), dataclasses.replace(node("b"), timeout_ms=0), node("c"), node("d")),
        (edge("b.out -> e.in"), edge("c.out -> d.in"), edge("d.out -> c.in"), edge("b.aut -> c.in")),
    )
    assert set(codes(problems(broken, CATALOGUE))) == {
        "unknown_capability",
        "out_of_bounds",
        "unknown_node",
        "unknown_port",
        "cycle",
    }


def test_what_this_version_cannot_run_is_told_as_such():
    found = unsupported(graph([node("a"), node("z", firing=Firing.ZIP), node("m", firing=Firing.MERGE)]))
    assert [(told.code, told.place) for told in found] == [("not_built", "node z"), ("not_built", "node m")]


def test_checking_takes_time_in_proportion_to_size_even_if_everything_is_wrong():
    def worst(count):
        nodes = [node(f"n{at}", "vision:digt") for at in range(count)]
        edges = [edge(f"m{at}.out -> n{(at + 1) % count}.in") for at in range(count)]
        edges += [edge(f"n{at}.out -> n{(at + 1) % count}.in") for at in range(count)]
        asked = graph(nodes, edges)
        gc.collect()
        gc.disable()  # it looks at whatever the tests before this one have left
        try:
            started = time.process_time()
            found = problems(asked, CATALOGUE)
            took_s = time.process_time() - started
        finally:
            gc.enable()
        assert len(found) == count + 2
        return took_s

    worst(100)
    assert worst(20_000) < 30 * max(worst(2_000), 0.01)
