import json

import numpy as np
import pytest

import af
from af.engines import NumpyEngine
from af.interchange import export_network, format_of, import_agent
from af.interchange.fann import write_fann
from af.interchange.onnx_writer import write_onnx
from af.weights import network_from
from tests.unit.af.interchange.kinds import KINDS, rows_for
from tests.unit.af.samples import neural_agent, python_agent

LETTA = {
    "agents": [
        {
            "name": "Sales helper!",
            "description": "Answers questions about prices.",
            "system": "You are a helper.",
            "llm_config": {"model": "some-model"},
            "messages": [{"role": "user", "content": "hi"}],
        }
    ],
    "blocks": [{"label": "persona", "value": "Friendly."}, 7],
    "tools": [{"name": "price", "description": "Looks a price up.", "source_code": "import os"}],
    "files": [],
}


def refusal(action, *arguments):
    with pytest.raises(af.AfRefused) as caught:
        action(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "data"),
    [("net.bin", write_fann(KINDS["fann_sigmoid"], {}, None)), ("net.txt", write_onnx(KINDS["conv2d"]))],
)
def test_an_import_compiles_and_computes_what_the_original_computed(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    network = KINDS["fann_sigmoid" if name == "net.bin" else "conv2d"]
    agent = import_agent(tmp_path / name)
    assert not af.check(agent)
    assert af.parse(af.write(agent)) == agent
    again = network_from(agent.header.neural_config, agent.section("neural_weights"))
    rows = rows_for(network)
    np.testing.assert_allclose(
        NumpyEngine(again).forward(rows), NumpyEngine(network).forward(rows), atol=1e-6
    )
    assert agent.header.capabilities[0].name == "imported:net"


def test_a_chain_of_plain_dense_layers_is_described_in_the_short_form(tmp_path):
    (tmp_path / "dense.onnx").write_bytes(write_onnx(KINDS["dense"]))
    config = import_agent(tmp_path / "dense.onnx").header.neural_config
    assert (config.network_type, config.widths, config.output_activation) == (
        "feedforward",
        (7, 5, 3),
        "softmax",
    )


def test_the_source_beside_a_file_has_the_last_word(tmp_path):
    (tmp_path / "a.net").write_bytes(write_fann(KINDS["fann_sigmoid"], {"learning_momentum": "0.5"}, 0.25))
    (tmp_path / "a.yaml").write_text("name: mine\nauthor: Ada\nresources: {limits: {memory_mb: 64}}\n")
    header = import_agent(tmp_path / "a.net", tmp_path / "a.yaml").header
    assert (header.name, header.author, header.resources.limits.memory_mb) == ("mine", "Ada", 64)
    assert header.neural_config.learning_rate == 0.25
    assert header.extras["x-fann"]["learning_momentum"] == "0.5"
    (tmp_path / "a.yaml").write_text("neural_config: {input_size: 1, output_size: 1}\n")
    assert "the imported file says this itself" in refusal(
        import_agent, tmp_path / "a.net", tmp_path / "a.yaml"
    )


def test_weights_alone_need_a_source_that_lists_the_layers(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    arrays = {"fc1.weight": np.ones((5, 3), "f4"), "fc2.weight": np.ones((2, 5), "f4")}
    (tmp_path / "a.safetensors").write_bytes(safetensors.save(arrays))
    assert "describe the layers in a YAML source" in refusal(import_agent, tmp_path / "a.safetensors")
    (tmp_path / "a.yaml").write_text(
        "neural_config: {input_size: 3, hidden_layers: [5], output_size: 2}\ntensors: [fc1, fc2]\n"
    )
    agent = import_agent(tmp_path / "a.safetensors", tmp_path / "a.yaml")
    assert not af.check(af.compile_agent(agent))
    (tmp_path / "a.yaml").write_text("neural_config: {input_size: 3, output_size: 2}\ntensors: 7\n")
    assert "not a list of names" in refusal(import_agent, tmp_path / "a.safetensors", tmp_path / "a.yaml")


def test_an_export_comes_back(tmp_path):
    agent = neural_agent()
    (tmp_path / "a.onnx").write_bytes(export_network(agent, "onnx"))
    again = import_agent(tmp_path / "a.onnx")
    assert again.header.neural_config.layer_specs == agent.header.neural_config.layer_specs
    assert again.section("neural_weights") == agent.section("neural_weights")
    assert "no activation function relu" in refusal(export_network, agent, "fann")
    assert "has no network to export" in refusal(export_network, python_agent(), "onnx")


def test_a_letta_agent_brings_its_words_to_a_module_of_ours(tmp_path):
    (tmp_path / "a.af").write_text(json.dumps(LETTA))
    assert "a prompt for a language model, without a program" in refusal(import_agent, tmp_path / "a.af")
    (tmp_path / "agent.py").write_bytes(python_agent().sections[0].data)
    (tmp_path / "a.yaml").write_text(
        "kind: python\ncapabilities: [{name: 'sales:answer', inputs: [], outputs: []}]\n"
        "sources: {module: agent.py}\n"
    )
    agent = import_agent(tmp_path / "a.af", tmp_path / "a.yaml")
    assert not af.check(af.compile_agent(agent))
    assert (agent.header.name, agent.header.description) == (
        "Sales-helper",
        "Answers questions about prices.",
    )
    kept = agent.header.extras["x-letta"]
    assert kept["memory"] == [{"label": "persona", "value": "Friendly."}]
    assert kept["tools"] == [{"name": "price", "description": "Looks a price up."}]
    assert (kept["system"], kept["model"]) == ("You are a helper.", "some-model")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"agents": []}, "it holds 0 agents"),
        ({"agents": [{}, {}]}, "it holds 2 agents"),
        ({"agents": [{"system": "x"}], "blocks": [{"label": "a", "value": "y" * 60_000}] * 9}, "longer than"),
        ('{"agents": [', "not readable JSON"),
        ('{"agents": ' + "[" * 100_000, "not readable JSON"),
    ],
)
def test_a_letta_file_that_cannot_be_used_is_refused(tmp_path, document, message):
    (tmp_path / "a.af").write_text(document if isinstance(document, str) else json.dumps(document))
    assert message in refusal(import_agent, tmp_path / "a.af")


def test_a_letta_file_is_recognised_where_one_of_ours_is_expected():
    assert "a Letta agent file, which shares only its suffix" in refusal(af.parse, json.dumps(LETTA).encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (af.write(python_agent()), "it is an agent file or its source already"),
        (b"hello", "in none of the formats"),
        (b"", "in none of the formats"),
        ((1 << 50).to_bytes(8, "little") + b"{", "cut off"),
    ],
)
def test_what_is_none_of_the_formats_is_said_to_be_none(data, message):
    assert message in refusal(format_of, data)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert "No such file" in refusal(import_agent, tmp_path / "none")
