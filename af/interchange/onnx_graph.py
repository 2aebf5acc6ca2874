"""A growing ONNX graph: operators are called like functions and give the names of their results."""

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

Attribute = int | float | str | list[int]

OPSET = 20  # the first with Gelu; onnxruntime reads it since 1.17
IR_VERSION = 9


class GraphBuilder:
    """Nodes and constants of one graph. Names are numbered in the order of their making."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._count = 0

    def call(self, operator: str, *inputs: str, **attributes: Attribute) -> str:
        """One node with one result."""
        return self.call_many(operator, inputs, 1, **attributes)[0]

    def call_many(
        self, operator: str, inputs: Sequence[str], outputs_count: int, **attributes: Attribute
    ) -> list[str]:
        """One node with several results."""
        outputs = [self._name("v") for _ in range(outputs_count)]
        node = helper.make_node(operator, list(inputs), outputs)
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self._nodes.append(node)
        return outputs

    def floats(self, values: ArrayLike) -> str:
        """A float32 constant."""
        return self._constant(np.ascontiguousarray(values, np.float32))

    def wholes(self, values: Sequence[int]) -> str:
        """An int64 constant: a shape, axes, or an index."""
        return self._constant(np.asarray(values, np.int64))

    def whole(self, value: int) -> str:
        """An int64 constant without axes, which as an index takes its axis away."""
        return self._constant(np.asarray(value, np.int64))

    def reshape(self, values: str, shape: Sequence[int]) -> str:
        """Every row of the batch in another shape; the batch may be empty."""
        return self.call("Reshape", values, self.wholes([0, *shape]))

    def model(self, name: str, input_name: str, input_size: int, output_name: str, output_size: int) -> bytes:
        """The finished model: rows of float32 in, rows of float32 out, as many as there are."""
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["rows", input_size])],
            [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, ["rows", output_size])],
            initializer=self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="af")
        model.ir_version = IR_VERSION
        data: bytes = model.SerializeToString(deterministic=True)
        return data

    def finish(self, values: str, shape: Sequence[int], output_name: str) -> None:
        """Name the result, as one row of numbers per row of the batch."""
        self._nodes.append(
            helper.make_node("Reshape", [values, self.wholes([0, prod(shape)])], [output_name])
        )

    def _constant(self, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
        name = self._name("c")
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def _name(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count}"
