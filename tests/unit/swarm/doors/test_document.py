"""A graph document means one graph, and a broken one is refused with every problem and its line."""

import json
import time

import pytest

from swarm import limits
from swarm.doors.document import dump, load, text
from swarm.errors import GraphRefused, SwarmError, TooLarge
from swarm.graph import (
    Bond,
    Context,
    Edge,
    Endpoint,
    Feed,
    Firing,
    Graph,
    Node,
    OnFailure,
    Outlet,
    Payload,
    Resources,
    Retry,
)

DIGITS = """
graph: digits-report
on_failure: continue
annotations: {made-by: hand}
inputs: {images: split.images, labels: [report.labels, classify.*.hint]}
nodes:
  split: {capability: data:split, with: {parts_count: 2}, retry: {attempts_max: 5}, timeout_ms: 2000}
  classify:
    capability: vision:digit
    times: 2
    resources: {memory_mb: 64, cpu_cores: 0.5}
  report:
    capability: "data:report"
    retry: {backoff_ms: 7}
    context: {level: 2, domain: lab}
    layers: [seccomp, landlock]
edges:
  - split.parts -> classify.*.image
  - {from: classify.*.scores, to: report.scores, bond: shared, items_max: 4}
outputs: {report: report.report}
"""


def end(node, port):
    return Endpoint(node, port)


def refusal(document, **kwargs):
    with pytest.raises(GraphRefused) as caught:
        load(document, **kwargs)
    assert caught.value.problems
    for problem in caught.value.problems:
        assert str(problem).isprintable()
        assert len(str(problem)) < 1000
    return caught.value.problems


def places(document):
    return [problem.place for problem in refusal(document)]


def nodes(body, rest=""):
    return f"graph: g\nnodes:\n  a: {{capability: a:b{body}}}\n  b: {{capability: a:b}}\n{rest}"


def test_a_document_means_its_graph():
    digit = {"resources": Resources(64, 0.5)}
    assert load(DIGITS) == Graph(
        name="digits-report",
        nodes=(
            Node(
                "split",
                "data:split",
                (("parts_count", Payload("json", b"2")),),
                retry=Retry(attempts_max=5),
                timeout_ms=2000,
            ),
            Node("classify.0", "vision:digit", **digit),
            Node("classify.1", "vision:digit", **digit),
            Node(
                "report",
                "data:report",
                context=Context(2, "lab"),
                retry=Retry(backoff_ms=7),
                layers=frozenset({"seccomp", "landlock"}),
            ),
        ),
        edges=(
            Edge(end("split", "parts"), end("classify.0", "image")),
            Edge(end("split", "parts"), end("classify.1", "image")),
            Edge(end("classify.0", "scores"), end("report", "scores"), Bond.SHARED, 4),
            Edge(end("classify.1", "scores"), end("report", "scores"), Bond.SHARED, 4),
        ),
        feeds=(
            Feed("images", end("split", "images")),
            Feed("labels", end("report", "labels")),
            Feed("labels", end("classify.0", "hint")),
            Feed("labels", end("classify.1", "hint")),
        ),
        outlets=(Outlet("report", end("report", "report")),),
        on_failure=OnFailure.CONTINUE,
        annotations={"made-by": "hand"},
    )


def test_what_is_written_is_read_again():
    graph = load(DIGITS)
    assert load(dump(graph)) == graph


def test_json_says_the_same():
    document = {
        "graph": "g",
        "nodes": {
            "a": {"capability": "a:b", "times": 2, "with": {"x": {"b": [1, None], "a": "\u00e9"}}},
            "b": {"capability": "a:b"},
        },
        "edges": ["a.*.out -> b.in", {"from": "b.out", "to": "a.0.in"}][:1],
    }
    as_json, as_yaml = json.dumps(document), json.dumps(document, indent=1, ensure_ascii=False)
    assert load(as_json) == load(as_yaml, form="yaml") == load(as_json, form="json")
    assert load(as_json).nodes[0].literals[0][1].data == '{"a":"é","b":[1,null]}'.encode()


