"""Layers over sequences (steps, features): embeddings, pooling, GRU, and a transformer's encoder block."""

from typing import Annotated, Literal

from pydantic import Field, Strict

from af.layers.plain import Epsilon
from af.layers.spec import Misfit, Shape, Spec, bounded, bounded_tensors, expect_rank
from af.limits import HEADS_MAX, LAYER_WIDTH_MAX
from af.mappings import Width

Token = Annotated[int, Strict(), Field(ge=0, lt=LAYER_WIDTH_MAX)]


class Lookup(Spec):
    """A table with a row per token. Tokens arrive as whole numbers in float32, exact up to 2**24.

    A number that is not whole or not below `vocabulary` ends the call with an error.
    """

    vocabulary: Width
    width: Width

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        del shape
        return bounded_tensors({"weight": (self.vocabulary, self.width)})


class Embedding(Lookup):
    """The row of each token."""

    type: Literal["embedding"] = "embedding"

    def output_shape(self, shape: Shape) -> Shape:
        expect_rank(shape, (1,), "[tokens]")
        return bounded((shape[0], self.width))


class EmbeddingMean(Lookup):
    """The mean of the tokens' rows; `padding` tokens do not count, and nothing but padding gives zeros."""

    type: Literal["embedding_mean"] = "embedding_mean"
    padding: Token | None = None

    def output_shape(self, shape: Shape) -> Shape:
        expect_rank(shape, (1,), "[tokens]")
        return (self.width,)


class SequencePool(Spec):
    """One row out of all steps: their mean, their largest numbers, or the last."""

    type: Literal["sequence_pool"] = "sequence_pool"
    mode: Literal["mean", "max", "last"] = "mean"

    def output_shape(self, shape: Shape) -> Shape:
        expect_rank(shape, (2,), "[steps, features]")
        return (shape[1],)


class Gru(Spec):
    """Gated recurrent units from a state of zeros, as torch.nn.GRU: gates in the order reset, update, new."""

    type: Literal["gru"] = "gru"
    units: Width
    every_step: Annotated[bool, Strict()] = True  # otherwise only the last state

    def output_shape(self, shape: Shape) -> Shape:
        expect_rank(shape, (2,), "[steps, features]")
        return bounded((shape[0], self.units)) if self.every_step else (self.units,)

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        gates = 3 * self.units
        return bounded_tensors(
            {
                "weight_ih": (gates, shape[-1]),
                "weight_hh": (gates, self.units),
                "bias_ih": (gates,),
                "bias_hh": (gates,),
            }
        )


class TransformerEncoder(Spec):
    """torch.nn.TransformerEncoderLayer: self-attention and two dense layers, each with its way around.

    `norm: after` normalises each sum (the original), `norm: before` each branch's input.
    """

    type: Literal["transformer_encoder"] = "transformer_encoder"
    heads: Annotated[int, Strict(), Field(ge=1, le=HEADS_MAX)]
    feedforward: Width
    activation: Literal["relu", "gelu"] = "relu"
    norm: Literal["before", "after"] = "after"
    epsilon: Epsilon = 1e-5

    def output_shape(self, shape: Shape) -> Shape:
        expect_rank(shape, (2,), "[steps, features]")
        if shape[1] % self.heads:
            message = f"{self.heads} heads do not divide {shape[1]} features"
            raise Misfit(message, "choose a number of heads that divides the features.")
        bounded((shape[0], max(self.feedforward, 3 * shape[1])))
        bounded((self.heads * shape[0], shape[0]))
        return shape

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        width = shape[-1]
        return bounded_tensors(
            {
                "self_attn.in_proj_weight": (3 * width, width),
                "self_attn.in_proj_bias": (3 * width,),
                "self_attn.out_proj.weight": (width, width),
                "self_attn.out_proj.bias": (width,),
                "linear1.weight": (self.feedforward, width),
                "linear1.bias": (self.feedforward,),
                "linear2.weight": (width, self.feedforward),
                "linear2.bias": (width,),
                "norm1.weight": (width,),
                "norm1.bias": (width,),
                "norm2.weight": (width,),
                "norm2.bias": (width,),
            }
        )
