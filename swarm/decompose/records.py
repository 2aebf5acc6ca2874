"""What a request is broken into: capabilities in, sub-tasks and dependencies out.

Names here are those of a catalogue and are compared as they are; nothing in this package knows
which agents exist. A `Decomposition` says how sure it is and what it could not map, because the
reader may be a person who must agree before anything runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that can be asked for, as its owner describes it."""

    name: str
    description: str = ""
    inputs: tuple[str, ...] = ()  # types of what it takes, e.g. `audio`, one per input
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SubTask:
    """One use of a capability, and the words of the request that ask for it."""

    capability: str
    words: str
    confidence: float  # 0..1: how likely the request means this


@dataclass(frozen=True, slots=True)
class Dependency:
    """`target` takes what `source` gives; both are names of capabilities."""

    source: str
    target: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Decomposition:
    """How one engine understood one request; sub-tasks stand in an order that can run."""

    engine: str
    request: str
    subtasks: tuple[SubTask, ...]
    dependencies: tuple[Dependency, ...]
    confidence: float  # that the whole graph is what was meant
    unmapped: tuple[str, ...] = ()  # clauses that ask for something no capability offers

    @property
    def nodes(self) -> frozenset[str]:
        return frozenset(step.capability for step in self.subtasks)

    @property
    def links(self) -> frozenset[tuple[str, str]]:
        return frozenset((link.source, link.target) for link in self.dependencies)


@dataclass(frozen=True, slots=True)
class Example:
    """A request with its known answer, to learn from or to measure by."""

    text: str
    nodes: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    steps: tuple[tuple[str, str], ...] = ()  # (capability, the words that ask for it), where known
    group: str = ""  # rephrasings of one request share it, so that no split separates them


class Engine(Protocol):
    """Breaks a request into sub-tasks over the capabilities it was made for."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Sequence[Capability]: ...

    def decompose(self, request: str) -> Decomposition: ...
