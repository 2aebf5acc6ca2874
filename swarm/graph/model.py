"""The one intermediate form: nodes that fire, joined by bounded queues.

Every way to ask for work -- a task file, a sentence, a molecule, an application, a mesh --
compiles to a `Graph`, and a Graph is all the scheduler can run. A node names a
*capability*; which ports that capability has is said once, in its `Signature`, so a graph
only says what flows where.

A node fires when its firing rule is met and every output queue has room:

* ONCE  -- one item on every input; a single time (a step of a DAG);
* ZIP   -- one item on every input; again and again (a stage of a stream);
* MERGE -- one item on any input; again and again (a loop's way back in).

An edge has a *bond* that says what failure means to the node it feeds:

* STRICT  -- wait for it; its failure fails the dependents;
* SHARED  -- wait for it, prefer its node; run on without it if it failed;
* LOOSE   -- an ordering hint; run on if it is late or failed;
* OBSERVE -- fire and forget; never delays or fails anything.

A port marked `many` gathers (input) one item from each of its edges into a list, or
scatters (output) a list over its edges, in the order the edges are written.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NewType, TypeAlias

from swarm import limits
from swarm.graph.contexts import PLAIN, Context, Transition
from swarm.ids import CapabilityName

NodeName = NewType("NodeName", str)
PortName = NewType("PortName", str)


class Payload(NamedTuple):
    """One value as it travels: `kind` is `json`, `tensor` or `bytes`; the runtime never looks inside.

    A large one lies in the nodes' blob stores, and a payload of kind `ref` stands for it: see
    `swarm.graph.reference`.
    """

    kind: str
    data: bytes


Items: TypeAlias = Payload | tuple[Payload, ...]
"""What one port carries: a payload, or a tuple of them where the port is `many`."""

KINDS = ("any", "bytes", "json", "tensor")


class Firing(enum.Enum):
    """When a node may start; see the head of this module."""

    ONCE = "once"
    ZIP = "zip"
    MERGE = "merge"


class Bond(enum.Enum):
    """What an edge's failure means to the node it feeds; see the head of this module."""

    STRICT = "strict"
    SHARED = "shared"
    LOOSE = "loose"
    OBSERVE = "observe"

    @property
    def strength(self) -> float:
        """The strength of the PacketFlow bond of the same meaning."""
        return _STRENGTH[self]


_STRENGTH = {Bond.STRICT: 1.0, Bond.SHARED: 0.8, Bond.LOOSE: 0.6, Bond.OBSERVE: 0.3}


class OnFailure(enum.Enum):
    """What a failure that matters does to the rest of the run."""

    STOP = "stop"  # the run ends at once; what has not started never will
    CONTINUE = "continue"  # only dependents are skipped; other branches finish


class Priority(enum.IntEnum):
    """Message priorities of the core specification; lower runs first."""

    CRITICAL = 0
    HIGH = 1
    MEDIUM = 2
    LOW = 3


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a capability. `shape` is for tensors; None in it means any size."""

    name: PortName
    kind: str = "any"
    dtype: str | None = None
    shape: tuple[int | None, ...] | None = None
    many: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """What a capability takes and gives, and whether running it twice may be noticed."""

    name: CapabilityName
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    deterministic: bool = False
    effects: str = "none"
    description: str = ""  # in words; what a sentence asks for is matched against it
    switches_context: bool = False  # its author says that it may let data out of its context
    switches: tuple[Transition, ...] = ()  # how a policy lets it; empty where there is none
    reconcile: str = ""  # the agent's capability that tells what became of an attempt with effects
    rows: frozenset[PortName] = frozenset()  # ports with one row per item, each worked on by itself

    def input(self, name: PortName) -> Port | None:
        return next((port for port in self.inputs if port.name == name), None)

    def output(self, name: PortName) -> Port | None:
        return next((port for port in self.outputs if port.name == name), None)


Catalogue: TypeAlias = Mapping[CapabilityName, Signature]
"""What can be asked for at the moment. Never changed once made: another moment has another one."""


class Endpoint(NamedTuple):
    """One port of one node."""

    node: NodeName
    port: PortName

    def __str__(self) -> str:
        return f"{self.node}.{self.port}"


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a step is tried, and how long it rests between tries."""

    attempts_max: int = limits.ATTEMPTS_DEFAULT
    backoff_ms: int = limits.BACKOFF_MS_DEFAULT


@dataclass(frozen=True, slots=True)
class Resources:
    """What a step needs of its node beyond the agent's own declaration."""

    memory_mb: int = 0
    cpu_cores: float = 0.0


@dataclass(frozen=True, slots=True)
class Node:
    """One unit of work: the capability it needs and constants for some of its ports."""

    name: NodeName
    capability: CapabilityName
    literals: tuple[tuple[PortName, Payload], ...] = ()
    firing: Firing = Firing.ONCE
    resources: Resources = Resources()
    context: Context = PLAIN
    retry: Retry = Retry()
    timeout_ms: int = limits.STEP_TIMEOUT_MS_DEFAULT
    layers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Edge:
    """A bounded queue from one node's output port to another's input port."""

    source: Endpoint
    target: Endpoint
    bond: Bond = Bond.STRICT
    items_max: int = 1


@dataclass(frozen=True, slots=True)
class Feed:
    """A named open input of the whole graph and the port it goes to."""

    name: str
    target: Endpoint


@dataclass(frozen=True, slots=True)
class Outlet:
    """A named result of the whole graph and the port it comes from."""

    name: str
    source: Endpoint


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes, edges, open inputs and outputs, and policies; the only thing the scheduler accepts."""

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    feeds: tuple[Feed, ...] = ()
    outlets: tuple[Outlet, ...] = ()
    on_failure: OnFailure = OnFailure.STOP
    annotations: Mapping[str, str] = field(default_factory=dict)  # may not change results; not hashed
    derived: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What follows from the rest, kept by whoever worked it out: bytes, digest, plan, the last check."""
