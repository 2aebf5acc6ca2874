"""What a person says to a graph is learnt from, kept beside the profile, and used again."""

import io
import json
import stat

import pytest

from swarm.cli.engines import EngineName, Wanted, engine_for
from swarm.cli.lessons import Lessons
from swarm.decompose.learn import forest
from swarm.decompose.learn.codec import decode_model
from swarm.decompose.select.selector import Phase
from swarm.graph import Port, Signature
from swarm.wire.gen import client_pb2 as pb
from tests.unit.swarm.cli.test_plan import AGENTS, SENTENCE

CATALOGUE = {
    name: Signature(name, (Port("text", "json"),), (Port("text", "json"),))
    for name in ("text:translate", "text:summarize")
}


@pytest.fixture
def answering(serving, monkeypatch, swarm):
    """Submits SENTENCE and says what a person says: the exit code."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def submit(said, *options):
        with serving(n1={"ListAgents": [AGENTS], "Submit": [pb.SubmitReply(run="run-7")]}):
            monkeypatch.setattr("sys.stdin", Terminal(said))
            return swarm("submit", SENTENCE, "--input", 'text:="hallo"', *options)[0]

    return submit


def test_yes_and_no_are_both_remembered(answering, tmp_path):
    folder = tmp_path / "lessons"
    assert answering("y\n") == 0
    kept = json.loads((folder / "agreed.jsonl").read_text())
    assert kept == {
        "text": SENTENCE,
        "nodes": ["text:translate", "text:summarize"],
        "links": [["text:translate", "text:summarize"]],
    }
    assert answering("n\n") != 0
    assert len((folder / "agreed.jsonl").read_text().splitlines()) == 1
    engine = engine_for(CATALOGUE, Wanted(lessons=tmp_path / "client.yaml"))
    assert engine.selector.decisions == 2
    assert stat.S_IMODE((folder / "agreed.jsonl").stat().st_mode) == 0o600


def test_what_nobody_looked_at_teaches_nothing(answering, tmp_path):
    assert answering("", "--yes") == 0
    assert not (tmp_path / "lessons").exists()


def test_damaged_lessons_are_begun_anew(answering, tmp_path):
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / "strategies.model").write_bytes(b"SWSE1 and nothing of it")
    (tmp_path / "lessons" / "agreed.jsonl").write_bytes(b"\xff\n")
    assert answering("y\n") == 0
    assert engine_for(CATALOGUE, Wanted(lessons=tmp_path / "client.yaml")).selector.decisions == 1


def test_lessons_that_cannot_be_kept_are_told_once_and_stop_nothing(tmp_path):
    (tmp_path / "lessons").write_text("a file where the folder would be")
    profile, told = tmp_path / "client.yaml", []
    engine = engine_for(CATALOGUE, Wanted(EngineName.ADAPTIVE))
    lessons = Lessons(profile, told.append)
    lessons.agreed(engine, engine.decompose(SENTENCE))
    lessons.refused(engine, engine.decompose(SENTENCE))
    assert len(told) == 1
    assert str(tmp_path / "lessons") in told[0]
    assert "File exists" in told[0]


def test_a_run_goes_on_where_its_lesson_cannot_be_kept(answering, tmp_path):
    (tmp_path / "lessons").write_text("")
    assert answering("y\n") == 0


def test_the_rules_serve_until_others_were_better_on_what_was_agreed_to(tmp_path, monkeypatch):
    profile = tmp_path / "client.yaml"
    wanted = Wanted(EngineName.ADAPTIVE, lessons=profile)
    engine = engine_for(CATALOGUE, wanted)
    first = engine.decompose(SENTENCE)
    assert (first.engine, engine.selector.phase) == ("heuristic", Phase.SHADOW)
    Lessons(profile).agreed(engine, first)
    assert engine_for(CATALOGUE, wanted).selector.decisions == 1


def test_what_was_agreed_to_trains_a_model_over_what_is_deployed(serving, swarm, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(forest, "ROUNDS", 5)
    (tmp_path / "lessons").mkdir()
    record = {"nodes": ["text:translate", "text:summarize"], "links": [["text:translate", "text:summarize"]]}
    lines = [json.dumps({"text": f"translate note {at}, then summarize it", **record}) for at in range(25)]
    (tmp_path / "lessons" / "agreed.jsonl").write_text("\n".join(lines))
    with serving(n1={"ListAgents": [AGENTS]}):
        code, out, _ = swarm("decompose", "train", "--out", str(tmp_path / "model"), "--json")
    assert (code, out["examples"], out["capabilities"]) == (0, 25, 2)
    known = decode_model((tmp_path / "model").read_bytes()).capabilities
    assert [each.name for each in known] == ["text:summarize", "text:translate"]


def test_without_examples_it_is_told_where_they_would_be(serving, swarm, tmp_path):
    with serving(n1={"ListAgents": [AGENTS]}):
        code, out, _ = swarm("decompose", "train", "--out", str(tmp_path / "model"), "--json")
    assert code == 2
    assert out["error"]["place"].endswith("lessons/agreed.jsonl")
