import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import af
from af.engines import NumpyEngine
from af.interchange.onnx_reader import read_onnx
from af.interchange.onnx_writer import write_onnx
from tests.unit.af.interchange.kinds import KINDS, rows_for

# What the reader has no name for: recurrent layers, attention, and FANN's composed functions.
WRITTEN_ONLY = {
    "embedding mean padded",
}
BOTH_WAYS = [name for name in KINDS if name not in WRITTEN_ONLY and not name.startswith("fann_")]


def model(nodes, constants, shape=("n", 4), *, outputs=("y",), **facts):
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", facts.get("type", TensorProto.FLOAT), list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        initializer=[numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]).SerializeToString()


def node(operator, inputs, outputs, **attributes):
    return helper.make_node(operator, inputs.split(), outputs.split(), name=f"the {operator}", **attributes)


def refusal(data):
    with pytest.raises(af.AfRefused) as caught:
        read_onnx(data)
    return str(caught.value)


@pytest.mark.parametrize("kind", BOTH_WAYS)
def test_what_is_written_comes_back_and_computes_the_same(kind):
    network = KINDS[kind]
    again = read_onnx(write_onnx(network)).network
    rows = rows_for(network)
    assert again.output_size == network.output_size
    np.testing.assert_allclose(
        NumpyEngine(again).forward(rows), NumpyEngine(network).forward(rows), rtol=1e-5, atol=1e-6
    )


def test_a_chain_of_dense_layers_comes_back_as_the_same_layers():
    network = KINDS["dense"]
    assert [layer.spec for layer in read_onnx(write_onnx(network)).network.layers] == [
        layer.spec for layer in network.layers
    ]


def test_sums_products_and_normalisation_become_layers():
    random = np.random.default_rng(3)
    w, b = random.standard_normal((4, 3)).astype("f4"), random.standard_normal(3).astype("f4")
    scale, mean, variance = np.float32([1, 2, 3]), np.float32([0.1, 0.2, 0.3]), np.float32([1, 4, 9])
    data = model(
        [
            node("Sub", "x half", "a"),
            node("Div", "a two", "b"),
            node("MatMul", "b w", "c"),
            node("Add", "shift c", "d"),
            node("BatchNormalization", "d scale shift mean variance", "e", epsilon=1e-3),
            node("Identity", "e", "f"),
            node("Relu", "f", "g"),
            node("Mul", "three g", "y"),
        ],
        {
            "half": np.float32(0.5),
            "two": np.float32([[2, 2, 2, 2]]),
            "three": np.float32(3),
            "w": w,
            "shift": b,
            "scale": scale,
            "mean": mean,
            "variance": variance,
        },
    )
    network = read_onnx(data).network
    rows = random.standard_normal((5, 4)).astype("f4")
    summed = (rows - 0.5) / 2 @ w + b
    expected = 3 * np.maximum((summed - mean) / np.sqrt(variance + 1e-3) * scale + b, 0)
    np.testing.assert_allclose(NumpyEngine(network).forward(rows), expected, rtol=1e-4, atol=1e-5)
    assert [layer.spec.type for layer in network.layers] == ["scale", "scale", "dense", "scale"]


def test_constants_may_be_nodes_and_shapes_may_be_inferred():
    data = model(
        [
            helper.make_node("Constant", [], ["shape"], value_ints=[-1, 2, 2]),
            node("Reshape", "x shape", "a"),
            node("Squeeze", "a2 axes", "b"),
            node("Unsqueeze", "a axes", "a2"),
            node("Flatten", "b", "y"),
        ],
        {"axes": np.int64([1])},
    )
    network = read_onnx(data).network
    assert [layer.spec.type for layer in network.layers] == ["flatten"]


def test_a_shape_without_zeros_needs_no_word_on_zeros():
    constants = {"shape": np.int64([-1, 4]), "zeros": np.int64([0, 2, 2])}
    nodes = [node("Reshape", "x shape", "a", allowzero=1), node("Relu", "a", "y")]
    assert read_onnx(model(nodes, constants, ("n", 2, 2))).network.shapes == ((4,), (4,))
    data = model([node("Reshape", "x zeros", "y", allowzero=1)], constants)
    assert "allowzero 1 has no counterpart" in refusal(data)


