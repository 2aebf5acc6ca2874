"""The demo's facts: counted from what the nodes wrote down, judged without mercy."""

import json

import numpy as np
import pytest

from swarm.adapters.agents import inspect
from swarm.client.session import runnable
from swarm.demo.facts import Answer, DigitScore, Doubt, Facts, Failover, times_run_again
from swarm.demo.material import AGENTS, Examples, agent_file, drawing
from swarm.demo.screen import shortfalls
from swarm.demo.task import digits_graph
from swarm.errors import ProtocolBroken
from swarm.graph import problems

ANSWER = Answer(0.98, 540, (DigitScore(0, 54, 54),), (Doubt(3, 8, 5, 0.51),))
FAILOVER = Failover("n1", 181, "n2", 0.2, 0.4)


def facts(**changes):
    known = {
        "run": "run-1",
        "answer": ANSWER,
        "steps": 543,
        "lost": 0,
        "reexecuted": 7,
        "steps_by_node": {"n1": 60, "n2": 240, "n3": 243},
        "failover": FAILOVER,
        "run_s": 1.0,
        "wall_s": 5.0,
    }
    return Facts(**{**known, **changes})


def journal(directory, entries):
    directory.mkdir()
    (directory / "journal.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return directory


def test_steps_started_twice_are_counted_over_all_journals(tmp_path):
    first = journal(
        tmp_path / "n1",
        [{"run": "r", "steps": [1]}, {"run": "r", "steps": [2]}, {"run": "other", "steps": [1]}],
    )
    second = journal(tmp_path / "n2", [{"run": "r", "steps": [2]}, {"run": "r", "steps": [2, 3]}])
    assert times_run_again("r", [first, second, tmp_path / "never-started"]) == 2


def test_a_journal_line_cut_off_by_a_kill_does_not_count(tmp_path):
    directory = journal(tmp_path / "n1", [{"run": "r", "steps": [1]}])
    with (directory / "journal.jsonl").open("a") as file:
        file.write('{"run": "r", "st')
    assert times_run_again("r", [directory]) == 0


def test_the_document_has_the_promised_keys():
    document = facts().document()
    promised = {"accuracy", "steps", "lost", "reexecuted", "failover_s", "nodes", "wall_s"}
    assert promised <= document.keys()
    assert json.loads(json.dumps(document)) == document
    assert document["killed"] is True


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"answer": Answer(0.95, 540, (), ())}, "accuracy"),
        ({"lost": 1}, "lost"),
        ({"failover": None}, "before the leader could be killed"),
        ({"failover": Failover("n1", 181, None, None, None)}, "no new leader"),
    ],
)
def test_a_job_that_fell_short_says_so(changes, reason):
    fallen = facts(**changes)
    assert not fallen.passed
    assert any(reason in text for text in shortfalls(fallen))


def test_a_kill_that_could_not_happen_is_not_hidden():
    document = facts(failover=None).document()
    assert (document["killed"], document["failover_s"], document["passed"]) == (False, None, False)


def test_a_good_job_has_no_shortfalls():
    assert facts().passed
    assert shortfalls(facts()) == []


def test_a_report_of_another_form_is_refused():
    with pytest.raises(ProtocolBroken):
        Answer.read({"report": {}, "doubtful": []}, [1])


def test_the_graph_is_right_for_the_agents_it_is_made_for():
    catalogue = {
        capability.name: capability
        for name in AGENTS
        for capability in inspect(runnable(agent_file(name))).capabilities
    }
    graph = digits_graph(12)
    assert problems(graph, catalogue) == []
    assert len({node.capability for node in graph.nodes}) == 4


def test_the_examples_are_images_with_labels():
    examples = Examples.load()
    assert examples.images.shape == (540, 64)
    assert set(examples.labels) == set(range(10))


def test_an_image_is_drawn_darker_where_there_is_more_ink():
    image = np.zeros(64)
    image[0], image[63] = 16, 8
    lines = drawing(image)
    assert len(lines) == 8
    assert lines[0].startswith("@@  ")
    assert lines[7].endswith("  ++") or lines[7].endswith("  ==")
