"""The network as a function of its parameters: tokens in, a score per capability and per pair of them out.

The encoder is a stack of pre-norm transformer layers over the tokens. The decoder holds one query per
capability (a learnt part and one made from its description), which looks for its words among the tokens;
what it finds is scored for "asked for", and pairs of findings for "the first feeds the second". Where in
the text a capability found its words is told to the pair scorer as a number, because order is half of
what makes an edge.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from swarm.decompose.neural.config import NeuralConfig
from swarm.errors import NotBuilt

Tensor = Any  # torch is an extra: without it there is no type to name
Parameters = Mapping[str, Tensor]

SCALE: Final = 0.02  # of the first weights


def torch() -> Any:
    """The library; raises NotBuilt without it."""
    try:
        return importlib.import_module("torch")
    except (ImportError, OSError):
        raise NotBuilt(
            "the neural engine needs torch", place="neural engine", remedy="pip install 'neural-swarm[torch]'"
        ) from None


@dataclass(frozen=True, slots=True)
class Read:
    """What a batch was read to say."""

    scores: Tensor  # request x capability: log-odds of "asked for"
    found: Tensor  # request x capability x decoder_hidden
    places: Tensor  # request x capability: where in the text, 0..1


def shapes_of(config: NeuralConfig, capabilities: int, described: int) -> dict[str, tuple[int, ...]]:
    """The parameters there are; `described` is the size of a description's vector."""
    wide, deep = config.hidden, config.decoder_hidden
    shapes: dict[str, tuple[int, ...]] = {"in.weight": (config.pretrained or config.buckets, wide)}
    shapes |= {"place.weight": (config.tokens_max, wide), "out.norm": (wide,)}
    for layer in range(config.layers):
        shapes |= _layer(f"encoder.{layer}", wide, wide, config.inner)
    shapes |= {"query.weight": (capabilities, deep), "query.described": (described, deep)}
    for layer in range(config.decoder_layers):
        shapes |= _layer(f"decoder.{layer}", deep, wide, config.decoder_inner)
        if config.decoder_self:
            shapes |= _layer(f"decoder.{layer}.self", deep, deep, 0)
    shapes |= {"score.norm": (deep,), "score.weight": (capabilities, deep), "score.shared": (deep,)}
    shapes |= {"score.bias": (capabilities,), "pair.source": (deep, deep), "pair.target": (deep, deep)}
    shapes |= {"pair.prior": (capabilities, capabilities), "pair.place": (4,)}
    return shapes


def fresh(config: NeuralConfig, capabilities: int, described: int, seed: int) -> dict[str, Any]:
    """First parameters, as numpy arrays."""
    dice = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for name, shape in shapes_of(config, capabilities, described).items():
        if name.endswith("norm"):
            found[name] = np.ones(shape, np.float32)
        elif name.endswith(("bias", "prior", "place")):
            found[name] = np.zeros(shape, np.float32)
        else:
            size = SCALE if name.endswith(".weight") and shape[0] > 1 and len(shape) == 2 else 1.0
            size = size if name in {"query.weight", "place.weight", "score.weight"} else shape[0] ** -0.5
            if name == "in.weight" and not config.pretrained:
                size = config.hidden**-0.5
            found[name] = (dice.standard_normal(shape) * size).astype(np.float32)
    found["score.bias"] -= 4.0  # few of many capabilities are asked for
    return found


