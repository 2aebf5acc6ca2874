"""Everything the scheduler can ask the outside to do.

What comes in thousands is a tuple with names: a frozen dataclass costs five times as much to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from swarm.graph import PLAIN, Context, Items, Priority
from swarm.ids import CapabilityName, Digest, NodeId, RunId, StepKey
from swarm.scheduler.events import StepIntent, StepRecord


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
    """These attempts are in the log or no longer matter; their nodes may forget them."""

    node: NodeId
    key: StepKey


@dataclass(frozen=True, slots=True)
class Changed:
    """Something a watcher of this run wants to see."""

    run: RunId


Action: TypeAlias = Dispatch | Withdraw | Record | Intend | Recorded | Changed
