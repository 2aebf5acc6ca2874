"""The desk: what the leader is busy with. Every ready step is in exactly one place on it.

    LATE ----(patience ends)----.
                                v
    (ready) -----------------> QUEUED --dispatch--> FLYING --outcome--> RECORDING --commit--> (gone)
                                ^                     |                     ^
                                `--- RESTING <--------+---- gives up -------'
                                      (failed attempt; a lost node queues it at the front at once)

A step whose agent declares `effects: once` takes a longer way, so that it never runs twice unasked:

    QUEUED --a node is chosen--> INTENDED --the intent commits--> FLYING --its node is lost--> UNSURE
       ^                                                                                         |
       `--- it was not done --- ASKING <-- the agent is asked, where it can tell (`doubts`) -----'

Queues and alarms hold names of steps. They are not hunted down when a step moves on: whoever takes a
name out looks the step's place up first, and `sweep` throws the stale ones away before they are many.
"""

from __future__ import annotations

import enum
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from swarm import limits
from swarm.errors import SwarmError
from swarm.graph import PLAIN, Context, Node, Priority, Resources
from swarm.ids import CapabilityName, NodeId, RunId, StepKey
from swarm.scheduler.chains import Promises
from swarm.scheduler.fair import FairQueue
from swarm.scheduler.placement import NodeView
from swarm.scheduler.run import Run, context_of


class Place(enum.IntEnum):
    """Where a ready step is on the desk. Ordered only because alarms are kept in a heap."""

    LATE = 0
    QUEUED = 1
    FLYING = 2
    RESTING = 3
    RECORDING = 4
    INTENDED = 5
    UNSURE = 6
    ASKING = 7


class Where(NamedTuple):
    """What the steps of one queue ask of a node."""

    capability: CapabilityName
    layers: frozenset[str]  # beyond those of its agent
    needs: Resources
    context: Context = PLAIN

    @classmethod
    def of(cls, run: Run, step: int) -> Where:
        node = run.graph.nodes[step]
        return cls(node.capability, node.layers, node.resources, context_of(run, step))


@dataclass(frozen=True, slots=True)
class Doubt:
    """Since when the agent is to be asked what became of an attempt, and why that is not known."""

    since_ms: int
    cause: SwarmError


@dataclass(slots=True)
class Entry:
    """A ready step on the desk: `node` and `key` of the attempt that flies, `key` of the one recorded."""

    since_ms: int
    tenant: str = ""
    place: Place = Place.LATE
    node: NodeId | None = None
    key: StepKey | None = None
    spare: tuple[NodeId, StepKey] | None = None  # a second attempt that flies beside the first
    attempts: int = 0
    failures: int = 0
    losses: int = 0
    doubt: Doubt | None = None  # of a step that must not run twice

    def flying(self) -> Iterator[tuple[NodeId, StepKey]]:
        """Every attempt that flies."""
        if self.node is not None and self.key is not None:
            yield self.node, self.key
        if self.spare is not None:
            yield self.spare

    def double(self, view: NodeView, key: StepKey, needs: Resources) -> None:
        """Another node works on it too."""
        self.spare = (view.node, key)
        view.take(key, needs)

    def drop(self, nodes: Mapping[NodeId, NodeView], key: StepKey) -> None:
        """One of the two attempts that fly is gone; the other goes on, as the first one if that is gone."""
        assert self.spare is not None
        lost = self.spare[0]
        if self.key == key:
            assert self.node is not None
            lost, (self.node, self.key) = self.node, self.spare
        self.spare = None
        if view := nodes.get(lost):
            view.give_back(key)


def question_ms(node: Node) -> int:
    """How long an agent may take to say what became of an attempt at this step."""
    return min(node.timeout_ms, limits.RECONCILE_CALL_MS_MAX)


_Alarm: TypeAlias = tuple[int, Place, RunId, int, int]
"""When, for a step in which place, and since when it is there."""

CLAIMED_ATTEMPT_MAX = 1 << 20  # a higher one was never ordered of a step that has no result
STALE_SLACK = 4_096  # stale alarms, or names in queues, tolerated beside twice the steps on the desk


