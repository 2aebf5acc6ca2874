"""What voters say to each other, as records. `codec` gives them their form on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

NO_OP = b"\x01"
"""The command of a place in the log that carries nothing: an election, a barrier, the log's origin."""

MEMBERS = b"\x08"
"""First byte of a command that says who takes part from there on; see `membership`.

None of the library's own kinds: its kind for this carries a pickle."""

REGULAR = b"\x00"
"""First byte of a command that carries a payload."""


class Entry(NamedTuple):
    """One place in the log. A tuple in this order, because pysyncobj takes entries apart by position."""

    command: bytes
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    term: int


ORIGIN = Entry(NO_OP, 1, 0)
"""The first place of every log; shared by all voters from the start."""


@dataclass(frozen=True, slots=True)
class VoteRequest:
    """May I lead? A trial asks what the answer would be and changes nothing."""

    term: int
    last_index: int
    last_term: int
    trial: bool = False


@dataclass(frozen=True, slots=True)
class VoteReply:
    """The answer, for the term it names."""

    term: int
    granted: bool
    trial: bool = False


@dataclass(frozen=True, slots=True)
class Append:
    """Entries after `previous`; with none, a heartbeat."""

    term: int
    previous_index: int
    previous_term: int
    commit_index: int
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class AppendReply:
    """Accepted: all before `next_index` is held durably. Refused: try there."""

    term: int
    accepted: bool
    next_index: int
    previous_index: int = 0
    awaits: bool = False  # somebody there waits to hear what is committed


@dataclass(frozen=True, slots=True)
class SnapshotChunk:
    """A piece of the leader's snapshot file."""

    term: int
    index: int
    entry_term: int
    offset: int
    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class Farewell:
    """The leader of `term` leaves its office."""

    term: int


@dataclass(frozen=True, slots=True)
class Underway:
    """A piece of a large message has arrived, the rest is on its way: a sign of life from its sender."""

    term: int


Message: TypeAlias = VoteRequest | VoteReply | Append | AppendReply | SnapshotChunk | Farewell
"""What voters send."""

Incoming: TypeAlias = Message | Underway
"""What arrives."""
