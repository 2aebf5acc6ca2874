"""`af-run` as a person uses it: another process, a real cell, the agents that ship."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

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