def test_stars_on_both_sides_join_first_to_first():
    graph = load(
        "graph: g\nnodes: {a: {capability: a:b, times: 3}, b: {capability: a:b, times: 3}}\n"
        "edges: [a.*.out -> b.*.in]"
    )
    assert [str(edge.source) + str(edge.target) for edge in graph.edges] == [
        "a.0.outb.0.in",
        "a.1.outb.1.in",
        "a.2.outb.2.in",
    ]


def test_stars_of_different_lengths_are_refused():
    (problem,) = refusal(
        "graph: g\nnodes: {a: {capability: a:b, times: 3}, b: {capability: a:b, times: 2}}\n"
        "edges: [a.*.out -> b.*.in]"
    )
    assert problem.message == "3 nodes on the left, 2 on the right"


def test_dots_in_names_are_split_where_a_node_ends():
    graph = load(nodes("", "edges: [a.out.left -> b.in.read]"))
    assert graph.edges == (Edge(end("a", "out.left"), end("b", "in.read")),)
    two_ways = "graph: g\nnodes: {a: {capability: a:b}, a.b: {capability: a:b}}\noutputs: {x: %s}"
    (problem,) = refusal(two_ways % "a.b.c")
    assert "2 ways" in problem.message
    assert load(two_ways % "{node: a, port: b.c}").outlets == (Outlet("x", end("a", "b.c")),)


def test_plain_words_follow_yaml_1_2():
    graph = load(
        nodes(
            ", with: {a: no, b: on, c: 2026-01-02, d: 1e3, e: 0o17, f: 0x1F, g: 012, h: ~, i: True, j: 1_000}"
        )
    )
    values = {port: json.loads(payload.data) for port, payload in graph.nodes[0].literals}
    assert values == {
        "a": "no",
        "b": "on",
        "c": "2026-01-02",
        "d": 1000.0,
        "e": 15,
        "f": 31,
        "g": 12,
        "h": None,
        "i": True,
        "j": "1_000",
    }


def test_aliases_repeat_what_they_name():
    graph = load(
        "graph: g\nnodes:\n  a: &a {capability: a:b, retry: &r {attempts_max: 2}}\n  b: *a\n"
        "  c: {capability: a:c, retry: *r}"
    )
    assert [node.retry.attempts_max for node in graph.nodes] == [2, 2, 2]


def test_literals_that_are_no_json_have_a_longer_form():
    graph = load(nodes(", with: [{port: x, kind: tensor, base64: AAE=}, {port: y, json: [1]}]"))
    assert graph.nodes[0].literals == (("x", Payload("tensor", b"\0\1")), ("y", Payload("json", b"[1]")))
    assert load(dump(graph)) == graph


def test_inputs_may_be_listed_where_their_order_matters():
    graph = load(nodes("", "inputs: [{name: x, to: a.p}, {name: y, to: a.q}, {name: x, to: b.p}]"))
    assert [feed.name for feed in graph.feeds] == ["x", "y", "x"]
    assert load(dump(graph)) == graph


def test_a_document_reads_like_one_written_by_hand():
    assert dump(load(nodes(", with: {x: 1}", "edges: [a.out -> b.in]\ninputs: {i: a.p}"))) == (
        "graph: g\n"
        "inputs: {i: a.p}\n"
        "nodes:\n"
        "  a:\n"
        "    capability: a:b\n"
        "    with: {x: 1}\n"
        "  b: {capability: 'a:b'}\n"
        "edges:\n"
        "- a.out -> b.in\n"
    )


def test_only_sound_graphs_are_written():
    with pytest.raises(GraphRefused):
        dump(Graph("g", (Node("a", "a:b"),), (Edge(end("a", "out"), end("b", "in")),)))


