"""One agent on this node: its image, its warm cells, and the work that waits for them.

Work goes to a cell in *batches*: one frame there, one frame back, a result or an error for each item. A
batch takes from `BATCH_MS_MIN` to `BATCH_MS` at the pace seen so far, so that fast agents pay for a frame
once in many items and slow ones are still spread over the cells. Two batches may be under way in a cell:
the second is there when the first one ends.

An agent begins with one cell and grows to `cells_max` while more work waits than the cells it has can
do soon. What kills a cell costs every item of its batches a retry, and a retry runs alone: so one item
that hangs or crashes cannot take others down with it twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import structlog

from swarm import limits
from swarm.errors import AgentFailed, Mistake, NotAllowed, NotHosted, SwarmError, TooLarge
from swarm.graph import Payload, has_refs, refs
from swarm.ids import CapabilityName, Digest, StepKey
from swarm.node.calls import Call, CallQueue
from swarm.node.reconciling import Reconciling, answered
from swarm.node.results import ResultCache, name_of
from swarm.ports import Cell, Cells, Clock, Image, Journal, Reply
from swarm.scheduler.ledger import payload_bytes
from swarm.scheduler.urgency import Urgent
from swarm.tasks import Tasks
from swarm.trust.results import ResultSigner
from swarm.wire.messages import Assignment, Outcome

_log = structlog.get_logger("swarm.node")

BATCH_ITEMS_MAX = 128
BATCH_BYTES_MAX = 4 * limits.MIB
BATCH_MS = 15.0  # how long a batch should take at most
BATCH_MS_MIN = 4.0  # what takes less is not worth a frame of its own, even if other cells are idle
BATCHES_PER_CELL = 2
GROW_MS = 25.0  # work that waits longer than this is worth another cell
PACE_MEMORY = 0.8  # of the running average of the time an item takes
RESPAWN_MS_MIN = 20
RESPAWN_MS_MAX = 2_000


@dataclass(slots=True)
class _Seat:
    """One cell's place: the cell that sits there now, and how its predecessors fared."""

    cell: Cell | None = None
    deaths: int = 0


