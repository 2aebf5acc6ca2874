import numpy as np
import pytest

import af
from af.engines import NumpyEngine
from af.interchange.fann import read_fann, write_fann
from af.layers import FANN_ACTIVATIONS, Dense
from af.network import Network
from tests.unit.af.interchange.kinds import KINDS, made, rows_for

FANN_CODES = {name: code for code, name in enumerate(n for n in FANN_ACTIVATIONS)}


def refusal(data):
    with pytest.raises(af.AfRefused) as caught:
        read_fann(data)
    return str(caught.value)


@pytest.fixture
def good():
    return write_fann(KINDS["fann_elliot"], {}, 0.25)


@pytest.mark.parametrize("name", FANN_ACTIVATIONS)
def test_the_library_and_this_package_compute_the_same_from_the_same_file(name, tmp_path):
    fann = pytest.importorskip("fann2.libfann")
    network = KINDS[name]
    (tmp_path / "ours.net").write_bytes(write_fann(network, {}, None))
    theirs = fann.neural_net()
    assert theirs.create_from_file(str(tmp_path / "ours.net"))
    rows = rows_for(network)
    expected = np.array([theirs.run(row.tolist()) for row in rows])
    np.testing.assert_allclose(NumpyEngine(network).forward(rows), expected, atol=2e-6)
    theirs.save(str(tmp_path / "theirs.net"))
    again = read_fann((tmp_path / "theirs.net").read_bytes()).network
    assert [layer.spec for layer in again.layers] == [layer.spec for layer in network.layers]
    for (_, before), (_, after) in zip(network.tensors(), again.tensors(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_network_the_library_trained_is_imported_with_its_parameters(tmp_path):
    fann = pytest.importorskip("fann2.libfann")
    theirs = fann.neural_net()
    theirs.create_standard_array((2, 3, 1))
    theirs.set_learning_rate(0.3)
    theirs.set_learning_momentum(0.1)
    theirs.set_activation_function_hidden(fann.SIGMOID_SYMMETRIC)
    theirs.save(str(tmp_path / "xor.net"))
    imported = read_fann((tmp_path / "xor.net").read_bytes())
    assert imported.learning_rate == pytest.approx(0.3)
    assert float(imported.header["x-fann"]["learning_momentum"]) == pytest.approx(0.1)
    rows = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]])
    expected = [theirs.run(row.tolist()) for row in rows]
    np.testing.assert_allclose(NumpyEngine(imported.network).forward(rows), expected, atol=1e-6)


def test_writing_and_reading_changes_nothing(good):
    imported = read_fann(good)
    assert write_fann(imported.network, imported.header["x-fann"], imported.learning_rate) == good


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "linear"])
def test_functions_fann_has_under_another_name_are_exported(activation):
    network = made(4, Dense(units=3, activation=activation))
    again = read_fann(write_fann(network, {}, None)).network
    rows = rows_for(network)
    np.testing.assert_allclose(
        NumpyEngine(again).forward(rows), NumpyEngine(network).forward(rows), atol=1e-6
    )


@pytest.mark.parametrize(
    ("kind", "message"), [("dense", "no activation function relu"), ("gru", "no layer of type")]
)
def test_what_fann_cannot_express_is_not_exported(kind, message):
    with pytest.raises(af.AfRefused, match=message):
        write_fann(KINDS[kind], {}, None)


def test_parameters_of_a_stranger_cannot_add_lines(good):
    network = read_fann(good).network
    evil = {"learning_momentum": "0\nnetwork_type=1", "nonsense": "1"}
    assert write_fann(network, evil, 0.25) == good


def test_missing_connections_become_zeros(good):
    text = good.decode()
    head, _, connections = text.rpartition(")=")
    first, rest = connections.split(") ", 1)
    sparse = head.replace("(8, 10, ", "(7, 10, ", 1) + ")=" + rest
    assert first == "(0, " + first[4:]
    network = read_fann(sparse.encode()).network
    assert network.layers[0].tensors["weight"][0, 0] == 0


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("FANN_FLO_2.1", "FANN_FIX_2.1", "fixed point numbers"),
        ("FANN_FLO_2.1", "FANN_FLO_1.0", "not version 2"),
        ("network_type=0", "network_type=1", "jump over layers"),
        ("scale_included=0", "scale_included=1", "scales its inputs"),
        ("layer_sizes=8 6 5", "layer_sizes=8 6 500000000", "not between 2 and"),
        ("layer_sizes=8 6 5", "layer_sizes=60000 60000 5", "do not belong to"),
        ("layer_sizes=8 6 5", "layer_sizes=8", "it has 1 layers"),
        ("layer_sizes=8 6 5", "layer_sizes=8 6 6", "the neuron line does not hold exactly"),
        ("layer_sizes=8 6 5", "layer_sizes=8 six 5", "not between 2 and"),
        ("(8, 10, ", "(9, 10, ", "connection"),
        ("(8, 10, ", "(8, 9, ", "differ in activation or steepness"),
        ("(8, 10, ", "(8, 99, ", "differ in activation or steepness"),
        (" (0, ", " (99, ", "does not come from the layer before"),
        ("weight)=(0, ", "weight)=(1, ", "two connections join"),
        ("weight)=(0, ", "weight)=(0, nan", "connection 0 of"),
        ("neurons (", "newrons (", "cut off"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_place(good, before, after, message):
    text = good.decode()
    assert before in text
    position = text.rindex(before) if before == " (0, " else text.index(before)
    assert message in refusal((text[:position] + after + text[position + len(before) :]).encode())


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(good, share):
    refusal(good[: int(len(good) * share)])


def test_weights_beyond_float32_are_refused_with_their_name():
    network = made(1, Dense(units=1, activation="fann_linear", steepness=1.0))
    text = write_fann(network, {}, None).decode()
    head, _, _ = text.rpartition(")=")
    assert "the weights 0.weight are not all finite" in refusal(f"{head})=(0, 1e99) (1, 1) \n".encode())
    assert isinstance(read_fann(f"{head})=(0, 1) (1, 1) \n".encode()).network, Network)