def test_every_problem_is_told_with_its_line():
    found = refusal(
        """graph: x
nodes:
  a: {capability: a:b, tims: 3, times: 4}
  b: {retry: 5, retry: 6}
  c: {capability: no, timeout_ms: 0}
edges:
  - a.out -> b.in
  - a.*.x -> c
  - {from: aa.x, to: b.y, bond: lose}
  - b.x -> c.x
  - c.x -> b.z
  - b.x
inputs: {one: a.*.p, two: {node: b}}
outputs: {all: a.*.p}
surprise: 1
"""
    )
    assert [(problem.place, problem.code) for problem in found] == [
        ("line 4", "duplicate_key"),
        ("line 15, document", "unknown_key"),
        ("line 3, nodes.a", "unknown_key"),
        ("line 4, nodes.b.capability", "missing_key"),
        ("line 4, nodes.b.retry", "bad_document"),
        ("line 7, edges[0].from", "unknown_node"),
        ("line 8, edges[1].to", "bad_document"),
        ("line 9, edges[2].bond", "unknown_choice"),
        ("line 9, edges[2].from", "unknown_node"),
        ("line 12, edges[5].to", "missing_key"),
        ("line 13, inputs.two.port", "missing_key"),
        ("line 14, outputs.all", "bad_document"),
        ("line 5, node c", "bad_name"),
        ("line 5, node c", "out_of_bounds"),
        ("line 4, node b", "cycle"),
    ]
    assert all(problem.remedy for problem in found)
    assert "did you mean 'times'?" in found[2].remedy
    assert "a.*.out" in found[5].remedy
    assert "did you mean 'loose'?" in found[7].remedy


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ("", "document"),
        ("[]", "line 1, document"),
        ("graph: [", "line 2, column 1"),
        ("graph: x\n\tnodes: y", "line 2, column 1"),
        ("graph: x\n--- \ngraph: y", "line 2, column 1"),
        ("graph: *nothing", "line 1, column 8"),
        ("graph: &a [*a]", "line 1, column 12"),
        ("graph: !!python/object/apply:os.system [id]", "line 1, column 8"),
        ("graph: !!str x", "line 1, column 8"),
        ("graph: 99999999999999999999", "line 1, column 8"),
        ("graph: .inf", "line 1, column 8"),
        ("graph: .NaN", "line 1, column 8"),
        ("graph: 1e999", "line 1, column 8"),
        ("graph: a\0b", "document"),
        ("graph: \ud800", "document"),
        ("{", "line 1, column 2"),
        ('{"graph": "x", "graph": "y"}', "document"),
        ('{"graph": NaN}', "document"),
        ('{"graph": 1e999}', "document"),
        ('{"graph": 99999999999999999999}', "document"),
        ('{"graph": "\\ud800"}', "document"),
        ('{"graph": ' + "[" * 40 + "]" * 40 + "}", "document"),
        ('{"graph": ' + "[" * 100_000 + "]" * 100_000 + "}", "document"),
    ],
)
def test_unreadable_text_is_refused_with_its_place(document, place):
    assert refusal(document)[0].place == place


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ("graph: x", "line 1, nodes"),
        ("graph: x\nnodes: {}", "graph"),
        ("nodes: {a: {capability: a:b}}", "line 1, graph"),
        ("graph: [x]\nnodes: {a: {capability: a:b}}", "line 1, graph"),
        ("graph: 5\nnodes: {a: {capability: a:b}}", "line 1, graph"),
        ("graph: g\nnodes: [a]", "line 2, nodes"),
        ("graph: g\nnodes:\n  1: {capability: a:b}", "line 3"),
        ("graph: g\nnodes:\n  a b: {capability: a:b}", "line 3, node 'a b'"),
        ("graph: g\nnodes:\n  a:\n    <<: {capability: a:b}", "line 4"),
        (nodes(", times: 0"), "line 3, nodes.a.times"),
        (nodes(", times: 1000000000"), "line 3, nodes.a.times"),
        (nodes(", times: '2'"), "line 3, nodes.a.times"),
        (nodes(", times: true"), "line 3, nodes.a.times"),
        (nodes(", resources: {cpu_cores: many}"), "line 3, nodes.a.resources.cpu_cores"),
        (nodes(", resources: {disk: 5}"), "line 3, nodes.a.resources"),
        (nodes(", firing: always"), "line 3, nodes.a.firing"),
        (nodes(", layers: seccomp"), "line 3, nodes.a.layers"),
        (nodes(", layers: [1]"), "line 3, nodes.a.layers[0]"),
        (nodes(", with: 5"), "line 3, nodes.a.with"),
        (nodes(", with: [{port: x, kind: tensor, base64: '!'}]"), "line 3, nodes.a.with[0].base64"),
        (nodes(", with: [{port: x, kind: tensor}]"), "line 3, nodes.a.with[0].base64"),
        (nodes(", with: {'a b': 1}"), "line 3, port a.'a b'"),
        (nodes("", "edges: {a.x: b.x}"), "line 5, edges"),
        (nodes("", "edges: [5]"), "line 5, edges[0]"),
        (nodes("", "edges: [a.x -> b.x -> a.y]"), "line 5, edge a.x -> b.'x -> a.y'"),
        (nodes("", "edges: [a.x -> b.x, a.x -> b.x]"), "line 5, edge a.x -> b.x"),
        (nodes("", "edges: [a.x -> b.x, a.y -> b.x]\ninputs: {i: b.x}"), "line 6, port b.x"),
        (nodes("", "edges: [a.*.x -> b.x]"), "line 5, edges[0].from"),
        (nodes("", f"edges: [{'a' * 300}.x -> b.x]"), "line 5, edges[0].from"),
        (nodes("", "inputs: {i: a}"), "line 5, inputs.i"),
        (nodes("", "inputs: [{name: i}]"), "line 5, inputs[0].to"),
        (nodes("", "outputs: {o: [a.x, b.x]}"), "line 5, outputs.o"),
        (nodes("", "outputs: {o: {node: c, port: x}}"), "line 5, outputs.o"),
        (nodes("", "annotations: {a: 1}"), "line 5, annotations.a"),
        (nodes("", "on_failure: panic"), "line 5, on_failure"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_with_its_place(document, place):
    assert place in places(document)


def test_laughs_are_counted_before_they_are_told():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 12)]
    with pytest.raises(TooLarge, match="aliases written out"):
        load("\n".join(lines))
    long = f"a0: &a0 {'x' * 100_000}\na: [{', '.join(['*a0'] * 400)}]"
    with pytest.raises(TooLarge, match="aliases written out"):
        load(long)


