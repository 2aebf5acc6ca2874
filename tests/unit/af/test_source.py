import numpy as np
import pytest

import af
from af.source import build
from af.trainingdata import training_from
from af.weights import network_from
from af.yamltext import dump_mapping
from tests.unit.af.samples import network, neural_header, texts


def write_source(folder, sources, **changes):
    mapping = neural_header().to_mapping() | changes | ({"sources": sources} if sources is not None else {})
    path = folder / "agent.yaml"
    path.write_bytes(dump_mapping(mapping))
    return path


def refusal(path):
    with pytest.raises(af.AfRefused) as caught:
        build(path)
    return texts(caught.value.problems)


def test_an_agent_is_built_from_a_header_and_arrays(tmp_path):
    net = network((3, 5, 2), ["relu", "softmax"])
    arrays = {
        f"{letter}{n}": value
        for n, layer in enumerate(net.layers)
        for letter, value in (("w", layer.tensors["weight"]), ("b", layer.tensors["bias"]))
    }
    np.savez(tmp_path / "weights.npz", **arrays)
    np.savez(tmp_path / "data.npz", inputs=np.ones((4, 3), np.uint8), targets=np.eye(4, 2))
    agent = build(write_source(tmp_path, {"weights": "weights.npz", "training": "data.npz"}))
    assert not af.check(agent)
    built = network_from(agent.header.neural_config, agent.section("neural_weights"))
    np.testing.assert_array_equal(built.layers[1].tensors["weight"], net.layers[1].tensors["weight"])
    assert training_from(agent.section("training_data")).targets.dtype == np.float32


def test_every_mistake_in_a_source_is_reported(tmp_path):
    (tmp_path / "text.npz").write_text("no arrays")
    sources = {"modul": "a.py", "module": "missing.py", "weights": "text.npz", "training": 7}
    text = refusal(write_source(tmp_path, sources, colour="blue", sections=[]))
    assert "sources.modul: the key 'modul' is unknown" in text
    assert "missing.py is not readable (No such file or directory)" in text
    assert "sources.weights: it is not a readable .npz file" in text
    assert "sources.training: it is not a file name" in text
    assert "header: colour" in text
    assert "header: sections: a source has no section index" in text


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"weights": np.ones((2, 2))}, "name them 0.weight, 0.bias, 1.weight, 1.bias, ..."),
        ({"w0": np.ones((2, 3)), "b0": np.ones(3)}, "its arrays are ['b0', 'w0']"),
        ({"w0": np.array([None]), "b0": np.ones(2)}, "not a readable .npz"),
    ],
)
def test_arrays_that_are_no_network_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "weights.npz", **arrays)
    assert message in refusal(write_source(tmp_path, {"weights": "weights.npz"}))


def test_arrays_of_another_shape_are_refused_by_the_check(tmp_path):
    arrays = {"w0": np.ones((5, 3)), "b0": np.ones(5), "w1": np.ones((5, 2)), "b1": np.ones(2)}
    np.savez(tmp_path / "weights.npz", **arrays)
    problems = af.check(build(write_source(tmp_path, {"weights": "weights.npz"})))
    assert "write dtype f32 and shapes [[5, 3], [5], [2, 5], [2]]" in texts(problems)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones(1)}, "name them inputs and targets"),
        ({"inputs": np.ones(3), "targets": np.ones(3)}, "side by side"),
    ],
)
def test_arrays_that_are_no_training_data_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "data.npz", **arrays)
    assert message in refusal(write_source(tmp_path, {"training": "data.npz"}))


def test_sources_that_are_no_mapping_are_refused(tmp_path):
    assert "header: sources: it is not a mapping" in refusal(write_source(tmp_path, ["agent.py"]))


def test_a_source_that_is_not_there_is_refused(tmp_path):
    assert "No such file" in refusal(tmp_path / "nothing.yaml")
