"""Layers of plain networks: dense, activation, normalisation, and changes of shape."""

from math import prod
from typing import Annotated, Literal

from pydantic import Field, Strict

from af.layers.activations import Activated
from af.layers.spec import Misfit, Shape, Spec, bounded, bounded_tensors, expect_rank
from af.limits import SHAPE_RANK_MAX, VALUE_ITEMS_MAX
from af.mappings import Width

_RANK_MAX = 3  # (channels, height, width)
Extents = Annotated[
    tuple[Annotated[int, Strict(), Field(ge=1, le=VALUE_ITEMS_MAX)], ...],
    Field(min_length=1, max_length=SHAPE_RANK_MAX),
]
Epsilon = Annotated[float, Strict(), Field(ge=0, le=1)]


class Dense(Activated, Spec):
    """y = activation(W x + b) over the last axis: of a row of features, or of every step of a sequence."""

    type: Literal["dense"] = "dense"
    units: Width

    def output_shape(self, shape: Shape) -> Shape:
        expect_rank(shape, (1, 2), "[features] or [steps, features]")
        return bounded((*shape[:-1], self.units))

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        return bounded_tensors({"weight": (self.units, shape[-1]), "bias": (self.units,)})


class Activate(Activated, Spec):
    """An activation function on its own; softmax is over the last axis."""

    type: Literal["activation"] = "activation"

    def output_shape(self, shape: Shape) -> Shape:
        if self.activation == "softmax":
            expect_rank(shape, (1, 2), "[features] or [steps, features]")
        return shape


class Scale(Spec):
    """y = weight x + bias per channel (the first axis): a batch normalisation that could not be folded."""

    type: Literal["scale"] = "scale"

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        return bounded_tensors({"weight": (shape[0],), "bias": (shape[0],)})


class LayerNorm(Spec):
    """Mean 0 and variance 1 over the last axis, then weight and bias."""

    type: Literal["layer_norm"] = "layer_norm"
    epsilon: Epsilon = 1e-5

    def output_shape(self, shape: Shape) -> Shape:
        expect_rank(shape, (1, 2), "[features] or [steps, features]")
        return shape

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        return bounded_tensors({"weight": (shape[-1],), "bias": (shape[-1],)})


class Flatten(Spec):
    """All numbers as one row of features, the last axis running fastest."""

    type: Literal["flatten"] = "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        return (prod(shape),)


class Reshape(Spec):
    """The same numbers in another shape, the last axis running fastest in both."""

    type: Literal["reshape"] = "reshape"
    shape: Extents

    def output_shape(self, shape: Shape) -> Shape:
        if len(self.shape) > _RANK_MAX:
            message = f"its shape {list(self.shape)} has more than {_RANK_MAX} axes"
            raise Misfit(message, "leave the batch axis out, and merge axes of extent 1.")
        if prod(shape) != prod(self.shape):
            message = f"it cannot make {list(self.shape)} of {list(shape)}"
            raise Misfit(message, f"choose a shape of {prod(shape)} numbers.")
        return self.shape


class Transpose(Spec):
    """Exchanges the two axes of a sequence or signal."""

    type: Literal["transpose"] = "transpose"

    def output_shape(self, shape: Shape) -> Shape:
        expect_rank(shape, (2,), "two axes")
        return (shape[1], shape[0])