class AgentHost:
    """Runs assignments of one agent; see the head of this module."""

    def __init__(
        self,
        digest: Digest,
        image: Image,
        cells: Cells,
        clock: Clock,
        journal: Journal,
        emit: Callable[[Sequence[Outcome]], None],
        cells_max: int,
        results: ResultCache | None = None,
    ) -> None:
        self.digest = digest
        self.image = image
        self._cells = cells
        self._clock = clock
        self._journal = journal
        self._emit = emit
        self._cells_max = cells_max
        self._results = results
        self.signer: ResultSigner | None = None  # of results, for runs that ask for it
        self._seats: list[_Seat] = []
        self._tasks = Tasks()
        self._queue: Urgent[Assignment] = Urgent()
        self._idle: deque[asyncio.Future[None]] = deque()  # lanes that wait for work
        self._pending: dict[StepKey, _Seat | None] = {}  # what is queued (None) or running (its seat)
        self._withdrawn: set[StepKey] = set()
        self._calls = CallQueue(image.signatures)
        self._reconciling = Reconciling(image.signatures)
        self._spawning = asyncio.Lock()
        self._telling = 0  # lanes that tell outcomes at this moment: who hears may assign what follows
        self._pace_ms = BATCH_MS  # until we know better, a batch is one item

    async def start(self) -> None:
        """Warm the first cell; raises what keeps the agent from running here."""
        self._open(_Seat(await self._cells.spawn(self.image)))

    async def close(self) -> None:
        await self._tasks.stop()
        for seat in self._seats:
            if seat.cell is not None:
                await seat.cell.close()

    @property
    def failure(self) -> asyncio.Future[None]:
        """Raises what a lane died of."""
        return self._tasks.failure

    @property
    def cell_count(self) -> int:
        return sum(seat.cell is not None for seat in self._seats)

    @property
    def busy(self) -> bool:
        """Whether anything is queued or runs."""
        return bool(self._pending)

    def pending(self) -> tuple[StepKey, ...]:
        """Attempts accepted and not finished."""
        return tuple(key for key in self._pending if key not in self._withdrawn)

    def assign(self, items: Sequence[Assignment]) -> None:
        """Accept attempts. The outcome of each is emitted exactly once, unless it is withdrawn."""
        for item in items:
            if item.key not in self._pending:
                self._pending[item.key] = None
                self._queue.add(item.priority, item)
        waiting_ms = len(self._queue) * self._pace_ms / max(len(self._seats), 1)
        if waiting_ms > GROW_MS and len(self._seats) < self._cells_max and not self._idle:
            self._open(_Seat())
        self._wake()

    def offers(self, capability: CapabilityName) -> bool:
        """Whether the agent has this capability."""
        return self._calls.offers(capability)

    def call(self, call: Call) -> None:
        """Answer somebody at once, with nothing written down. Raises why it cannot be tried."""
        self._calls.add(call)
        if self._idle:
            self._wake()

    def _wake(self) -> None:
        """Wake as many lanes as can find something; one that is telling outcomes looks by itself next."""
        wanted = len(self._queue) + len(self._calls) - self._telling
        while self._idle and wanted > 0:
            lane = self._idle.popleft()
            if not lane.done():  # it may have been cancelled
                lane.set_result(None)
            wanted -= 1

    async def withdraw(self, key: StepKey) -> None:
        """Nobody waits for this attempt any more. A Python cell is ended for it, if nothing else runs there.

        What shares a cell with it must not pay: a step may have one attempt only, or must not run twice.
        """
        if key not in self._pending:
            return
        self._withdrawn.add(key)
        seat = self._pending[key]
        shared = any(other is seat and key not in self._withdrawn for key, other in self._pending.items())
        if seat is not None and seat.cell is not None and not shared and self.image.kind == "python":
            cell, seat.cell = seat.cell, None
            await cell.close()

    # -- lanes ------------------------------------------------------------------------------

    def _open(self, seat: _Seat) -> None:
        self._seats.append(seat)
        for _ in range(BATCHES_PER_CELL):
            self._tasks.start(self._lane(seat))

    async def _lane(self, seat: _Seat) -> None:
        while True:
            if self._calls:
                await self._answer(seat)
            batch = self._take()
            if not batch and self._calls:
                continue
            if not batch:
                turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._idle.append(turn)
                await turn
                continue
            for item in batch:
                self._pending[item.key] = seat
            if self._results is not None and batch[0].capability in self.image.deterministic:
                outcomes = await self._run_unless_known(seat, batch, self._results)
            else:
                outcomes = await self._run(seat, batch)
            if self.signer is not None and batch[0].sign:
                outcomes = _signed(batch, outcomes, self.signer)
            done = [outcome for outcome in outcomes if outcome.key not in self._withdrawn]
            for item in batch:
                self._withdrawn.discard(item.key)
                del self._pending[item.key]
            if done:
                self._telling += 1
                try:
                    self._emit(done)
                finally:
                    self._telling -= 1

    async def _answer(self, seat: _Seat) -> None:
        """Take the next calls to a cell. Steps have their turn afterwards."""
        calls = self._calls.take()
        results: Sequence[Reply | SwarmError]
        try:
            cell = await self._seated(seat)
            results = await cell.process_batch(
                calls[0].capability, [call.inputs for call in calls], max(call.timeout_ms for call in calls)
            )
        except SwarmError as error:
            results = [error] * len(calls)
        for call, result in zip(calls, results, strict=True):
            call.answered(result if isinstance(result, SwarmError) else _oversize(result) or result)

    def _take(self) -> list[Assignment]:
        """The next batch: the most urgent, alike, not too long nor heavy, and a fair share of what waits."""
        lanes = BATCHES_PER_CELL * len(self._seats)
        pace_ms = max(self._pace_ms, 1e-6)
        share = max(-(-len(self._queue) // lanes), int(BATCH_MS_MIN / pace_ms))
        items_max = max(1, min(BATCH_ITEMS_MAX, share, int(BATCH_MS / pace_ms)))
        batch: list[Assignment] = []
        weight = 0
        while self._queue and len(batch) < items_max:
            item = self._queue.head()
            if item.key in self._withdrawn:
                self._queue.pop()
                self._withdrawn.discard(item.key)
                del self._pending[item.key]
                continue
            weight += _weight(item)
            alone = item.key.attempt > 1 or item.about is not None or weight > BATCH_BYTES_MAX
            first = batch[0] if batch else item
            if batch and (alone or (item.capability, item.sign) != (first.capability, first.sign)):
                break
            batch.append(self._queue.pop())
            if alone:
                break
        return batch

    async def _run_unless_known(
        self, seat: _Seat, batch: Sequence[Assignment], cache: ResultCache
    ) -> list[Outcome]:
        """What these inputs gave before they are said to give again; the others run, and are remembered."""
        names = [name_of(item) for item in batch]
        found = await cache.find(names)
        at_ms = self._clock.wall_ms()
        known = [
            Outcome(item.key, True, found[name], None, False, at_ms, 0.0, cached=True, after=item.after)
            for item, name in zip(batch, names, strict=True)
            if name in found
        ]
        rest = [(item, name) for item, name in zip(batch, names, strict=True) if name not in found]
        if not rest:
            return known
        outcomes = await self._run(seat, [item for item, _ in rest])
        await cache.keep(
            {name: outcome.outputs for (_, name), outcome in zip(rest, outcomes, strict=True) if outcome.ok}
        )
        return known + outcomes

    async def _run(self, seat: _Seat, batch: Sequence[Assignment]) -> list[Outcome]:
        """Run a batch. The journal has every attempt before it runs, so that running twice shows."""
        started_ms, began = self._clock.wall_ms(), asyncio.get_running_loop().time()
        results: Sequence[Reply | SwarmError]
        try:
            cell = await self._seated(seat)
            capability = self._reconciling.capability(batch[0])
            if batch[0].about is None:  # who is asked only looks
                self._journal.append(_journal_lines(batch, started_ms))
            results = await cell.process_batch(
                capability,
                [self._reconciling.inputs(item) for item in batch],
                max(item.timeout_ms for item in batch),
            )
        except SwarmError as error:
            results = [error] * len(batch)
        wall_ms = (asyncio.get_running_loop().time() - began) * 1000 / len(batch)
        self._pace_ms = self._pace_ms * PACE_MEMORY + wall_ms * (1 - PACE_MEMORY)
        return [
            self._outcome(item, result, started_ms, wall_ms)
            for item, result in zip(batch, results, strict=True)
        ]

    def _outcome(
        self, item: Assignment, result: Reply | SwarmError, started_ms: int, wall_ms: float
    ) -> Outcome:
        if item.about is not None and not isinstance(result, SwarmError):
            result = answered(item, result)
        error = result if isinstance(result, SwarmError) else _oversize(result)
        if error is None and not isinstance(result, SwarmError):
            return Outcome(item.key, True, result, None, False, started_ms, wall_ms, after=item.after)
        retryable = _retryable(error, self.image.kind)
        return Outcome(item.key, False, {}, error, retryable, started_ms, wall_ms, after=item.after)

    async def _seated(self, seat: _Seat) -> Cell:
        """The seat's cell; a dead one is replaced, later and later if they keep dying."""
        if seat.cell is not None and seat.cell.alive:
            return seat.cell
        async with self._spawning:
            if seat.cell is not None and seat.cell.alive:
                return seat.cell
            if seat.cell is not None:
                _log.warning("cell died", agent=self.image.name, deaths=seat.deaths + 1)
                await seat.cell.close()
                seat.cell = None
                await self._clock.sleep_ms(min(RESPAWN_MS_MIN << min(seat.deaths, 10), RESPAWN_MS_MAX))
                seat.deaths += 1
            seat.cell = await self._cells.spawn(self.image)
            return seat.cell


def _retryable(error: SwarmError | None, kind: str) -> bool:
    """Whether another try may end differently.

    Not where the caller is at fault or a result is too large, and not where a wasm agent refused its
    input: it is a pure function of it.
    """
    match error:
        case None | Mistake() | TooLarge():
            return False
        case AgentFailed():
            return kind != "wasm"
        case _:
            return True


def _weight(item: Assignment) -> int:
    """How much a cell is given with it: what lies elsewhere weighs what it has there."""
    values = item.inputs.values()
    inline_bytes = payload_bytes(values)
    return inline_bytes + sum(ref.size_bytes for ref in refs(values)) if has_refs(values) else inline_bytes


def _oversize(outputs: Reply) -> TooLarge | None:
    """Why a result may not travel, or None."""
    weight = 0
    for port, items in outputs.items():
        payloads = (items,) if isinstance(items, Payload) else items
        for payload in payloads:
            weight += (size := len(payload.data))
            if size > limits.PAYLOAD_INLINE_BYTES_MAX:
                return TooLarge(
                    f"{size} bytes on one output, at most {limits.PAYLOAD_INLINE_BYTES_MAX} travel inline",
                    place=port,
                    remedy="give less, or split it over a `many` port",
                )
    if weight > limits.STEP_BYTES_MAX:
        return TooLarge(f"{weight} bytes of output, at most {limits.STEP_BYTES_MAX} travel inline")
    return None


def _journal_lines(batch: Sequence[Assignment], at_ms: int) -> list[Mapping[str, object]]:
    """One line for each run in a batch: `steps` and `attempts` go together."""
    lines: list[Mapping[str, object]] = []
    for (run, term), group in groupby((item.key for item in batch), itemgetter(0, 2)):
        _, steps, _, attempts = zip(*group, strict=True)
        lines.append({"run": run, "term": term, "at_ms": at_ms, "steps": steps, "attempts": attempts})
    return lines


def _signed(batch: Sequence[Assignment], outcomes: Sequence[Outcome], signer: ResultSigner) -> list[Outcome]:
    """Results with the node's word for them; failures are nobody's results."""
    items = {item.key: item for item in batch}
    found = []
    for outcome in outcomes:
        item = items[outcome.key]
        step = (item.key.run, item.key.step, str(item.capability))
        proof = signer.proof(step, item.inputs, outcome.outputs) if outcome.ok else b""
        found.append(outcome._replace(signature=proof))
    return found


def not_hosted(item: Assignment, node: str, wall_ms: int) -> Outcome:
    """The outcome of an attempt at an agent this node does not host."""
    error = NotHosted(f"node {node} does not host {item.agent[:12]}", place=str(item.capability))
    return Outcome(item.key, False, {}, error, True, wall_ms, 0.0, after=item.after)


def not_cleared(item: Assignment, node: str, wall_ms: int) -> Outcome:
    """The outcome of an attempt in a context this node does not work in, whatever the leader thinks."""
    error = NotAllowed(
        f"node {node} does not work in this context ({item.context})",
        place=str(item.capability),
        remedy="widen `trust: {clearance:` in its settings, or add a node that is cleared",
    )
    return Outcome(item.key, False, {}, error, False, wall_ms, 0.0, after=item.after)
