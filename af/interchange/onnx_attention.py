"""Self-attention in an ONNX graph, and the encoder block around it.

Every exporter spells attention out in twenty to forty nodes of its own choice. So it is not told by its nodes
but by what it does: the piece of the graph between x and the sum with x is run on numbers
(af.interchange.onnx_probe) and compared with attention by the weights that are found in it, for every number
of heads and every order of query, key and value. What comes nearest must agree to the seventh digit, or the
graph is refused.

Attention alone is no layer of an agent file: it is put aside as `Attention` until `with_encoders` finds the
rest of its block around it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal, cast

import numpy as np
import onnx

from af import layers as kinds
from af.errors import refused
from af.interchange.imported import make_spec, to_floats
from af.interchange.onnx_probe import Probe
from af.layers.spec import Shape, Spec
from af.limits import HEADS_MAX
from af.network import Floats, Layer

_ROWS = 2  # of the numbers, where the model does not ask for another number of them
_AGREEMENT = 1e-6
_OF_BLOCK = "only torch.nn.TransformerEncoderLayer's arrangement around attention can be read."


class Attention(Spec):
    """x + attention(x), or x + attention(norm(x)); only while a graph is read."""

    type: Literal["attention"] = "attention"
    heads: int
    epsilon: float | None = None  # of the normalisation before it, if there is one

    def output_shape(self, shape: Shape) -> Shape:
        return shape


@dataclass(frozen=True, slots=True)
class _Linear:
    """A product with a constant matrix, and the constant that is added to it."""

    weight: Floats  # [outputs, inputs]
    bias: Floats


def is_attention(nodes: Sequence[onnx.NodeProto], constants: dict[str, onnx.TensorProto]) -> bool:
    """Whether something is multiplied with shares that were made of it."""
    free = [node for node in nodes if node.op_type == "MatMul" and not constants.keys() & set(node.input)]
    return bool(free) and any(node.op_type == "Softmax" for node in nodes)


def attention(probe: Probe, value: str, end: str, shape: Shape, batch: int, norm: Layer | None) -> Layer:
    """The layer that the piece of a graph between two values is; AfRefused if it is no attention."""
    nodes = probe.nodes(end)
    if len(shape) != 2:
        raise _unknown(probe.place, f"its rows are {list(shape)}")
    random = np.random.default_rng(0)
    probe.values[value] = random.standard_normal((batch or _ROWS, *shape))
    expected = probe.value(end)
    given = probe.values[value]
    if expected.shape != given.shape:
        raise _unknown(probe.place, f"it makes {list(expected.shape)} of {list(given.shape)}")
    linears = list(_linears(probe, nodes))
    for joined, out in _projections(linears, shape[1]):
        for heads in (count for count in range(1, HEADS_MAX + 1) if shape[1] % count == 0):
            found = _attended(given, joined, out, heads)
            if np.abs(found - expected).max() <= _AGREEMENT * max(1.0, float(np.abs(expected).max())):
                return _layer(heads, joined, out, norm)
    raise _unknown(probe.place, "with none of its weights it is attention as in torch.nn.MultiheadAttention")


def with_encoders(layers: Sequence[Layer], place: str) -> list[Layer]:
    """The layers with every attention and what belongs to it as one encoder block."""
    left, done = list(layers), list[Layer]()
    while left:
        layer = left.pop(0)
        if not isinstance(cast("Spec", layer.spec), Attention):
            done.append(layer)
            continue
        before = cast("Attention", layer.spec).epsilon is not None
        rest = left[: 1 if before else 3]
        del left[: len(rest)]
        done.append(_encoder(layer, rest, place, before=before))
    return done


def _encoder(layer: Layer, rest: list[Layer], place: str, *, before: bool) -> Layer:
    kinds_found = [each.spec.type for each in rest]
    if kinds_found != (["residual"] if before else ["layer_norm", "residual", "layer_norm"]):
        raise refused(place, f"behind an attention stand {kinds_found}.", _OF_BLOCK)
    around = rest[0] if before else rest[1]
    assert isinstance(around.spec, kinds.Residual)
    inner = list(around.spec.layers)
    first_norm = layer.tensors if before else rest[0].tensors
    places = (1, 2) if before else (0, 1)
    second_norm = around.tensors if before else rest[2].tensors
    epsilons = {cast("Attention", layer.spec).epsilon} if before else set()
    norms = [inner[0]] if before else [rest[0].spec, rest[2].spec]
    epsilons |= {getattr(norm, "epsilon", None) for norm in norms}
    dense = inner[places[0] :] if len(inner) > places[0] else []
    names = [spec.type for spec in inner]
    if names != (["layer_norm", "dense", "dense"] if before else ["dense", "dense"]) or len(epsilons) != 1:
        raise refused(place, f"an attention is followed by x + {names}.", _OF_BLOCK)
    activations = [getattr(spec, "activation", "") for spec in dense]
    if activations[0] not in {"relu", "gelu"} or activations[1] != "linear":
        raise refused(place, f"an encoder block has the activations {activations}.", _OF_BLOCK)
    one, two = (f"{number}." for number in places)
    prefix = "0." if before else ""
    tensors = {name: layer.tensors[name] for name in layer.tensors if name.startswith("self_attn.")}
    tensors |= {f"linear1.{name}": around.tensors[f"{one}{name}"] for name in ("weight", "bias")}
    tensors |= {f"linear2.{name}": around.tensors[f"{two}{name}"] for name in ("weight", "bias")}
    tensors |= {
        f"norm1.{name}": first_norm[f"norm1.{name}" if before else name] for name in ("weight", "bias")
    }
    tensors |= {f"norm2.{name}": second_norm[f"{prefix}{name}"] for name in ("weight", "bias")}
    facts = {
        "heads": cast("Attention", layer.spec).heads,
        "feedforward": len(tensors["linear1.bias"]),
        "activation": activations[0],
        "norm": "before" if before else "after",
        "epsilon": epsilons.pop(),
    }
    return Layer(make_spec(kinds.TransformerEncoder, facts, place), tensors)


def _layer(heads: int, joined: _Linear, out: _Linear, norm: Layer | None) -> Layer:
    tensors = {
        "self_attn.in_proj_weight": joined.weight,
        "self_attn.in_proj_bias": joined.bias,
        "self_attn.out_proj.weight": out.weight,
        "self_attn.out_proj.bias": out.bias,
    }
    epsilon = None
    if norm is not None:
        assert isinstance(norm.spec, kinds.LayerNorm)
        epsilon = norm.spec.epsilon
        tensors |= {f"norm1.{name}": tensor for name, tensor in norm.tensors.items()}
    return Layer(cast("kinds.LayerSpec", Attention(heads=heads, epsilon=epsilon)), tensors)


def _linears(probe: Probe, nodes: Sequence[onnx.NodeProto]) -> Iterator[_Linear]:
    added = {name: node for node in nodes if node.op_type == "Add" for name in node.input}
    for node in nodes:
        if node.op_type not in {"MatMul", "Gemm"} or node.input[1] not in probe.constants:
            continue
        weight = to_floats(probe.value(node.input[1]), probe.place)
        if weight.ndim != 2:
            continue
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        weight = weight if attributes.get("transB") else weight.T
        name = node.input[2] if node.op_type == "Gemm" and len(node.input) > 2 else ""
        if not name and node.output[0] in added:
            name = next((each for each in added[node.output[0]].input if each in probe.constants), "")
        bias = to_floats(probe.value(name), probe.place) if name else np.zeros(len(weight), np.float32)
        if bias.size == len(weight):
            yield _Linear(np.ascontiguousarray(weight), bias.reshape(-1))


def _projections(linears: Sequence[_Linear], width: int) -> Iterator[tuple[_Linear, _Linear]]:
    """Every way in which these may be query, key and value joined, and what comes behind."""
    if len(linears) == 2 and [linear.weight.shape for linear in linears] == [
        (3 * width, width),
        (width, width),
    ]:
        yield linears[0], linears[1]
    if len(linears) == 4 and all(linear.weight.shape == (width, width) for linear in linears):
        *inner, out = linears
        for order in permutations(inner):
            weights, biases = [each.weight for each in order], [each.bias for each in order]
            yield _Linear(np.concatenate(weights), np.concatenate(biases)), out


def _attended(values: Any, joined: _Linear, out: _Linear, heads: int) -> Any:
    rows, steps, width = values.shape
    parts = values @ joined.weight.T.astype(np.float64) + joined.bias
    query, key, value = parts.reshape(rows, steps, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(width // heads)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = (powers / powers.sum(axis=-1, keepdims=True)) @ value
    return (
        mixed.transpose(0, 2, 1, 3).reshape(rows, steps, width) @ out.weight.T.astype(np.float64) + out.bias
    )


def _unknown(place: str, reason: str) -> Exception:
    return refused(place, f"it multiplies shares like attention, but {reason}.", _OF_BLOCK)
