"""What each ONNX operator adds to a chain of layers."""

from collections.abc import Callable
from math import prod

import numpy as np

from af import layers as kinds
from af.interchange.imported import make_spec
from af.interchange.onnx_chain import Chain, Node
from af.interchange.onnx_recurrent import (
    DIRECTIONS_LAST,
    TURNED,
    gru,
    join_directions,
    squeeze_directions,
    take_direction,
    turn,
)
from af.interchange.onnx_spatial import average_pool, conv, global_pool, max_pool, reduce
from af.layers.spec import Shape
from af.network import Floats, Layer, fold_batch_norm


def _gemm(chain: Chain, node: Node) -> None:
    node.expect_first()
    node.expect("transA", 0, 0)
    weight = chain.floats(node, 1)
    if weight.ndim != 2 or len(chain.shape) != 1:
        raise node.refusal(f"it multiplies {list(chain.shape)} with {list(weight.shape)}.")
    weight = weight if node.whole("transB", 0) else weight.T
    weight = weight * np.float32(node.number("alpha", 1.0))
    bias = np.zeros(len(weight), np.float32)
    if chain.has(node, 2):
        bias = _per_unit(chain.floats(node, 2) * np.float32(node.number("beta", 1.0)), len(weight), node)
    _dense(chain, node, weight, bias)


def _matmul(chain: Chain, node: Node) -> None:
    node.expect_first()
    weight = chain.floats(node, 1)
    if weight.ndim != 2:
        raise node.refusal(f"it multiplies with {list(weight.shape)}, not with a matrix.")
    _dense(chain, node, weight.T, np.zeros(weight.shape[1], np.float32))


def _dense(chain: Chain, node: Node, weight: Floats, bias: Floats) -> None:
    if weight.shape[1] != chain.shape[-1]:
        raise node.refusal(f"it multiplies {list(chain.shape)} with weights for {weight.shape[1]} numbers.")
    spec = make_spec(kinds.Dense, {"units": len(weight)}, node.place)
    chain.add(spec, {"weight": np.ascontiguousarray(weight), "bias": bias})


def _shift(sign: int) -> Callable[[Chain, Node], None]:
    """Add or Sub of a constant: into the sum before it, or a layer of its own."""

    def add(chain: Chain, node: Node) -> None:
        position = 1 if node.proto.input[0] == node.value else 0
        if sign < 0:
            node.expect_first()
        values = np.float32(sign) * chain.floats(node, position)
        layer = chain.open_layer()
        if layer is not None:
            is_dense = isinstance(layer.spec, kinds.Dense)
            units = len(layer.tensors["bias"])
            bias = _per_unit(values, units, node) if is_dense else _per_channel(values, chain.shape, node)
            tensors = {"weight": layer.tensors["weight"], "bias": layer.tensors["bias"] + bias}
            chain.layers[-1] = Layer(layer.spec, tensors)
            return
        shift = _per_channel(values, chain.shape, node)
        chain.add(kinds.Scale(), {"weight": np.ones_like(shift), "bias": shift})

    return add


def _stretch(inverse: bool) -> Callable[[Chain, Node], None]:
    """Mul or Div by a constant."""

    def add(chain: Chain, node: Node) -> None:
        position = 1 if node.proto.input[0] == node.value else 0
        if inverse:
            node.expect_first()
        values = _per_channel(chain.floats(node, position), chain.shape, node)
        with np.errstate(divide="ignore"):  # a division by zero is refused as a weight that is not finite
            scale = 1 / values if inverse else values
        chain.add(kinds.Scale(), {"weight": scale.astype(np.float32), "bias": np.zeros_like(values)})

    return add


def _batch_norm(chain: Chain, node: Node) -> None:
    node.expect_first()
    node.expect("training_mode", 0, 0)
    weight, bias, mean, variance = (chain.floats(node, position) for position in (1, 2, 3, 4))
    epsilon = node.number("epsilon", 1e-5)
    if any(values.shape != chain.shape[:1] for values in (weight, bias, mean, variance)):
        raise node.refusal(f"its weights do not fit {chain.shape[0]} channels.")
    if (variance + epsilon <= 0).any():
        raise node.refusal("a variance is not positive.", "train the model again.")
    layer = chain.open_layer()
    if layer is not None and (len(chain.shape) == 1 or isinstance(layer.spec, kinds.Convolution)):
        chain.layers[-1] = fold_batch_norm(layer, mean, variance, weight, bias, epsilon)
        return
    scale = np.float64(weight) / np.sqrt(np.float64(variance) + epsilon)
    shift = np.float64(bias) - mean * scale
    chain.add(kinds.Scale(), {"weight": scale.astype(np.float32), "bias": shift.astype(np.float32)})


