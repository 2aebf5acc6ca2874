"""`af-run` as a person uses it: another process, a real cell, the agents that ship."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import af
from tests.unit.af.samples import python_agent

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "agents" / "digits"
NOT_READY = 3
TIMEOUT_S = 60


def af_run(*arguments, text=""):
    command = [sys.executable, "-m", "af.tools.run", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode == NOT_READY:
        pytest.skip(f"this machine has no sandbox: {done.stdout}{done.stderr}")
    return done


def answers(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def held_out():
    with np.load(DIGITS / "examples.npz", allow_pickle=False) as arrays:
        return arrays["images"][:5], arrays["framework_probabilities"][:5]


def test_a_network_in_a_cell_gives_the_frameworks_probabilities(tmp_path, held_out):
    images, probabilities = held_out
    np.save(tmp_path / "images.npy", images)
    (answer,) = answers(af_run(DIGITS / "digits.af", "--input", tmp_path / "images.npy", "--json"))
    np.testing.assert_allclose(answer["outputs"]["scores"], probabilities, atol=1e-5)


def test_every_line_of_standard_input_gets_an_answer(held_out):
    images, probabilities = held_out
    lines = "\n".join(json.dumps(image.tolist()) for image in images)
    found = answers(af_run(DIGITS / "digits.af", "-i", "-", "--json", text=lines))
    np.testing.assert_allclose([answer["outputs"]["scores"][0] for answer in found], probabilities, atol=1e-5)


def test_the_numpy_engine_agrees(tmp_path, held_out):
    images, probabilities = held_out
    np.savetxt(tmp_path / "images.csv", images, fmt="%d", delimiter=",")
    arguments = (DIGITS / "digits.af", "-i", tmp_path / "images.csv", "--engine", "numpy", "--json")
    (answer,) = answers(af_run(*arguments))
    np.testing.assert_allclose(answer["outputs"]["scores"], probabilities, atol=1e-5)


@pytest.mark.parametrize("name", ["doubtful", "report", "split"])
def test_the_built_in_agents_answer_their_examples_in_a_cell(tmp_path, name):
    folder = ROOT / "agents" / name
    for example in json.loads((folder / "examples.json").read_text())["examples"][:1]:
        (tmp_path / "input.json").write_text(json.dumps(example["inputs"]))
        (answer,) = answers(af_run(folder / f"{name}.af", "-i", tmp_path / "input.json", "--json"))
        assert answer["outputs"] == example["outputs"]


def test_an_agent_that_fails_is_told_from_one_that_cannot_run(tmp_path):
    (tmp_path / "input.json").write_text(json.dumps({"images": [[0] * 64], "parts_count": 0}))
    done = af_run(ROOT / "agents" / "split" / "split.af", "-i", tmp_path / "input.json", "--json")
    assert done.returncode == 1
    (problem,) = json.loads(done.stdout)["problems"]
    assert "parts_count: 0 is not a whole number" in problem["message"]


def test_an_input_that_does_not_fit_is_refused_before_anything_starts(tmp_path):
    (tmp_path / "input.json").write_text("[[1, 2, 3]]")
    done = af_run(DIGITS / "digits.af", "-i", tmp_path / "input.json")
    assert done.returncode == 1
    assert "its shape is [1, 3], not [any, 64]" in done.stderr


COUNTER = b"""
def greet(agent):
    agent.greeted = True

def double(agent, inputs):
    return {"x": 2 * inputs["x"]}

def say_goodbye(agent):
    agent.count += 100

class Agent:
    count = 0
    greeted = False

    def process_input(self, capability, inputs):
        self.count += 1
        return {"x": [inputs["x"], self.count, self.greeted]}

    def checkpoint(self):
        return str(self.count).encode()

    def restore(self, data):
        self.count = int(data)
"""


def test_hooks_run_and_memory_is_kept_where_the_workflows_say(tmp_path):
    workflows = {
        "initialization": ["load_neural_network", "initialize_memory", "greet"],
        "execution": ["receive_input", "double", "process_neural_network", "send_output"],
        "shutdown": ["say_goodbye", "save_state", "cleanup_resources"],
    }
    (tmp_path / "agent.af").write_bytes(af.write(python_agent(COUNTER, workflows=workflows)))
    arguments = (tmp_path / "agent.af", "-i", "-", "--state", tmp_path / "state", "--json")
    first = answers(af_run(*arguments, text='{"x": 1}\n{"x": 5}\n'))
    assert [answer["outputs"]["x"] for answer in first] == [[2, 1, True], [10, 2, True]]
    assert (tmp_path / "state").read_bytes() == b"102"
    (again,) = answers(af_run(*arguments, "--batch", "8", text='{"x": 1}\n'))
    assert again["outputs"]["x"] == [2, 103, True]


def test_lines_are_answered_many_at_a_time_and_a_bad_one_does_not_end_them(held_out):
    images, probabilities = held_out
    lines = [json.dumps(image.tolist()) for image in images]
    done = af_run(
        DIGITS / "digits.af", "-i", "-", "--json", "--batch", "4", text="\n".join([*lines, "nonsense"])
    )
    assert done.returncode == 1
    found = [json.loads(line) for line in done.stdout.splitlines()]
    good = [answer["outputs"]["scores"][0] for answer in found if answer["ok"]]
    np.testing.assert_allclose(good, probabilities, atol=1e-5)
    assert len(found) == len(images) + 1


LOTTERY = b"""
import os

class Agent:
    def process_input(self, capability, inputs):
        return {"x": {"sum": sum(inputs["x"]), "seen": inputs["x"]}, "lot": os.urandom(8)}
"""


def af_debug(*arguments):
    command = [sys.executable, "-m", "af.tools.debug", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode == NOT_READY:
        pytest.skip(f"this machine has no sandbox: {done.stdout}{done.stderr}")
    return done


def test_a_python_agents_answer_is_recorded_and_compared_to_the_bit(tmp_path):
    example = json.loads((ROOT / "agents" / "split" / "examples.json").read_text())["examples"][0]
    (tmp_path / "input.json").write_text(json.dumps(example["inputs"]))
    agent = ROOT / "agents" / "split" / "split.af"
    assert af_debug("record", agent, "-i", tmp_path / "input.json", "-o", tmp_path / "run").returncode == 0
    done = af_debug("replay", agent, tmp_path / "run", "--json")
    assert json.loads(done.stdout) | {"file": ""} == {
        "file": "",
        "ok": True,
        "same_code": True,
        "deviations": [],
    }
    ports = [{"name": "x", "kind": "json"}]
    outputs = [*ports, {"name": "lot", "kind": "bytes"}]
    capabilities = [{"name": "test:lot", "inputs": ports, "outputs": outputs}]
    (tmp_path / "lot.af").write_bytes(af.write(python_agent(LOTTERY, capabilities=capabilities)))
    (tmp_path / "input.json").write_text('{"x": [1, 2.5]}')
    af_debug("record", tmp_path / "lot.af", "-i", tmp_path / "input.json", "-o", tmp_path / "run")
    done = af_debug("replay", tmp_path / "lot.af", tmp_path / "run")
    assert (done.returncode, done.stdout) == (1, "the answer on port lot differs\n")
