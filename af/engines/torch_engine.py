"""Networks in PyTorch, on the processor or a GPU: the engine of large batches, and of gradients.

`TorchNetwork` is the network as a function of its parameters, so that whoever trains can hold the parameters;
they are named as the network names its tensors, and `Network.with_tensors` takes them back.
"""

import functools
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from af import layers as kinds
from af.engines.engine import missing
from af.errors import refused
from af.layers.fann import FANN_CLIP, STEPWISE
from af.layers.spec import Spec
from af.network import Floats, Layer, Network, inner_layers

Tensor = Any  # torch is an extra: without it there is no type to name
Weights = Mapping[str, Tensor]

LEARNING_RATE = 0.01


@functools.cache
def torch() -> Any:
    """The library; AfNotReady without it."""
    try:
        return importlib.import_module("torch")
    except (ImportError, OSError) as error:
        raise missing("torch", "torch", error) from None


class TorchNetwork:
    """The network's layers over tensors."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def parameters(self, device: str = "cpu") -> dict[str, Tensor]:
        """The network's weights as tensors of their own."""
        return {
            name: torch().tensor(np.array(tensor), device=device) for name, tensor in self.network.tensors()
        }

    def compute(self, parameters: Weights, rows: Tensor, *, scores: bool = False) -> Tensor:
        """Rows to rows. With `scores` a softmax at the end is left out, as losses on scores want it."""
        values = rows
        last = len(self.network.layers) - 1
        for number, layer in enumerate(self.network.layers):
            own = _own(parameters, f"{number}.")
            spec = layer.spec
            if scores and number == last and isinstance(spec, kinds.Dense | kinds.Activate):
                unfinished = spec.activation == "softmax"
                spec = spec.model_copy(update={"activation": "linear"}) if unfinished else spec
            values = _applied(Layer(spec, layer.tensors), values, own)
        return values.reshape(len(rows), self.network.output_size)


class TorchEngine:
    """The network on one device, in float32."""

    name: ClassVar[str] = "torch"

    def __init__(self, network: Network, device: str = "cpu", learning_rate: float = LEARNING_RATE) -> None:
        self._device = device
        self._network = TorchNetwork(network)
        self._rate = learning_rate
        with _place_of_device(device):
            self.parameters = self._network.parameters(device)

    def forward(self, batch: Floats) -> Floats:
        rows = np.ascontiguousarray(batch, np.float32)
        library = torch()
        with library.inference_mode():
            given = library.from_numpy(rows).to(self._device)
            answers: Floats = self._network.compute(self.parameters, given).cpu().numpy()
        return answers

    def train(self, batch: Floats, target: Floats) -> float:
        """One step of gradient descent: cross entropy for a softmax output, else the mean squared error."""
        library = torch()
        rows = library.from_numpy(np.array(batch, np.float32)).to(self._device)
        wanted = library.from_numpy(np.array(target, np.float32)).to(self._device)
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)
            parameter.grad = None
        loss = self.loss(rows, wanted)
        loss.backward()
        with library.no_grad():
            for parameter in self.parameters.values():
                parameter.sub_(parameter.grad, alpha=self._rate)
        return float(loss.detach())

    def loss(self, rows: Tensor, wanted: Tensor) -> Tensor:
        """The loss that `train` lessens."""
        functional = torch().nn.functional
        spec = self._network.network.layers[-1].spec
        shares = isinstance(spec, kinds.Dense | kinds.Activate) and spec.activation == "softmax"
        answers = self._network.compute(self.parameters, rows, scores=shares)
        if shares:
            return functional.cross_entropy(answers, wanted)
        return functional.mse_loss(answers, wanted)


@contextmanager
def _place_of_device(device: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, AssertionError) as error:
        message = f"torch has no device {device!r} here ({str(error).splitlines()[0]})."
        raise refused("engine", message, "use cpu, or cuda on a machine with a GPU.") from None


def _own(parameters: Weights, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in parameters.items() if name.startswith(prefix)}


