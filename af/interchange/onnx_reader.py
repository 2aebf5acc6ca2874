"""ONNX models that are chains of layers, with ways around some of them, as networks.

The file is a protocol buffer from a stranger. It is parsed by the `onnx` package, which takes no more memory
than the file has bytes times a small number; nothing of it is run, weights outside of the file are never
looked for, and the graph is walked from its one input, every node at most once, so a cycle ends the walk.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from af.errors import AfRefused, refused, shown
from af.interchange.imported import FOREIGN_BYTES_MAX, Imported, make_network
from af.interchange.onnx_attention import attention, is_attention, with_encoders
from af.interchange.onnx_chain import Chain, Node
from af.interchange.onnx_layers import OPERATORS
from af.interchange.onnx_probe import Probe
from af.interchange.onnx_recurrent import expect_order
from af.layers import Flatten, LayerSpec, Reshape, Residual
from af.layers.spec import Misfit, Shape
from af.limits import SHAPE_RANK_MAX, VALUE_ITEMS_MAX
from af.network import Layer

_PLACE = "ONNX model"
_NODES_MAX = 10_000
_DOMAINS = frozenset({"", "ai.onnx"})
_TOKEN_TYPES = frozenset({onnx.TensorProto.INT32, onnx.TensorProto.INT64})
_ROUNDABOUT = "export a model that is a chain of layers, or simplify it with onnxsim."

# Fields that are read but not run as layers; each has one input that matters.
_PASSING = frozenset({"Identity", "Dropout"})

# What these make of zeros is zeros: the first state of a recurrent layer is written with them.
_MOVING = frozenset({"Expand", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
_STATE_ITEMS_MAX = 65_536  # of a constant that is looked at for being zero


def read_onnx(data: bytes) -> Imported:
    """The network of a model; AfRefused with the node that has no counterpart in an agent file."""
    if len(data) > FOREIGN_BYTES_MAX:
        raise refused(_PLACE, f"it has more than {FOREIGN_BYTES_MAX} bytes.", "import a smaller model.")
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise refused(_PLACE, f"it is not readable ({error}).", "export the model again.") from None
    graph = model.graph
    if len(graph.node) > _NODES_MAX or not graph.node:
        message = f"its graph has {len(graph.node)} nodes; 1 to {_NODES_MAX} can be read."
        raise refused(_PLACE, message, _ROUNDABOUT)
    walk = _Walk.of(graph)
    name, shape, batch = _input(graph, walk.constants)
    (output, *more) = [value.name for value in graph.output] or [""]
    if more or not output:
        raise refused(_PLACE, f"it has {len(graph.output)} outputs.", "export a model with one output.")
    chain = Chain(shape, walk.constants, walk.zeros, batch, walk.producers)
    with np.errstate(all="ignore"):  # a weight that is not finite afterwards is refused with its name
        walk.follow(name, chain, output)
    if chain.order != "rows":
        raise refused(_PLACE, "it ends inside of a recurrent layer.", "export the layer with batch_first.")
    return Imported(
        "an ONNX model",
        make_network(prod(shape), _with_shape(shape, with_encoders(chain.layers, _PLACE)), _PLACE),
    )


@dataclass(slots=True)
class _Walk:
    """The graph as consumers of values; a node is taken out of `unvisited` when the walk passes it."""

    constants: dict[str, onnx.TensorProto]
    consumers: dict[str, list[onnx.NodeProto]]
    producers: dict[str, onnx.NodeProto]
    zeros: frozenset[str]
    visited: set[int]

    @classmethod
    def of(cls, graph: onnx.GraphProto) -> "_Walk":
        if graph.sparse_initializer:
            raise refused(_PLACE, "it has sparse weights.", "export the model with dense weights.")
        constants = {tensor.name: tensor for tensor in graph.initializer}
        consumers: dict[str, list[onnx.NodeProto]] = {}
        zeros: set[str] = set()
        for node in graph.node:
            if node.op_type == "Constant":
                constants |= zip(node.output, _constant_values(node), strict=False)
                continue
            if node.op_type == "Identity" and node.input and node.input[0] in constants:
                constants |= dict.fromkeys(node.output, constants[node.input[0]])
                continue
            if node.op_type == "ConstantOfShape" and not any(map(_is_not_zero, _constant_values(node))):
                zeros.update(node.output)
            if node.op_type in _MOVING and node.input and _is_zeros(node.input[0], zeros, constants):
                zeros.update(node.output)
                continue
            if node.op_type == "Shape":  # what is computed of shapes is not part of the chain
                continue
            for name in dict.fromkeys(node.input):
                consumers.setdefault(name, []).append(node)
        producers = {name: node for node in graph.node for name in node.output}
        return cls(constants, consumers, producers, frozenset(zeros), set())

    def follow(self, value: str, chain: Chain, end: str) -> None:
        """Add the layers between a value and the value `end` to the chain."""
        while value != end:
            nodes = self.consumers.get(value, [])
            if not nodes:
                message = f"the value {shown(value)} leads nowhere; the output {shown(end)} is not reached."
                raise refused(_PLACE, message, _ROUNDABOUT)
            if len(nodes) == 1:
                value = self._pass(nodes[0], value, chain)
            else:
                value = self._around(nodes, value, chain)

    def _pass(self, node: onnx.NodeProto, value: str, chain: Chain) -> str:
        self._visit(node)
        place = _title(node)
        if node.domain not in _DOMAINS:
            raise refused(place, f"the operator set {shown(node.domain)} is unknown.", _ROUNDABOUT)
        if node.op_type not in _PASSING:
            add = OPERATORS.get(node.op_type)
            if add is None:
                known = ", ".join(sorted({*OPERATORS, *_PASSING}))
                message = f"the operator {node.op_type} has no counterpart here."
                raise refused(place, message, f"use {known}.")
            self._add(add, chain, Node(node, value, place, self._result(node, place)))
        return self._result(node, place)

    def _add(self, add: Callable[[Chain, Node], None], chain: Chain, node: Node) -> None:
        expect_order(chain, node)
        try:
            add(chain, node)
        except Misfit as misfit:
            raise refused(node.place, f"{misfit}.", misfit.remedy) from None

    def _result(self, node: onnx.NodeProto, place: str) -> str:
        """The output the chain goes on with: of several, the one that is used."""
        if not node.output:
            raise refused(place, "it has no output.", "export the model again.")
        used = [name for name in node.output if name in self.consumers]
        if len(used) > 1:
            raise refused(place, "more than one of its outputs is used.", _ROUNDABOUT)
        return used[0] if used else node.output[0]

    def _around(self, nodes: list[onnx.NodeProto], value: str, chain: Chain) -> str:
        """X + layers(x): one of the two consumers is the Add where both ways meet."""
        joins = [node for node in nodes if node.op_type == "Add" and value in node.input]
        others = [node for node in nodes if node.op_type != "Add"]
        if (
            chain.order != "rows"
            or len(nodes) != 2
            or len(joins) != 1
            or len(others) != 1
            or len(joins[0].input) != 2
        ):
            message = f"the value {shown(value)} goes {len(nodes)} ways; only x + layers(x) can be read."
            raise refused(_PLACE, message, _ROUNDABOUT)
        (join,) = joins
        self._visit(join)
        (end,) = [name for name in join.input if name != value] or [value]
        if found := self._attention(others[0], value, end, chain):
            chain.layers.append(found)
            return str(join.output[0])
        inner = chain.inner()
        self.follow(self._pass(others[0], value, inner), inner, end)
        if inner.shape != chain.shape or not join.output:
            message = f"the way around makes {list(inner.shape)} of {list(chain.shape)}."
            raise refused(_title(join), message, "let the layers inside keep the shape.")
        chain.layers.append(_residual(inner.layers, _title(join)))
        return join.output[0]

    def _attention(self, node: onnx.NodeProto, value: str, end: str, chain: Chain) -> Layer | None:
        """The attention between a value and the sum with it, perhaps behind a normalisation."""
        inner, start = chain.inner(), value
        if node.op_type == "LayerNormalization":
            start = node.output[0]
        place = _title(self.producers[end]) if end in self.producers else _PLACE
        probe = Probe(place, self.producers, self.constants, {start: np.zeros(0)})
        try:
            nodes = probe.nodes(end)
        except AfRefused:  # too long a way to be one attention
            return None
        if end not in self.producers or not is_attention(nodes, self.constants):
            return None
        if start != value:
            self._pass(node, value, inner)
        norm = inner.layers[0] if inner.layers else None
        for each in nodes:
            self._visit(each)
        return attention(probe, start, end, chain.shape, chain.batch, norm)

    def _visit(self, node: onnx.NodeProto) -> None:
        if id(node) in self.visited:
            raise refused(_title(node), "the graph runs in a circle through it.", "export the model again.")
        self.visited.add(id(node))


def _residual(layers: list[Layer], place: str) -> Layer:
    specs: list[LayerSpec] = [layer.spec for layer in layers]
    if not specs or any(isinstance(spec, Residual) for spec in specs):
        message = "the way around goes around nothing, or around another one."
        raise refused(place, message, _ROUNDABOUT)
    tensors = {
        f"{number}.{name}": tensor
        for number, layer in enumerate(layers)
        for name, tensor in layer.tensors.items()
    }
    said = [spec.model_dump(mode="json", exclude_defaults=True) for spec in specs]
    return Layer(Residual.model_validate({"layers": said}), tensors)


def _input(graph: onnx.GraphProto, constants: dict[str, onnx.TensorProto]) -> tuple[str, Shape, int]:
    """The one input that is no weight, its shape without the batch, and the batch if it is fixed."""
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        message = f"it has {len(inputs)} inputs."
        raise refused(_PLACE, message, "export a model with one input.")
    (value,) = inputs
    place = f"{_PLACE}, input {shown(value.name)}"
    kind = value.type.tensor_type
    if kind.elem_type not in {onnx.TensorProto.FLOAT, *_TOKEN_TYPES}:
        raise refused(place, f"its numbers are of type {kind.elem_type}.", "export it with float32 inputs.")
    extents = [dimension.dim_value for dimension in kind.shape.dim]
    rest = extents[1:]
    if (
        not rest
        or len(rest) > SHAPE_RANK_MAX
        or min(rest) < 1
        or int(np.prod(rest, dtype=object)) > VALUE_ITEMS_MAX
    ):
        message = f"its shape {extents} (0 is unknown) is not a batch of rows of known size."
        raise refused(place, message, "export the model with fixed sizes behind the batch axis.")
    return value.name, tuple(rest), max(0, extents[0])


def _with_shape(shape: Shape, layers: list[Layer]) -> list[Layer]:
    """An agent file's rows are flat: an input of several axes is shaped first."""
    if len(shape) == 1:
        return layers
    if layers and isinstance(layers[0].spec, Flatten):
        return layers[1:]
    return [Layer(Reshape(shape=shape)), *layers]


