"""Warm cells of one agent: one is ready before it is asked for, and another is made behind the caller's back.

A lease takes a spare, which costs no system call; only where there is none does it wait for a cell to be
made. An agent whose cells keep dying young is rested, longer each time, so that a crash loop costs the
machine little and other agents nothing.

    FILLING  fewer spares than wanted: one is being made
    FULL     as many as wanted
    RESTING  cells died young or could not be made: nothing is made until the rest is over
    CLOSED   for good
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final, TypeAlias

from sandbox.cell import FAREWELL_MS, Cell, State
from sandbox.errors import Broken, CellError
from sandbox.spec import CellSpec

Spawn: TypeAlias = Callable[[CellSpec], Awaitable[Cell]]

SPARES_MAX: Final = 16
YOUNG_S: Final = 5.0  # a cell that dies so soon after its lease counts against its agent
REST_S_MIN: Final = 0.05
REST_S_MAX: Final = 10.0
CLOSED_CODE: Final = "cell.closed"


class Phase(Enum):
    """What a pool is doing."""

    FILLING = "filling"
    FULL = "full"
    RESTING = "resting"
    CLOSED = "closed"


# (phase, event) -> phase; an event without an entry is a bug.
NEXT: Final = {
    (Phase.FILLING, "made"): Phase.FILLING,
    (Phase.FILLING, "filled"): Phase.FULL,
    (Phase.FILLING, "taken"): Phase.FILLING,
    (Phase.FILLING, "died"): Phase.RESTING,
    (Phase.FILLING, "close"): Phase.CLOSED,
    (Phase.FULL, "taken"): Phase.FILLING,
    (Phase.FULL, "died"): Phase.RESTING,
    (Phase.FULL, "close"): Phase.CLOSED,
    (Phase.RESTING, "made"): Phase.RESTING,
    (Phase.RESTING, "taken"): Phase.RESTING,
    (Phase.RESTING, "died"): Phase.RESTING,
    (Phase.RESTING, "rested"): Phase.FILLING,
    (Phase.RESTING, "close"): Phase.CLOSED,
    (Phase.CLOSED, "died"): Phase.CLOSED,
    (Phase.CLOSED, "close"): Phase.CLOSED,
}


class Pool:
    """Hands out cells of one agent; made by `Warden.pool`, closed by whoever had it made."""

    def __init__(self, spawn: Spawn, spec: CellSpec, spares: int = 1) -> None:
        if not 0 <= spares <= SPARES_MAX:
            message = f"{spares} spares, at most {SPARES_MAX}"
            raise ValueError(message)
        self._loop = asyncio.get_running_loop()
        self._spawn = spawn
        self._spec = spec
        self._wanted = spares
        self._spares: deque[Cell] = deque()
        self._deaths = 0  # young ones in a row
        self._rested_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self.phase = Phase.FULL
        self.leased = 0

    async def lease(self) -> Cell:
        """A cell that is locked down, loaded and nobody else's; the caller closes it."""
        while self._spares:
            cell = self._spares.popleft()
            if cell.state is State.READY:
                return self._hand_out(cell)
        if self._is(Phase.CLOSED):
            raise Broken("the pool is closed", place=self._spec.image.name, code=CLOSED_CODE)
        if self._is(Phase.RESTING):
            await asyncio.sleep(self._rested_at - self._loop.time())
        try:
            cell = await self._spawn(self._spec)
        except CellError:
            self._died()
            raise
        if self._is(Phase.CLOSED):
            await cell.close(grace_ms=0)
            raise Broken("the pool is closed", place=self._spec.image.name, code=CLOSED_CODE)
        return self._hand_out(cell)

    @property
    def spares(self) -> int:
        """Cells that are ready now."""
        return len(self._spares)

    def want(self, spares: int) -> None:
        """Keep so many ready from now on."""
        self._wanted = spares
        if self._is(Phase.FULL) and len(self._spares) < spares:
            self._step("taken")
            self._refill()

    def _hand_out(self, cell: Cell) -> Cell:
        self.leased += 1
        given_at = self._loop.time()
        cell.closed.add_done_callback(lambda ended: self._ended(ended.result(), given_at))
        self._step("taken")
        self._refill()
        return cell

    def _ended(self, reason: CellError, given_at: float) -> None:
        self.leased -= 1
        if reason.code == CLOSED_CODE:
            return
        if self._loop.time() - given_at < YOUNG_S:
            self._died()
        else:
            self._deaths = 0

    def _died(self) -> None:
        rest_s = min(REST_S_MIN * 2.0 ** min(self._deaths, 20), REST_S_MAX)
        self._deaths += 1
        self._rested_at = self._loop.time() + rest_s
        self._step("died")
        self._refill()

    def _is(self, *phases: Phase) -> bool:
        """Whether the phase is one of these now: across an await it may have changed."""
        return self.phase in phases

    def _step(self, event: str) -> None:
        self.phase = NEXT[self.phase, event]

    def _refill(self) -> None:
        if not self._is(Phase.CLOSED) and (self._task is None or self._task.done()):
            self._task = self._loop.create_task(self._fill())

    async def _fill(self) -> None:
        while self._is(Phase.FILLING, Phase.RESTING):
            if self._is(Phase.RESTING):
                await asyncio.sleep(self._rested_at - self._loop.time())
                if self._is(Phase.RESTING) and self._loop.time() >= self._rested_at:
                    self._step("rested")
                continue
            if len(self._spares) >= self._wanted:
                self._step("filled")
                continue
            try:
                cell = await self._spawn(self._spec)
            except CellError:
                self._died()  # the next lease meets the same error and tells its caller
                continue
            if self._is(Phase.CLOSED):
                await cell.close(grace_ms=0)
                return
            self._spares.append(cell)
            self._step("made")

    async def close(self) -> None:
        """End the spares; leased cells are their holders'."""
        self._step("close")
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        spares, self._spares = self._spares, deque()
        grace_ms = FAREWELL_MS if self._spec.last else 0
        await asyncio.gather(*(cell.close(grace_ms) for cell in spares))
