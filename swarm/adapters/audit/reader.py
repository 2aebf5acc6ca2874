"""What whoever can read its files learns from an audit log; it takes no daemon and no private key."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm.adapters.audit.files import AuditFiles, altered
from swarm.adapters.audit.replay import DROPPED, ROTATED, Entry, Replay
from swarm.errors import NotFound
from swarm.trust.audit import Consistency, Head, Inclusion
from swarm.trust.merkle import Tree, leaf_hash

Filter = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a log that holds up was found to be."""

    log: str
    events: int
    kept_from: int  # number of the first event whose text is still there
    heads: int
    head: Head | None
    unsigned: int  # events behind the last head: a daemon is writing, or was killed
    torn_bytes: int


class AuditReader:
    """Reads one log; see the head of this module."""

    def __init__(self, directory: Path) -> None:
        self._files = AuditFiles(directory)
        self._index = self._files.read_index()
        self._segments = self._files.segments()
        self.ring = self._files.read_ring()

    @property
    def public_key_path(self) -> Path:
        """The public key as it lies beside the log; a third party should have it from elsewhere."""
        return self._files.public_key

    # -- events ------------------------------------------------------------------------------------

    def query(self, wanted: Filter, limit: int) -> list[dict[str, Any]]:
        """The latest `limit` events that are wanted, oldest first. Says nothing about their truth."""
        found: deque[dict[str, Any]] = deque()
        for first in reversed(self._segments):
            room = limit - len(found)
            if room <= 0:
                break
            found.extendleft(reversed(deque(filter(wanted, self._facts(first)), room)))
        return list(found)

    def _facts(self, first: int) -> Iterator[dict[str, Any]]:
        replay = Replay(self._files, self._index, first, "")
        return (entry.facts for entry in replay.events_only())

    # -- truth ----------------------------------------------------------------------------------------

    def verify(self, key: str, against: Head | None = None) -> Verdict:
        """Hold every line against the log's signed heads, and the whole against an older head from elsewhere.

        Raises `NotTrusted` with the place of the first thing that does not fit.
        """
        kept_from = self._segments[0] if self._segments else 0
        declared, heads = 0, 0
        announced: set[str] = set()
        replay: Replay | None = None
        roots = {}
        if against is not None:
            self._foreign(against, key)
        for first in self._segments:
            if replay is not None and (first != replay.size or replay.torn):
                raise altered(self._files.segment(replay.size).name, "this segment is missing or incomplete")
            replay = Replay(self._files, self._index, first, key, self.ring)
            if against is not None and against.size == first:
                roots[first] = replay.root()
            for entry in replay.entries():
                declared = max(declared, _declared(entry))
                if entry.facts.get("did") == ROTATED:
                    announced.add(str(entry.facts.get("on")))
                if against is not None and replay.size == against.size:
                    roots[replay.size] = replay.root()
            heads += replay.heads
        events = replay.size if replay is not None else 0
        if declared < kept_from:
            raise altered(str(self._files.directory), f"no event says why events before {kept_from} are gone")
        self._announced(announced, kept_from)
        self._compare(events, replay.head if replay else None, against, roots)
        return Verdict(
            log=self._index.log,
            events=events,
            kept_from=kept_from,
            heads=heads,
            head=replay.head if replay else None,
            unsigned=events - (replay.head.size if replay and replay.head else 0),
            torn_bytes=self._files.segment(self._segments[-1]).stat().st_size - replay.good_bytes
            if replay
            else 0,
        )

    def _announced(self, keys: set[str], kept_from: int) -> None:
        # Its event may be gone with its segment where the handover is about the first event that is kept.
        for handover in self.ring.handovers:
            if (kept_from == 0 or handover.size > kept_from + 1) and handover.new not in keys:
                raise altered(self._files.keys.name, f"no event says that {handover.new[:16]}... follows")

    def _foreign(self, against: Head, key: str) -> None:
        if against.log != self._index.log or not against.signed_by(key, self.ring):
            raise altered("head", f"the older head is of {against.log} or not signed with this log's key")

    def _compare(self, events: int, last: Head | None, against: Head | None, roots: dict[int, bytes]) -> None:
        kept = self._files.read_head()
        for head, name in ((kept, self._files.head.name), (against, "the older head")):
            if head is not None and head.size > events:
                raise altered(name, f"it was signed over {head.size} events, the log was cut to {events}")
        if kept is not None and last is not None and kept.size == last.size and kept.root != last.root:
            raise altered(self._files.head.name, "it is of a fork of this log")
        if against is None or against.size == 0:
            return
        if (root := roots.get(against.size)) is None:
            raise NotFound(
                f"the events before {self._segments[0]} are dropped, they cannot be compared",
                place="the older head",
                remedy="give a head that was signed later",
            )
        if root != against.root:
            raise altered("the older head", f"the first {against.size} events of this log are others: a fork")

    # -- proofs ----------------------------------------------------------------------------------------

    def prove(self, seq: int, key: str) -> Inclusion:
        """A proof that an event stands in the log, as a document for somebody who has only the key."""
        line = b""

        def look(entry: Entry) -> None:
            nonlocal line
            if entry.seq == seq:
                line = entry.line

        tree, head = self._tree(key, look)
        if not line or seq >= head.size:
            raise NotFound(f"there is no signed event {seq}", place=str(self._files.directory))
        return Inclusion(line.decode(), seq, tuple(tree.inclusion(seq, head.size)), head, self.ring)

    def prove_consistency(self, before: Head, key: str) -> Consistency:
        """A proof that the log has only grown since an older head."""
        self._foreign(before, key)
        tree, head = self._tree(key, lambda _: None)
        try:
            path = tree.consistency(before.size, head.size)
        except LookupError as error:
            raise NotFound(
                f"no proof from {before.size} events to {head.size}: {error}",
                place="the older head",
                remedy="give an older head of events that are still kept",
            ) from None
        proof = Consistency(before, tuple(path), head, self.ring)
        proof.check(key)  # this very log may be the fork
        return proof

    def _tree(self, key: str, look: Callable[[Entry], None]) -> tuple[Tree, Head]:
        """The tree over the whole log, and its last head."""
        tree, head = Tree(), None
        for root in self._index.roots[: self._segments[0] // self._index.events if self._segments else 0]:
            tree.append_subtree(self._index.height, root)
        for first in self._segments:
            replay = Replay(self._files, self._index, first, key, self.ring)
            for entry in replay.entries(signatures=False):
                tree.append(leaf_hash(entry.line))
                look(entry)
            head = replay.head or head
        if head is None or not head.signed_by(key, self.ring):
            raise altered(str(self._files.directory), "there is no head that this key signed")
        return tree, head


def _declared(entry: Entry) -> int:
    """Up to which event an event says that segments were dropped."""
    if entry.facts.get("did") != DROPPED:
        return 0
    _, _, number = str(entry.facts.get("on", "")).rpartition(" ")
    return int(number) if number.isdigit() else 0
