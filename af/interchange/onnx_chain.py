"""A chain of layers that grows node by node, and one node of an ONNX graph as a layer sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from af import layers as kinds
from af.errors import AfRefused, refused, shown
from af.interchange.imported import make_spec, to_floats
from af.layers.spec import Shape
from af.limits import LAYER_TENSOR_ITEMS_MAX
from af.network import Floats, Layer

Array = NDArray[np.generic]

NO_COUNTERPART = "change the model so that it does without."


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the graph, reached by the value `value`."""

    proto: onnx.NodeProto
    value: str
    place: str
    result: str = ""  # of its outputs, the one the chain goes on with

    def attribute(self, name: str, default: object) -> object:
        for attribute in self.proto.attribute:
            if attribute.name == name:
                found: object = helper.get_attribute_value(attribute)
                return found.decode("utf-8", "replace") if isinstance(found, bytes) else found
        return default

    def whole(self, name: str, default: int) -> int:
        value = self.attribute(name, default)
        if not isinstance(value, int):
            raise self.refusal(f"its attribute {name} is not a whole number.")
        return value

    def number(self, name: str, default: float) -> float:
        value = self.attribute(name, default)
        if not isinstance(value, float | int):
            raise self.refusal(f"its attribute {name} is not a number.")
        return float(value)

    def wholes(self, name: str, default: Sequence[int]) -> list[int]:
        value = self.attribute(name, list(default))
        if not isinstance(value, list) or not all(isinstance(item, int) for item in value):
            raise self.refusal(f"its attribute {name} is not a list of whole numbers.")
        return value

    def expect(self, name: str, default: int, wanted: int) -> None:
        """An attribute that only has a counterpart with one value."""
        if self.whole(name, default) != wanted:
            raise self.refusal(f"{name} {self.whole(name, default)} has no counterpart here.")

    def expect_first(self) -> None:
        if not self.proto.input or self.proto.input[0] != self.value:
            raise self.refusal("the chain does not enter it by its first input.")

    def refusal(self, message: str, remedy: str = NO_COUNTERPART) -> AfRefused:
        return refused(f"{self.place} ({self.proto.op_type})", message, remedy)


@dataclass(slots=True)
class Chain:
    """The layers so far, and the shape of what the last one gives."""

    shape: Shape
    constants: dict[str, onnx.TensorProto]
    zeros: frozenset[str] = frozenset()  # values that are computed, and are nothing but zeros
    batch: int = 0  # rows the model was exported for, if it has a fixed number
    producers: Mapping[str, onnx.NodeProto] = field(default_factory=dict)  # the node a value comes from
    layers: list[Layer] = field(default_factory=list)
    order: Literal["rows", "steps", "every", "turned", "last"] = (
        "rows"  # of axes: see af.interchange.onnx_recurrent
    )

    def inner(self) -> "Chain":
        """Another chain from the same place."""
        return Chain(self.shape, self.constants, self.zeros, self.batch, self.producers)

    def add(self, spec: kinds.LayerSpec, tensors: dict[str, Floats] | None = None) -> None:
        self.shape = spec.output_shape(self.shape)
        self.layers.append(Layer(spec, tensors or {}))

    def reshape(self, shape: Shape, node: Node) -> None:
        """Another shape for the same numbers; of several in a row only the last one stays."""
        if prod(shape) != prod(self.shape):
            raise node.refusal(f"it cannot make {list(shape)} of {list(self.shape)}.")
        if shape == self.shape:
            return
        before = self.layers[-1].spec if self.layers else None
        if isinstance(before, kinds.Reshape | kinds.Flatten):
            self.layers.pop()
        self.shape = shape
        flat = shape == (prod(shape),)
        spec = kinds.Flatten() if flat else make_spec(kinds.Reshape, {"shape": shape}, node.place)
        self.layers.append(Layer(spec))

    def constant(self, node: Node, position: int) -> Array:
        """A weight; AfRefused if it is computed, elsewhere, or not as large as it says."""
        names = list(node.proto.input)
        name = names[position] if position < len(names) else ""
        tensor = self.constants.get(name)
        if tensor is None:
            raise node.refusal(f"its input {position} {shown(name)} is not a constant.")
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            message = f"the weights {shown(name)} lie in another file."
            raise node.refusal(message, "save the model with its weights inside.")
        if any(extent < 0 for extent in tensor.dims) or prod(tensor.dims) > LAYER_TENSOR_ITEMS_MAX:
            raise node.refusal(f"the weights {shown(name)} of shape {list(tensor.dims)[:9]} are too large.")
        try:
            array: Array = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError, NotImplementedError, AttributeError) as error:
            raise node.refusal(f"the weights {shown(name)} are not readable ({error}).") from None
        return array

    def floats(self, node: Node, position: int) -> Floats:
        return to_floats(self.constant(node, position), node.place)

    def has(self, node: Node, position: int) -> bool:
        return position < len(node.proto.input) and node.proto.input[position] != ""

    def indices(self, node: Node, position: int) -> list[int]:
        """A constant list of whole numbers: axes, or a shape."""
        values = self.constant(node, position)
        if values.dtype.kind not in "iu" or values.ndim > 1 or values.size > 16:
            raise node.refusal("its axes or shape are not a short list of whole numbers.")
        return [int(value) for value in values.reshape(-1).tolist()]

    def open_layer(self) -> Layer | None:
        """The last layer if it is a sum that nothing has been applied to yet."""
        last = self.layers[-1] if self.layers else None
        if last is None or not isinstance(last.spec, kinds.Dense | kinds.Convolution):
            return None
        return last if last.spec.activation == "linear" else None
