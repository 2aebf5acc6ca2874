"""A decomposition as a graph over what is deployed."""

import pytest

from swarm.decompose.building import build_graph, capabilities_of
from swarm.decompose.records import Decomposition, Dependency, SubTask
from swarm.decompose.strategies.heuristic import HeuristicEngine
from swarm.errors import NotFound
from swarm.graph import Port, Signature, problems

CATALOGUE = {
    signature.name: signature
    for signature in (
        Signature("audio:transcribe", (Port("audio", "bytes"),), (Port("text", "json"),)),
        Signature("text:translate", (Port("text", "json"),), (Port("text", "json"),)),
        Signature("text:count", (Port("text", "json"),), (Port("number", "json"),)),
        Signature(
            "vision:digit", (Port("image", "tensor", "f32", (None, 64)),), (Port("scores", "tensor", "f32"),)
        ),
        Signature("text:join", (Port("text", "json", many=True),), (Port("text", "json"),)),
    )
}


def decomposition(*names, links=(), unmapped=()):
    steps = tuple(SubTask(name, name, 0.9) for name in names)
    return Decomposition("test", "", steps, tuple(Dependency(*link, 0.9) for link in links), 0.9, unmapped)


def test_a_sentence_becomes_a_graph_that_is_sound():
    engine = HeuristicEngine(capabilities_of(CATALOGUE))
    built = build_graph(engine.decompose("Transcribe the audio, then translate the text."), CATALOGUE)
    assert problems(built.graph, CATALOGUE) == []
    assert [node.name for node in built.graph.nodes] == ["transcribe", "translate"]
    assert [(feed.name, feed.target.node) for feed in built.graph.feeds] == [("audio", "transcribe")]
    assert [(outlet.name, outlet.source.node) for outlet in built.graph.outlets] == [("text", "translate")]


def test_ports_that_do_not_fit_give_no_edge_and_are_told():
    built = build_graph(
        decomposition("audio:transcribe", "vision:digit", links=[("audio:transcribe", "vision:digit")]),
        CATALOGUE,
    )
    assert built.graph.edges == ()
    assert built.left_out == ("transcribe gives nothing that digit still takes",)
    assert problems(built.graph, CATALOGUE) == []


def test_a_single_input_takes_one_edge_and_a_gathering_one_takes_all():
    links = [("audio:transcribe", "text:count"), ("text:translate", "text:count")]
    built = build_graph(
        decomposition("audio:transcribe", "text:translate", "text:count", links=links), CATALOGUE
    )
    assert len(built.graph.edges) == 1
    assert len(built.left_out) == 1
    links = [("audio:transcribe", "text:join"), ("text:translate", "text:join")]
    built = build_graph(
        decomposition("audio:transcribe", "text:translate", "text:join", links=links), CATALOGUE
    )
    assert len(built.graph.edges) == 2
    assert problems(built.graph, CATALOGUE) == []


def test_what_was_not_understood_is_told():
    built = build_graph(decomposition("text:count", unmapped=("book a table",)), CATALOGUE)
    assert built.left_out == ("no capability for: book a table",)


def test_results_of_one_name_are_told_apart():
    built = build_graph(decomposition("audio:transcribe", "text:translate"), CATALOGUE)
    assert [outlet.name for outlet in built.graph.outlets] == ["transcribe.text", "translate.text"]
    assert problems(built.graph, CATALOGUE) == []


def test_a_request_that_maps_to_nothing_is_refused_with_what_there_is():
    with pytest.raises(NotFound, match="audio:transcribe"):
        build_graph(decomposition(unmapped=("fly to the moon",)), CATALOGUE)
