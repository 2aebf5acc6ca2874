"""ONNX operators with windows, and those that reduce whole axes."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from af import layers as kinds
from af.errors import shown
from af.interchange.imported import make_spec
from af.interchange.onnx_chain import Chain, Node
from af.layers.spec import Spec

OneT = TypeVar("OneT", bound=Spec)
TwoT = TypeVar("TwoT", bound=Spec)

_NOT_SYMMETRIC = "pad both sides of an axis alike."


def conv(chain: Chain, node: Node) -> None:
    node.expect_first()
    weight = chain.floats(node, 1)
    if weight.ndim != 1 + len(chain.shape):
        raise node.refusal(f"its weights {list(weight.shape)} do not fit rows of {list(chain.shape)}.")
    bias = chain.floats(node, 2) if chain.has(node, 2) else np.zeros(weight.shape[0], np.float32)
    facts: dict[str, object] = {"channels": weight.shape[0], "groups": node.whole("group", 1)}
    one, two = kinds.Conv1d, kinds.Conv2d
    facts |= _window(chain, node, list(weight.shape[2:]))
    chain.add(_spatial(chain, node, one, two, facts), {"weight": weight, "bias": bias})


def max_pool(chain: Chain, node: Node) -> None:
    node.expect_first()
    node.expect("storage_order", 0, 0)
    facts = _window(chain, node, node.wholes("kernel_shape", ()))
    chain.add(_spatial(chain, node, kinds.MaxPool1d, kinds.MaxPool2d, facts))


def average_pool(chain: Chain, node: Node) -> None:
    node.expect_first()
    facts = _window(chain, node, node.wholes("kernel_shape", ()))
    facts["count_padding"] = bool(node.whole("count_include_pad", 0)) or not any(node.wholes("pads", ()))
    chain.add(_spatial(chain, node, kinds.AveragePool1d, kinds.AveragePool2d, facts))


def _spatial(
    chain: Chain, node: Node, one: type[OneT], two: type[TwoT], facts: dict[str, object]
) -> OneT | TwoT:
    axes = len(chain.shape) - 1
    if axes not in (1, 2):
        raise node.refusal(f"it goes over {axes} axes; one or two can be read.")
    if axes == 1:
        facts |= {name: value[0] for name, value in facts.items() if isinstance(value, list)}
    return make_spec(one, facts, node.place) if axes == 1 else make_spec(two, facts, node.place)


def _window(chain: Chain, node: Node, kernel: list[int]) -> dict[str, object]:
    """Kernel, stride and padding, one number per axis."""
    axes = len(chain.shape) - 1
    ones = [1] * axes
    strides, pads = node.wholes("strides", ones), node.wholes("pads", [0] * (2 * axes))
    if len(kernel) != axes or len(strides) != axes or len(pads) != 2 * axes:
        raise node.refusal(f"its window {kernel} does not go over {axes} axes.")
    if node.wholes("dilations", ones) != ones:
        raise node.refusal("its window is dilated.")
    node.expect("ceil_mode", 0, 0)
    match node.attribute("auto_pad", "NOTSET"):
        case "NOTSET":
            pass
        case "VALID":
            pads = [0] * (2 * axes)
        case auto:
            raise node.refusal(f"its padding is automatic ({shown(auto)}).", "export with explicit pads.")
    if pads[:axes] != pads[axes:]:
        raise node.refusal(f"its padding {pads} differs at the two ends of an axis.", _NOT_SYMMETRIC)
    return {"kernel": kernel, "stride": strides, "padding": pads[:axes]}


def global_pool(mode: str) -> Callable[[Chain, Node], None]:
    def add(chain: Chain, node: Node) -> None:
        node.expect_first()
        axes = len(chain.shape) - 1
        chain.add(make_spec(kinds.GlobalPool, {"mode": mode}, node.place))
        chain.reshape((*chain.shape, *[1] * axes), node)

    return add


def reduce(mode: str) -> Callable[[Chain, Node], None]:
    def add(chain: Chain, node: Node) -> None:
        node.expect_first()
        given = chain.indices(node, 1) if chain.has(node, 1) else node.wholes("axes", ())
        rank = 1 + len(chain.shape)
        axes = sorted(axis + rank if axis < 0 else axis for axis in given)
        if rank > 2 and axes == list(range(2, rank)):
            spec: kinds.LayerSpec = make_spec(kinds.GlobalPool, {"mode": mode}, node.place)
        elif rank == 3 and axes == [1]:
            spec = make_spec(kinds.SequencePool, {"mode": mode}, node.place)
        else:
            raise node.refusal(f"it reduces the axes {axes} of {rank}; all spatial ones, or steps, can be.")
        kept = tuple(1 if axis in axes else extent for axis, extent in enumerate(chain.shape, start=1))
        chain.add(spec)
        if node.whole("keepdims", 1):
            chain.reshape(kept, node)

    return add