class Flights:
    """How many steps of each tenant are under way, and who had a turn when."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.latest: dict[str, int] = {}  # by a number that grows
        self._begun = 0

    def begin(self, tenant: str) -> None:
        self._begun += 1
        self.counts[tenant] += 1
        self.latest[tenant] = self._begun

    def end(self, tenant: str) -> None:
        self.counts[tenant] -= 1


class Desk:
    """See the head of this module."""

    def __init__(self) -> None:
        self.nodes: dict[NodeId, NodeView] = {}
        self.queues: defaultdict[Where, FairQueue] = defaultdict(FairQueue)
        self.unhosted: dict[Where, int] = {}  # queues no node serves: when to look for impatient steps
        self.flights = Flights()
        self._entries: dict[RunId, dict[int, Entry]] = {}
        self.promises = Promises()
        self._alarms: list[_Alarm] = []  # a heap
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def find(self, run: RunId, step: int) -> Entry | None:
        entries = self._entries.get(run)
        return entries.get(step) if entries is not None else None

    def waiting(self, run: RunId, step: int) -> Entry | None:
        """The entry of a name that came out of a queue, unless it is stale."""
        entry = self.find(run, step)
        return entry if entry is not None and entry.place is Place.QUEUED else None

    # -- coming and going ----------------------------------------------------------------------

    def add(self, run: RunId, step: int, now_ms: int, tenant: str = "") -> Entry:
        """A step became ready."""
        entry = self._entries.setdefault(run, {})[step] = Entry(now_ms, tenant)
        self._size += 1
        return entry

    def open(self, run: Run, wheres: Sequence[tuple[Where, Sequence[int]]], now_ms: int) -> None:
        """A run begins with these ready steps, which have no ranks: `add` and `queue` for all of them."""
        name, tenant, queued = run.submitted.run, run.submitted.tenant, Place.QUEUED
        entries = self._entries[name] = {}
        for where, steps in wheres:
            for step in steps:
                entries[step] = Entry(now_ms, tenant, queued)
            self.queues[where].extend(run.submitted.priority, name, steps)
        self._size += len(entries)

    def remove(self, run: RunId, step: int) -> Entry | None:
        """A step ended. The entry still names the attempt that flew, if one did."""
        entries = self._entries.get(run)
        entry = entries.pop(step, None) if entries is not None else None
        if entry is not None:
            self._size -= 1
            if entry.node is not None:
                self._land(entry)
        return entry

    def clear(self, run: RunId) -> list[Entry]:
        """A run is over: nothing of it stays. The entries still name the attempts that flew."""
        entries = list(self._entries.pop(run, {}).values())
        self._size -= len(entries)
        for entry in entries:
            self._land(entry)
        for queue in self.queues.values():
            queue.drop(run)
        return entries

    # -- moving ----------------------------------------------------------------------------------

    def wait(self, entry: Entry, run: RunId, step: int, now_ms: int) -> None:
        """Be patient with its loose inputs, for a while."""
        self._move(entry, Place.LATE, now_ms)
        self._alarm(entry, now_ms + limits.LOOSE_WAIT_MS, run, step)

    def queue(
        self, entry: Entry, where: Where, name: tuple[RunId, int], priority: Priority, now_ms: int,
        *, front: bool = False, ranks: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        """Let it wait for room; `front` for one that had its turn already; first the one of highest rank."""
        self._move(entry, Place.QUEUED, now_ms)
        self.queues[where].push(priority, *name, front=front, ranks=ranks)

    def fly(
        self, entry: Entry, view: NodeView, key: StepKey, now_ms: int, node: Node, *, asks: bool = False
    ) -> None:
        """A node works on it, or asks its agent what became of an attempt at it."""
        self._move(entry, Place.ASKING if asks else Place.FLYING, now_ms)
        entry.node, entry.key = view.node, key
        self.flights.begin(entry.tenant)
        view.take(key, node.resources)
        self._alarm(entry, now_ms + (question_ms(node) if asks else node.timeout_ms), key.run, key.step)

    def intend(self, entry: Entry, view: NodeView, key: StepKey, now_ms: int, node: Node) -> None:
        """A node is to work on it once the log says so; whoever proposes the intent sees it through."""
        self._move(entry, Place.INTENDED, now_ms)
        entry.node, entry.key = view.node, key
        self.flights.begin(entry.tenant)
        view.take(key, node.resources)

    def rest(
        self, entry: Entry, run: RunId, step: int, now_ms: int, duration_ms: int,
        place: Place = Place.RESTING,
    ) -> None:  # fmt: skip
        """Let it rest after a failure; UNSURE: give the node that may have run it time to come back."""
        self._move(entry, place, now_ms)
        self._alarm(entry, now_ms + duration_ms, run, step)

    def record(self, entry: Entry, key: StepKey, now_ms: int) -> None:
        """The result of this attempt is on its way to the log; whoever proposes it sees it through."""
        self._move(entry, Place.RECORDING, now_ms)
        entry.key = key

    def _move(self, entry: Entry, place: Place, now_ms: int) -> None:
        if entry.key is not None:
            self._land(entry)
            entry.node = entry.key = entry.spare = None
        entry.place, entry.since_ms = place, now_ms

    def _land(self, entry: Entry) -> None:
        """Free the slots of its attempts."""
        if entry.key is not None and entry.node is not None:
            self.flights.end(entry.tenant)
            if view := self.nodes.get(entry.node):
                view.give_back(entry.key)
        if entry.spare is not None and (view := self.nodes.get(entry.spare[0])):
            view.give_back(entry.spare[1])

    # -- alarms ----------------------------------------------------------------------------------

    def _alarm(self, entry: Entry, due_ms: int, run: RunId, step: int) -> None:
        heapq.heappush(self._alarms, (due_ms, entry.place, run, step, entry.since_ms))

    def _rings(self, alarm: _Alarm) -> Entry | None:
        """The entry an alarm is for, if it is still where it was when the alarm was set."""
        _, place, run, step, since_ms = alarm
        entry = self.find(run, step)
        return entry if entry is not None and entry.place is place and entry.since_ms == since_ms else None

    def ring(self, now_ms: int) -> Iterator[tuple[RunId, int, Entry]]:
        """Steps whose time in their place is over. The caller moves each before it asks for the next."""
        while self._alarms and self._alarms[0][0] <= now_ms:
            alarm = heapq.heappop(self._alarms)
            if entry := self._rings(alarm):
                yield alarm[2], alarm[3], entry

    def sweep(self) -> None:
        """Drop stale alarms and names once they are the greater part, and queues that ran empty."""
        stale_from = STALE_SLACK + 2 * self._size
        if len(self._alarms) > stale_from:
            self._alarms = [alarm for alarm in self._alarms if self._rings(alarm)]
            heapq.heapify(self._alarms)
        for where in [where for where, queue in self.queues.items() if not queue]:
            del self.queues[where]
        if sum(map(len, self.queues.values())) > stale_from:
            seen = set[tuple[RunId, int]]()

            def first(run: RunId, step: int) -> bool:
                known = (run, step) in seen or self.waiting(run, step) is None
                seen.add((run, step))
                return not known

            for queue in self.queues.values():
                queue.keep(first)
