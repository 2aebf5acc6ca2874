"""The records that other packages hold: what an agent offers and what a node needs to run it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Strict, StringConstraints

from af.limits import PORTS_MAX, SHAPE_RANK_MAX, TEXT_CHARS_MAX

Name = Annotated[str, Strict(), StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
CapabilityName = Annotated[
    str, Strict(), StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}:[a-z0-9][a-z0-9._-]{0,63}$")
]
DTypeName = Literal["f32", "f64", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "bool"]
Extent = Annotated[int, Strict(), Field(ge=0, le=2**31 - 1)]
Flag = Annotated[bool, Strict()]

PortKind = Literal["tensor", "json", "bytes", "any"]
Effects = Literal["none", "once"]
AgentKind = Literal["neural", "wasm", "python"]
Instance = Literal["kept", "per_request"]


@dataclass(frozen=True, slots=True)
class PortSpec:
    """One named input or output of a capability.

    A `many` input gathers one item per incoming edge into a list; a `many` output scatters a list, one item
    per outgoing edge. `None` in a shape stands for any extent.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: Name
    kind: PortKind
    dtype: DTypeName | None = None
    shape: Annotated[tuple[Extent | None, ...], Field(max_length=SHAPE_RANK_MAX)] | None = None
    many: Flag = False
    optional: Flag = False


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing an agent can do, by its name `group:element`, with typed ports.

    `effects: once` says that running it twice does harm; the swarm then records its intent before it runs.
    The description is what sentences are matched against; without one the agent's own stands for it.
    `switches_context` says that it may give data to a less secret context, where a policy lets it.
    `reconcile` names the agent's own capability that tells what became of an attempt at this one.
    `rows` names the ports, in and out, that hold one row for each item of a batch: each row that comes out is
    made of the same row of those that go in and of the other inputs, so a batch may be dealt out in parts.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: CapabilityName
    inputs: Annotated[tuple[PortSpec, ...], Field(max_length=PORTS_MAX)]
    outputs: Annotated[tuple[PortSpec, ...], Field(max_length=PORTS_MAX)]
    deterministic: Flag = False
    effects: Effects = "none"
    switches_context: Flag | None = None  # left out of files it says nothing in: they were signed without it
    description: Annotated[str, Strict(), StringConstraints(max_length=TEXT_CHARS_MAX)] | None = None
    reconcile: CapabilityName | None = None
    rows: Annotated[tuple[Name, ...], Field(max_length=2 * PORTS_MAX)] | None = None  # left out likewise