def _constant_values(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.name == "value":
            yield attribute.t
        elif attribute.name == "value_float":
            yield numpy_helper.from_array(np.asarray(attribute.f, np.float32))
        elif attribute.name == "value_int":
            yield numpy_helper.from_array(np.asarray(attribute.i, np.int64))
        elif attribute.name == "value_ints":
            yield numpy_helper.from_array(np.asarray(attribute.ints, np.int64))


def _is_zeros(name: str, zeros: set[str], constants: dict[str, onnx.TensorProto]) -> bool:
    if name in zeros:
        return True
    tensor = constants.get(name)
    if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT or prod(tensor.dims) > _STATE_ITEMS_MAX:
        return False
    try:
        return not numpy_helper.to_array(tensor).any()
    except (ValueError, TypeError, KeyError, NotImplementedError, AttributeError):
        return False


def _is_not_zero(tensor: onnx.TensorProto) -> bool:
    """Of the one number a ConstantOfShape repeats; what is longer is none."""
    try:
        return list(tensor.dims) not in ([], [1]) or bool(numpy_helper.to_array(tensor).any())
    except (ValueError, TypeError, KeyError, NotImplementedError, AttributeError):
        return True


def _title(node: onnx.NodeProto) -> str:
    return f"{_PLACE}, node {shown(node.name or (node.output[0] if node.output else ''))}"
