"""The encoding is stable over versions, strict about strangers, and bounded."""

import dataclasses
import gc
import json
import time

import pytest

from swarm import limits
from swarm.errors import GraphRefused, TooLarge
from swarm.graph import (
    Bond,
    Context,
    Firing,
    Graph,
    OnFailure,
    Payload,
    Resources,
    Retry,
    decode,
    digest,
    encode,
    reading,
)
from tests.unit.swarm.graph.building import edge, graph, node

PLAIN = graph([node("a"), node("b")], ["a.out -> b.in"], feeds=[("x", "a.in")], outlets=[("y", "b.out")])
FULL = Graph(
    "full",
    (
        dataclasses.replace(
            node("a"),
            literals=(("p", Payload("bytes", b"\x00\xff")),),
            firing=Firing.MERGE,
            resources=Resources(64, 0.5),
            context=Context(2, "lab", "t1"),
            retry=Retry(5, 10),
            timeout_ms=1000,
            layers=frozenset({"seccomp", "landlock"}),
        ),
    ),
    (edge("a.out -> a.in", Bond.LOOSE, 4),),
    on_failure=OnFailure.CONTINUE,
    annotations={"made-by": "test"},
)


def refusal(document):
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(GraphRefused) as caught:
        decode(data)
    (problem,) = caught.value.problems
    assert problem.code == "bad_encoding"
    assert problem.remedy
    return problem


def changed(**fields):
    return {**json.loads(encode(PLAIN)), **fields}


def test_old_encodings_stay_as_they_are():
    assert encode(PLAIN) == (
        b'{"edges":[["a","out","b","in"]],"feeds":[["x","a","in"]],"format":1,"name":"test",'
        b'"nodes":[{"capability":"any:thing","name":"a"},{"capability":"any:thing","name":"b"}],'
        b'"outlets":[["y","b","out"]]}'
    )
    assert digest(PLAIN) == "26157ab12dc4930f08b6a5462c6e71cc9aac3887244eeb4a2e3d614be4b0d2ba"
    assert encode(FULL) == (
        b'{"annotations":{"made-by":"test"},"edges":[["a","out","a","in",{"bond":"loose","items_max":4}]],'
        b'"format":1,"name":"full","nodes":[{"capability":"any:thing",'
        b'"context":{"domain":"lab","level":2,"tenant":"t1"},"firing":"merge","layers":["landlock","seccomp"],'
        b'"literals":[["p","bytes","AP8="]],"name":"a","resources":{"cpu_cores":0.5,"memory_mb":64},'
        b'"retry":{"attempts_max":5,"backoff_ms":10},"timeout_ms":1000}],"on_failure":"continue"}'
    )
    assert decode(encode(FULL)) == FULL


def test_what_format_1_leaves_out_may_never_change():
    assert Retry(3, 50) == reading.RETRY
    assert Resources(0, 0.0) == reading.RESOURCES
    assert Context(0, "", "") == reading.CONTEXT
    assert (reading.TIMEOUT_MS, reading.ITEMS_MAX, reading.FORMAT) == (60_000, 1, 1)


def test_numbers_that_are_equal_are_written_alike():
    one = dataclasses.replace(node("a"), resources=Resources(1, 1.0), timeout_ms=1)
    other = dataclasses.replace(node("a"), resources=Resources(True, 1), timeout_ms=True)
    assert one == other
    assert digest(graph([one])) == digest(graph([other]))


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (b"", "graph"),
        (b"\xff", "graph"),
        (b"nothing", "graph"),
        (b"[" * 100_000, "graph"),
        (b'{"name":"a","name":"b"}', "graph"),
        (b'{"format":1,"name":"\\ud800","nodes":[],"edges":[]}', "graph"),
        ([], "graph"),
        ({}, "format"),
        (changed(format=2), "format"),
        (changed(format=True), "format"),
        (changed(name=1), "name"),
        (changed(surprise=1), "graph"),
        (changed(nodes={}), "nodes"),
        (changed(nodes=[1]), "nodes[0]"),
        (changed(nodes=[{"name": "a", "capability": "a:b"}, {"name": "b"}]), "nodes[1].capability"),
        (changed(nodes=[{"name": "a", "capability": "a:b", "colour": "red"}]), "nodes[0]"),
        (
            changed(nodes=[{"name": "a", "capability": "a:b", "retry": {"attempts_max": 1.0}}]),
            "nodes[0].retry.attempts_max",
        ),
        (changed(nodes=[{"name": "a", "capability": "a:b", "retry": {"tries": 1}}]), "nodes[0].retry"),
        (
            changed(nodes=[{"name": "a", "capability": "a:b", "resources": {"cpu_cores": 10**400}}]),
            "nodes[0].resources.cpu_cores",
        ),
        (changed(nodes=[{"name": "a", "capability": "a:b", "timeout_ms": True}]), "nodes[0].timeout_ms"),
        (changed(nodes=[{"name": "a", "capability": "a:b", "firing": "never"}]), "nodes[0].firing"),
        (changed(nodes=[{"name": "a", "capability": "a:b", "firing": ["once"]}]), "nodes[0].firing"),
        (changed(nodes=[{"name": "a", "capability": "a:b", "layers": [1]}]), "nodes[0].layers[0][0]"),
        (
            changed(nodes=[{"name": "a", "capability": "a:b", "literals": [["p", "json", "!"]]}]),
            "nodes[0].literals[0][2]",
        ),
        (
            changed(nodes=[{"name": "a", "capability": "a:b", "literals": [["p", "json"]]}]),
            "nodes[0].literals[0]",
        ),
        (changed(edges=[["a", "b", "c"]]), "edges[0]"),
        (changed(edges=[["a", "b", "c", 4]]), "edges[0][3]"),
        (changed(edges=[["a", "b", "c", "d", {"bond": "glue"}]]), "edges[0].bond"),
        (changed(edges=[["a", "b", "c", "d", {"width": 3}]]), "edges[0][4]"),
        (changed(feeds=[["x", "a"]]), "feeds[0]"),
        (changed(outlets=["abc"]), "outlets[0]"),
        (changed(on_failure="panic"), "on_failure"),
        (changed(annotations={"a": 1}), "annotations.'a'"),
        (changed(annotations=[]), "annotations"),
    ],
)
def test_a_broken_encoding_is_refused_with_its_place(document, place):
    assert refusal(document).place == place


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999", b"9" * 5000])
def test_numbers_nobody_can_hold_are_refused(number):
    data = encode(PLAIN).replace(b'"format":1', b'"format":' + number)
    with pytest.raises(GraphRefused):
        decode(data)


