"""A feed-forward network as arrays, and its two binary layouts: `neural_weights` and `training_data`.

`neural_weights` is float32, little endian, without any framing: for each layer the matrix W[out][in] row by
row, then the bias b[out]. The widths come from the header's neural_config.

`training_data` is a 20-byte head, then all inputs row by row, then all targets row by row:

    offset  bytes  meaning
    0       4      "AFTD"
    4       2      layout version, 1 (all numbers little endian)
    6       1      item type of the inputs:  0 = u8, 1 = f32
    7       1      item type of the targets: 0 = u8, 1 = f32
    8       4      rows
    12      4      values per input row
    16      4      values per target row (1 with u8: a class label)
"""

import struct
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from af.errors import AfRefused, Problem, refused
from af.header import HiddenActivation, NeuralConfig, OutputActivation
from af.limits import LAYER_WIDTH_MAX, TRAINING_ROWS_MAX
from af.sections import Section, encode_section

WEIGHTS = "neural_weights"
TRAINING = "training_data"

Activation = HiddenActivation | OutputActivation
Floats = NDArray[np.float32]

_F32_BYTES = 4
_TRAINING_HEAD = struct.Struct("<4sHBBIII")
_TRAINING_MAGIC = b"AFTD"
_TRAINING_VERSION = 1
_TRAINING_TYPES: tuple[np.dtype[np.uint8] | np.dtype[np.float32], ...] = (np.dtype(np.uint8), np.dtype("<f4"))


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """y = activation(W x + b), W of shape [outputs, inputs]."""

    weights: Floats
    bias: Floats
    activation: Activation


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Layers in order; the widths of neighbours agree."""

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        for layer, following in pairwise(self.layers):
            assert layer.weights.shape[0] == following.weights.shape[1]
        for layer in self.layers:
            assert layer.weights.shape[0] == layer.bias.shape[0]

    @property
    def widths(self) -> tuple[int, ...]:
        """Input, hidden and output widths in order."""
        return (self.layers[0].weights.shape[1], *(layer.weights.shape[0] for layer in self.layers))

    @property
    def activations(self) -> tuple[Activation, ...]:
        return tuple(layer.activation for layer in self.layers)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """Inputs [rows, width] and targets [rows, width], each u8 or f32."""

    inputs: NDArray[np.uint8] | Floats
    targets: NDArray[np.uint8] | Floats


def weight_shapes(config: NeuralConfig) -> tuple[tuple[int, ...], ...]:
    """The shapes of the tensors in `neural_weights`, in order: W, b, W, b, ..."""
    pairs = pairwise(config.widths)
    return tuple(shape for inputs, outputs in pairs for shape in ((outputs, inputs), (outputs,)))


def network_from(config: NeuralConfig, section: Section) -> Network:
    """The network of a header and its weights; AfRefused if sizes disagree or a weight is not finite."""
    problems = weight_problems(config, section)
    if problems:
        raise AfRefused(problems)
    values = np.frombuffer(section.data, np.dtype("<f4"))
    tensors = []
    start = 0
    for shape in weight_shapes(config):
        stop = start + int(np.prod(shape))
        tensors.append(values[start:stop].reshape(shape))
        start = stop
    last = len(tensors) // 2 - 1
    return Network(
        tuple(
            Layer(
                tensors[2 * number],
                tensors[2 * number + 1],
                config.output_activation if number == last else config.activation_function,
            )
            for number in range(last + 1)
        )
    )


def weight_problems(config: NeuralConfig, section: Section) -> list[Problem]:
    """Everything wrong with the weights of one file."""
    shapes = weight_shapes(config)
    expected_bytes = _F32_BYTES * sum(int(np.prod(shape)) for shape in shapes)
    widths = "-".join(map(str, config.widths))
    place = f"section {section.name}"
    if len(section.data) != expected_bytes:
        message = f"it has {len(section.data)} bytes, the network {widths} needs {expected_bytes} (float32)."
        return [Problem(place, message, "correct neural_config, or write the weights of this network.")]
    if section.entry.dtype not in (None, "f32") or (section.entry.shapes and section.entry.shapes != shapes):
        message = f"the index describes other tensors than the network {widths} has."
        return [
            Problem(f"sections: {section.name}", message, f"write dtype f32 and shapes {_listed(shapes)}.")
        ]
    values = np.frombuffer(section.data, np.dtype("<f4"))
    bad = np.flatnonzero(~np.isfinite(values))
    if not bad.size:
        return []
    first = int(bad[0])
    message = f"{bad.size} weights are not finite; the first is value {first}, {_tensor_of(first, shapes)}."
    return [Problem(f"{place}, byte {first * _F32_BYTES} of its data", message, "train the network again.")]


def weights_section(network: Network) -> Section:
    """The `neural_weights` section of a network. Float32 weights do not compress: stored raw."""
    tensors = [tensor for layer in network.layers for tensor in (layer.weights, layer.bias)]
    data = b"".join(np.ascontiguousarray(tensor, dtype="<f4").tobytes() for tensor in tensors)
    return encode_section(WEIGHTS, data, dtype="f32", shapes=tuple(tensor.shape for tensor in tensors))


def training_section(training: TrainingData) -> Section:
    """The `training_data` section, LZ4-compressed."""
    inputs, targets = training.inputs, training.targets
    assert inputs.ndim == targets.ndim == 2
    assert len(inputs) == len(targets) <= TRAINING_ROWS_MAX
    head = _TRAINING_HEAD.pack(
        _TRAINING_MAGIC,
        _TRAINING_VERSION,
        _TRAINING_TYPES.index(inputs.dtype),
        _TRAINING_TYPES.index(targets.dtype),
        len(inputs),
        inputs.shape[1],
        targets.shape[1],
    )
    return encode_section(TRAINING, head + inputs.tobytes() + targets.tobytes(), codec="lz4")


def training_from(section: Section) -> TrainingData:
    """The training data of a section; AfRefused if its head and its size disagree."""
    place = f"section {section.name}"
    remedy = "write it in the training data layout, version 1."
    if len(section.data) < _TRAINING_HEAD.size:
        raise refused(
            place, f"it has {len(section.data)} bytes, its head alone has {_TRAINING_HEAD.size}.", remedy
        )
    magic, version, input_code, target_code, rows, inputs, targets = _TRAINING_HEAD.unpack_from(section.data)
    if magic != _TRAINING_MAGIC or version != _TRAINING_VERSION:
        raise refused(place, "it does not begin with 'AFTD' and version 1.", remedy)
    if max(input_code, target_code) >= len(_TRAINING_TYPES):
        raise refused(f"{place}, byte 6", "an item type is neither 0 (u8) nor 1 (f32).", remedy)
    if rows > TRAINING_ROWS_MAX or max(inputs, targets) > LAYER_WIDTH_MAX:
        message = f"{rows} rows of {inputs} and {targets} values are more than the format allows."
        raise refused(f"{place}, byte 8", message, remedy)
    input_type, target_type = _TRAINING_TYPES[input_code], _TRAINING_TYPES[target_code]
    middle = _TRAINING_HEAD.size + rows * inputs * input_type.itemsize
    expected_bytes = middle + rows * targets * target_type.itemsize
    if len(section.data) != expected_bytes:
        message = f"it has {len(section.data)} bytes, its head announces {expected_bytes}."
        raise refused(place, message, remedy)
    return TrainingData(
        np.frombuffer(section.data[_TRAINING_HEAD.size : middle], input_type).reshape(rows, inputs),
        np.frombuffer(section.data[middle:], target_type).reshape(rows, targets),
    )


def _listed(shapes: tuple[tuple[int, ...], ...]) -> str:
    return str([list(shape) for shape in shapes])


def _tensor_of(position: int, shapes: tuple[tuple[int, ...], ...]) -> str:
    for number, shape in enumerate(shapes):
        size = int(np.prod(shape))
        if position < size:
            return f"in the {'bias' if number % 2 else 'weights'} of layer {number // 2 + 1}"
        position -= size
    message = "the position lies outside of all tensors"
    raise AssertionError(message)
