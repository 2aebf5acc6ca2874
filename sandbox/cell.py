"""One cell as the daemon sees it: an agent in a locked-down process that answers calls until its end.

Calls are pipelined: any number (up to a bound) may be outstanding, they are answered in order. Whatever
ends the cell (its own crash, a limit, a forbidden call, the daemon) ends every outstanding call with
one typed reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from enum import Enum
from typing import Final, Self

from sandbox.broker import Broker
from sandbox.calls import Calls
from sandbox.cgroups import Group
from sandbox.channel import Answer, Channel
from sandbox.copies import Copies
from sandbox.errors import Broken, CellError, Exceeded
from sandbox.frames import Kind
from sandbox.lookout import Vigil
from sandbox.messages import write_load
from sandbox.nursery import Exit
from sandbox.overruns import lasts
from sandbox.process import Process
from sandbox.shared import Lender
from sandbox.spec import CellSpec, Usage

LOAD_S: Final = 30.0  # to lock down, and again to load the agent
GRACE_MS: Final = 200  # to finish what it has been asked
FAREWELL_MS: Final = 2000  # the same, where an agent has something to do last
RETIRING_S: Final = 1.0  # at most between two looks whether a cell that met a limit has answered all
_CLOSE_S: Final = 5.0


class State(Enum):
    """Where a cell is in its life."""

    STARTING = "starting"
    READY = "ready"
    CLOSING = "closing"
    DEAD = "dead"


# (state, event) -> state; an event without an entry is a bug.
NEXT: Final = {
    (State.STARTING, "loaded"): State.READY,
    (State.STARTING, "stop"): State.CLOSING,
    (State.STARTING, "exit"): State.DEAD,
    (State.READY, "stop"): State.CLOSING,
    (State.READY, "exit"): State.DEAD,
    (State.CLOSING, "stop"): State.CLOSING,
    (State.CLOSING, "exit"): State.DEAD,
    (State.DEAD, "stop"): State.DEAD,
}


class Cell(Calls):
    """An agent ready to be called. Made by `Warden.spawn`; `closed` resolves to the reason of its end."""

    def __init__(
        self,
        spec: CellSpec,
        stream: socket.socket,
        output: int,
        group: Group,
        broker: Broker | None = None,
        vigil: Vigil | None = None,
        copies: Copies | None = None,
    ) -> None:

        def late(wall_s: float) -> None:
            self._stop(Exceeded("wall_ms", wall_s * 1000, "more time", place=spec.image.name))

        lender = Lender(spec.limits.memory_bytes, copies)
        connect = broker.admit(spec, self._stop).open if broker is not None and spec.egress else None
        channel = Channel(
            stream, spec.limits.output_bytes, late, self._broken, lender, connect, vigil, self._failed
        )
        super().__init__(spec, channel)
        self._process = Process(spec, output, group, self._stop)
        self._reason: CellError | None = None
        self.state = State.STARTING
        self.retiring: asyncio.Task[None] | None = None  # it ends by itself, when it has answered all
        self.layers: tuple[str, ...] = ()
        self.farewell: CellError | None = None
        self.closed: asyncio.Future[CellError] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int:
        """Its number on the host; 0 before it has one."""
        return self._process.pid

    def adopt(self, handle: int) -> None:
        """Take over the pidfd of the process that was forked for this cell."""
        self._process.adopt(handle)
        if self.state is State.CLOSING:
            self._process.kill()

    def begin(self) -> asyncio.Future[Answer]:
        """Start waiting for the report of the lockdown; call before the process exists."""
        return self._channel.expect(LOAD_S)

    async def load(self, ready: asyncio.Future[Answer]) -> None:
        """Send the agent in, and wait until it is locked down, loaded and has been asked what comes first."""
        image = self._spec.image
        loaded = self._channel.call(
            Kind.LOAD, write_load(image.kind, image.name, image.manifest, image.code), LOAD_S
        )
        try:
            self.layers = tuple(json.loads(bytes((await ready).body)))
            await loaded
        finally:
            for future in (ready, loaded):
                future.add_done_callback(_seen)
        self._step("loaded")
        for capability in self._spec.first:
            await self.process_input(capability, {}, int(LOAD_S * 1000))

    def exited(self, ending: Exit) -> None:
        """Hear from the zygote that the process is gone: the one way a cell becomes dead."""
        explained = self._process.exited(ending, was_asked=self.state is State.CLOSING)
        reason = self._reason = self._reason or explained
        self._step("exit")
        self._channel.close(lambda: reason)
        if not self.closed.done():
            self.closed.set_result(reason)

    def abandon(self, reason: CellError) -> None:
        """End a cell whose process never came to be."""
        self._reason = self._reason or reason
        self.exited(Exit(0, 0.0, 0))

    def kill(self) -> None:
        """End the process now; outstanding calls fail."""
        self._stop(Broken("the cell was killed", code="cell.closed"))

    async def close(self, grace_ms: int | None = None) -> None:
        """Let the agent finish what it has been asked, but no longer than the grace; then kill.

        One that is idle is asked what its spec says comes last; `farewell` is what went wrong with that.
        """
        if grace_ms is None:
            grace_ms = FAREWELL_MS if self._spec.last and self._channel.is_idle else GRACE_MS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_ms / 1000):
                await self._bid_farewell(grace_ms)
                if self.state is State.READY:
                    self._step("stop")
                    self._channel.tell(Kind.QUIT)
                if self.state is not State.DEAD:
                    await asyncio.shield(self.closed)
        if self.state is not State.DEAD:
            self.kill()
            await asyncio.wait_for(asyncio.shield(self.closed), _CLOSE_S)

    async def _bid_farewell(self, grace_ms: int) -> None:
        if self.state is not State.READY or not grace_ms or not self._channel.is_idle:
            return
        try:
            for capability in self._spec.last:
                await self.process_input(capability, {}, grace_ms)
        except CellError as error:
            self.farewell = error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def usage(self) -> Usage:
        """Processor time, peak memory and traffic so far."""
        return Usage(*self._process.usage(), self._channel.bytes_in, self._channel.bytes_out)

    @property
    def output(self) -> str:
        """The end of what the agent printed, cleaned."""
        return self._process.text

    # -- what ends a cell ---------------------------------------------------------------------------------

    def _check_ready(self) -> None:
        if self.state is not State.READY:
            raise self._reason or Broken(f"the cell is {self.state.value}", place=self._place)

    def _step(self, event: str) -> None:
        self.state = NEXT[self.state, event]

    def _stop(self, reason: CellError) -> None:
        """Kill for a reason; the first one stays."""
        if self.state is State.DEAD:
            return
        self._step("stop")
        self._reason = self._reason or reason
        self._channel.close(lambda: reason)
        self._process.kill()

    def _failed(self, error: CellError) -> None:
        """An agent that met a limit keeps what it took: it answers what it was asked, and no more."""
        if lasts(error) and self.state is State.READY and self.retiring is None:
            self._step("stop")
            self._channel.tell(Kind.QUIT)  # behind everything it was asked; each of that has its own time
            self.retiring = asyncio.get_running_loop().create_task(_retire(self, self._channel))

    def _broken(self, error: CellError | None) -> None:
        if error is not None:
            self._stop(error)
        elif self.state is not State.DEAD:
            # The channel ended. Either the process is ending, and its status will say why, or it closed
            # the channel and lives: killing is right in both cases and hides no status.
            self._process.kill()

    def _distrust(self, error: ValueError) -> Broken:
        broken = Broken(f"the answer is malformed: {error}", place=self._place)
        self._stop(broken)
        return broken


async def _retire(cell: Cell, channel: Channel) -> None:
    while not channel.is_idle:  # what is asked of a cell that has ended fails at once
        await asyncio.wait((cell.closed,), timeout=RETIRING_S)
    await cell.close(GRACE_MS)


def _seen(future: asyncio.Future[Answer]) -> None:
    """When both fail, or nobody waits any more, one error is not raised."""
    if not future.cancelled():
        future.exception()