def test_a_number_for_cores_may_be_whole_but_not_endless():
    data = encode(graph([dataclasses.replace(node("a"), resources=Resources(cpu_cores=0.5))]))
    assert decode(data.replace(b"0.5", b"2")).nodes[0].resources.cpu_cores == 2.0
    assert isinstance(decode(data.replace(b"0.5", b"2")).nodes[0].resources.cpu_cores, float)
    for endless in (b"1e999", b"NaN", b"-Infinity"):
        with pytest.raises(GraphRefused, match="number"):
            decode(data.replace(b"0.5", endless))


def test_messages_say_what_is_wrong():
    assert refusal({"format": 1}).message == "is missing"
    assert refusal(changed(name=5)).message == "is not text"
    assert refusal(b'{"format":1,"name":"a","name":"b"}').message == "key 'name' stands twice in one object"
    assert refusal(changed(on_failure="panic")).message == "is 'panic', not one of continue, stop"


def test_messages_stay_short_whatever_is_refused():
    problem = refusal(changed(**{"k" * 100_000: 1}))
    assert len(problem.message) < 300
    assert len(refusal(changed(on_failure="x" * 100_000)).message) < 300


def test_what_has_no_encoding_is_refused():
    with pytest.raises(GraphRefused):
        encode(graph([node("\ud800")]))
    with pytest.raises(GraphRefused):
        encode(graph([dataclasses.replace(node("a"), resources=Resources(cpu_cores=float("nan")))]))
    with pytest.raises(GraphRefused):
        encode(graph([dataclasses.replace(node("a"), resources=Resources(cpu_cores=10**400))]))


def test_size_is_checked_before_anything_is_read(monkeypatch):
    monkeypatch.setattr(limits, "GRAPH_BYTES_MAX", 100)
    with pytest.raises(TooLarge, match="at most 100"):
        decode(b"x" * 101)
    with pytest.raises(TooLarge, match="at most 100"):
        encode(dataclasses.replace(PLAIN))


def test_equal_bytes_give_the_same_graph_while_it_is_kept():
    data = encode(PLAIN)
    assert decode(data) is decode(bytes(bytearray(data)))
    other = decode(encode(dataclasses.replace(PLAIN, name="another")))
    assert other is not decode(data)
    large = encode(graph([node(f"n{number}") for number in range(limits.GRAPH_KEPT_BYTES_MAX // 20)]))
    assert decode(large) is not decode(large)


def test_brackets_are_bounded_because_each_costs_thirty_times_its_size():
    with pytest.raises(TooLarge, match="objects and lists"):
        decode(b"[" + b"[]," * (reading.BRACKETS_MAX + 1) + b"[]]")


def test_the_collector_is_left_as_it_was_found():
    assert gc.isenabled()
    decode(encode(PLAIN))
    refusal(b"{")
    assert gc.isenabled()
    gc.disable()
    try:
        decode(encode(PLAIN))
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_hundred_thousand_nodes_are_written_and_read_in_seconds():
    count = limits.GRAPH_NODES_MAX
    large = graph(
        [node(f"n{at}") for at in range(count)],
        [edge(f"n{at}.out -> n{at + 1}.in") for at in range(count - 1)],
    )
    started = time.process_time()
    assert decode(encode(large)) == large
    assert time.process_time() - started < 10  # about a second on an idle machine of 2024
