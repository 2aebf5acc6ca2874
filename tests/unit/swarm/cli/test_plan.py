"""Sentences on the command line: what was understood is shown, and nothing runs unasked."""

import io

import pytest

from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen import common_pb2


def capability(name, takes, gives):
    return common_pb2.Capability(
        name=name,
        inputs=[common_pb2.Port(name=takes, kind="json")],
        outputs=[common_pb2.Port(name=gives, kind="json")],
        effects="none",
    )


AGENT = common_pb2.Agent(
    name="writer",
    version="1.0.0",
    kind="wasm",
    digest="ab" * 32,
    capabilities=[capability("text:translate", "text", "text"), capability("text:summarize", "text", "text")],
)
AGENTS = pb.ListAgentsReply(agents=[pb.AgentState(agent=AGENT, nodes=["n1"])])
SENTENCE = "Translate the text, then summarize it and book a table."


@pytest.fixture
def cluster(serving):
    answers = {
        "ListAgents": [AGENTS],
        "ListNodes": [pb.ListNodesReply()],
        "ListRuns": [pb.ListRunsReply()],
        "Submit": [pb.SubmitReply(run="run-7")],
    }
    with serving(n1=answers) as fakes:
        yield fakes["n1"]


def test_a_plan_shows_steps_edges_and_what_was_not_mapped(cluster, swarm):
    code, out, _ = swarm("plan", SENTENCE, "--json")
    assert code == 0
    assert [step["capability"] for step in out["steps"]] == ["text:translate", "text:summarize"]
    assert out["edges"] == [["translate.text", "summarize.text"]]
    assert (out["inputs"], out["outputs"]) == (["text"], ["text"])
    assert out["left_out"] == ["no capability for: book a table"]
    assert not cluster.calls("Submit")


def test_a_plan_for_people_says_the_same(cluster, swarm):
    _, out, _ = swarm("plan", SENTENCE)
    assert "text of translate.text" in out
    assert "not mapped: no capability for: book a table" in out


def test_a_sentence_that_maps_to_nothing_is_refused_with_what_there_is(cluster, swarm):
    code, _, err = swarm("plan", "Fly me to the moon")
    assert code == 2
    assert "text:summarize, text:translate" in err


def test_a_model_that_is_none_is_refused(cluster, swarm, tmp_path):
    (tmp_path / "model").write_bytes(b"nonsense")
    code, _, err = swarm("plan", SENTENCE, "--model", str(tmp_path / "model"))
    assert code == 2
    assert "no trained model" in err


def test_a_sentence_is_shown_and_run_once_agreed_to(cluster, swarm):
    code, out, _ = swarm("submit", SENTENCE, "--input", 'text:="hallo"', "--yes")
    assert code == 0
    assert "summarize" in out
    assert out.strip().endswith("run-7")
    (request,) = cluster.calls("Submit")
    assert b"text:translate" in request.graph


def test_a_sentence_nobody_can_agree_to_does_not_run(cluster, swarm, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    code, _, err = swarm("submit", SENTENCE, "--input", 'text:="hallo"')
    assert code == 2
    assert "--yes" in err
    assert not cluster.calls("Submit")


def test_an_input_the_graph_takes_and_nobody_gives_is_told_before_anything_runs(cluster, swarm):
    code, _, err = swarm("submit", SENTENCE, "--yes")
    assert code == 2
    assert "--input text=" in err
    assert not cluster.calls("Submit")


def test_a_program_is_planned_as_the_graph_of_its_calls(cluster, swarm, tmp_path):
    path = tmp_path / "flow.py"
    path.write_text("english = translate(notes)\nshrink(english)\nprint(summarize(english))\n")
    code, out, _ = swarm("plan", str(path), "--json", "--explain")
    assert code == 0
    assert out["engine"] == "python"
    assert out["edges"] == [["translate_1.text", "summarize_3.text"]]
    assert out["left_out"] == ["no capability for: shrink (line 2)"]
    assert out["analysis"]["complexity"]["depth"] == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "steps:\n- {id: a, action: translate}\n- {id: b, action: summarize, depends_on: a}\n"),
        (
            "a.json",
            '[{"label": "a", "name": "translate"},\n{"label": "b", "tool": "summarize", "args": ["$a"]}]',
        ),
        ("a.csv", "id,action,needs\na,translate,\nb,summarize,a\n"),
        ("a.xml", '<f><step id="a" action="translate"/><step id="b" action="summarize" needs="a"/></f>'),
    ],
)
def test_a_list_of_steps_is_planned_and_run(cluster, swarm, tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    code, out, _ = swarm("plan", str(path), "--json")
    assert (code, out["edges"]) == (0, [["a.text", "b.text"]])
    code, out, _ = swarm("submit", str(path), "--input", 'text:="hallo"', "--yes")
    assert (code, out.strip().splitlines()[-1]) == (0, "run-7")


def test_a_document_in_our_own_form_keeps_its_door(cluster, swarm, tmp_path):
    path = tmp_path / "graph.yaml"
    path.write_text("graph: g\nnodes: {a: {capability: text:translate}}\ninputs: {text: a.text}\n")
    code, out, _ = swarm("plan", str(path), "--json")
    assert (code, out["engine"], out["steps"]) == (
        0,
        "document",
        [{"step": "a", "capability": "text:translate"}],
    )
    path.write_text("graph: g\nnodes: {a: {capabilty: text:translate}}\n")
    code, _, err = swarm("plan", str(path))
    assert code == 2
    assert "capability" in err


def test_a_broken_program_is_refused_with_its_line(cluster, swarm, tmp_path):
    path = tmp_path / "flow.py"
    path.write_text("a = f()\nb = (\n")
    code, _, err = swarm("plan", str(path))
    assert code == 2
    assert "flow.py, line 2" in err


def test_what_a_sentence_means_is_explained(cluster, swarm):
    _, out, _ = swarm("plan", SENTENCE, "--explain")
    assert "intent: " in out
    assert "does: translate text" in out
    assert "complexity: simple" in out


def test_a_language_model_is_asked_only_where_it_is_named(cluster, swarm):
    code, _, err = swarm("plan", SENTENCE, "--engine", "llm")
    assert code == 2
    assert "--llm URL#MODEL" in err
    code, _, err = swarm("plan", SENTENCE, "--engine", "llm", "--llm", "http://example.com/v1#tiny")
    assert code == 2
    assert "https" in err


def test_the_rules_alone_can_be_asked_for(cluster, swarm):
    assert swarm("plan", SENTENCE, "--json", "--engine", "heuristic")[1]["engine"] == "heuristic"
    assert swarm("plan", SENTENCE, "--json")[1]["engine"] == "hybrid"
