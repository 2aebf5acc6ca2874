"""Second copies of large payloads, made again when a node that held one is gone.

The leader knows who holds what by the nodes' own words (`holders`): each says it all when it attaches, and
then what changes; so a new leader learns it anew, and nothing of it is in the log. What is needed is what the
ledger speaks of (`needs`). A payload is looked at when something may have become of it: it was spoken of, a
node that held it went away or is about to, a copy of it was made or failed. That look comes a while later
(`RECOPY_WAIT_MS`), for most nodes that go come back; it costs the same however much else there is, and a
node's whole store is gone through in pieces, a few at each tick.

    spoken of, or a holder went --wait--> looked at --short--> copy ordered --heard of--> looked at
                                             |  `-- nobody could take it: until somebody new comes
                                             `----- nobody has it: lost, until somebody says otherwise

What is held in passing, fetched for a step, is a source and no copy; nor is one on a node that drains.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from swarm import limits
from swarm.graph import Context, in_order, refs
from swarm.ids import Digest, NodeId
from swarm.scheduler.actions import Action, Copy
from swarm.scheduler.desk import Desk
from swarm.scheduler.events import BlobsHeld, CopyEnded, NodeChanged, RunSubmitted, StepsRecorded
from swarm.scheduler.holders import Holders
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.needs import SUBMITTED, Mention
from swarm.scheduler.placement import NodeView
from swarm.scheduler.run import context_of

LOOKS_MAX: Final = 500  # at one tick; as many more are only put where they will be looked at
LOOK_AGAIN_MS: Final = limits.BLOB_GRACE_MS  # at what is lost, or can go nowhere: it may be needed no more
MENTIONS_MAX: Final = 16  # of one payload, whose contexts are looked at
REST_DOUBLINGS_MAX: Final = 6


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with the copies: payloads that have too few, copies under way, payloads nobody has."""

    short: int
    under_way: int
    lost: int


@dataclass(frozen=True, slots=True)
class _Rest:
    """Until when a node is not asked to take a payload again, and how often it has not come to have it."""

    until_ms: int = 0
    failures: int = 0


