"""Programs and lists of steps as graphs over what is deployed."""

import json

import pytest

from swarm.decompose.naming import Names
from swarm.decompose.parse.code import parse_code
from swarm.decompose.parse.structured import parse_structured
from swarm.decompose.records import Capability
from swarm.decompose.stepgraph import build_steps
from swarm.errors import NotFound
from swarm.graph import Payload, Port, Signature, problems

CATALOGUE = {
    each.name: each
    for each in (
        Signature("web:fetch", (Port("url", "json"),), (Port("page", "json"), Port("status", "json"))),
        Signature(
            "text:translate",
            (Port("text", "json"), Port("language", "json", optional=True)),
            (Port("text", "json"),),
        ),
        Signature(
            "text:count", (Port("text", "json"),), (Port("number", "json"),), description="Counts words."
        ),
        Signature("text:join", (Port("texts", "json", many=True),), (Port("text", "json"),)),
        Signature(
            "vision:digit", (Port("image", "tensor", "f32", (None, 64)),), (Port("scores", "tensor", "f32"),)
        ),
    )
}


def build(source):
    steps = parse_structured(json.dumps(source)) if not isinstance(source, str) else parse_code(source)
    built = build_steps(steps, CATALOGUE)
    assert problems(built.graph, CATALOGUE) == []
    return built


def edges(built):
    return [(str(edge.source), str(edge.target)) for edge in built.graph.edges]


def test_a_program_becomes_the_graph_of_its_calls():
    built = build('page = fetch("a.html")\nenglish = translate(page, language="en")\nprint(count(english))')
    assert [node.capability for node in built.graph.nodes] == ["web:fetch", "text:translate", "text:count"]
    assert edges(built) == [("fetch_1.page", "translate_2.text"), ("translate_2.text", "count_3.text")]
    assert built.graph.nodes[0].literals == (("url", Payload("json", b'"a.html"')),)
    assert built.graph.nodes[1].literals == (("language", Payload("json", b'"en"')),)
    assert not built.graph.feeds
    assert built.left_out == ()


def test_a_capability_may_be_used_often():
    built = build("a = translate(x)\nb = translate(y)\njoin(a, b)")
    assert [node.name for node in built.graph.nodes] == ["translate_1", "translate_2", "join_3"]
    assert edges(built) == [("translate_1.text", "join_3.texts"), ("translate_2.text", "join_3.texts")]
    assert sorted(feed.target.node for feed in built.graph.feeds) == ["translate_1", "translate_2"]


def test_a_reference_goes_to_the_port_it_names():
    built = build(
        [
            {"name": "web:fetch", "label": "a", "arguments": {"url": "http://x"}},
            {"name": "text.count", "label": "b", "arguments": {"text": "$a.status$"}},
        ]
    )
    assert edges(built) == [("a.status", "b.text")]


def test_a_step_nothing_can_do_is_passed_over_and_told():
    built = build("page = fetch(u)\nclean = scrub(page)\ncount(clean)")
    assert edges(built) == [("fetch_1.page", "count_3.text")]
    assert built.left_out == ("no capability for: scrub (line 2)",)


def test_what_cannot_be_joined_is_told():
    built = build(
        [{"id": "a", "action": "vision:digit"}, {"id": "b", "action": "count", "depends_on": ["a"]}]
    )
    assert edges(built) == []
    assert built.left_out == ("a gives nothing that b still takes (step b)",)
    built = build([{"id": "a", "action": "vision:digit", "with": {"image": 3, "shade": 1}}])
    assert built.left_out == (
        "a.image takes tensor, not 3 (step a)",
        "a takes no shade (step a)",
    )


def test_steps_that_map_to_nothing_are_refused_with_what_there_is():
    with pytest.raises(NotFound, match="text:translate"):
        build("fly(moon)")


@pytest.mark.parametrize(
    ("action", "meant", "sure"),
    [
        ("text:translate", "text:translate", True),
        ("Text.Translate", "text:translate", True),
        ("swarm.text.translate", "text:translate", True),
        ("acme/translate@v3", "text:translate", True),
        ("translate the German ones", "text:translate", False),
        ("orbit", None, False),
        ("???", None, False),
    ],
)
def test_actions_mean_capabilities_by_name_or_by_words(action, meant, sure):
    found = Names(
        [Capability("text:translate", "Translates a text."), Capability("text:count", "Counts words.")]
    ).meaning(action)
    assert (found.capability if found else None) == meant
    assert (found is not None and found.confidence == 1.0) is sure


def test_a_name_that_two_capabilities_share_is_told_apart_by_its_group():
    names = Names([Capability("a:count"), Capability("b:count")])
    assert names.meaning("b.count").capability == "b:count"
