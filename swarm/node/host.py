"""One agent on this node: its image, its warm cells, and the work that waits for them.

Work flows through *lanes*, one task each; a lane belongs to a cell. An agent begins with one cell and
grows to `cells_max` while work waits. A wasm cell has several lanes, because its calls are short and
answered in order, so that the next request is there when the last one ends; a Python cell has one, so
that killing it to stop one attempt harms no other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from swarm import limits
from swarm.errors import AgentFailed, Mistake, SwarmError, TooLarge, Unreachable
from swarm.graph import Payload
from swarm.ids import Digest, StepKey
from swarm.ports import Cell, Cells, Clock, Image, Reply
from swarm.scheduler.ledger import payload_bytes
from swarm.wire.messages import Assignment, Outcome

_log = structlog.get_logger("swarm.node")

LANES_WASM = 8
LANES_PYTHON = 1
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
        emit: Callable[[Outcome], None],
        cells_max: int,
    ) -> None:
        self.digest = digest
        self._image = image
        self._cells = cells
        self._clock = clock
        self._emit = emit
        self._cells_max = cells_max
        self._seats: list[_Seat] = []
        self._lanes: list[asyncio.Task[None]] = []
        self._queue: deque[Assignment] = deque()
        self._idle: deque[asyncio.Future[Assignment]] = deque()  # lanes that wait for work
        self._pending: dict[StepKey, _Seat | None] = {}  # what is queued (None) or running (its seat)
        self._withdrawn: set[StepKey] = set()
        self._spawning = asyncio.Lock()

    async def start(self) -> None:
        """Warm the first cell; raises what keeps the agent from running here."""
        seat = _Seat(await self._cells.spawn(self._image))
        self._open(seat)

    async def close(self) -> None:
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)
        for seat in self._seats:
            if seat.cell is not None:
                await seat.cell.close()

    @property
    def cell_count(self) -> int:
        return sum(seat.cell is not None for seat in self._seats)

    def pending(self) -> tuple[StepKey, ...]:
        """Attempts accepted and not finished."""
        return tuple(key for key in self._pending if key not in self._withdrawn)

    def assign(self, item: Assignment) -> None:
        """Accept an attempt. Its outcome is emitted exactly once, unless it is withdrawn."""
        if item.key in self._pending:
            return
        self._pending[item.key] = None
        while self._idle:
            lane = self._idle.popleft()
            if not lane.done():
                lane.set_result(item)
                return
        self._queue.append(item)
        if len(self._seats) < self._cells_max:
            self._open(_Seat())

    async def withdraw(self, key: StepKey) -> None:
        """Nobody waits for this attempt any more."""
        if key not in self._pending:
            return
        self._withdrawn.add(key)
        seat = self._pending[key]
        if seat is not None and seat.cell is not None and self._image.kind == "python":
            cell, seat.cell = seat.cell, None
            await cell.close()

    # -- lanes ------------------------------------------------------------------------------

    def _open(self, seat: _Seat) -> None:
        self._seats.append(seat)
        lanes = LANES_WASM if self._image.kind == "wasm" else LANES_PYTHON
        self._lanes += [asyncio.create_task(self._lane(seat)) for _ in range(lanes)]

    async def _lane(self, seat: _Seat) -> None:
        while True:
            item = await self._next()
            if item.key not in self._withdrawn:
                self._pending[item.key] = seat
                outcome = await self._attempt(seat, item)
                if item.key not in self._withdrawn:
                    self._emit(outcome)
            self._withdrawn.discard(item.key)
            self._pending.pop(item.key, None)

    async def _next(self) -> Assignment:
        if self._queue:
            return self._queue.popleft()
        turn: asyncio.Future[Assignment] = asyncio.get_running_loop().create_future()
        self._idle.append(turn)
        return await turn

    async def _attempt(self, seat: _Seat, item: Assignment) -> Outcome:
        started_ms, began = self._clock.wall_ms(), asyncio.get_running_loop().time()
        error: SwarmError | None = None
        outputs: Reply = {}
        try:
            cell = await self._seated(seat)
            outputs = await cell.process_input(item.capability, item.inputs, item.timeout_ms)
            _check_size(outputs)
        except SwarmError as failure:
            error = failure
            outputs = {}
        wall_ms = (asyncio.get_running_loop().time() - began) * 1000
        return Outcome(
            item.key, error is None, outputs, error, _retryable(error, self._image.kind), started_ms, wall_ms
        )

    async def _seated(self, seat: _Seat) -> Cell:
        """The seat's cell; a dead one is replaced, later and later if they keep dying."""
        if seat.cell is not None and seat.cell.alive:
            return seat.cell
        async with self._spawning:
            if seat.cell is not None and seat.cell.alive:
                return seat.cell
            if seat.cell is not None:
                _log.warning("cell died", agent=self._image.name, deaths=seat.deaths + 1)
                await seat.cell.close()
                seat.cell = None
                await self._clock.sleep_ms(min(RESPAWN_MS_MIN << min(seat.deaths, 10), RESPAWN_MS_MAX))
                seat.deaths += 1
            seat.cell = await self._cells.spawn(self._image)
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


def _check_size(outputs: Reply) -> None:
    for port, items in outputs.items():
        payloads = (items,) if isinstance(items, Payload) else items
        largest = max((len(payload.data) for payload in payloads), default=0)
        if largest > limits.VALUE_BYTES_MAX:
            raise TooLarge(
                f"{largest} bytes on one output, at most {limits.VALUE_BYTES_MAX} travel inline",
                place=port,
                remedy="give less, or split it over a `many` port",
            )
    if (weight := payload_bytes(outputs.values())) > limits.STEP_BYTES_MAX:
        raise TooLarge(f"{weight} bytes of output, at most {limits.STEP_BYTES_MAX} travel inline")


def not_hosted(item: Assignment, node: str, wall_ms: int) -> Outcome:
    """The outcome of an attempt at an agent this node does not host."""
    error = Unreachable(f"node {node} does not host {item.agent[:12]}", place=str(item.capability))
    return Outcome(item.key, False, {}, error, True, wall_ms, 0.0)
