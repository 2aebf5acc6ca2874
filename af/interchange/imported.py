"""From a network of another format to an agent file: what every importer shares."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, ValidationError

from af.agentfile import AgentFile
from af.errors import AfRefused, Problem, refused
from af.layers import Dense, LayerSpec
from af.layers.spec import Spec
from af.limits import LAYERS_MAX
from af.network import Floats, Layer, Network
from af.source import build_mapping
from af.weights import WEIGHTS, weights_section

# Of any foreign file. Its tensors are checked against the file's size before they are made.
FOREIGN_BYTES_MAX = 256 * 1024 * 1024

SpecT = TypeVar("SpecT", bound=Spec)

_NAME_CHARS_MAX = 64
_NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Imported:
    """What was found in a foreign file: a network, facts for the header, and what did not come along."""

    origin: str  # the format, in words
    network: Network | None = None
    names_layers: bool = True  # otherwise the header beside the file did
    learning_rate: float | None = None
    header: Mapping[str, JsonValue] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def agent_of(imported: Imported, name: str, given: Mapping[str, object], folder: Path) -> AgentFile:
    """The agent file of an import. `given` is the YAML source beside it, whose keys win over made-up ones."""
    plain = plain_name(name)
    mapping: dict[str, object] = {
        "version": "1.0",
        "name": plain,
        "description": f"Imported from {imported.origin}.",
    }
    mapping |= imported.header
    network = imported.network
    if network is not None:
        mapping |= {"kind": "neural", "capabilities": [_capability(plain, network)]}
    if network is not None and imported.names_layers:
        if "neural_config" in given:
            message = f"the imported file says this itself ({imported.origin})."
            raise refused("header: neural_config", message, "leave it out of the source.")
        rate = {} if imported.learning_rate is None else {"learning_rate": imported.learning_rate}
        mapping["neural_config"] = neural_config_of(network) | rate
    agent = build_mapping(mapping | dict(given), folder)
    if network is None:
        return agent
    if agent.section(WEIGHTS) is not None:
        message = "the weights come from the imported file and from the source."
        raise refused("header: sources.weights", message, "leave one of the two out.")
    return agent.with_section(weights_section(network))


def neural_config_of(network: Network) -> dict[str, JsonValue]:
    """The header's description of a network, in the short form of version 1.0 where that says it all."""
    ends: dict[str, JsonValue] = {"input_size": network.input_size, "output_size": network.output_size}
    specs = [layer.spec for layer in network.layers]
    hidden, last = specs[:-1], specs[-1]
    activations = {spec.activation for spec in hidden if isinstance(spec, Dense)}
    is_short = (
        all(_is_plain(spec) for spec in specs)
        and len(activations) <= 1
        and all(len(shape) == 1 for shape in network.shapes)
    )
    if not is_short or not isinstance(last, Dense):
        layers: list[JsonValue] = [spec.model_dump(mode="json", exclude_defaults=True) for spec in specs]
        return {"network_type": "layered", **ends, "layers": layers}
    widths: list[JsonValue] = [spec.units for spec in hidden if isinstance(spec, Dense)]
    config: dict[str, JsonValue] = {"network_type": "feedforward", **ends, "hidden_layers": widths}
    if activations:
        config["activation_function"] = activations.pop()
    return config | {"output_activation": last.activation}


def make_network(input_size: int, layers: list[Layer], place: str) -> Network:
    """A network of layers that were read from `place`; AfRefused if they make none."""
    if not layers:
        raise refused(place, "it holds no layers.", "give a file with a network in it.")
    if len(layers) > LAYERS_MAX:
        message = f"it has {len(layers)} layers, the most is {LAYERS_MAX}."
        raise refused(place, message, "import a smaller network.")
    try:
        network = Network(input_size, tuple(layers))
    except AfRefused as error:
        problems = [Problem(f"{place}: {p.place}", p.message, p.remedy) for p in error.problems]
        raise AfRefused(problems) from None
    for name, tensor in network.tensors():
        if not np.isfinite(tensor).all():
            message = f"the weights {name} are not all finite numbers."
            raise refused(place, message, "train the network again.")
    return network


def make_spec(kind: type[SpecT], facts: Mapping[str, object], place: str) -> SpecT:
    """A layer description from a foreign file's numbers; AfRefused if the format has no such layer."""
    try:
        return kind.model_validate(dict(facts))
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        where = ".".join(map(str, details["loc"]))
        message = f"{where}: {details['msg']}."
        raise refused(place, message, "this layer has no counterpart in an agent file.") from None


def to_floats(values: NDArray[np.generic], place: str) -> Floats:
    """Weights as float32; AfRefused if they are not real numbers."""
    if values.dtype.kind not in "fiub":
        raise refused(place, f"its numbers are of type {values.dtype}.", "convert them to float32.")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused with its name
        return np.ascontiguousarray(values, np.float32)


def plain_name(text: str) -> str:
    """The nearest name the format allows."""
    return _NOT_OF_A_NAME.sub("-", text).strip("._-")[:_NAME_CHARS_MAX] or "imported"


def _capability(name: str, network: Network) -> dict[str, JsonValue]:
    def rows(port: str, width: int) -> dict[str, JsonValue]:
        return {"name": port, "kind": "tensor", "dtype": "f32", "shape": [None, width]}

    return {
        "name": f"imported:{name.lower()}",
        "inputs": [rows("x", network.input_size)],
        "outputs": [rows("y", network.output_size)],
        "deterministic": True,
    }


def _is_plain(spec: LayerSpec) -> bool:
    return isinstance(spec, Dense) and spec == Dense(units=spec.units, activation=spec.activation)
