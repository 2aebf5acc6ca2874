"""A network in memory: layers in order, each a description (af.layers) with its weights.

Every row of a batch is `input_size` numbers in float32 and becomes `output_size` numbers. Shapes between the
layers follow from the descriptions alone; `Network` computes them once and holds every weight to them, so
whoever has a Network need not look again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from af.errors import AfRefused, Problem, refused
from af.header import NeuralConfig
from af.layers import Activation, Convolution, Dense, LayerSpec, Misfit, Residual, Shape

Floats = NDArray[np.float32]

LAYERS_PLACE = "header: neural_config.layers"


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer: what it is, and its weights by name."""

    spec: LayerSpec
    tensors: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Layers from the input row to the output row; AfRefused if they do not fit each other or their weights.

    `shapes[i]` is what layer i takes, and `shapes[-1]` what the last one gives.
    """

    input_size: int
    layers: tuple[Layer, ...]
    shapes: tuple[Shape, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", shapes_between(self.input_size, self.specs))
        for number, (layer, shape) in enumerate(zip(self.layers, self.shapes, strict=False)):
            expected = layer.spec.tensors(shape)
            given = {name: tensor.shape for name, tensor in layer.tensors.items()}
            if given != expected:
                message = (
                    f"its weights are {_listed(given)}, the {layer.spec.type} needs {_listed(expected)}."
                )
                raise refused(f"{LAYERS_PLACE}[{number}]", message, "give each tensor the shape it needs.")

    @property
    def output_size(self) -> int:
        return prod(self.shapes[-1])

    @property
    def specs(self) -> tuple[LayerSpec, ...]:
        return tuple(layer.spec for layer in self.layers)

    @property
    def feedforward(self) -> bool:
        """Whether it is a chain of dense layers and nothing else."""
        return all(isinstance(layer.spec, Dense) for layer in self.layers)

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths of a feed-forward network, input first."""
        assert self.feedforward
        return tuple(prod(shape) for shape in self.shapes)

    @property
    def dense_specs(self) -> tuple[Dense, ...]:
        """The layers of a feed-forward network."""
        assert self.feedforward
        return tuple(layer.spec for layer in self.layers if isinstance(layer.spec, Dense))

    def tensors(self) -> Iterator[tuple[str, Floats]]:
        """All weights in the order of the file, named `<layer>.<tensor>`."""
        for number, (layer, shape) in enumerate(zip(self.layers, self.shapes, strict=False)):
            for name in layer.spec.tensors(shape):
                yield f"{number}.{name}", layer.tensors[name]

    def with_tensors(self, tensors: Mapping[str, ArrayLike]) -> "Network":
        """The same layers with other weights, named as `tensors()` names them."""
        layers = []
        for number, layer in enumerate(self.layers):
            own = {name: np.asarray(tensors[f"{number}.{name}"], np.float32) for name in layer.tensors}
            layers.append(replace(layer, tensors=own))
        return Network(self.input_size, tuple(layers))


def dense(
    weight: ArrayLike, bias: ArrayLike, activation: Activation = "linear", *, steepness: float = 0.5
) -> Layer:
    """A dense layer of W[outputs, inputs] and b[outputs]."""
    matrix = np.asarray(weight, np.float32)
    spec = Dense(units=matrix.shape[0], activation=activation)
    if activation.startswith("fann_"):
        spec = spec.model_copy(update={"steepness": steepness})
    return Layer(spec, {"weight": matrix, "bias": np.asarray(bias, np.float32)})


def feedforward(layers: Sequence[Layer]) -> Network:
    """The network of some dense layers; the first one's matrix says how wide the input is."""
    return Network(layers[0].tensors["weight"].shape[1], tuple(layers))


def fold_batch_norm(
    layer: Layer, mean: Floats, variance: Floats, weight: Floats, bias: Floats, epsilon: float
) -> Layer:
    """A dense or convolution layer without activation, and the batch normalisation behind it, in one."""
    assert isinstance(layer.spec, Dense | Convolution)
    assert layer.spec.activation == "linear", "an activation stands between the two"
    scale = np.float64(weight) / np.sqrt(np.float64(variance) + epsilon)
    kernel, offset = layer.tensors["weight"], layer.tensors["bias"]
    folded = kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1))
    shifted = (offset - np.float64(mean)) * scale + bias
    return Layer(layer.spec, {"weight": folded.astype(np.float32), "bias": shifted.astype(np.float32)})


def inner_layers(layer: Layer) -> tuple[Layer, ...]:
    """The layers a residual layer goes around."""
    assert isinstance(layer.spec, Residual)
    inner = []
    for number, spec in enumerate(layer.spec.layers):
        prefix = f"{number}."
        own = {
            name.removeprefix(prefix): tensor
            for name, tensor in layer.tensors.items()
            if name.startswith(prefix)
        }
        inner.append(Layer(spec, own))
    return tuple(inner)


def shapes_between(input_size: int, specs: Sequence[LayerSpec]) -> tuple[Shape, ...]:
    """The shape before each layer, and after the last; AfRefused where one does not fit."""
    shapes: list[Shape] = [(input_size,)]
    for number, spec in enumerate(specs):
        place = f"{LAYERS_PLACE}[{number}]"
        try:
            shapes.append(spec.output_shape(shapes[-1]))
            spec.tensors(shapes[-2])
        except Misfit as misfit:
            raise refused(place, f"{spec.type}: {misfit}.", misfit.remedy) from None
    return tuple(shapes)


def config_problems(config: NeuralConfig) -> list[Problem]:
    """What is wrong with a header's network before its weights are looked at."""
    try:
        shapes = shapes_between(config.input_size, config.layer_specs)
    except AfRefused as error:
        return list(error.problems)
    outputs = prod(shapes[-1])
    if outputs == config.output_size:
        return []
    message = f"it says {config.output_size}, the layers make {outputs} numbers of a row."
    return [Problem("header: neural_config.output_size", message, f"write {outputs}, or mend the layers.")]


def _listed(tensors: Mapping[str, Shape]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in tensors.items()) or "none"
