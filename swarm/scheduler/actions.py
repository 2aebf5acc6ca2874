"""Everything the scheduler can ask the outside to do.

What comes in thousands is a tuple with names: a frozen dataclass costs five times as much to make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from swarm.graph import PLAIN, Context, Items, Payload, Priority
from swarm.ids import CapabilityName, Digest, NodeId, RunId, StepKey
from swarm.scheduler.events import StepIntent, StepRecord


class Wire(NamedTuple):
    """How an output of the step before reaches an input: which item of it, and whether that gathers many."""

    out: str
    slot: int  # of an output that gives many
    into: str
    gathers: bool


class Follower(NamedTuple):
    """A step its node goes on with once the step before it has succeeded, and how that feeds it."""

    key: StepKey
    agent: Digest
    capability: CapabilityName
    inputs: Mapping[str, Items]  # what does not come from the step before it
    wires: tuple[Wire, ...]
    timeout_ms: int
    scatter: tuple[tuple[str, int], ...]


class Dispatch(NamedTuple):
    """Run this attempt on that node."""

    node: NodeId
    key: StepKey
    agent: Digest
    capability: CapabilityName
    inputs: Mapping[str, Items]
    timeout_ms: int
    scatter: tuple[tuple[str, int], ...]
    context: Context = PLAIN
    priority: Priority = Priority.MEDIUM
    sign: bool = False
    followers: tuple[Follower, ...] = ()
    about: tuple[int, int] | None = None  # no attempt: what became of the one of this term and number?


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Stop this attempt on that node; nobody waits for it."""

    node: NodeId
    key: StepKey


@dataclass(frozen=True, slots=True)
class Record:
    """Propose this record to the log: the scheduler gave the step up."""

    record: StepRecord


@dataclass(frozen=True, slots=True)
class Intend:
    """Propose this intent to the log: its attempt is dispatched once it is committed."""

    intent: StepIntent


class Recorded(NamedTuple):
    """These attempts are in the log or no longer matter; their node may forget them."""

    node: NodeId
    keys: Sequence[StepKey]


@dataclass(frozen=True, slots=True)
class Copy:
    """Have that node give a large payload it holds to another one, to keep."""

    node: NodeId
    digest: Digest
    target: NodeId


@dataclass(frozen=True, slots=True)
class Changed:
    """Something a watcher of this run wants to see."""

    run: RunId


def fed(follower: Follower, outputs: Mapping[str, Items]) -> dict[str, Items] | None:
    """What a follower is given when the step before it gave `outputs`; None where those do not fit."""
    found = dict(follower.inputs)
    gathered: dict[str, list[Payload]] = {}
    for wire in follower.wires:
        items = outputs.get(wire.out)
        if items is None or (not isinstance(items, Payload) and wire.slot >= len(items)):
            return None
        payload = items if isinstance(items, Payload) else items[wire.slot]
        if wire.gathers:
            gathered.setdefault(wire.into, []).append(payload)
        else:
            found[wire.into] = payload
    found.update((port, tuple(payloads)) for port, payloads in gathered.items())
    return found


Action: TypeAlias = Dispatch | Withdraw | Record | Intend | Recorded | Copy | Changed
