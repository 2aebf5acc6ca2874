"""Layered networks as files: header, weights, compiled module."""

import json

import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

import af
from af import layers as kinds
from af.accuracy import int8_accuracy
from af.engines import NumpyEngine, WasmEngine
from af.header import Header
from af.network import Layer, Network, dense, fold_batch_norm
from af.tools.compile import app
from af.trainingdata import TrainingData, training_section
from af.wasm.manifest import WasmManifest
from af.weights import network_from, weights_section
from tests.unit.af.layernets import EXAMPLES, rows_for, with_weights
from tests.unit.af.samples import neural_agent, neural_header, python_agent, texts


def layered_header(net, **changes):
    header = neural_header((net.input_size, net.output_size)).to_mapping()
    header["neural_config"] = {
        "network_type": "layered",
        "input_size": net.input_size,
        "output_size": net.output_size,
        "layers": [layer.spec.model_dump(mode="json", exclude_unset=True) for layer in net.layers],
    } | changes
    return header


def layered_agent(net, **changes):
    return af.AgentFile(Header.model_validate(layered_header(net, **changes)), (weights_section(net),))


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_file_with_any_kind_of_layer_compiles_and_comes_back(kind):
    net = with_weights(*EXAMPLES[kind], seed=3)
    data = af.write(af.compile_agent(layered_agent(net)))
    agent = af.parse(data)
    assert af.write(agent) == data
    again = network_from(agent.header.neural_config, agent.section("neural_weights"))
    assert [layer.spec for layer in again.layers] == [layer.spec for layer in net.layers]
    rows = rows_for(net, 3)
    run = af.executable(agent)
    answers = WasmEngine(run.code, WasmManifest.model_validate(run.manifest)).forward(rows)
    np.testing.assert_allclose(answers, NumpyEngine(again).forward(rows), atol=1e-5)


def test_layers_that_do_not_fit_are_named_with_what_would():
    header = layered_header(with_weights(*EXAMPLES["conv2d"]))
    header["neural_config"]["layers"][0]["shape"] = [2, 5, 6]
    agent = af.AgentFile(Header.model_validate(header), neural_agent().sections)
    text = texts(af.check(agent))
    assert "neural_config.layers[0]: reshape: it cannot make [2, 5, 6] of [50]" in text
    assert "choose a shape of 50 numbers" in text


def test_an_output_size_that_the_layers_do_not_make_is_refused():
    net = with_weights(*EXAMPLES["dense"])
    text = texts(af.check(layered_agent(net, output_size=4)))
    assert "output_size: it says 4, the layers make 3 numbers of a row" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": []}, "lists its `layers`"),
        ({"network_type": "feedforward"}, "lists its `layers`"),
        ({"hidden_layers": [3]}, "there is no hidden_layers"),
        ({"layers": [{"type": "dens", "units": 3}]}, "does not match any of the expected tags"),
    ],
)
def test_a_network_is_described_in_one_way(change, message):
    with pytest.raises(ValidationError, match=message):
        Header.model_validate(layered_header(with_weights(*EXAMPLES["dense"]), **change))


def test_an_unknown_key_of_a_layer_is_named_with_the_one_that_was_meant():
    header = layered_header(with_weights(*EXAMPLES["conv2d"]))
    header["neural_config"]["layers"][1]["chanels"] = 4
    with pytest.raises(af.AfRefused) as caught:
        af.parse(b"".join([b"# Agent File Format v1.0\n", af.yamltext.dump_mapping(header)]))
    assert "layers[1].conv2d.chanels" in texts(caught.value.problems)
    assert "did you mean 'channels'" in texts(caught.value.problems)


def test_weights_of_another_shape_make_no_network():
    with pytest.raises(af.AfRefused, match=r"needs weight \[3, 7\], bias \[3\]"):
        Network(
            7, (Layer(kinds.Dense(units=3), {"weight": np.zeros((3, 6), "f4"), "bias": np.zeros(3, "f4")}),)
        )


def test_other_weights_go_into_the_same_layers():
    net = with_weights(*EXAMPLES["gru"])
    doubled = net.with_tensors({name: 2 * tensor for name, tensor in net.tensors()})
    for (name, tensor), (other, twice) in zip(net.tensors(), doubled.tensors(), strict=True):
        assert name == other
        np.testing.assert_array_equal(2 * tensor, twice)