def _layer(name: str, asks: int, answers: int, inner: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {f"{name}.norm": (asks,), f"{name}.query": (asks, asks)}
    shapes |= {
        f"{name}.key": (answers, asks),
        f"{name}.value": (answers, asks),
        f"{name}.merge": (asks, asks),
    }
    if inner:
        shapes |= {f"{name}.inner.norm": (asks,), f"{name}.inner.up": (asks, inner * asks)}
        shapes |= {f"{name}.inner.down": (inner * asks, asks), f"{name}.inner.bias": (inner * asks,)}
    return shapes


def read(
    config: NeuralConfig, own: Parameters, tokens: Tensor, mask: Tensor, described: Tensor, *, learning: bool
) -> Read:
    """`tokens` are states (request x token x size) or hashed numbers (request x token x part)."""
    functional = torch().nn.functional
    drop = config.dropout if learning else 0.0
    if config.pretrained:
        rows = tokens @ own["in.weight"]
    else:
        real = (tokens > 0).unsqueeze(-1)
        rows = (own["in.weight"][tokens] * real).sum(2) / real.sum(2).clamp(min=1)
    rows = functional.dropout(rows + own["place.weight"][: rows.shape[1]], drop)
    for layer in range(config.layers):
        name = f"encoder.{layer}"
        seen = _normed(rows, own[f"{name}.norm"])
        rows = rows + functional.dropout(_attend(own, name, seen, seen, mask, config.heads)[0], drop)
        rows = rows + functional.dropout(_inner(own, name, rows), drop)
    rows = _normed(rows, own["out.norm"])
    asks = own["query.weight"] + described @ own["query.described"]
    asks = asks.unsqueeze(0).expand(len(rows), -1, -1)
    looks = None
    for layer in range(config.decoder_layers):
        name = f"decoder.{layer}"
        if config.decoder_self:
            seen = _normed(asks, own[f"{name}.self.norm"])
            asks = asks + _attend(own, f"{name}.self", seen, seen, None, config.decoder_heads)[0]
        seen = _normed(asks, own[f"{name}.norm"])
        added, looks = _attend(own, name, seen, rows, mask, config.decoder_heads)
        asks = asks + functional.dropout(added, drop)
        if config.decoder_inner:
            asks = asks + functional.dropout(_inner(own, name, asks), drop)
    found = _normed(asks, own["score.norm"])
    scores = (found * (own["score.weight"] + own["score.shared"])).sum(2) + own["score.bias"]
    steps = torch().linspace(0.0, 1.0, rows.shape[1], device=rows.device)
    return Read(scores, found, looks.mean(1) @ steps if looks is not None else scores * 0)


def pairs(own: Parameters, seen: Read, at: int, nodes: Tensor) -> Tensor:
    """Log-odds that one node of request `at` (rows) feeds another (columns); `nodes` are capabilities."""
    found, places = seen.found[at, nodes], seen.places[at, nodes]
    fit = (found @ own["pair.source"]) @ (found @ own["pair.target"]).T / math.sqrt(found.shape[1])
    gap = places.unsqueeze(0) - places.unsqueeze(1)
    weight = own["pair.place"]
    ahead = weight[0] * gap * 10 + weight[1] * torch().tanh(gap * 20) + weight[2] * gap.abs() * 10
    return fit + ahead + weight[3] * len(nodes) / 4 + own["pair.prior"][nodes][:, nodes]


def _normed(rows: Tensor, weight: Tensor) -> Tensor:
    return torch().nn.functional.layer_norm(rows, (rows.shape[-1],), weight)


def _attend(
    own: Parameters, name: str, asks: Tensor, answers: Tensor, mask: Tensor | None, heads: int
) -> tuple[Tensor, Tensor]:
    """Multi-head attention, and where each head looked (request x head x ask x answer)."""

    def split(rows: Tensor) -> Tensor:
        return rows.unflatten(-1, (heads, -1)).transpose(1, 2)

    query, key, value = (
        split(rows @ own[f"{name}.{part}"])
        for rows, part in ((asks, "query"), (answers, "key"), (answers, "value"))
    )
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None, :], -1e9)
    looks = scores.softmax(-1)
    return (looks @ value).transpose(1, 2).flatten(2) @ own[f"{name}.merge"], looks


def _inner(own: Parameters, name: str, rows: Tensor) -> Tensor:
    seen = _normed(rows, own[f"{name}.inner.norm"])
    functional = torch().nn.functional
    return (
        functional.gelu(seen @ own[f"{name}.inner.up"] + own[f"{name}.inner.bias"])
        @ own[f"{name}.inner.down"]
    )
