"""A way around other layers, and the union of all kinds, which it is the one recursive member of."""

from typing import Annotated, Literal

from pydantic import Field

from af.layers.plain import Activate, Dense, Flatten, LayerNorm, Reshape, Scale, Transpose
from af.layers.sequence import Embedding, EmbeddingMean, Gru, SequencePool, TransformerEncoder
from af.layers.spatial import (
    AveragePool1d,
    AveragePool2d,
    Conv1d,
    Conv2d,
    GlobalPool,
    MaxPool1d,
    MaxPool2d,
)
from af.layers.spec import Misfit, Shape, Spec
from af.limits import LAYERS_MAX

_SimpleSpec = (
    Dense
    | Activate
    | Scale
    | LayerNorm
    | Flatten
    | Reshape
    | Transpose
    | Conv1d
    | Conv2d
    | MaxPool1d
    | MaxPool2d
    | AveragePool1d
    | AveragePool2d
    | GlobalPool
    | Embedding
    | EmbeddingMean
    | SequencePool
    | Gru
    | TransformerEncoder
)


class Residual(Spec):
    """y = x + layers(x); the layers inside keep the shape. Tensors are named `0.weight`, `1.bias`, ..."""

    type: Literal["residual"] = "residual"
    layers: Annotated[
        tuple[Annotated[_SimpleSpec, Field(discriminator="type")], ...],
        Field(min_length=1, max_length=LAYERS_MAX),
    ]

    def output_shape(self, shape: Shape) -> Shape:
        inner = shape
        for number, layer in enumerate(self.layers):
            try:
                inner = layer.output_shape(inner)
            except Misfit as misfit:
                message = f"its layers[{number}] ({layer.type}): {misfit}"
                raise Misfit(message, misfit.remedy) from None
        if inner != shape:
            message = f"its layers make {list(inner)} of {list(shape)}, which cannot be added"
            raise Misfit(message, "let the layers inside keep the shape.")
        return shape

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        for number, layer in enumerate(self.layers):
            found |= {f"{number}.{name}": tensor for name, tensor in layer.tensors(shape).items()}
            shape = layer.output_shape(shape)
        return found


LayerSpec = Annotated[_SimpleSpec | Residual, Field(discriminator="type")]
