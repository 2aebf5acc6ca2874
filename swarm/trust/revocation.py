"""Who is let in no more: names, and single certificates by their serial numbers.

A name is refused in every certificate, for ever. A serial number is refused alone: whoever lost a key gets
another certificate under the same name. The list is part of the replicated state; every node has a copy it
looks into at every call, and nobody is taken off it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SERIAL: Final = re.compile(r"[0-9a-f]{16,40}", re.ASCII)
"""A certificate's serial number, as we write it: hexadecimal, lower case."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """One entry: a name, or with `serial` one certificate of that name."""

    name: str
    serial: str
    reason: str


class Revocations:
    """One process's copy of the list. It is not `complete` while the process has heard of nobody's yet."""

    def __init__(self, *, complete: bool = True) -> None:
        self.complete = complete
        self._names: dict[str, Revoked] = {}
        self._serials: dict[str, Revoked] = {}

    def take(self, entries: Iterable[Revoked]) -> bool:
        """Add entries; whether any was new."""
        before = len(self._names) + len(self._serials)
        for entry in entries:
            known = self._serials if entry.serial else self._names
            known.setdefault(entry.serial or entry.name, entry)
        return len(self._names) + len(self._serials) > before

    def find(self, name: str, serial: str = "") -> Revoked | None:
        """Why this certificate is refused; None if it is not."""
        return self._names.get(name) or self._serials.get(serial)

    def entries(self) -> tuple[Revoked, ...]:
        return (*self._names.values(), *self._serials.values())
