"""The section `neural_weights`: float32, little endian, without any framing.

Layer after layer, and of each layer the tensors that its kind names, in that order; of a dense layer the
matrix W[out][in] row by row, then the bias b[out]. All shapes come from the header's neural_config.
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from af.errors import AfRefused, Problem
from af.header import NeuralConfig
from af.layers import Shape
from af.network import Floats, Layer, Network, config_problems, shapes_between
from af.sections import Section, encode_section

WEIGHTS = "neural_weights"

_F32_BYTES = 4


def weight_shapes(config: NeuralConfig) -> dict[str, Shape]:
    """The tensors in `neural_weights` in order, named `<layer>.<tensor>`."""
    specs = config.layer_specs
    shapes = shapes_between(config.input_size, specs)
    return {
        f"{number}.{name}": tensor
        for number, (spec, shape) in enumerate(zip(specs, shapes, strict=False))
        for name, tensor in spec.tensors(shape).items()
    }


def network_from(config: NeuralConfig, section: Section) -> Network:
    """The network of a header and its weights; AfRefused if sizes disagree or a weight is not finite."""
    problems = config_problems(config) or weight_problems(config, section)
    if problems:
        raise AfRefused(problems)
    values = np.frombuffer(section.data, np.dtype("<f4"))
    tensors: list[dict[str, Floats]] = [{} for _ in config.layer_specs]
    start = 0
    for path, shape in weight_shapes(config).items():
        number, _, name = path.partition(".")
        stop = start + prod(shape)
        tensors[int(number)][name] = values[start:stop].reshape(shape)
        start = stop
    return Network(
        config.input_size,
        tuple(Layer(spec, own) for spec, own in zip(config.layer_specs, tensors, strict=True)),
    )


def weight_problems(config: NeuralConfig, section: Section) -> list[Problem]:
    """Everything wrong with the weights of one file whose layers fit each other."""
    shapes = weight_shapes(config)
    expected_bytes = _F32_BYTES * sum(map(prod, shapes.values()))
    place = f"section {section.name}"
    if len(section.data) != expected_bytes:
        needed = f"the network {_title(config)} needs {expected_bytes} (float32)"
        message = f"it has {len(section.data)} bytes, {needed}."
        return [Problem(place, message, "correct neural_config, or write the weights of this network.")]
    expected = tuple(shapes.values())
    if section.entry.dtype not in (None, "f32") or section.entry.shapes not in ((), expected):
        message = f"the index describes other tensors than the network {_title(config)} has."
        listed = str([list(shape) for shape in expected])
        return [Problem(f"sections: {section.name}", message, f"write dtype f32 and shapes {listed}.")]
    values = np.frombuffer(section.data, np.dtype("<f4"))
    bad = np.flatnonzero(~np.isfinite(values))
    if not bad.size:
        return []
    first = int(bad[0])
    message = (
        f"{bad.size} weights are not finite; the first is value {first}, in {_tensor_of(first, shapes)}."
    )
    return [Problem(f"{place}, byte {first * _F32_BYTES} of its data", message, "train the network again.")]


def weights_section(network: Network) -> Section:
    """The `neural_weights` section of a network."""
    return tensors_section([tensor for _, tensor in network.tensors()])


def tensors_section(tensors: Sequence[Floats]) -> Section:
    """The `neural_weights` section of some tensors in order. Float32 weights do not compress: stored raw."""
    data = b"".join(np.ascontiguousarray(tensor, dtype="<f4").tobytes() for tensor in tensors)
    return encode_section(WEIGHTS, data, dtype="f32", shapes=tuple(tensor.shape for tensor in tensors))


def _title(config: NeuralConfig) -> str:
    if config.layers:
        return f"of {len(config.layers)} layers"
    return "-".join(map(str, config.widths))


def _tensor_of(position: int, shapes: dict[str, Shape]) -> str:
    for path, shape in shapes.items():
        if position < prod(shape):
            number, _, name = path.partition(".")
            return f"the {name} of layer {int(number) + 1}"
        position -= prod(shape)
    message = "the position lies outside of all tensors"
    raise AssertionError(message)
