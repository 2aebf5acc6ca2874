"""The header of an .af file as typed, frozen models; one class per mapping of the text.

The keys of format version 1.0 are kept as its specification names them. Three rules hold everywhere: an
unknown key is an error (with the key that was probably meant), a key that starts with `x-` belongs to whoever
writes it and is carried along untouched, and what a file does not say is not written back.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, Strict, StringConstraints, model_validator

from af.layers import HiddenActivation, LayerSpec, OutputActivation
from af.layers.plain import Dense
from af.limits import (
    CAPABILITIES_MAX,
    EGRESS_MAX,
    HIDDEN_LAYERS_MAX,
    LAYERS_MAX,
    SANDBOX_LAYERS_MAX,
    TEXT_CHARS_MAX,
    WORKFLOW_STEPS_MAX,
)
from af.mappings import HeaderMapping, Width
from af.records import AgentKind, Capability, Instance, Name

Text = Annotated[str, Strict(), StringConstraints(max_length=TEXT_CHARS_MAX)]
Timestamp = Annotated[
    str, Strict(), StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$")
]
Whole = Annotated[int, Strict(), Field(ge=0, le=2**31 - 1)]
Amount = Annotated[float, Strict(), Field(ge=0, le=1e9)]
Sha256 = Annotated[str, Strict(), StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Steps = Annotated[tuple[Text, ...], Field(max_length=WORKFLOW_STEPS_MAX)]
Place = Annotated[
    str,
    Strict(),
    StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?:[1-9][0-9]{0,4}$"),
]
LayerName = Annotated[str, Strict(), StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}(\.[a-z0-9_]{1,31})?$")]


class Runtime(HeaderMapping):
    """What the agent was built with; carried along, not interpreted."""

    rust_version: Text | None = None
    dependencies: dict[Text, Text] = Field(default_factory=dict)
    features: tuple[Text, ...] = ()


class NeuralConfig(HeaderMapping):
    """The network's shape; its weights are in the section `neural_weights`.

    A `feedforward` network is told by its widths, as in version 1.0 from the start; a `layered` one lists its
    layers. One that `learns` is compiled with a training step; dense layers have one.
    """

    network_type: Literal["feedforward", "layered"] = "feedforward"
    input_size: Width
    output_size: Width
    hidden_layers: Annotated[tuple[Width, ...], Field(max_length=HIDDEN_LAYERS_MAX)] = ()
    activation_function: HiddenActivation = "relu"
    output_activation: OutputActivation = "linear"
    layers: Annotated[tuple[LayerSpec, ...], Field(max_length=LAYERS_MAX)] = ()
    learning_rate: Annotated[float, Strict(), Field(gt=0, le=1e6)] | None = None
    learns: Annotated[bool, Strict()] = False
    momentum: Annotated[float, Strict(), Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _one_description(self) -> Self:
        layered = self.network_type == "layered"
        if layered != bool(self.layers):
            message = "a network of type layered, and no other, lists its `layers`"
            raise ValueError(message)
        told_twice = self.model_fields_set & {"hidden_layers", "activation_function", "output_activation"}
        if layered and told_twice:
            message = f"beside `layers` there is no {' or '.join(sorted(told_twice))}"
            raise ValueError(message)
        if "momentum" in self.model_fields_set and not self.learns:
            message = "`momentum` is for a network with `learns: true`"
            raise ValueError(message)
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """Input, hidden and output widths of a feed-forward network in order."""
        return (self.input_size, *self.hidden_layers, self.output_size)

    @property
    def layer_specs(self) -> tuple[LayerSpec, ...]:
        """The layers, however the header describes them."""
        if self.layers:
            return self.layers
        hidden = (Dense(units=width, activation=self.activation_function) for width in self.hidden_layers)
        return (*hidden, Dense(units=self.output_size, activation=self.output_activation))


class ResourceLimits(HeaderMapping):
    """The most the agent may use; the cell enforces it. Where None stands, the cell's own bound holds."""

    memory_mb: Annotated[int, Strict(), Field(ge=1, le=1_048_576)] = 512
    cpu_cores: Annotated[float, Strict(), Field(gt=0, le=4_096)] = 1.0
    disk_mb: Whole = 16
    network_bandwidth_mbps: Whole = 0
    wall_ms: Annotated[int, Strict(), Field(ge=1, le=86_400_000)] | None = None  # of one call
    output_mb: Annotated[int, Strict(), Field(ge=1, le=1_024)] | None = None
    open_files: Annotated[int, Strict(), Field(ge=16, le=4_096)] | None = None
    threads: Annotated[int, Strict(), Field(ge=4, le=1_024)] | None = None


class ResourceRequirements(HeaderMapping):
    """The least a node must have free, and which layers of its sandbox must hold, to be offered the agent."""

    minimum_memory_mb: Whole = 0
    minimum_cpu_cores: Amount = 0.0
    sandbox_layers: Annotated[tuple[LayerName, ...], Field(max_length=SANDBOX_LAYERS_MAX)] = ()


class Resources(HeaderMapping):
    """Limits and requirements, and the places on the network (`host:port`) the agent connects to."""

    limits: ResourceLimits = Field(default_factory=ResourceLimits)
    requirements: ResourceRequirements = Field(default_factory=ResourceRequirements)
    egress: Annotated[tuple[Place, ...], Field(max_length=EGRESS_MAX)] = ()
    native_libraries: Annotated[bool, Strict()] = False  # may map libraries after it has been locked down


class Workflows(HeaderMapping):
    """The named steps of an agent's life, in order."""

    initialization: Steps = ()
    execution: Steps = ()
    shutdown: Steps = ()


class Signature(HeaderMapping):
    """The author's Ed25519 signature over the rest of the header (see af.signature)."""

    algorithm: Literal["ed25519"]
    key: Annotated[str, Strict(), StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    created: Timestamp
    value: Annotated[str, Strict(), StringConstraints(pattern=r"^[0-9a-f]{128}$")]


class Header(HeaderMapping):
    """Everything an .af file says in text, except the index of its sections (see af.sections)."""

    version: Literal["1.0"]
    name: Name
    description: Text = ""
    author: Text = ""
    created: Timestamp | None = None
    modified: Timestamp | None = None
    kind: AgentKind = "neural"
    instance: Instance = "kept"
    agent_version: Name = "0"
    capabilities: Annotated[tuple[Capability, ...], Field(max_length=CAPABILITIES_MAX)] = ()
    runtime: Runtime | None = None
    neural_config: NeuralConfig | None = None
    resources: Resources = Field(default_factory=Resources)
    workflows: Workflows = Field(default_factory=Workflows)
    manifest: dict[str, JsonValue] | None = None
    compiled_from: Sha256 | None = None
    signature: Signature | None = None

    def unsigned(self) -> Self:
        """The same header without a signature, as if it never had one."""
        if self.signature is None:
            return self
        copy = self.model_copy(update={"signature": None})
        copy.model_fields_set.discard("signature")
        return copy

    def with_manifest(self, manifest: dict[str, JsonValue], compiled_from: str) -> Self:
        """The header of the compiled file."""
        return self.model_copy(update={"manifest": manifest, "compiled_from": compiled_from})

    def to_mapping(self) -> dict[str, JsonValue]:
        """What is written: the keys the file set, in the order of the format."""
        mapping: dict[str, JsonValue] = self.model_dump(
            mode="json", by_alias=True, exclude_unset=True, exclude_none=True
        )
        return mapping
