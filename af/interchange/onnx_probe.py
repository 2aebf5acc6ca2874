"""Running a small piece of an ONNX graph on numbers of our own, to see what it computes.

Exporters write the same computation in many ways, and what they write changes with their versions. Where a
piece can be told by what it does, it is run here: operators that move numbers, multiply and add, each of them
in numpy and in float64, none of them on more numbers or with more work than the bounds allow.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from af.errors import AfRefused, refused, shown

Array = Any  # of numpy; of floats or of whole numbers, as the graph has it
Attributes = Mapping[str, Any]

NODES_MAX = 200
ITEMS_MAX = 1 << 22  # of one value
WORK_MAX = 1 << 31  # multiplications of one operator
_GEMM_INPUTS = 3

_WRONG = (ValueError, TypeError, KeyError, IndexError, NotImplementedError, AttributeError)


@dataclass(slots=True)
class Probe:
    """Values by name: constants, numbers of ours, and what has been computed of them."""

    place: str
    producers: Mapping[str, onnx.NodeProto]
    constants: Mapping[str, onnx.TensorProto]
    values: dict[str, Array] = field(default_factory=dict)

    def value(self, name: str) -> Array:
        """What the graph makes of the numbers it was given; AfRefused if that cannot be seen."""
        order: list[onnx.NodeProto] = []
        self._collect(name, order)
        for node in order:
            self._run(node)
        return self._known(name)

    def nodes(self, name: str) -> list[onnx.NodeProto]:
        """The nodes between the numbers that are known and this value, in an order they can be run in."""
        order: list[onnx.NodeProto] = []
        self._collect(name, order)
        return order

    def _collect(self, name: str, order: list[onnx.NodeProto]) -> None:
        seen: set[int] = set()
        todo: list[tuple[str, bool]] = [(name, False)]
        while todo:
            value, is_ready = todo.pop()
            node = self.producers.get(value)
            if node is None or value in self.values or value in self.constants:
                continue
            if is_ready:
                order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                if len(seen) > NODES_MAX:
                    raise self.refusal(f"it is computed by more than {NODES_MAX} nodes.")
                todo.append((value, True))
                todo += [(given, False) for given in node.input if given]

    def _run(self, node: onnx.NodeProto) -> None:
        operator = _OPERATORS.get(node.op_type)
        if operator is None:
            raise self.refusal(f"it has a node {shown(node.op_type)}.")
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        try:
            with np.errstate(all="ignore"):
                results = operator([self._known(given) for given in node.input if given], attributes)
        except _WRONG as error:
            raise self.refusal(f"{node.op_type} fails ({error}).") from None
        for result, array in zip(node.output, results, strict=False):
            if array.size > ITEMS_MAX:
                raise self.refusal(f"{node.op_type} makes {array.size} numbers.")
            self.values[result] = array

    def _known(self, name: str) -> Array:
        if name in self.values:
            return self.values[name]
        tensor = self.constants.get(name)
        if tensor is None or prod(tensor.dims) > ITEMS_MAX or tensor.external_data:
            raise self.refusal(f"{shown(name)} is not known.")
        try:
            array: Array = numpy_helper.to_array(tensor)
        except _WRONG as error:
            raise self.refusal(f"the weights {shown(name)} are not readable ({error}).") from None
        return array.astype(np.float64) if array.dtype.kind == "f" else array

    def refusal(self, message: str) -> AfRefused:
        return refused(self.place, f"what it computes cannot be seen: {message}", "simplify it with onnxsim.")


def _axes(given: Sequence[Array], attributes: Attributes) -> tuple[int, ...]:
    axes = given[1].reshape(-1).tolist() if len(given) > 1 else attributes["axes"]
    return tuple(int(axis) for axis in axes)


def _bounded(left: Array, right: Array) -> None:
    """Before two arrays are broadcast against each other."""
    if prod(np.broadcast_shapes(left.shape, right.shape)) > ITEMS_MAX:
        message = "too many numbers"
        raise ValueError(message)


def _arithmetic(operate: Callable[[Array, Array], Array]) -> "Operator":
    def run(given: Sequence[Array], attributes: Attributes) -> list[Array]:
        del attributes
        _bounded(given[0], given[1])
        return [operate(given[0], given[1])]

    return run


def _matmul(given: Sequence[Array], attributes: Attributes) -> list[Array]:
    del attributes
    left, right = given
    batches = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    if prod(batches) * prod(left.shape[-2:]) * right.shape[-1] > WORK_MAX:
        message = "too much work"
        raise ValueError(message)
    return [left @ right]


def _gemm(given: Sequence[Array], attributes: Attributes) -> list[Array]:
    left, right = given[0], given[1]
    left = left.T if attributes.get("transA") else left
    right = right.T if attributes.get("transB") else right
    (product,) = _matmul([left, right], {})
    product = product * attributes.get("alpha", 1.0)
    return [product + attributes.get("beta", 1.0) * given[2] if len(given) == _GEMM_INPUTS else product]


def _reshape(given: Sequence[Array], attributes: Attributes) -> list[Array]:
    values, wanted = given[0], [int(extent) for extent in given[1].reshape(-1)]
    if not attributes.get("allowzero"):
        wanted = [values.shape[axis] if extent == 0 else extent for axis, extent in enumerate(wanted)]
    return [values.reshape(wanted)]


def _slice(given: Sequence[Array], attributes: Attributes) -> list[Array]:
    if len(given) > 1:
        starts, ends, *more = [[int(item) for item in each.reshape(-1)] for each in given[1:]]
    else:
        starts, ends, *more = [attributes[name] for name in ("starts", "ends", "axes") if name in attributes]
    axes = more[0] if more else range(len(starts))
    steps = more[1] if len(more) > 1 else [1] * len(starts)
    places = [slice(None)] * given[0].ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places[axis] = slice(start, end, step)
    return [given[0][tuple(places)]]


def _split(given: Sequence[Array], attributes: Attributes) -> list[Array]:
    axis = int(attributes.get("axis", 0))
    if len(given) > 1:
        sizes = [int(size) for size in given[1].reshape(-1)]
        return np.split(given[0], np.cumsum(sizes)[:-1], axis)
    return np.split(given[0], int(attributes["num_outputs"]), axis)


def _softmax(given: Sequence[Array], attributes: Attributes) -> list[Array]:
    axis = int(attributes.get("axis", -1))
    powers = np.exp(given[0] - given[0].max(axis=axis, keepdims=True))
    return [powers / powers.sum(axis=axis, keepdims=True)]


def _shape(given: Sequence[Array], attributes: Attributes) -> list[Array]:
    places = slice(int(attributes.get("start", 0)), attributes.get("end"))
    return [np.array(given[0].shape, np.int64)[places]]


def _unsqueeze(given: Sequence[Array], attributes: Attributes) -> list[Array]:
    return [np.expand_dims(given[0], _axes(given, attributes))]


def _squeeze(given: Sequence[Array], attributes: Attributes) -> list[Array]:
    if len(given) == 1 and "axes" not in attributes:
        return [np.squeeze(given[0])]
    return [np.squeeze(given[0], _axes(given, attributes))]


def _gather(given: Sequence[Array], attributes: Attributes) -> list[Array]:
    return [np.take(given[0], given[1], int(attributes.get("axis", 0)))]


def _transpose(given: Sequence[Array], attributes: Attributes) -> list[Array]:
    return [np.transpose(given[0], attributes.get("perm"))]


def _concat(given: Sequence[Array], attributes: Attributes) -> list[Array]:
    return [np.concatenate(given, int(attributes["axis"]))]


def _cast(given: Sequence[Array], attributes: Attributes) -> list[Array]:
    kind = helper.tensor_dtype_to_np_dtype(int(attributes["to"])).kind
    return [given[0].astype(np.float64 if kind == "f" else np.int64)]


Operator = Callable[[Sequence[Array], Attributes], list[Array]]

_OPERATORS: dict[str, Operator] = {
    "Add": _arithmetic(np.add),
    "Cast": _cast,
    "Concat": _concat,
    "Div": _arithmetic(lambda left, right: left // right if left.dtype.kind == "i" else left / right),
    "Gather": _gather,
    "Gemm": _gemm,
    "Identity": lambda given, _: [given[0]],
    "MatMul": _matmul,
    "Mul": _arithmetic(np.multiply),
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Sqrt": lambda given, _: [np.sqrt(given[0])],
    "Squeeze": _squeeze,
    "Sub": _arithmetic(np.subtract),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
