"""Sizes of the neural model. One code, from a test's few thousand weights to the specification's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from swarm.errors import Mistake

WEIGHTS_MAX: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class NeuralConfig:
    """An encoder over the tokens of a request, and a decoder that asks it about each capability."""

    hidden: int = 128  # of the encoder
    layers: int = 0  # of the encoder; none where a pretrained encoder has read the text already
    heads: int = 4
    inner: int = 4  # times `hidden`: the inner size of a layer
    decoder_hidden: int = 128
    decoder_layers: int = 1
    decoder_heads: int = 4
    decoder_inner: int = 0  # times `decoder_hidden`; 0 leaves that part of a layer out
    decoder_self: bool = False  # capabilities look at each other too
    buckets: int = 16_384  # for hashed words and pieces of words
    pretrained: int = 0  # size of a pretrained encoder's states; 0 where tokens have embeddings of their own
    tokens_max: int = 160
    dropout: float = 0.2

    def __post_init__(self) -> None:
        for size, heads in ((self.hidden, self.heads), (self.decoder_hidden, self.decoder_heads)):
            if min(size, heads) < 1 or size % heads:
                raise Mistake(
                    f"{size} is not divided by {heads} heads",
                    place="neural config",
                    remedy="choose other sizes",
                )
        if self.decoder_layers < 1 or self.weights > WEIGHTS_MAX:
            raise Mistake(
                f"{self.weights} weights in {self.decoder_layers} decoder layers",
                place="neural config",
                remedy=f"take at least one decoder layer and at most {WEIGHTS_MAX} weights",
            )

    @property
    def weights(self) -> int:
        """About how many weights there are, those of single capabilities aside."""
        encoder = self.layers * (4 + 2 * self.inner) * self.hidden**2
        per_layer = (4 + 4 * self.decoder_self + 2 * self.decoder_inner) * self.decoder_hidden**2
        return encoder + self.decoder_layers * per_layer + self.hidden * (self.pretrained or self.buckets)


SPECIFIED: Final = NeuralConfig(
    hidden=768,
    layers=12,
    heads=12,
    decoder_hidden=1024,
    decoder_layers=8,
    decoder_heads=16,
    decoder_inner=4,
    decoder_self=True,
    buckets=32_768,
    tokens_max=512,
)
SMALL: Final = NeuralConfig(layers=1)
NAMED: Final = {"small": SMALL, "specified": SPECIFIED}
