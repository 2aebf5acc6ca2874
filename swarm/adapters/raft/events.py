"""What the Raft thread tells the event loop, in order. Nothing here leaves before the log is durable."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TypeAlias

from swarm.errors import SwarmError
from swarm.ids import NodeId
from swarm.ports import Committed, Leadership, Voters


@dataclass(frozen=True, slots=True)
class Proposal:
    """An entry somebody wants in the log, and who waits for it."""

    command: bytes = field(repr=False)
    done: asyncio.Future[int] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Applied:
    """Entries to apply. `through` may be ahead of the last of them: some places carry nothing."""

    entries: tuple[Committed, ...]
    through: int
    answers: tuple[tuple[Proposal, int], ...]
    places: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Restored:
    """The leader's snapshot replaces everything so far."""

    index: int
    state: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CaptureWanted:
    """Take the state as it is right now: exactly after entry `index`."""

    index: int
    term: int
    voters: Voters


@dataclass(frozen=True, slots=True)
class Led:
    """The term or its leader changed."""

    leadership: Leadership


@dataclass(frozen=True, slots=True)
class VoterChange:
    """Somebody wants `node` to take part at `address`, or, without one, to take part no more."""

    node: NodeId
    address: str | None
    done: asyncio.Future[int] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """Who takes part from now on, unless it is taken back before it is committed."""

    voters: Voters


@dataclass(frozen=True, slots=True)
class Failed:
    """These proposals will get no other answer."""

    proposals: tuple[Proposal | VoterChange, ...]
    error: SwarmError


Event: TypeAlias = Applied | Restored | CaptureWanted | Led | Reconfigured | Failed
