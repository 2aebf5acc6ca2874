"""A sentence against agents that can do it: shown, agreed to, run on real nodes, and what it left out
told.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

ROWS_AGENT = Path(__file__).parents[2] / "agents" / "rows" / "rows.af"

NOTES_AGENT = b"""\
version: '1.0'
name: notes
description: Works on notes, short texts in several languages.
author: The Neural Swarm authors
created: '2026-01-05T00:00:00Z'
modified: '2026-01-05T00:00:00Z'
kind: python
agent_version: 1.0.0
capabilities:
- name: text:language
  description: Detects the language of each of several notes.
  deterministic: true
  inputs:
  - {name: notes, kind: json}
  outputs:
  - {name: notes, kind: json}
  rows: [notes]
- name: text:translate
  description: Translates the notes that are in a given language into English.
  deterministic: true
  inputs:
  - {name: notes, kind: json}
  - {name: instruction, kind: json}
  outputs:
  - {name: notes, kind: json}
  rows: [notes]
- name: text:count
  description: Counts how many notes mention a word.
  deterministic: true
  inputs:
  - {name: notes, kind: json}
  - {name: instruction, kind: json}
  outputs:
  - {name: count, kind: json}
resources:
  limits: {memory_mb: 512, cpu_cores: 1.0, disk_mb: 16, network_bandwidth_mbps: 0}
  requirements: {minimum_memory_mb: 64, minimum_cpu_cores: 0.1}
---BINARY_SECTION:python_module---
MARKS = {"german": {"ich", "und", "bitte", "eine"}, "french": {"je", "et", "veux", "une"}}
WORDS = {"bitte": "please", "eine": "a", "erstattung": "refund", "ich": "i", "will": "want", "und": "and"}


class Agent:
    def process_input(self, capability, inputs):
        notes = inputs["notes"]
        if capability == "text:language":
            return {"notes": [{"text": note, "language": self.language(note)} for note in notes]}
        asked = inputs["instruction"].lower()
        if capability == "text:translate":
            return {"notes": [self.translated(note, asked) for note in notes]}
        word = asked.split()[-1]
        return {"count": sum(word in note["text"].lower().split() for note in notes)}

    def language(self, note):
        words = set(note.lower().split())
        return max([*MARKS, "english"], key=lambda each: len(words & MARKS.get(each, {"the", "want", "my"})))

    def translated(self, note, asked):
        if note["language"] not in asked:
            return note
        words = [WORDS.get(word, word) for word in note["text"].lower().split()]
        return {"text": " ".join(words), "language": "english"}
"""
SENTENCE = "Detect the language of each note, translate the German ones, and count how many mention a refund"
NOTES = ["Ich will bitte eine Erstattung", "I want my refund", "The cat sat", "Je veux une pomme"]


@pytest.fixture
def given(swarm):
    swarm.deploy(NOTES_AGENT)
    yield f"notes:={json.dumps(NOTES)}"
    swarm.remove_agent("notes")


def test_the_graph_is_understood_and_shown(command, given):
    code, plan = command("plan", SENTENCE)
    assert code == 0
    assert [step["capability"] for step in plan["steps"]] == ["text:language", "text:translate", "text:count"]
    assert plan["edges"] == [["language.notes", "translate.notes"], ["translate.notes", "count.notes"]]
    assert (plan["inputs"], plan["outputs"], plan["left_out"]) == (["notes"], ["count"], [])


def test_the_sentence_runs_once_agreed_to(command, given):
    code, out = command("submit", SENTENCE, "--input", given, "--wait")
    assert code == 2
    assert "--yes" in out["error"]["remedy"]
    code, out = command("submit", SENTENCE, "--input", given, "--yes", "--wait")
    assert (code, out["outputs"]) == (0, {"count": 2})


def test_steps_that_work_row_by_row_run_in_parts_and_give_the_same(swarm, command, given):
    code, out = command("plan", SENTENCE, "--parts", "3")
    assert code == 2
    assert "rows.af" in out["error"]["remedy"]
    swarm.deploy(ROWS_AGENT.read_bytes())
    try:
        code, plan = command("plan", SENTENCE, "--parts", "3")
        kinds = Counter(step["capability"] for step in plan["steps"])
        assert code == 0
        assert kinds == {
            "text:language": 3, "text:translate": 3, "text:count": 1, "rows:split": 1, "rows:join": 1
        }  # fmt: skip
        code, out = command("submit", SENTENCE, "--parts", "3", "--input", given, "--yes", "--wait")
        assert (code, out["outputs"]) == (0, {"count": 2})
    finally:
        swarm.remove_agent("rows")


def test_what_no_agent_can_do_is_told_and_the_rest_runs(command, given):
    code, plan = command("plan", f"{SENTENCE}, then book a table for two")
    assert code == 0
    assert [text for text in plan["left_out"] if "book a table" in text]
    assert len(plan["steps"]) == 3


def test_what_it_means_is_explained(command, given):
    code, found = command("explain", SENTENCE)
    assert code == 0
    assert found["intents"]["main"] == "aggregate"
    assert [action["verb"] for action in found["semantics"]["actions"]] == ["detect", "translate", "count"]
    assert found["complexity"]["depth"] == 3


def test_a_forecast_rests_on_what_the_capabilities_took_before(command, given):
    code, _ = command("submit", SENTENCE, "--input", given, "--yes", "--wait")
    assert code == 0
    code, plan = command("plan", SENTENCE, "--explain")
    work, schedule = plan["analysis"]["complexity"], plan["analysis"]["schedule"]
    assert code == 0
    assert work["cost_known"] == 1.0
    assert 0 < work["path_ms"] <= work["cost_ms"]
    assert [each["step"] for each in schedule["steps"]] == ["language", "translate", "count"]
    assert schedule["makespan_ms"] == pytest.approx(work["path_ms"], abs=0.2)


def test_a_program_runs_as_its_graph(command, given, tmp_path):
    path = tmp_path / "flow.py"
    path.write_text(
        "notes = text.language(mail)\nenglish = text.translate(notes, instruction='the german ones')\n"
        "print(text.count(english, instruction='refund'))\n"
    )
    code, out = command("submit", str(path), "--input", given, "--yes", "--wait")
    assert (code, out["outputs"]) == (0, {"count": 2})