def test_a_models_rows_of_several_axes_are_shaped_first():
    kernel = np.ones((2, 1, 2, 2), "f4")
    data = model([node("Conv", "x k", "y")], {"k": kernel}, ("n", 1, 3, 3))
    network = read_onnx(data).network
    assert (network.input_size, network.shapes) == (9, ((9,), (1, 3, 3), (2, 2, 2)))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Elu", "x", "y")], "node 'the Elu': the operator Elu has no counterpart here"),
        ([node("Relu", "x", "a"), node("Tanh", "a", "b")], "the output 'y' is not reached"),
        ([node("Relu", "x", "a"), node("Tanh", "a", "x")], "runs in a circle through it"),
        ([node("Relu", "y", "y")], "the value 'x' leads nowhere"),
        ([node("Relu", "x", "a"), node("Add", "a x", "y"), node("Tanh", "x", "b")], "goes 3 ways"),
        ([node("Flatten", "x", "a"), node("MatMul", "a a", "y")], "input 1 'a' is not a constant"),
        ([node("MatMul", "x missing", "y")], "'missing' is not a constant"),
        ([node("MatMul", "x wide", "y")], "with weights for 5 numbers"),
        ([node("Gemm", "x w", "y", transA=1)], "transA 1 has no counterpart"),
        ([node("Conv", "x w", "y")], "it goes over 0 axes"),
        ([node("MaxPool", "x", "y", kernel_shape=[2, 2])], "does not go over 0 axes"),
        ([node("Softmax", "x", "y", axis=0)], "not over the last axis"),
        ([node("Reshape", "x shape", "y")], "it must keep the batch axis"),
        ([node("Transpose", "x", "y", perm=[1, 0])], "the order of axes [1, 0]"),
        ([node("MatMul", "x bad", "y")], "are not all finite"),
        ([helper.make_node("Relu", ["x"], ["y"], domain="evil")], "operator set 'evil' is unknown"),
        ([node("Relu", "x", "a"), node("Relu", "a", "b"), node("Add", "a b", "y")], "Add"),
    ],
)
def test_a_graph_that_is_no_chain_of_known_layers_is_refused(nodes, message):
    constants = {
        "w": np.ones((4, 4), "f4"),
        "wide": np.ones((5, 2), "f4"),
        "bad": np.full((4, 4), np.inf, "f4"),
        "shape": np.int64([4, -1]),
    }
    if message == "Add":
        network = read_onnx(model(nodes, constants)).network
        assert [layer.spec.type for layer in network.layers] == ["activation", "residual"]
    else:
        assert message in refusal(model(nodes, constants))


@pytest.mark.parametrize("shape", [("n",), ("n", "m"), ("n", 0), ("n", 1 << 40), ("n", 4, 1 << 31, 1 << 31)])
def test_an_input_of_unknown_or_absurd_size_is_refused(shape):
    assert "not a batch of rows of known size" in refusal(model([node("Relu", "x", "y")], {}, shape))


def test_weights_outside_of_the_file_are_never_looked_for():
    proto = onnx.load_model_from_string(model([node("MatMul", "x w", "y")], {"w": np.ones((4, 4), "f4")}))
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    assert "lie in another file" in refusal(proto.SerializeToString())


@pytest.mark.parametrize("extents", [[1 << 40, 1 << 40], [-4, 4], [4, 5]])
def test_weights_that_are_not_as_large_as_they_say_are_refused_before_they_are_made(extents):
    proto = onnx.load_model_from_string(model([node("MatMul", "x w", "y")], {"w": np.ones((4, 4), "f4")}))
    del proto.graph.initializer[0].dims[:]
    proto.graph.initializer[0].dims.extend(extents)
    assert "the weights 'w'" in refusal(proto.SerializeToString())


@pytest.mark.parametrize("data", [b"", b"\x08", b"\xff" * 50, write_onnx(KINDS["dense"])[:-40]])
def test_bytes_that_are_no_model_are_refused(data):
    assert "ONNX model" in refusal(data)


def turned(graph_change):
    proto = onnx.load_model_from_string(write_onnx(KINDS["gru"]))
    graph_change(proto.graph, {node.op_type: node for node in proto.graph.node})
    return proto.SerializeToString()


def _backwards(graph, nodes):
    nodes["GRU"].attribute.append(helper.make_attribute("direction", "reverse"))


def _no_reset_flag(graph, nodes):
    del nodes["GRU"].attribute[:]


def _computed_start(graph, nodes):
    nodes["GRU"].input.extend(["", "start"])


def _ends_early(graph, nodes):
    graph.output[0].name = nodes["GRU"].output[0]


def _wrong_squeeze(graph, nodes):
    nodes["Squeeze"].input[1] = graph.initializer[0].name


def _other_operator(graph, nodes):
    nodes["Squeeze"].op_type = "Relu"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_backwards, "its direction, activations or clip are not the usual ones"),
        (_no_reset_flag, "linear_before_reset 0 has no counterpart"),
        (_computed_start, "its input 5 'start' is not a constant"),
        (_ends_early, "it ends inside of a recurrent layer"),
        (_wrong_squeeze, "from the answer of a recurrent layer"),
        (_other_operator, "it stands inside of a recurrent layer"),
    ],
)
def test_a_recurrent_layer_of_another_sort_is_refused(change, message):
    assert message in refusal(turned(change))