def _activate(activation: str, **parameters: tuple[str, float]) -> Callable[[Chain, Node], None]:
    """An activation function; `parameters` are ours: (ONNX's name, its default)."""

    def add(chain: Chain, node: Node) -> None:
        node.expect_first()
        facts: dict[str, object] = {"activation": activation}
        facts |= {name: node.number(theirs, default) for name, (theirs, default) in parameters.items()}
        _apply(chain, node, facts)

    return add


def _apply(chain: Chain, node: Node, facts: dict[str, object]) -> None:
    """Into the sum before it where that may carry the function, or as a layer of its own."""
    layer = chain.open_layer()
    if layer is not None and (isinstance(layer.spec, kinds.Dense) or facts["activation"] != "softmax"):
        assert isinstance(layer.spec, kinds.Dense | kinds.Convolution)
        said = layer.spec.model_dump(mode="json", exclude_defaults=True)
        chain.layers[-1] = Layer(make_spec(type(layer.spec), said | facts, node.place), layer.tensors)
        return
    chain.add(make_spec(kinds.Activate, facts, node.place))


def _gelu(chain: Chain, node: Node) -> None:
    node.expect_first()
    tanh = node.attribute("approximate", "none") == "tanh"
    _apply(chain, node, {"activation": "gelu_tanh" if tanh else "gelu"})


def _softmax(chain: Chain, node: Node) -> None:
    node.expect_first()
    if node.whole("axis", -1) not in (-1, len(chain.shape)):
        raise node.refusal("it is not over the last axis.")
    _apply(chain, node, {"activation": "softmax"})


def _flatten(chain: Chain, node: Node) -> None:
    node.expect_first()
    node.expect("axis", 1, 1)
    chain.reshape((prod(chain.shape),), node)


