"""FANN's `.net` text, read and written without the library.

A file is `key=value` lines, then all neurons on one line and all connections on another. Every layer ends
with a bias neuron that has no inputs and gives 1; a neuron's connections lie together. A neuron computes
f(steepness * sum), with the product clipped to 150 / steepness on both sides.

Layers in which neurons differ in activation or steepness, connections that jump over a layer, fixed point
numbers and input scaling have no counterpart here and are refused. Missing connections become weights of 0.
Weights arrive in double precision and are rounded to float32.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from af.errors import AfRefused, refused
from af.interchange.imported import FOREIGN_BYTES_MAX, Imported, make_network, make_spec
from af.layers import Dense, FannActivation
from af.limits import HIDDEN_LAYERS_MAX, LAYER_TENSOR_ITEMS_MAX, LAYER_WIDTH_MAX
from af.network import Floats, Layer, Network

MAGIC = b"FANN_"

_VERSION = "FANN_FLO_2."
_PLACE = "FANN file"
_NUMBER = r"-?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)"
_NEURON = re.compile(rf"\(([0-9]{{1,9}}), ([0-9]{{1,3}}), ({_NUMBER})\) ?")
_CONNECTION = re.compile(rf"\(([0-9]{{1,9}}), ({_NUMBER})\) ?")
_CONNECTION_CHARS_MIN = 6  # "(0, 0)"
_SPARSITY_MAX = 64  # matrix items per connection that is there
_PARAMETERS_MAX = 64
_PARAMETER_CHARS_MAX = 256
_STRUCTURE_KEYS = frozenset({"num_layers", "network_type", "layer_sizes", "scale_included", "learning_rate"})

# FANN's numbering; its GAUSSIAN_STEPWISE (9) is not implemented in FANN either.
_ACTIVATIONS: tuple[FannActivation | None, ...] = (
    "fann_linear",
    "fann_threshold",
    "fann_threshold_symmetric",
    "fann_sigmoid",
    "fann_sigmoid_stepwise",
    "fann_sigmoid_symmetric",
    "fann_sigmoid_symmetric_stepwise",
    "fann_gaussian",
    "fann_gaussian_symmetric",
    None,
    "fann_elliot",
    "fann_elliot_symmetric",
    "fann_linear_piece",
    "fann_linear_piece_symmetric",
    "fann_sin_symmetric",
    "fann_cos_symmetric",
    "fann_sin",
    "fann_cos",
)
# What FANN has under another name: its sigmoid is 1 / (1 + exp(-2 s)), its symmetric sigmoid tanh(s).
_SAME_AS: dict[str, tuple[FannActivation, float]] = {
    "linear": ("fann_linear", 1.0),
    "sigmoid": ("fann_sigmoid", 0.5),
    "tanh": ("fann_sigmoid_symmetric", 1.0),
}
_DEFAULTS = {
    "connection_rate": "1.000000",
    "learning_momentum": "0.000000",
    "training_algorithm": "2",
    "train_error_function": "1",
    "train_stop_function": "0",
    "cascade_output_change_fraction": "0.010000",
    "quickprop_decay": "-0.000100",
    "quickprop_mu": "1.750000",
    "rprop_increase_factor": "1.200000",
    "rprop_decrease_factor": "0.500000",
    "rprop_delta_min": "0.000000",
    "rprop_delta_max": "50.000000",
    "rprop_delta_zero": "0.100000",
    "cascade_output_stagnation_epochs": "12",
    "cascade_candidate_change_fraction": "0.010000",
    "cascade_candidate_stagnation_epochs": "12",
    "cascade_max_out_epochs": "150",
    "cascade_min_out_epochs": "50",
    "cascade_max_cand_epochs": "150",
    "cascade_min_cand_epochs": "50",
    "cascade_num_candidate_groups": "2",
    "bit_fail_limit": "3.49999999999999977796e-01",
    "cascade_candidate_limit": "1.00000000000000000000e+03",
    "cascade_weight_multiplier": "4.00000000000000022204e-01",
    "cascade_activation_functions_count": "10",
    "cascade_activation_functions": "3 5 7 8 10 11 14 15 16 17 ",
    "cascade_activation_steepnesses_count": "4",
    "cascade_activation_steepnesses": "2.5e-01 5e-01 7.5e-01 1e+00 ",
}
_LEARNING_RATE = 0.7  # FANN's own default
_LEARNING_RATE_MAX = 1e6  # of an agent file


@dataclass(frozen=True, slots=True)
class _Neurons:
    """The neuron line as columns."""

    inputs: NDArray[np.int64]
    activations: NDArray[np.int64]
    steepnesses: NDArray[np.float64]


def read_fann(data: bytes) -> Imported:
    """The network in a .net file; its training parameters come along as `x-fann`."""
    if len(data) > FOREIGN_BYTES_MAX:
        raise refused(_PLACE, f"it has more than {FOREIGN_BYTES_MAX} bytes.", "import a smaller network.")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise _not_fann(f"byte {error.start} is not ASCII text") from None
    parameters, neuron_text, connection_text = _parts(text)
    sizes = _layer_sizes(parameters, len(connection_text))
    neurons = _neurons(neuron_text, sum(sizes))
    sources, weights = _connections(connection_text, int(neurons.inputs.sum()))
    network = _network(sizes, neurons, sources, weights)
    kept: dict[str, JsonValue] = {
        name: value for name, value in parameters.items() if name not in _STRUCTURE_KEYS and name in _DEFAULTS
    }
    rate = _number(parameters.get("learning_rate", ""))
    if rate is not None and not 0 < rate <= _LEARNING_RATE_MAX:
        rate = None
    return Imported("a FANN network", network, learning_rate=rate, header={"x-fann": kept})


def write_fann(network: Network, parameters: Mapping[str, object], learning_rate: float | None) -> bytes:
    """The .net text of a feed-forward network; AfRefused if FANN cannot express it."""
    rows = [_exportable(number, layer) for number, layer in enumerate(network.layers)]
    sizes = [network.input_size + 1, *(len(layer.tensors["bias"]) + 1 for layer in network.layers)]
    known = {name: value for name, value in parameters.items() if name in _DEFAULTS and _is_parameter(value)}
    lines = [f"{_VERSION}1", f"num_layers={len(sizes)}", f"learning_rate={learning_rate or _LEARNING_RATE:f}"]
    merged = _DEFAULTS | known
    lines += [f"connection_rate={merged.pop('connection_rate')}", "network_type=0"]
    lines += [f"{name}={value}" for name, value in merged.items()]
    lines += ["layer_sizes=" + "".join(f"{size} " for size in sizes), "scale_included=0"]
    neurons, connections, first = ["(0, 0, 0.0) " * sizes[0]], [], 0
    for layer, (code, steepness), before in zip(network.layers, rows, sizes, strict=False):
        units = len(layer.tensors["bias"])
        neurons.append(f"({before}, {code}, {steepness:.20e}) " * units + "(0, 0, 0.0) ")
        full = np.column_stack([layer.tensors["weight"], layer.tensors["bias"]]).astype(np.float64)
        connections += [
            f"({first + column}, {weight:.20e}) "
            for row in full.tolist()
            for column, weight in enumerate(row)
        ]
        first += before
    lines.append("neurons (num_inputs, activation_function, activation_steepness)=" + "".join(neurons))
    lines.append("connections (connected_to_neuron, weight)=" + "".join(connections))
    return ("\n".join(lines) + "\n").encode("ascii")


def _parts(text: str) -> tuple[dict[str, str], str, str]:
    """The parameters, the neuron line and the connection line."""
    head, found, rest = text.partition("\nneurons (")
    neurons, found_too, connections = rest.partition("\nconnections (")
    if not text.startswith(_VERSION) or not found or not found_too:
        if text.startswith("FANN_FIX"):
            raise refused(_PLACE, "its weights are fixed point numbers.", "save the network with fann_save.")
        raise _not_fann("it is not version 2 of FANN's format, or is cut off")
    lines = head.split("\n")[1:]
    if len(lines) > _PARAMETERS_MAX or any(len(line) > _PARAMETER_CHARS_MAX for line in lines[:-3]):
        raise _not_fann("its parameters are longer than FANN writes them")
    parameters = dict(line.split("=", 1) for line in lines if "=" in line)
    _, _, neurons = neurons.partition(")=")
    _, _, connections = connections.partition(")=")
    return parameters, neurons.rstrip("\n"), connections.rstrip("\n")


def _layer_sizes(parameters: Mapping[str, str], connection_chars: int) -> list[int]:
    """Neurons per layer with their bias neurons, if a network of that size can be in this file at all."""
    if parameters.get("network_type", "0").strip() != "0":
        message = "its connections jump over layers (network_type 1)."
        raise refused(_PLACE, message, "train a layered network: fann_create_standard.")
    if parameters.get("scale_included", "0").strip() != "0":
        message = "it scales its inputs and outputs (scale_included)."
        raise refused(_PLACE, message, "call fann_clear_scaling_params before saving, and scale the data.")
    words = parameters.get("layer_sizes", "").split()
    if not 2 <= len(words) <= HIDDEN_LAYERS_MAX + 2:
        message = f"it has {len(words)} layers; an agent file takes 2 to {HIDDEN_LAYERS_MAX + 2}."
        raise refused(_PLACE, message, "import a smaller network.")
    sizes = [int(word) if re.fullmatch(r"[0-9]{1,9}", word) else 0 for word in words]
    if not all(2 <= size <= LAYER_WIDTH_MAX + 1 for size in sizes):
        message = f"its layer sizes {' '.join(words)[:80]} are not between 2 and {LAYER_WIDTH_MAX + 1}."
        raise refused(_PLACE, message, "import a smaller network.")
    dense = [before * (size - 1) for before, size in pairwise(sizes)]
    # A dense matrix is made of each layer, so a nearly empty file must not ask for a huge one.
    connections_max = connection_chars // _CONNECTION_CHARS_MIN
    if max(dense) > LAYER_TENSOR_ITEMS_MAX or sum(dense) > _SPARSITY_MAX * connections_max:
        message = f"{sum(dense)} weights do not belong to {connection_chars} characters of connections."
        raise refused(_PLACE, message, "save the network again.")
    return sizes


def _neurons(text: str, count: int) -> _Neurons:
    if count * len("(0, 0, 0)") > len(text):
        raise _not_fann(f"the neuron line does not hold {count} neurons")
    found = [match.groups() for match in _NEURON.finditer(text)]
    if len(found) != count or _NEURON.sub("", text).strip():
        raise _not_fann(f"the neuron line does not hold exactly {count} neurons")
    columns = list(zip(*found, strict=True))
    return _Neurons(
        np.array(columns[0], np.int64), np.array(columns[1], np.int64), np.array(columns[2], np.float64)
    )


def _connections(text: str, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if count * _CONNECTION_CHARS_MIN > len(text):
        raise _not_fann(f"the connection line does not hold {count} connections")
    sources, weights, end = np.empty(count, np.int64), np.empty(count, np.float64), 0
    number = 0
    for match in _CONNECTION.finditer(text):
        if number == count or match.start() != end:
            break
        sources[number], weights[number], end = int(match[1]), float(match[2]), match.end()
        number += 1
    if number != count or text[end:].strip():
        raise _not_fann(f"connection {number} of {count} is not readable, or more follow")
    return sources, weights


def _network(
    sizes: list[int], neurons: _Neurons, sources: NDArray[np.int64], weights: NDArray[np.float64]
) -> Network:
    layers: list[Layer] = []
    first_source, first, connection = 0, sizes[0], 0
    for number, (before, size) in enumerate(pairwise(sizes)):
        place = f"{_PLACE}, layer {number + 1}"
        units = size - 1  # the last neuron is the bias for the next layer
        own = slice(first, first + units)
        counts = neurons.inputs[own]
        total = int(counts.sum())
        mine = slice(connection, connection + total)
        if neurons.inputs[first + units] or total > before * units or total > len(sources) - connection:
            raise refused(place, "its neurons have more inputs than there are.", "save the network again.")
        columns = sources[mine] - first_source
        if ((columns < 0) | (columns >= before)).any():
            message = "a connection does not come from the layer before."
            raise refused(place, message, "train a layered network: fann_create_standard.")
        matrix = np.zeros((units, before))
        rows = np.repeat(np.arange(units), counts)
        if len(np.unique(rows * before + columns)) != total:
            raise refused(place, "two connections join the same two neurons.", "save the network again.")
        matrix[rows, columns] = weights[mine]
        spec = _spec(neurons, own, place)
        layers.append(Layer(spec, {"weight": _floats(matrix[:, :-1]), "bias": _floats(matrix[:, -1])}))
        first_source, first, connection = first, first + size, connection + total
    return make_network(sizes[0] - 1, layers, _PLACE)


def _spec(neurons: _Neurons, own: slice, place: str) -> Dense:
    codes, steepnesses = set(neurons.activations[own].tolist()), set(neurons.steepnesses[own].tolist())
    if len(codes) > 1 or len(steepnesses) > 1:
        message = "its neurons differ in activation or steepness; a layer here has one of each."
        raise refused(place, message, "set both per layer: fann_set_activation_function_layer.")
    (code,) = codes
    activation = _ACTIVATIONS[code] if code < len(_ACTIVATIONS) else None
    if activation is None:
        raise refused(place, f"FANN's activation function {code} is unknown.", "choose another function.")
    facts = {"units": own.stop - own.start, "activation": activation, "steepness": steepnesses.pop()}
    return make_spec(Dense, facts, place)


def _floats(values: NDArray[np.float64]) -> Floats:
    with np.errstate(over="ignore"):  # what becomes infinite is refused with its name
        return values.astype(np.float32)


def _exportable(number: int, layer: Layer) -> tuple[int, float]:
    """FANN's code and steepness of a layer."""
    place = f"layer {number}"
    if not isinstance(layer.spec, Dense):
        message = f"FANN has no layer of type {layer.spec.type}."
        raise refused(place, message, "export dense layers only, or export to ONNX.")
    activation = layer.spec.activation
    name, steepness = _SAME_AS.get(activation, (activation, layer.spec.steepness))
    if name not in _ACTIVATIONS:
        message = f"FANN has no activation function {activation}."
        raise refused(place, message, "use sigmoid, tanh, linear or a fann_ function, or export to ONNX.")
    return _ACTIVATIONS.index(name), steepness


def _is_parameter(value: object) -> bool:
    """Whether a header's x-fann value can stand on a line of its own."""
    return isinstance(value, str) and re.fullmatch(r"[0-9eE+. -]{1,256}", value) is not None


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(_NUMBER, text.strip()) else None


def _not_fann(message: str) -> AfRefused:
    return refused(_PLACE, f"{message}.", "save the network again with fann_save.")