def _applied(layer: Layer, values: Tensor, weights: Weights) -> Tensor:
    if not isinstance(layer.spec, kinds.Residual):
        return _apply(layer.spec, values, weights)
    inner = values
    for number, inside in enumerate(inner_layers(layer)):
        inner = _applied(inside, inner, _own(weights, f"{number}."))
    return values + inner


@functools.singledispatch
def _apply(spec: Spec, values: Tensor, weights: Weights) -> Tensor:
    del values, weights
    raise AssertionError(spec.type)


@_apply.register
def _(spec: kinds.Dense, values: Tensor, weights: Weights) -> Tensor:
    return _activated(torch().nn.functional.linear(values, weights["weight"], weights["bias"]), spec)


@_apply.register
def _(spec: kinds.Activate, values: Tensor, weights: Weights) -> Tensor:
    del weights
    return _activated(values, spec)


@_apply.register
def _(spec: kinds.Scale, values: Tensor, weights: Weights) -> Tensor:
    del spec
    per_channel = (-1, *[1] * (values.dim() - 2))
    return values * weights["weight"].reshape(per_channel) + weights["bias"].reshape(per_channel)


@_apply.register
def _(spec: kinds.LayerNorm, values: Tensor, weights: Weights) -> Tensor:
    shape = values.shape[-1:]
    return torch().nn.functional.layer_norm(values, shape, weights["weight"], weights["bias"], spec.epsilon)


@_apply.register(kinds.Flatten)
@_apply.register(kinds.Reshape)
def _(spec: kinds.Flatten | kinds.Reshape, values: Tensor, weights: Weights) -> Tensor:
    del weights
    return values.reshape(len(values), *spec.output_shape(tuple(values.shape[1:])))


@_apply.register
def _(spec: kinds.Transpose, values: Tensor, weights: Weights) -> Tensor:
    del spec, weights
    return values.transpose(1, 2)


@_apply.register
def _(spec: kinds.Convolution, values: Tensor, weights: Weights) -> Tensor:
    functional = torch().nn.functional
    convolve = functional.conv1d if len(spec.window) == 1 else functional.conv2d
    summed = convolve(
        values, weights["weight"], weights["bias"], stride=spec.steps, padding=spec.pads, groups=spec.groups
    )
    return _activated(summed, spec)


@_apply.register
def _(spec: kinds.Pooling, values: Tensor, weights: Weights) -> Tensor:
    del weights
    functional = torch().nn.functional
    one = len(spec.window) == 1
    if isinstance(spec, kinds.AveragePool1d | kinds.AveragePool2d):
        pool = functional.avg_pool1d if one else functional.avg_pool2d
        counted = {"count_include_pad": spec.count_padding}
        return pool(values, spec.window, stride=spec.steps, padding=spec.pads, **counted)
    pool = functional.max_pool1d if one else functional.max_pool2d
    return pool(values, spec.window, stride=spec.steps, padding=spec.pads)


@_apply.register
def _(spec: kinds.GlobalPool, values: Tensor, weights: Weights) -> Tensor:
    del weights
    over = tuple(range(2, values.dim()))
    return values.amax(dim=over) if spec.mode == "max" else values.mean(dim=over)


@_apply.register
def _(spec: kinds.Embedding, values: Tensor, weights: Weights) -> Tensor:
    return torch().nn.functional.embedding(_tokens(values, spec.vocabulary), weights["weight"])


@_apply.register
def _(spec: kinds.EmbeddingMean, values: Tensor, weights: Weights) -> Tensor:
    found = _tokens(values, spec.vocabulary)
    bag = torch().nn.functional.embedding_bag
    return bag(found, weights["weight"], mode="mean", padding_idx=spec.padding)


@_apply.register
def _(spec: kinds.SequencePool, values: Tensor, weights: Weights) -> Tensor:
    del weights
    if spec.mode == "last":
        return values[:, -1]
    return values.amax(dim=1) if spec.mode == "max" else values.mean(dim=1)


@_apply.register
def _(spec: kinds.Gru, values: Tensor, weights: Weights) -> Tensor:
    module = _gru_module(values.shape[-1], spec.units)
    named = {f"{name}_l0": tensor for name, tensor in weights.items()}
    states, _ = torch().func.functional_call(module, named, (values,))
    return states if spec.every_step else states[:, -1]


