"""Reading a log back, line by line, and holding every line against what the log's key signed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from swarm.adapters.audit.files import AuditFiles, Index, altered, lines_of
from swarm.errors import ProtocolBroken
from swarm.trust.audit import HEAD_START, LINE_BYTES_MAX, Head, read_json
from swarm.trust.keyring import ALONE, KeyRing
from swarm.trust.merkle import Frontier, leaf_hash

DROPPED: Final = "audit.dropped"
ROTATED: Final = "audit.key_rotated"


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as it was read: its number, its very bytes, and what they say."""

    seq: int
    line: bytes
    facts: dict[str, Any]


class Replay:
    """Walks through one segment; the tree grows with it. Raises `NotTrusted` where a line does not fit."""

    def __init__(self, files: AuditFiles, index: Index, first: int, key: str, ring: KeyRing = ALONE) -> None:
        self.path = files.segment(first)
        self.before = index.frontier(first)
        self.tail = Frontier()
        self.head: Head | None = None  # the last one seen
        self.good_bytes = 0  # up to the end of the last line that fits
        self.signed_bytes = 0  # up to the end of the last head
        self.heads = 0
        self.torn = False
        self._log = index.log
        self._key = key
        self._ring = ring
        self._number = 0

    @property
    def size(self) -> int:
        """Events in the log up to here."""
        return self.before.size + self.tail.size

    def root(self) -> bytes:
        return self.before.root(self.tail)

    def entries(self, *, signatures: bool = True) -> Iterator[Entry]:
        """The events; without `signatures` a head's root is compared but its signature is not."""
        for line, ended in lines_of(self.path):
            self._number += 1
            if not ended:
                self.torn = True
                return
            if line.startswith(HEAD_START):
                self._take_head(line, signatures=signatures)
            else:
                yield self._take_event(line)
            self.good_bytes += len(line) + 1
            if line.startswith(HEAD_START):
                self.signed_bytes = self.good_bytes

    def events_only(self) -> Iterator[Entry]:
        """The events as they stand there, held against nothing; lines that are none are passed over."""
        for line, ended in lines_of(self.path):
            if ended and not line.startswith(HEAD_START):
                with suppress(ProtocolBroken):
                    facts = read_json(line)
                    if isinstance(facts, dict) and isinstance(facts.get("seq"), int):
                        yield Entry(facts["seq"], line, facts)

    def _take_event(self, line: bytes) -> Entry:
        if self.before.size and self.head is None:
            raise self.fault("a segment begins with the head of the one before it")
        try:
            facts = read_json(line)
        except ProtocolBroken as error:
            raise self.fault(error.message) from None
        if not isinstance(facts, dict) or facts.get("seq") != self.size:
            raise self.fault(f"this is not event {self.size}")
        self.tail.append(leaf_hash(line))
        return Entry(self.size - 1, line, facts)

    def _take_head(self, line: bytes, *, signatures: bool) -> None:
        try:
            document = read_json(line)
            head = Head.read(document["head"] if isinstance(document, dict) else None)
        except ProtocolBroken as error:
            raise self.fault(error.message) from None
        if (head.log, head.size, head.root) != (self._log, self.size, self.root()):
            raise self.fault(f"the events before this are not the {head.size} its head was signed for")
        if (signatures or self.head is None) and not head.signed_by(self._key, self._ring):
            raise self.fault("this head was not signed with the log's key")
        self.head = head
        self.heads += 1

    def is_signed_further(self) -> bool:
        """Whether the log's key signed a head behind the last line that fits: then no crash explains it."""
        with self.path.open("rb") as file:
            file.seek(self.good_bytes)
            for line in iter(lambda: file.readline(LINE_BYTES_MAX + 2), b""):
                if line.startswith(HEAD_START) and line.endswith(b"\n") and self._is_ours(line):
                    return True
        return False

    def _is_ours(self, line: bytes) -> bool:
        try:
            document = read_json(line)
            head = Head.read(document["head"] if isinstance(document, dict) else None)
        except ProtocolBroken:
            return False
        return head.signed_by(self._key, self._ring)

    def fault(self, message: str) -> Exception:
        return altered(f"{self.path.name}:{self._number}", message)
