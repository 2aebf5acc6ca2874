"""`af-run` without a sandbox: engines, streams, workflows. tests/integration/test_af_run.py has the cells."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import af
from af.engines import ENGINES, NumpyEngine
from af.tools.run import app
from af.weights import network_from
from tests.unit.af.samples import neural_agent, python_agent

ROWS = np.float32([[1, 2, 3], [4, 5, 6], [7, 8, 9]])


@pytest.fixture
def place(tmp_path):
    (tmp_path / "agent.af").write_bytes(af.write(neural_agent()))
    np.save(tmp_path / "rows.npy", ROWS)
    return tmp_path


def run(*arguments, text=""):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=text)


def expected():
    agent = neural_agent()
    return NumpyEngine(network_from(agent.header.neural_config, agent.section("neural_weights"))).forward(
        ROWS
    )


@pytest.mark.parametrize("engine", sorted(set(ENGINES) - {"wasm", "fann"}))
def test_every_engine_answers_the_same(place, engine):
    result = run(place / "agent.af", "-i", place / "rows.npy", "--engine", engine, "--json")
    if result.exit_code == 3:
        pytest.skip(result.output)
    (line,) = result.stdout.splitlines()
    np.testing.assert_allclose(json.loads(line)["outputs"]["y"], expected(), atol=1e-5)


def test_batches_of_rows_give_one_answer_each(place):
    result = run(place / "agent.af", "-i", place / "rows.npy", "--engine", "numpy", "--batch", "2", "--json")
    answers = [json.loads(line)["outputs"]["y"] for line in result.stdout.splitlines()]
    assert [len(answer) for answer in answers] == [2, 1]
    np.testing.assert_allclose(np.concatenate(answers), expected(), atol=1e-6)


@pytest.mark.parametrize("batch", ["1", "3"])
def test_a_bad_line_is_reported_in_its_place_and_the_others_are_answered(place, batch):
    text = "[1, 2, 3]\n[1, 2]\n[7, 8, 9]\n"
    result = run(place / "agent.af", "-i", "-", "--engine", "numpy", "--batch", batch, "--json", text=text)
    assert result.exit_code == 1
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert sorted(answer["ok"] for answer in answers) == [False, True, True]
    (bad,) = [answer for answer in answers if not answer["ok"]]
    assert bad["problems"][0]["place"] == "standard input, line 2, port x"


def test_verbose_shows_the_steps_in_the_files_order(place):
    workflows = {
        "initialization": ["x-first", "connect_to_swarm", "load_neural_network"],
        "execution": ["receive_input", "process_neural_network", "send_output", "update_memory"],
        "shutdown": ["cleanup_resources"],
    }
    (place / "agent.af").write_bytes(af.write(neural_agent(workflows=workflows)))
    result = run(place / "agent.af", "-i", place / "rows.npy", "--engine", "numpy", "--verbose")
    assert result.stderr.splitlines() == [
        "initialization: x-first: passed over",
        "initialization: connect_to_swarm: not on a node",
        "initialization: load_neural_network: in the engine numpy",
        "execution: receive_input: 1 of test:sample",
        "execution: process_neural_network: 1 answers",
        "execution: send_output",
        "execution: update_memory: nothing to keep",
        "shutdown: cleanup_resources",
    ]


def test_what_cannot_be_asked_for_is_refused(place):
    (place / "python.af").write_bytes(af.write(python_agent()))
    assert run(place / "agent.af", "-i", place / "rows.npy", "--engine", "abacus").exit_code == 2
    result = run(place / "python.af", "-i", place / "rows.npy", "--engine", "numpy")
    assert (result.exit_code, "has no network to look into" in result.stderr) == (1, True)
    result = run(place / "agent.af", "-i", place / "rows.npy", "--engine", "numpy", "--state", place / "s")
    assert (result.exit_code, "keeps no state" in result.stderr) == (1, True)
    result = run(place / "agent.af", "-i", place / "rows.npy", "--capability", "a:b", "--engine", "numpy")
    assert (result.exit_code, "use one of test:sample" in result.stderr) == (1, True)