def test_depth_is_bounded_through_aliases_too():
    deep = "a0: &a0 " + "[" * 20 + "]" * 20 + "\n"
    deep += "a1: " + "[" * 20 + "*a0" + "]" * 20
    assert "nested deeper" in refusal(deep)[0].message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_a_million_brackets_neither_crash_nor_stall(opening):
    started = time.process_time()
    with pytest.raises(SwarmError):
        load("a: " * (opening in "[{a: ") + opening * 1_000_000, form="yaml")
    assert time.process_time() - started < 10


def test_size_is_checked_before_anything_is_read(monkeypatch):
    monkeypatch.setattr(limits, "GRAPH_BYTES_MAX", 100)
    for form in ("yaml", "json"):
        with pytest.raises(TooLarge, match="at most 100"):
            load("é" * 51, form=form)


def test_stars_are_bounded_when_written_out(monkeypatch):
    monkeypatch.setattr(limits, "GRAPH_EDGES_MAX", 5)
    many = "graph: g\nnodes: {a: {capability: a:b, times: 4}, b: {capability: a:b}}\n"
    assert "over 5" in refusal(many + "edges: [a.*.x -> b.x, a.*.y -> b.y]")[0].message
    assert "over 5" in refusal(many + "inputs: {i: [a.*.x, a.*.y]}")[0].message


def test_nodes_are_bounded_when_written_out(monkeypatch):
    monkeypatch.setattr(limits, "GRAPH_NODES_MAX", 5)
    many = "graph: g\nnodes: {a: {capability: a:b, times: 4}, b: {capability: a:b, times: 2}}\n"
    assert refusal(many)[0].place == "line 2, nodes.b.times"


def test_values_in_json_are_bounded(monkeypatch):
    monkeypatch.setattr(text, "VALUES_MAX", 10)
    with pytest.raises(TooLarge):
        load('{"graph": [1,2,3,4,5,6,7,8,9,10,11]}')


def test_again_and_again_is_read_too():
    graph = load(nodes(", firing: merge", "edges: [a.x -> b.x, b.y -> a.y]\ninputs: {i: a.z}"))
    assert graph.nodes[0].firing is Firing.MERGE
    assert load(dump(graph)) == graph
