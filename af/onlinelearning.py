"""Which way a network learns, and what a file becomes whose network learns through PyTorch.

A compiled network learns in WebAssembly if its layers are dense (af.wasm.training). Any other network with
`learns: true` runs as a Python agent, in a cell that may load PyTorch: `torch_source` writes its module,
which holds the network and its weights and nothing else; af.torchagent answers the calls.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, Strict

from af.errors import Problem
from af.header import Header, NeuralConfig
from af.limits import LAYER_WIDTH_MAX
from af.records import CapabilityName, Name
from af.sections import Section
from af.wasm.training import LEARNING_RATE, learning_problems

TORCH_ABI: Literal["af-torch-1"] = "af-torch-1"
WEIGHTS_BYTES_MAX = 32 * 1024 * 1024  # they travel as text in the module
MEMORY_MB_MIN = 512  # PyTorch takes about 250 before it has done anything


class TorchPort(BaseModel):
    """A port and the width of its rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: Name
    size: Annotated[int, Strict(), Field(ge=1, le=LAYER_WIDTH_MAX)]


class TorchManifest(BaseModel):
    """ABI `af-torch-1`: a network that its host runs, and trains, in PyTorch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    abi: Literal["af-torch-1"] = TORCH_ABI
    capability: CapabilityName
    input: TorchPort
    output: TorchPort
    learning_rate: Annotated[float, Strict(), Field(gt=0, le=1e6)] = LEARNING_RATE
    momentum: Annotated[float, Strict(), Field(ge=0, lt=1)] = 0.0

    def to_json(self) -> dict[str, JsonValue]:
        mapping: dict[str, JsonValue] = self.model_dump(mode="json")
        return mapping


def torch_source(config: NeuralConfig, weights: Section, manifest: Mapping[str, JsonValue]) -> bytes:
    """The Python module of the agent."""
    network = json.dumps(config.model_dump(mode="json", by_alias=True, exclude_unset=True), sort_keys=True)
    lines = [
        "from af.torchagent import TorchAgent",
        "",
        "",
        "class Agent(TorchAgent):",
        f"    network = {network!r}",
        f"    manifest = {json.dumps(dict(manifest), sort_keys=True)!r}",
        f"    weights = {base64.b64encode(weights.data).decode()!r}",
    ]
    return "\n".join([*lines, ""]).encode()


def learns_through_torch(config: NeuralConfig) -> bool:
    """Whether the network learns, and its layers have no training step in the sandbox."""
    return config.learns and any(learning_problems(config.layer_specs))


def torch_manifest(header: Header) -> dict[str, JsonValue] | None:
    """The manifest of a network that learns through PyTorch; None where the header has no place for one."""
    config = header.neural_config
    if config is None or len(header.capabilities) != 1:
        return None
    (capability,) = header.capabilities
    if len(capability.inputs) != 1 or len(capability.outputs) != 1:
        return None
    return TorchManifest(
        capability=capability.name,
        input=TorchPort(port=capability.inputs[0].name, size=config.input_size),
        output=TorchPort(port=capability.outputs[0].name, size=config.output_size),
        learning_rate=config.learning_rate or LEARNING_RATE,
        momentum=config.momentum,
    ).to_json()


def torch_problems(weights: Section | None, memory_mb: int) -> Iterator[Problem]:
    """Why a network cannot learn through PyTorch; nothing if it can."""
    size_bytes, place = len(weights.data) if weights is not None else 1, "header: neural_config.learns"
    if size_bytes > WEIGHTS_BYTES_MAX:
        message = (
            f"a network with {size_bytes} bytes of weights does not learn ({WEIGHTS_BYTES_MAX} at most)."
        )
        yield Problem(place, message, "leave `learns` out and use af-train.")
    if not size_bytes:
        yield Problem(place, "a network without weights has nothing to learn.", "leave `learns` out.")
    if memory_mb < MEMORY_MB_MIN:
        message = f"{memory_mb} is too little for a network that learns through PyTorch."
        yield Problem("header: resources.limits.memory_mb", message, f"raise it to {MEMORY_MB_MIN} or more.")
