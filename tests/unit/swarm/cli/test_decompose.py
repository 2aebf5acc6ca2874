"""Training from files: what comes out is what `swarm plan --model` takes; broken files are refused."""

import json

import pytest

pytest.importorskip("sklearn")

from swarm.cli.engines import EngineName, Wanted, engine_for
from swarm.decompose.learn import blending, forest
from swarm.decompose.learn.codec import decode_model
from swarm.decompose.neural.codec import decode_neural
from swarm.decompose.strategies.stacked import StackedEngine
from swarm.graph import Signature
from tests.unit.swarm.decompose.catalogues import CATALOGUE, examples


@pytest.fixture
def files(tmp_path):
    tools, requests = tmp_path / "tools.json", tmp_path / "requests.jsonl"
    tools.write_text(
        json.dumps(
            [
                {"name": c.name, "description": c.description, "inputs": c.inputs, "outputs": c.outputs}
                for c in CATALOGUE
            ]
        )
    )
    records = [{"text": each.text, "nodes": each.nodes, "links": each.links} for each in examples()]
    requests.write_text("\n".join(map(json.dumps, records)))
    return tools, requests, tmp_path / "model"


def command(tools, requests, out):
    return (
        "decompose",
        "train",
        "--capabilities",
        str(tools),
        "--examples",
        str(requests),
        "--out",
        str(out),
        "--json",
    )


def test_a_model_is_trained_and_can_be_read(swarm, files, monkeypatch):
    monkeypatch.setattr(forest, "ROUNDS", 5)
    code, out, _ = swarm(*command(*files))
    assert (code, out["examples"]) == (0, len(examples()))
    assert decode_model(files[2].read_bytes()).capabilities == CATALOGUE


def test_a_broken_line_is_refused_with_its_number(swarm, files):
    files[1].write_text('{"text": "a", "nodes": [], "links": []}\n{"text": "b"}\n')
    code, out, _ = swarm(*command(*files))
    assert code == 2
    assert "line 2" in out["error"]["place"]


def test_too_few_examples_are_refused(swarm, files):
    files[1].write_text('{"text": "a", "nodes": [], "links": []}\n')
    assert swarm(*command(*files))[0] == 2
    assert not files[2].exists()


def test_a_neural_model_is_trained_and_told_apart_by_its_bytes(swarm, files):
    pytest.importorskip("torch", reason="pip install 'neural-swarm[torch]'")
    from swarm.decompose.neural.codec import decode_neural  # noqa: PLC0415 - needs torch

    code, out, _ = swarm(*command(*files), "--engine", "neural", "--epochs", "1")
    assert (code, out["capabilities"]) == (0, len(CATALOGUE))
    assert decode_neural(files[2].read_bytes(), device="cpu").capabilities == CATALOGUE


def test_both_models_are_trained_into_one_file_that_is_asked_as_one(swarm, files, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(forest, "ROUNDS", 5)
    monkeypatch.setattr(blending, "GAIN_MIN", -1.0)  # listened to, whatever so little training is worth
    code, _, _ = swarm(*command(*files), "--engine", "hybrid", "--epochs", "1")
    assert code == 0
    first, other, second = blending.split_models(files[2].read_bytes())
    engine = StackedEngine(decode_model(first), second(decode_neural(other).chances))
    assert engine.model.capabilities == CATALOGUE
    catalogue = {each.name: Signature(each.name, description=each.description) for each in CATALOGUE}
    whole = engine_for(catalogue, Wanted(EngineName.HYBRID, files[2]))
    request = examples()[0].text
    assert whole.decompose(request).nodes == engine.decompose(request).nodes
