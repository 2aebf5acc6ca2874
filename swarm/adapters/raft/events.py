"""What the Raft thread tells the event loop, in order. Nothing here leaves before the log is durable."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TypeAlias

from swarm.errors import SwarmError
from swarm.ports import Committed, Leadership


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


@dataclass(frozen=True, slots=True)
class Led:
    """The term or its leader changed."""

    leadership: Leadership


@dataclass(frozen=True, slots=True)
class Failed:
    """These proposals will get no other answer."""

    proposals: tuple[Proposal, ...]
    error: SwarmError


Event: TypeAlias = Applied | Restored | CaptureWanted | Led | Failed
