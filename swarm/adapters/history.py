"""A whole log at rest: what moves from one kind of log to another, and how to tell that all of it arrived."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field

from swarm.ports import Committed

_PLACE = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True)
class History:
    """The state after `index`, if there was a snapshot, and the entries that follow it up to `last_index`.

    Places that carry nothing are in no list; they only make the indexes around them apart. `term` is the
    latest anybody had: what comes after this history has a later one.
    """

    term: int
    index: int
    state: bytes | None = field(repr=False)
    entries: tuple[Committed, ...] = field(repr=False)
    last_index: int

    def digest(self) -> str:
        """A hash of everything a replica would make of it: the state, and each entry with its place."""
        found = hashlib.sha256()
        found.update(_PLACE.pack(self.index, 0 if self.state is None else 1 + len(self.state)))
        found.update(self.state or b"")
        for entry in self.entries:
            found.update(_PLACE.pack(entry.index, len(entry.data)))
            found.update(entry.data)
        found.update(_PLACE.pack(self.last_index, len(self.entries)))
        return found.hexdigest()