class Copies:
    """See the head of this module."""

    def __init__(self, desk: Desk, ledger: Ledger, now_ms: int) -> None:
        self._desk = desk
        self._ledger = ledger
        self.holders = Holders(ledger.needs)
        self._piles: deque[tuple[int, Iterator[Digest]]] = deque()  # to be put into the queue, and for when
        self._due: dict[Digest, int] = {}  # when each is to be looked at
        self._queue: list[tuple[int, Digest]] = []  # the same as a heap; what differs from `_due` is stale
        self._parked: dict[Digest, None] = {}  # short of a copy, and nobody could take one
        self._flying: dict[Digest, tuple[NodeId, NodeId]] = {}  # from where to where
        self._tried: dict[Digest, dict[NodeId, _Rest]] = {}  # to whom it was to go, and is not known to be
        self._lost: dict[Digest, None] = {}
        self._pile(tuple(ledger.needs), now_ms + limits.RECOPY_WAIT_MS)

    # -- what happens ------------------------------------------------------------------------------

    def spoken_of(self, event: StepsRecorded | RunSubmitted, now_ms: int) -> None:
        """The log speaks of new payloads."""
        values = [items for record in event.records for items in record.outputs.values()]
        if isinstance(event, RunSubmitted):
            values += event.inputs.values()
        for ref in refs(values):
            self._look_at(ref.digest, now_ms + limits.RECOPY_WAIT_MS)

    def joined(self, node: NodeId, now_ms: int) -> None:
        """A node opened a link: what it holds it is going to say."""
        self.gone(node, now_ms)
        self.holders.join(node)
        self._unpark(now_ms)

    def gone(self, node: NodeId, now_ms: int) -> None:
        """Its link ended: it may come back, with what it holds."""
        if held := self.holders.leave(node):
            self._pile(held, now_ms + limits.RECOPY_WAIT_MS)
        for digest, (source, _) in [*self._flying.items()]:
            if source == node:
                del self._flying[digest]
                self._look_at(digest, now_ms)

    def changed(self, event: NodeChanged) -> None:
        """A node may be about to go, or have changed its mind."""
        draining = self.holders.draining
        if event.draining is None or event.draining == (event.node in draining):
            return
        if event.draining:
            draining.add(event.node)
            self._pile(self.holders.of(event.node), event.at_ms + limits.RECOPY_WAIT_MS)
        else:
            draining.discard(event.node)
            self._unpark(event.at_ms)

    def hear(self, event: BlobsHeld | CopyEnded) -> None:
        """A node said what it holds, or what became of a copy."""
        if isinstance(event, BlobsHeld):
            self._said(event)
        else:
            self._ended(event)

    def _said(self, event: BlobsHeld) -> None:
        self.holders.hear(event)
        due_ms = event.at_ms + limits.RECOPY_WAIT_MS
        for digest in self._lost.keys() & (*event.kept, *event.passing):
            del self._lost[digest]
            self._look_at(digest, due_ms)
        for digest in event.gone:
            if digest in self._ledger.needs:
                self._look_at(digest, due_ms)

    def _ended(self, event: CopyEnded) -> None:
        if self._flying.get(event.digest) != (event.node, event.target):
            return
        del self._flying[event.digest]
        resting = self._tried.setdefault(event.digest, {})
        failures = resting.get(event.target, _Rest()).failures
        rest_ms = limits.RECOPY_REST_MS << min(failures, REST_DOUBLINGS_MAX)
        resting[event.target] = _Rest(event.at_ms + rest_ms, failures + 1)
        # a new holder says so itself in a moment, and then all is well; what it does not say is no copy
        self._look_at(event.digest, event.at_ms + (limits.RECOPY_WAIT_MS if event.error is None else 0))

    def tick(self, now_ms: int) -> list[Action]:
        """Look at what is due, at so much of it that nothing else has to wait."""
        room = LOOKS_MAX
        while self._piles and room > 0:
            due_ms, pile = self._piles[0]
            part = list(islice(pile, room))
            if len(part) < room:
                self._piles.popleft()
            room -= max(len(part), 1)
            for digest in part:
                self.holders.tidy(digest)
                if digest in self._ledger.needs:
                    self._look_at(digest, due_ms)
        actions: list[Action] = []
        for _ in range(LOOKS_MAX):
            if len(self._flying) >= limits.RECOPIES_IN_FLIGHT_MAX:
                break
            if not self._queue or self._queue[0][0] > now_ms:
                break
            due_ms, digest = heapq.heappop(self._queue)
            if self._due.get(digest) == due_ms:
                del self._due[digest]
                if (copy := self._look(digest, now_ms)) is not None:
                    actions.append(copy)
        return actions

    # -- looking -----------------------------------------------------------------------------------

    def _look(self, digest: Digest, now_ms: int) -> Copy | None:
        """Whether one payload has its copies; if not, the order to make one."""
        self._parked.pop(digest, None)
        if digest in self._flying:
            return None  # its end will have it looked at
        holders, safe = self.holders.who(digest), self.holders.safe(digest)
        if digest not in self._ledger.needs or len(safe) >= limits.BLOB_COPIES:
            self._forget(digest)
            return None
        if not holders:
            self._lost[digest] = None
            self._look_at(digest, now_ms + LOOK_AGAIN_MS)
            return None
        targets = [node for node in self._cleared(digest) if node not in safe and [node] != holders]
        resting = self._tried.get(digest, {})
        if fresh := [node for node in targets if resting.get(node, _Rest()).until_ms <= now_ms]:
            fewest = min(resting.get(node, _Rest()).failures for node in fresh)
            fresh = [node for node in fresh if resting.get(node, _Rest()).failures == fewest]
            there = [node for node in fresh if node in holders]  # in passing: nothing has to travel
            target = in_order(digest, there or fresh)[0]
            sources = [node for node in holders if node != target]
            source = min(sources, key=lambda node: (node not in safe, self._busy(node), node))
            self._flying[digest] = (source, target)
            return Copy(source, digest, target)
        if targets:
            self._look_at(digest, min(resting[node].until_ms for node in targets))
        else:
            self._parked[digest] = None
            self._look_at(digest, now_ms + LOOK_AGAIN_MS)
        return None

    def _cleared(self, digest: Digest) -> list[NodeId]:
        """Nodes that are to stay and may have it, by any one of the places where it is spoken of."""
        mentions = islice(self._ledger.needs.mentions(digest), MENTIONS_MAX)
        contexts = {self._contexts(mention) for mention in mentions}
        return [
            name
            for name, view in self._desk.nodes.items()
            if name not in self.holders.draining and any(self._covers(view, each) for each in contexts)
        ]

    def _covers(self, view: NodeView, contexts: Iterable[Context]) -> bool:
        allowed = self._ledger.policy.node(view.node)
        return all(view.clearance.covers(each) and allowed.covers(each) for each in contexts)

    def _contexts(self, mention: Mention) -> frozenset[Context]:
        """Those of the step that gave it, or of all that were given what was submitted."""
        run = self._ledger.runs[mention.run]
        if mention.step != SUBMITTED:
            return frozenset((context_of(run, mention.step),))
        fed = (step for step, feeds in enumerate(run.plan.feeds) if feeds)
        return frozenset((run.context, *(context_of(run, step) for step in fed)))

    def _busy(self, node: NodeId) -> int:
        return sum(source == node for source, _ in self._flying.values())

    def _look_at(self, digest: Digest, due_ms: int) -> None:
        """Have it looked at then, or before if that was said already."""
        known = self._due.get(digest)
        if known is None or due_ms < known:
            self._due[digest] = due_ms
            heapq.heappush(self._queue, (due_ms, digest))

    def _pile(self, digests: Iterable[Digest], due_ms: int) -> None:
        self._piles.append((due_ms, iter(digests)))

    def _unpark(self, now_ms: int) -> None:
        parked, self._parked = self._parked, {}
        self._pile(parked, now_ms + limits.RECOPY_WAIT_MS)

    def _forget(self, digest: Digest) -> None:
        """Nothing is wrong with it."""
        self._lost.pop(digest, None)
        self._tried.pop(digest, None)
        self.holders.forget(digest)

    # -- reading -----------------------------------------------------------------------------------

    def standing(self) -> Standing:
        """How it stands now: also what may prove to be in order when it is looked at."""
        return Standing(len(self._parked.keys() | self._tried.keys()), len(self._flying), len(self._lost))