def _reshape(chain: Chain, node: Node) -> None:
    node.expect_first()
    if chain.order != "rows":
        join_directions(chain, node)
        return
    wanted = chain.indices(node, 1) or [0]
    if 0 in wanted:  # otherwise it does not matter what a zero would mean
        node.expect("allowzero", 0, 0)
    rest = [
        chain.shape[axis] if extent == 0 and axis < len(chain.shape) else extent
        for axis, extent in enumerate(wanted[1:])
    ]
    known = prod(extent for extent in rest if extent != -1)
    total = prod(chain.shape)
    # The batch axis may be copied (0), inferred (-1) or, where nothing else is inferred, be fixed: to one
    # row, or to as many as the model was exported for.
    is_shape = all(extent >= 1 or extent == -1 for extent in rest) and rest.count(-1) <= 1
    fixed = (0, -1, 1) if not chain.batch else (0, -1, 1, chain.batch)
    if not is_shape or wanted[0] not in fixed or total % known:
        raise node.refusal(f"it makes {wanted} of rows of {list(chain.shape)}; it must keep the batch axis.")
    chain.reshape(tuple(total // known if extent == -1 else extent for extent in rest), node)


def _squeeze(chain: Chain, node: Node) -> None:
    node.expect_first()
    if chain.order != "rows":
        squeeze_directions(chain, node, _axes(chain, node))
        return
    rank = 1 + len(chain.shape)
    axes = {axis + rank if axis < 0 else axis for axis in _axes(chain, node)}
    if any(not 1 <= axis < rank or chain.shape[axis - 1] != 1 for axis in axes):
        raise node.refusal(f"it takes the axes {sorted(axes)} from rows of {list(chain.shape)}.")
    chain.reshape(tuple(e for axis, e in enumerate(chain.shape, start=1) if axis not in axes), node)


def _unsqueeze(chain: Chain, node: Node) -> None:
    node.expect_first()
    axes = _axes(chain, node)
    rank = 1 + len(chain.shape) + len(axes)
    places = sorted(axis + rank if axis < 0 else axis for axis in axes)
    shape = list(chain.shape)
    for place in places:
        if not 1 <= place <= len(shape) + 1:
            raise node.refusal(f"it puts axes at {places}; the batch stays first.")
        shape.insert(place - 1, 1)
    chain.reshape(tuple(shape), node)


def _axes(chain: Chain, node: Node) -> list[int]:
    return chain.indices(node, 1) if chain.has(node, 1) else node.wholes("axes", ())


def _transpose(chain: Chain, node: Node) -> None:
    node.expect_first()
    permutation = node.wholes("perm", range(len(chain.shape), -1, -1))
    if chain.order == "every" and permutation == DIRECTIONS_LAST:
        chain.order = "turned"
        return
    if permutation == TURNED:
        turn(chain, node)
        return
    if permutation == list(range(1 + len(chain.shape))):
        return
    if permutation != [0, 2, 1] or chain.order != "rows":
        raise node.refusal(f"the order of axes {permutation} has no counterpart; [0, 2, 1] has.")
    chain.add(kinds.Transpose())


def _layer_norm(chain: Chain, node: Node) -> None:
    node.expect_first()
    if node.whole("axis", -1) not in (-1, len(chain.shape)):
        raise node.refusal("it is not over the last axis.")
    weight = chain.floats(node, 1)
    bias = chain.floats(node, 2) if chain.has(node, 2) else np.zeros_like(weight)
    spec = make_spec(kinds.LayerNorm, {"epsilon": node.number("epsilon", 1e-5)}, node.place)
    chain.add(spec, {"weight": weight, "bias": bias})


def _gather(chain: Chain, node: Node) -> None:
    """A lookup of tokens in a table, or the last step of a sequence."""
    names = list(node.proto.input)
    if len(names) != 2:
        raise node.refusal("it has not two inputs.")
    if names[1] == node.value:
        node.expect("axis", 0, 0)
        table = chain.floats(node, 0)
        if table.ndim != 2:
            raise node.refusal(f"its table {list(table.shape)} is not a row per token.")
        facts = {"vocabulary": table.shape[0], "width": table.shape[1]}
        chain.add(make_spec(kinds.Embedding, facts, node.place), {"weight": table})
        return
    index = chain.constant(node, 1)
    if chain.order != "rows":
        take_direction(chain, node, index)
        return
    steps = chain.shape[0]
    if (
        node.whole("axis", 0) != 1
        or len(chain.shape) != 2
        or index.shape
        or int(index) not in (-1, steps - 1)
    ):
        raise node.refusal("of a sequence only the last step can be taken.")
    chain.add(kinds.SequencePool(mode="last"))


def _cast(chain: Chain, node: Node) -> None:
    if chain.layers:
        raise node.refusal("numbers change their type in the middle of the model.")


def _per_unit(values: Floats, units: int, node: Node) -> Floats:
    """A bias that is broadcast over rows, as one number per unit."""
    if values.shape[-1:] not in ((units,), (1,), ()) or values.size not in (1, units):
        raise node.refusal(f"{list(values.shape)} is not one number for each of {units} units.")
    return np.broadcast_to(values.reshape(-1), (units,)).astype(np.float32)


def _per_channel(values: Floats, shape: Shape, node: Node) -> Floats:
    """A constant that is broadcast over rows of a shape, as one number per channel (the first axis)."""
    extents = values.shape[1:] if values.ndim == 1 + len(shape) and values.shape[0] == 1 else values.shape
    wanted = (shape[0], *[1] * (len(shape) - 1))
    if values.size != 1 and extents != wanted:
        raise node.refusal(f"{list(values.shape)} is not one number for each channel of {list(shape)}.")
    return np.broadcast_to(values.reshape(-1), (shape[0],)).astype(np.float32)


OPERATORS: dict[str, Callable[[Chain, Node], None]] = {
    "Add": _shift(1),
    "AveragePool": average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Conv": conv,
    "Div": _stretch(inverse=True),
    "Flatten": _flatten,
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GRU": gru,
    "GlobalAveragePool": global_pool("mean"),
    "GlobalMaxPool": global_pool("max"),
    "LayerNormalization": _layer_norm,
    "LeakyRelu": _activate("leaky_relu", slope=("alpha", 0.01)),
    "MatMul": _matmul,
    "MaxPool": max_pool,
    "Mul": _stretch(inverse=False),
    "ReduceMax": reduce("max"),
    "ReduceMean": reduce("mean"),
    "Relu": _activate("relu"),
    "Reshape": _reshape,
    "Sigmoid": _activate("sigmoid"),
    "Softmax": _softmax,
    "Squeeze": _squeeze,
    "Sub": _shift(-1),
    "Tanh": _activate("tanh"),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