def test_a_folded_batch_normalisation_computes_what_the_two_layers_did():
    random = np.random.default_rng(0)
    layer = dense(random.standard_normal((4, 3)), random.standard_normal(4))
    mean, weight, bias = (random.standard_normal(4).astype("f4") for _ in range(3))
    variance = random.uniform(0.5, 2, 4).astype("f4")
    rows = random.standard_normal((5, 3)).astype("f4")
    apart = NumpyEngine(Network(3, (layer,))).forward(rows)
    expected = (apart - mean) / np.sqrt(variance + 1e-5) * weight + bias
    folded = fold_batch_norm(layer, mean, variance, weight, bias, 1e-5)
    np.testing.assert_allclose(NumpyEngine(Network(3, (folded,))).forward(rows), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["dense", "gru", "flatten", "embedding"])
def test_weights_of_eight_bits_stay_near_and_give_a_row_the_same_bits_alone(kind):
    net = with_weights(*EXAMPLES[kind], seed=4)
    rows = rows_for(net, 9)
    engine = WasmEngine.for_network(net, "int8")
    answers, expected = engine.forward(rows), NumpyEngine(net).forward(rows)
    assert np.abs(answers - expected).max() <= 0.03 * np.abs(expected).max()
    assert np.array([engine.forward_one(row) for row in rows]).tobytes() == answers.tobytes()


def test_eight_bits_keep_a_nan_and_zeros():
    engine = WasmEngine.for_network(with_weights(9, [kinds.Dense(units=3)]), "int8")
    assert np.isnan(engine.forward(np.full((1, 9), np.nan, "f4"))).all()
    bias = engine.forward(np.zeros((1, 9), "f4"))
    np.testing.assert_array_equal(bias[0], with_weights(9, [kinds.Dense(units=3)]).layers[0].tensors["bias"])


def test_an_int8_file_says_so_and_is_smaller():
    agent = neural_agent((64, 64, 4))
    small, exact = af.compile_agent(agent, "int8"), af.compile_agent(agent)
    assert small.header.manifest["precision"] == "int8"
    assert "precision" not in exact.header.manifest
    assert len(small.section("wasm_module").data) < 0.6 * len(exact.section("wasm_module").data)
    assert not af.check(small)


def test_the_accuracy_report_is_on_the_files_own_data():
    agent = neural_agent((3, 5, 2))
    assert int8_accuracy(agent).source == "random"
    inputs = np.random.default_rng(0).integers(0, 9, (40, 3)).astype(np.uint8)
    training = training_section(TrainingData(inputs, np.zeros((40, 1), np.uint8)))
    report = int8_accuracy(agent.with_section(training))
    assert (report.rows, report.source) == (40, "training_data")
    assert report.error_max < 0.05
    assert report.same_choice >= 0.9
    assert abs(report.right_f32 - report.right_int8) <= 0.1
    assert "int8 against f32 on 40 rows (training_data)" in str(report)
    with pytest.raises(af.AfRefused, match="leave --int8 out"):
        int8_accuracy(python_agent())


def test_the_compiler_reports_the_accuracy_with_the_file(tmp_path):
    source, out = tmp_path / "a.af", tmp_path / "b.af"
    source.write_bytes(af.write(neural_agent((16, 8, 3))))
    result = CliRunner().invoke(app, [str(source), "--int8", "--json", "-o", str(out)])
    report = json.loads(result.stdout)["int8"]
    assert report["source"] == "random"
    assert report["error_max"] < 0.05
    assert af.parse(out.read_bytes()).header.manifest["precision"] == "int8"


def test_eight_bits_for_an_agent_without_a_network_are_refused_and_nothing_is_written(tmp_path):
    source, out = tmp_path / "a.af", tmp_path / "b.af"
    source.write_bytes(af.write(python_agent()))
    result = CliRunner().invoke(app, [str(source), "--int8", "--json", "-o", str(out)])
    assert result.exit_code == 1
    assert "leave --int8 out" in result.stdout
    assert not out.exists()
