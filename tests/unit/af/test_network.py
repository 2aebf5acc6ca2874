import numpy as np
import pytest

import af
from af.trainingdata import TrainingData, training_from, training_section
from af.weights import network_from, weight_shapes, weights_section
from tests.unit.af.samples import network, neural_agent, neural_header


def test_weights_come_back_layer_by_layer():
    net = network((3, 5, 2), ["relu", "softmax"], seed=3)
    again = network_from(neural_header().neural_config, weights_section(net))
    assert again.widths == (3, 5, 2)
    assert [spec.activation for spec in again.dense_specs] == ["relu", "softmax"]
    for layer, other in zip(net.layers, again.layers, strict=True):
        np.testing.assert_array_equal(layer.tensors["weight"], other.tensors["weight"])
        np.testing.assert_array_equal(layer.tensors["bias"], other.tensors["bias"])


def test_weights_are_little_endian_float32_matrix_by_rows_then_bias():
    section = neural_agent().section("neural_weights")
    (layer, _) = network((3, 5, 2), ["relu", "softmax"]).layers
    assert section.data[:60] == layer.tensors["weight"].astype("<f4").tobytes()
    assert section.data[60:80] == layer.tensors["bias"].astype("<f4").tobytes()
    assert (
        section.entry.shapes
        == tuple(weight_shapes(neural_header().neural_config).values())
        == ((5, 3), (5,), (2, 5), (2,))
    )


def test_weights_of_another_size_make_no_network():
    with pytest.raises(af.AfRefused, match="needs 128 "):
        network_from(neural_header().neural_config, af.encode_section("neural_weights", bytes(124)))


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        (np.arange(6, dtype=np.uint8).reshape(2, 3), np.array([[0], [1]], np.uint8)),
        (np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3), np.eye(2, dtype=np.float32)),
        (np.empty((0, 3), np.uint8), np.empty((0, 2), np.float32)),
    ],
)
def test_training_data_comes_back(inputs, targets):
    again = training_from(training_section(TrainingData(inputs, targets)))
    for before, after in ((inputs, again.inputs), (targets, again.targets)):
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("offset", "byte", "message"),
    [
        (0, b"B", "does not begin with 'AFTD'"),
        (4, b"\x02", "version 1"),
        (6, b"\x07", "item type"),
        (11, b"\xff", "more than"),
    ],
)
def test_a_damaged_training_head_is_refused(offset, byte, message):
    data = training_section(TrainingData(np.zeros((2, 3), np.uint8), np.zeros((2, 1), np.uint8))).data
    broken = af.encode_section("training_data", data[:offset] + byte + data[offset + 1 :])
    with pytest.raises(af.AfRefused, match=message):
        training_from(broken)
