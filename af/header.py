"""The header of an .af file as typed, frozen models; one class per mapping of the text.

The keys of format version 1.0 are kept as its specification names them. Three rules hold everywhere: an
unknown key is an error (with the key that was probably meant), a key that starts with `x-` belongs to whoever
writes it and is carried along untouched, and what a file does not say is not written back.
"""

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    Strict,
    StringConstraints,
    model_serializer,
    model_validator,
)

from af.limits import (
    CAPABILITIES_MAX,
    HIDDEN_LAYERS_MAX,
    LAYER_WIDTH_MAX,
    TEXT_CHARS_MAX,
    WORKFLOW_STEPS_MAX,
)
from af.records import AgentKind, Capability, Name

EXTRAS_KEY = "x-*"  # also the alias of HeaderMapping.extras

Text = Annotated[str, Strict(), StringConstraints(max_length=TEXT_CHARS_MAX)]
Timestamp = Annotated[
    str, Strict(), StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$")
]
Whole = Annotated[int, Strict(), Field(ge=0, le=2**31 - 1)]
Amount = Annotated[float, Strict(), Field(ge=0, le=1e9)]
Width = Annotated[int, Strict(), Field(ge=1, le=LAYER_WIDTH_MAX)]
Sha256 = Annotated[str, Strict(), StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Steps = Annotated[tuple[Text, ...], Field(max_length=WORKFLOW_STEPS_MAX)]

HiddenActivation = Literal["relu", "sigmoid", "tanh", "linear"]
OutputActivation = Literal["softmax", "linear", "sigmoid", "tanh", "relu"]


class HeaderMapping(BaseModel):
    """One mapping of the header: known keys only, plus the writer's own `x-` keys in `extras`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    extras: dict[str, JsonValue] = Field(default_factory=dict, alias="x-*")

    @model_validator(mode="before")
    @classmethod
    def _gather_extras(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        extras = {key: value for key, value in data.items() if key.startswith("x-")}
        if not extras:
            return data
        return {key: value for key, value in data.items() if key not in extras} | {EXTRAS_KEY: extras}

    @model_serializer(mode="wrap")
    def _spread_extras(self, handler: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        written: dict[str, JsonValue] = handler(self)
        extras = written.pop(EXTRAS_KEY, None)
        return written | extras if isinstance(extras, dict) else written


class Runtime(HeaderMapping):
    """What the agent was built with; carried along, not interpreted."""

    rust_version: Text | None = None
    dependencies: dict[Text, Text] = Field(default_factory=dict)
    features: tuple[Text, ...] = ()


class NeuralConfig(HeaderMapping):
    """The network's shape; its weights are in the section `neural_weights`."""

    network_type: Literal["feedforward"] = "feedforward"
    input_size: Width
    output_size: Width
    hidden_layers: Annotated[tuple[Width, ...], Field(max_length=HIDDEN_LAYERS_MAX)] = ()
    activation_function: HiddenActivation = "relu"
    output_activation: OutputActivation = "linear"
    learning_rate: Annotated[float, Strict(), Field(gt=0, le=1e6)] | None = None

    @property
    def widths(self) -> tuple[int, ...]:
        """Input, hidden and output widths in order."""
        return (self.input_size, *self.hidden_layers, self.output_size)


class ResourceLimits(HeaderMapping):
    """The most the agent may use; the cell enforces it."""

    memory_mb: Annotated[int, Strict(), Field(ge=1, le=1_048_576)] = 512
    cpu_cores: Annotated[float, Strict(), Field(gt=0, le=4_096)] = 1.0
    disk_mb: Whole = 16
    network_bandwidth_mbps: Whole = 0


class ResourceRequirements(HeaderMapping):
    """The least a node must have free to be offered the agent."""

    minimum_memory_mb: Whole = 0
    minimum_cpu_cores: Amount = 0.0


class Resources(HeaderMapping):
    """Limits and requirements."""

    limits: ResourceLimits = Field(default_factory=ResourceLimits)
    requirements: ResourceRequirements = Field(default_factory=ResourceRequirements)


class Workflows(HeaderMapping):
    """The named steps of an agent's life, in order."""

    initialization: Steps = ()
    execution: Steps = ()
    shutdown: Steps = ()


class Header(HeaderMapping):
    """Everything an .af file says in text, except the index of its sections (see af.sections)."""

    version: Literal["1.0"]
    name: Name
    description: Text = ""
    author: Text = ""
    created: Timestamp | None = None
    modified: Timestamp | None = None
    kind: AgentKind = "neural"
    agent_version: Name = "0"
    capabilities: Annotated[tuple[Capability, ...], Field(max_length=CAPABILITIES_MAX)] = ()
    runtime: Runtime | None = None
    neural_config: NeuralConfig | None = None
    resources: Resources = Field(default_factory=Resources)
    workflows: Workflows = Field(default_factory=Workflows)
    manifest: dict[str, JsonValue] | None = None
    compiled_from: Sha256 | None = None

    def with_manifest(self, manifest: dict[str, JsonValue], compiled_from: str) -> Self:
        """The header of the compiled file."""
        return self.model_copy(update={"manifest": manifest, "compiled_from": compiled_from})

    def to_mapping(self) -> dict[str, JsonValue]:
        """What is written: the keys the file set, in the order of the format."""
        mapping: dict[str, JsonValue] = self.model_dump(
            mode="json", by_alias=True, exclude_unset=True, exclude_none=True
        )
        return mapping