@_apply.register
def _(spec: kinds.TransformerEncoder, values: Tensor, weights: Weights) -> Tensor:
    shape = (values.shape[-1], spec.heads, spec.feedforward)
    module = _encoder_module(*shape, spec.activation, spec.epsilon, norm_first=spec.norm == "before")
    return torch().func.functional_call(module, dict(weights), (values,))


@functools.lru_cache(maxsize=64)
def _gru_module(inputs: int, units: int) -> Any:
    """A module without weights: they come with each call."""
    return torch().nn.GRU(inputs, units, batch_first=True, device="meta")


@functools.lru_cache(maxsize=64)
def _encoder_module(
    width: int, heads: int, feedforward: int, activation: str, epsilon: float, *, norm_first: bool
) -> Any:
    return (
        torch()
        .nn.TransformerEncoderLayer(
            width,
            heads,
            feedforward,
            dropout=0.0,
            activation=activation,
            layer_norm_eps=epsilon,
            batch_first=True,
            norm_first=norm_first,
            device="meta",
        )
        .eval()
    )


def _tokens(values: Tensor, vocabulary: int) -> Tensor:
    found = values.long()
    if ((found != values) | (found < 0) | (found >= vocabulary)).any():
        message = f"a number that is no token below {vocabulary}."
        raise refused("input", message, f"write whole numbers from 0 to {vocabulary - 1}.")
    return found


def _activated(values: Tensor, by: kinds.Activated) -> Tensor:
    library = torch()
    functional = library.nn.functional
    match by.activation:
        case "linear":
            return values
        case "softmax":
            return functional.softmax(values, dim=-1)
        case "leaky_relu":
            return functional.leaky_relu(values, by.slope)
        case "gelu":
            return functional.gelu(values)
        case "gelu_tanh":
            return functional.gelu(values, approximate="tanh")
        case "relu" | "sigmoid" | "tanh":
            return getattr(library, by.activation)(values)
        case name:
            limit = FANN_CLIP / by.steepness
            return _fann(name, library.clamp(values * by.steepness, -limit, limit))


def _fann(name: str, x: Tensor) -> Tensor:  # noqa: C901, PLR0911, PLR0912 - one line for each function
    library = torch()
    match name:
        case "fann_linear":
            return x
        case "fann_threshold":
            return library.where(x < 0, 0.0, 1.0)
        case "fann_threshold_symmetric":
            return library.where(x < 0, -1.0, 1.0)
        case "fann_sigmoid":
            return library.sigmoid(2 * x)
        case "fann_sigmoid_symmetric":
            return library.tanh(x)
        case "fann_sigmoid_stepwise" | "fann_sigmoid_symmetric_stepwise":
            return _stepwise(name, x)
        case "fann_gaussian":
            return library.exp(-x * x)
        case "fann_gaussian_symmetric":
            return 2 * library.exp(-x * x) - 1
        case "fann_elliot":
            return x / 2 / (1 + x.abs()) + 0.5
        case "fann_elliot_symmetric":
            return x / (1 + x.abs())
        case "fann_linear_piece":
            return x.clamp(0, 1)
        case "fann_linear_piece_symmetric":
            return x.clamp(-1, 1)
        case "fann_sin":
            return library.sin(x) / 2 + 0.5
        case "fann_sin_symmetric":
            return library.sin(x)
        case "fann_cos":
            return library.cos(x) / 2 + 0.5
        case "fann_cos_symmetric":
            return library.cos(x)
        case _:
            raise AssertionError(name)


def _stepwise(name: str, x: Tensor) -> Tensor:
    library = torch()
    places, heights, (below, above) = STEPWISE[name]
    answers = library.full_like(x, below)
    for place, height, next_place, next_height in zip(places, heights, places[1:], heights[1:], strict=False):
        rise = (next_height - height) / (next_place - place)
        answers = library.where(x >= place, height + (x - place) * rise, answers)
    return library.where(x >= places[-1], above, answers)
