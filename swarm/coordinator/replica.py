"""One replica of the replicated state: the log's entries folded through the scheduler.

A follower folds when somebody looks, not before: committed entries wait as bytes until a client reads,
a run is watched, or this replica is elected. The leader folds at once, and does not decode what it has
encoded itself. An elected replica decides nothing before it has applied everything its predecessors
committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from swarm import limits
from swarm.coordinator.watchers import Arrivals, Watchers
from swarm.errors import NotLeader, OutcomeUnknown
from swarm.ids import NodeId, RunId
from swarm.ports import Clock, Committed, Leadership, Log
from swarm.scheduler.actions import Action, Changed
from swarm.scheduler.events import (
    AgentDeployed,
    AgentRemoved,
    Deposed,
    Durable,
    Elected,
    Event,
    IdentityRevoked,
)
from swarm.scheduler.machine import DEFAULTS, Scheduler
from swarm.scheduler.together import Options
from swarm.tasks import Tasks
from swarm.trust.revocation import Revoked
from swarm.wire.entries import (
    decode_event,
    decode_history,
    demand_readable,
    encode_event,
    encode_history,
    revokes,
)

_log = structlog.get_logger("swarm.coordinator")


class Replica:
    """The state machine the log drives. What it asks for goes to `act`; `settled` follows a batch of it."""

    def __init__(
        self, node: NodeId, log: Log, clock: Clock, tasks: Tasks, options: Options = DEFAULTS
    ) -> None:
        self.node = node
        self.watchers: Watchers[RunId] = Watchers()
        self.arrivals = Arrivals(clock, log.applied_index)
        log.awaited = lambda: bool(self.watchers or self.arrivals)
        self.act: Callable[[Action], None] = lambda _: None
        self.settled: Callable[[], None] = lambda: None
        self.deposed: Callable[[NodeId | None], None] = lambda _: None
        self.agents_changed: Callable[[], None] = lambda: None
        self.revoked: Callable[[], None] = lambda: None
        self.log = log
        self._clock = clock
        self._tasks = tasks
        self._options = options
        self._scheduler = Scheduler(options)
        self._backlog: list[bytes] = []  # committed entries nobody has asked about yet
        self._backlog_bytes = 0
        self._proposed: dict[bytes, Durable] = {}  # our own entries on their way
        self._takeover: asyncio.Task[None] | None = None
        self.leading_term: int | None = None
        self.elected = asyncio.Event()  # set while it leads

    async def start(self) -> None:
        """Recover from the log and join the others."""
        await self.log.start(self, self._on_leadership)

    async def stop(self) -> None:
        await self.log.stop()

    # -- the state ------------------------------------------------------------------------------

    @property
    def scheduler(self) -> Scheduler:
        """The state, with everything committed in it."""
        self._catch_up()
        return self._scheduler

    def revocations(self) -> tuple[Revoked, ...]:
        """Who is let in no more."""
        gone = self.scheduler.ledger.members.revoked.values()
        return tuple(Revoked(event.name, event.serial, event.reason) for event in gone)

    def apply(self, entries: Sequence[Committed]) -> None:
        urgent = self.leads or bool(self.watchers)
        for entry in entries:
            self.arrivals.came(entry.index)
            if entry.data:
                demand_readable(entry.data)
                self._backlog.append(entry.data)
                self._backlog_bytes += len(entry.data)
                urgent = urgent or revokes(entry.data)
        if urgent or self._backlog_bytes > limits.BACKLOG_BYTES_MAX:
            self._catch_up()
        self.settled()

    def snapshot(self) -> Callable[[], bytes]:
        history = self.scheduler.ledger.history()  # events never change
        return lambda: encode_history(history)

    def restore(self, data: bytes, index: int) -> None:
        self._scheduler, self._backlog, self._backlog_bytes = Scheduler(self._options), [], 0
        for event in decode_history(data):
            self._scheduler.apply(event)
        self.watchers.all_changed()
        self.revoked()
        _log.info("restored", index=index, runs=len(self._scheduler.ledger.runs))

    def absorb(self, event: Event) -> None:
        """Take one event in and do what it asks for."""
        for action in self._scheduler.apply(event):
            if isinstance(action, Changed):
                self.watchers.changed(action.run)
            else:
                self.act(action)
        if isinstance(event, AgentDeployed | AgentRemoved):
            self.agents_changed()
        elif isinstance(event, IdentityRevoked):
            self.revoked()

    async def propose(self, event: Durable) -> int:
        """Append an event to the log. Returns its index once it is committed and folded here."""
        return await self.propose_encoded(event, encode_event(event))

    async def propose_encoded(self, event: Durable, data: bytes) -> int:
        """The same for an event whose bytes are at hand."""
        self._proposed[data] = event
        try:
            return await self.log.propose(data)
        finally:
            self._proposed.pop(data, None)

    def _catch_up(self) -> None:
        if self._backlog:
            backlog, self._backlog, self._backlog_bytes = self._backlog, [], 0
            for data in backlog:
                event = self._proposed.pop(data, None)
                self.absorb(decode_event(data) if event is None else event)

    def in_flight(self) -> int:
        """Attempts that nodes are working on for this leader."""
        return sum(len(view.busy) for view in self._scheduler.nodes())

    # -- leadership -------------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        """Whether this replica decides: it was elected, and it has applied all there was before."""
        return self.leading_term is not None

    def must_lead(self) -> int:
        """The term it leads under; raises `NotLeader` with the best hint there is."""
        if self.leading_term is None:
            leader = self.log.leadership().leader
            raise NotLeader(leader if leader != self.node else None)
        return self.leading_term

    def leadership(self) -> Leadership:
        return self.log.leadership()

    def applied_index(self) -> int:
        return self.log.applied_index()

    async def read_barrier(self) -> int:
        """What this replica has applied by then is all that was committed before the call; leader only."""
        return await self.log.read_barrier()

    def _on_leadership(self, leadership: Leadership) -> None:
        _log.info("leadership", term=leadership.term, leader=leadership.leader)
        if self.leads and (leadership.leader, leadership.term) != (self.node, self.leading_term):
            self.leading_term = None
            self.elected.clear()
            self.absorb(Deposed(self._clock.monotonic_ms()))
            self.deposed(leadership.leader)
        if self._takeover is not None:
            self._takeover.cancel()
            self._takeover = None
        if leadership.leader == self.node and not self.leads:
            self._takeover = self._tasks.start(self._take_over(leadership.term))

    async def _take_over(self, term: int) -> None:
        while True:
            try:
                await self.log.read_barrier()
            except NotLeader:
                return
            except OutcomeUnknown:
                await self._clock.sleep_ms(limits.TICK_MS)
            else:
                break
        self._catch_up()
        self.leading_term = term
        self.elected.set()
        self.absorb(Elected(self._clock.monotonic_ms(), term))
        _log.info("leading", term=term, runs=self._scheduler.ledger.active())
