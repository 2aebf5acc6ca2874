"""A trained network with all it needs to be asked: its sizes, its capabilities, its parameters, its
thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.encoder.port import TextEncoder
from swarm.decompose.neural.config import NeuralConfig
from swarm.decompose.neural.network import Read, pairs, read, torch
from swarm.decompose.neural.tokens import hashed_tokens
from swarm.decompose.records import Capability

CANDIDATES: Final = 16  # whose pairs are scored

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NeuralModel:
    """Everything learnt; asked from any thread."""

    config: NeuralConfig
    capabilities: tuple[Capability, ...]
    parameters: Mapping[str, Any]  # torch tensors
    described: Any  # capability x size
    encoder: TextEncoder | None = None
    least: float = 0.5
    link_least: float = 0.5
    nodes_min: int = 1
    chains: bool = False
    device: str = field(default="cpu")

    def ask(self, text: str) -> tuple[Floats, Read]:
        """How likely each capability is meant, and what the pair scorer needs."""
        library = torch()
        with library.inference_mode():
            tokens, mask = batch([text], self.config, self.encoder, self.device)
            seen = read(self.config, self.parameters, tokens, mask, self.described, learning=False)
            found: Floats = seen.scores.sigmoid()[0].float().cpu().numpy()
        return found, seen

    def chances(self, text: str) -> Floats:
        """How likely each capability is meant."""
        return self.ask(text)[0]

    def links(self, seen: Read, nodes: Sequence[int]) -> dict[tuple[int, int], float]:
        """How likely each of `nodes` feeds each other."""
        library = torch()
        if len(nodes) < 2:
            return {}
        with library.inference_mode():
            chosen = library.tensor(list(nodes), device=self.device)
            table = pairs(self.parameters, seen, 0, chosen).sigmoid().cpu().numpy()
        return {
            (one, two): float(table[a, b])
            for a, one in enumerate(nodes)
            for b, two in enumerate(nodes)
            if a != b
        }


def batch(
    texts: Sequence[str],
    config: NeuralConfig,
    encoder: TextEncoder | None,
    device: str,
) -> tuple[Any, Any]:
    """Texts as one padded tensor, and which of it is real."""
    library = torch()
    rows: list[NDArray[Any]]
    if encoder is not None:
        rows = [states[: config.tokens_max] for states in encoder.states(texts)]
    else:
        rows = [hashed_tokens(text, config.buckets, config.tokens_max) for text in texts]
    return padded(rows, device, library)


def padded(rows: Sequence[NDArray[Any]], device: str, library: Any) -> tuple[Any, Any]:
    """Rows of different length as one tensor, and which of it is real."""
    longest = max(map(len, rows))
    table = np.zeros((len(rows), longest, rows[0].shape[1]), rows[0].dtype)
    real = np.zeros((len(rows), longest), bool)
    for at, row in enumerate(rows):
        table[at, : len(row)] = row
        real[at, : len(row)] = True
    return library.from_numpy(table).to(device), library.from_numpy(real).to(device)


def description_vectors(
    capabilities: Sequence[Capability], config: NeuralConfig, encoder: TextEncoder | None
) -> Floats:
    """What is known of capabilities before any example: the encoder's vectors, or bags of hashed words."""
    texts = [f"{each.name.replace('_', ' ')}. {each.description}" for each in capabilities]
    if encoder is not None:
        return encoder.vectors(texts)
    found = np.zeros((len(texts), DESCRIBED), np.float32)
    for row, text in enumerate(texts):
        numbers = hashed_tokens(text, DESCRIBED, config.tokens_max)
        np.add.at(found[row], numbers[numbers > 0], 1.0)
    unit: Floats = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)
    return unit


DESCRIBED: Final = 512  # size of a description's vector where no encoder makes it
