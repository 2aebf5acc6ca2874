"""From the event loop to the Raft thread: what came in, in order, with its weight known.

One thread puts, one takes. A deque is safe for that, and the weight is the difference of two counters
that only their own side moves, so nothing here needs a lock.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from swarm.adapters.raft.events import Proposal, VoterChange
from swarm.adapters.raft.link import Link
from swarm.adapters.raft.messages import Incoming
from swarm.idle import when_idle
from swarm.ids import NodeId


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A stream to a peer is open."""

    link: Link


@dataclass(frozen=True, slots=True)
class LinkDown:
    """... and closed again."""

    link: Link


@dataclass(frozen=True, slots=True)
class Received:
    """A message from a peer."""

    peer: NodeId
    message: Incoming = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The stream in from a peer has ended and no newer one taken its place."""

    peer: NodeId


@dataclass(frozen=True, slots=True)
class PeerMet:
    """A peer came for the first time; it will be held to the log it came with."""

    peer: NodeId
    incarnation: bytes


@dataclass(frozen=True, slots=True)
class SnapshotWritten:
    """The worker has written our own snapshot aside."""

    index: int
    term: int


Item: TypeAlias = (
    LinkUp | LinkDown | Received | StreamEnded | PeerMet | SnapshotWritten | Proposal | VoterChange
)


class Inbox:
    """What waits for the Raft thread, and the bell that wakes it."""

    def __init__(self) -> None:
        self._items: deque[tuple[Item, int]] = deque()
        self._put_bytes = 0
        self._taken_bytes = 0
        self._bell = threading.Event()
        self._gathering = False
        self.blocked = False  # somebody waits for room; set by the loop, cleared by the Raft thread

    @property
    def waiting_bytes(self) -> int:
        return self._put_bytes - self._taken_bytes

    def put(self, item: Item, size_bytes: int = 0) -> None:
        self._put_bytes += size_bytes
        self._items.append((item, size_bytes))
        self._bell.set()

    def gather(self, item: Item, size_bytes: int = 0) -> None:
        """On the loop: the same, and the thread is woken when the loop has no more for it."""
        self._put_bytes += size_bytes
        self._items.append((item, size_bytes))
        if not self._gathering:
            self._gathering = True
            when_idle(self._gathered)

    def _gathered(self) -> None:
        self._gathering = False
        self._bell.set()

    def ring(self) -> None:
        self._bell.set()

    def wait(self, timeout_s: float) -> None:
        self._bell.wait(timeout_s)
        self._bell.clear()

    def take(self) -> Iterator[Item]:
        """Everything there is, and what is added meanwhile up to as much again as the count at the start."""
        for _ in range(len(self._items)):
            item, size_bytes = self._items.popleft()
            self._taken_bytes += size_bytes
            yield item
