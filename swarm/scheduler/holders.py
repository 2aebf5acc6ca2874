"""Who holds which large payload, by the nodes' own words, and who held what nobody has any more."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from swarm import limits
from swarm.ids import Digest, NodeId
from swarm.scheduler.events import BlobsHeld
from swarm.scheduler.needs import Needs

LAST_MAX: Final = 8  # former holders of one payload that are remembered, to be named where it is lost


class Holders:
    """Stores of attached nodes. One that drains is about to go: what it holds it can give, and no more."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs
        self._held: dict[NodeId, dict[Digest, bool]] = {}  # by attached node; whether it keeps it
        self._where: dict[Digest, set[NodeId]] = {}  # the reverse; names nodes that are gone until `tidy`
        self._last: dict[Digest, dict[NodeId, None]] = {}
        self.draining: set[NodeId] = set()

    def join(self, node: NodeId) -> None:
        """It is going to say what it holds."""
        self._held[node] = {}

    def leave(self, node: NodeId) -> Collection[Digest]:
        """Its link ended; what it held is to be tidied."""
        self.draining.discard(node)
        return self._held.pop(node, {})

    def of(self, node: NodeId) -> tuple[Digest, ...]:
        """What an attached node holds."""
        return (*self._held.get(node, ()),)

    def hear(self, event: BlobsHeld) -> None:
        """A node said what it holds. Of more than any store should hold nothing is remembered."""
        held = self._held.get(event.node)
        if held is None:
            return
        for digests, kept in ((event.kept, True), (event.passing, False)):
            for digest in digests[: max(limits.HELD_BLOBS_MAX - len(held), 0)]:
                held[digest] = kept
                self._where.setdefault(digest, set()).add(event.node)
        for digest in event.gone:
            held.pop(digest, None)
            self.tidy(digest)

    def tidy(self, digest: Digest) -> None:
        """Forget of those who had it who does not have it any more; the last ones are named elsewhere."""
        there = self._where.get(digest)
        if there is None:
            return
        away = {node for node in there if digest not in self._held.get(node, ())}
        there -= away
        if not there:
            del self._where[digest]
        if away and digest in self._needs:
            last = self._last.setdefault(digest, {})
            last.update(dict.fromkeys(sorted(away)))
            while len(last) > LAST_MAX:
                del last[next(iter(last))]

    def forget(self, digest: Digest) -> None:
        """Enough have it, or nobody needs it: who once had it does not matter any more."""
        self._last.pop(digest, None)

    # -- reading -----------------------------------------------------------------------------------

    def who(self, digest: Digest) -> list[NodeId]:
        """Attached nodes that have it, by name."""
        there = self._where.get(digest, ())
        return sorted(node for node in there if digest in self._held.get(node, ()))

    def safe(self, digest: Digest) -> list[NodeId]:
        """Of those, who keeps it and is going to stay."""
        return [node for node in self.who(digest) if self._held[node][digest] and node not in self.draining]

    def there(self, digest: Digest) -> bool:
        """Whether anybody has it."""
        return any(digest in self._held.get(node, ()) for node in self._where.get(digest, ()))

    def last(self, digest: Digest) -> list[NodeId]:
        """Nodes that had it and are gone, as far as they are remembered."""
        away = {node for node in self._where.get(digest, ()) if digest not in self._held.get(node, ())}
        return sorted(away.union(self._last.get(digest, ())))
