"""One cell as the daemon sees it: an agent in a locked-down process that answers calls until its end.

Calls are pipelined: any number (up to a bound) may be outstanding, they are answered in order. Whatever
ends the cell (its own crash, a limit, a forbidden call, the daemon) ends every outstanding call with
one typed reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final, Self

from sandbox.bodies import MessageError
from sandbox.cgroups import Group
from sandbox.channel import Answer, Channel
from sandbox.errors import AgentFailed, Broken, CellError, Exceeded, clean_text
from sandbox.frames import Data, Kind
from sandbox.messages import (
    read_results,
    write_items,
    write_load,
    write_process,
)
from sandbox.nursery import Exit
from sandbox.payload import Items, Ports, parse_json
from sandbox.rows import Payable
from sandbox.shared import Lender
from sandbox.spec import CellSpec, Usage

LOAD_S: Final = 30.0  # to lock down, and again to load the agent
_TAIL_BYTES: Final = 4096
_READ_BYTES: Final = 65536
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


class _Output:
    """What the agent printed: the last of it kept, all of it counted against the output limit."""

    def __init__(self, descriptor: int, bytes_max: int) -> None:
        self._descriptor = descriptor
        self._bytes_max = bytes_max
        self._tail = b""
        self.size = 0

    def read(self) -> bool:
        """Take what is there; False when the pipe has ended."""
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return True
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        self.size += len(data)
        return bool(data)

    @property
    def is_over(self) -> bool:
        return self.size > self._bytes_max

    @property
    def text(self) -> str:
        return clean_text(self._tail.decode(errors="replace"))


class Cell:
    """An agent ready to be called. Made by `Warden.spawn`; `closed` resolves to the reason of its end."""

    def __init__(self, spec: CellSpec, stream: socket.socket, output: int, group: Group) -> None:
        self._loop = asyncio.get_running_loop()
        self._spec = spec
        self._wall_ms = spec.limits.wall_ms
        self._group = group
        self._handle = -1
        self._reason: CellError | None = None
        self._exit: Exit | None = None
        self._output_descriptor = output
        self._output = _Output(output, spec.limits.output_bytes)
        self._channel = Channel(
            stream, spec.limits.output_bytes, self._late, self._broken, Lender(spec.limits.memory_bytes)
        )
        self._loop.add_reader(output, self._read_output)
        self.state = State.STARTING
        self.pid = 0
        self.layers: tuple[str, ...] = ()
        self.closed: asyncio.Future[CellError] = self._loop.create_future()

    # -- life ---------------------------------------------------------------------------------------------

    def adopt(self, handle: int) -> None:
        """Take over the pidfd of the process that was forked for this cell."""
        self._handle = handle
        for line in Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines():
            if line.startswith("Pid:"):
                self.pid = max(0, int(line.split()[1]))
        if self.state is State.CLOSING:
            self._signal()
        if self._exit is not None:
            self._close_handle()

    def begin(self) -> asyncio.Future[Answer]:
        """Start waiting for the report of the lockdown; call before the process exists."""
        return self._channel.expect(LOAD_S)

    def connect(self, made: Sequence[tuple[str, socket.socket]]) -> None:
        """Hand connections in; before the agent is loaded, so that it finds them."""
        for name, stream in made:
            self._channel.hand_over(name, stream.detach())

    async def load(self, ready: asyncio.Future[Answer]) -> None:
        """Send the agent in, and wait until it is locked down and loaded."""
        image = self._spec.image
        loaded = self._channel.call(
            Kind.LOAD, write_load(image.kind, image.name, image.manifest, image.code), LOAD_S
        )
        try:
            self.layers = tuple(json.loads(bytes((await ready).body)))
            await loaded
        finally:
            for future in (ready, loaded):
                if future.done() and not future.cancelled():
                    future.exception()  # seen: when both fail, one of them is raised
        self._step("loaded")

    def exited(self, ending: Exit) -> None:
        """Hear from the zygote that the process is gone: the one way a cell becomes dead."""
        self._exit = ending
        if self._reason is None:
            self._reason = self._explain(ending)
        self._step("exit")
        reason = self._reason
        self._channel.close(lambda: reason)
        self._read_output()
        self._loop.remove_reader(self._output_descriptor)
        os.close(self._output_descriptor)
        self._close_handle()
        if not self.closed.done():
            self.closed.set_result(reason)

    def abandon(self, reason: CellError) -> None:
        """End a cell whose process never came to be."""
        self._reason = self._reason or reason
        self.exited(Exit(0, 0.0, 0))

    def kill(self) -> None:
        """End the process now; outstanding calls fail."""
        self._stop(Broken("the cell was killed", code="cell.closed"))

    async def close(self, grace_ms: int = 200) -> None:
        """Let the agent finish what it has been asked, but no longer than the grace; then kill."""
        if self.state is State.READY:
            self._step("stop")
            self._channel.tell(Kind.QUIT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.closed), grace_ms / 1000)
        if self.state is not State.DEAD:
            self.kill()
            await asyncio.wait_for(asyncio.shield(self.closed), _CLOSE_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def usage(self) -> Usage:
        """Processor time, peak memory and traffic so far."""
        moved = self._channel.bytes_in, self._channel.bytes_out
        if self._exit is not None:
            return Usage(self._exit.cpu_ms, self._exit.memory_peak_bytes, *moved)
        memory = self._group.memory_peak_bytes() or _peak_bytes(self.pid)
        return Usage(_cpu_ms(self.pid), memory, *moved)

    @property
    def output(self) -> str:
        """The end of what the agent printed, cleaned."""
        return self._output.text

    # -- the five calls -----------------------------------------------------------------------------------

    async def process_input(
        self, capability: str, inputs: Mapping[str, Items], wall_ms: int | None = None
    ) -> dict[str, Items]:
        """Answer one input."""
        (result,) = self._results(await self._ask(capability, (inputs,), wall_ms), 1)
        if isinstance(result, CellError):
            raise result
        return result

    async def process_batch(
        self, capability: str, batch: Sequence[Ports], wall_ms: int | None = None
    ) -> list[dict[str, Items] | CellError]:
        """Answer many inputs with one frame each way; each has its own result or error."""
        return self._results(await self._ask(capability, batch, wall_ms), len(batch))

    def _ask(self, capability: str, batch: Sequence[Ports], wall_ms: int | None) -> asyncio.Future[Answer]:
        pieces: list[int] = []

        def share(payloads: list[Payable], size: int) -> int | None:
            number = self._channel.share(payloads, size)
            if number is not None:
                pieces.append(number)
            return number

        try:
            parts = write_process(capability, batch, share)
            return self._call(Kind.PROCESS, parts, wall_ms, *pieces)
        except (MessageError, KeyError, TypeError, UnicodeError, CellError) as error:
            for number in pieces:
                self._channel.lender.take_back(number, kept=False)
            if isinstance(error, CellError):
                raise
            raise AgentFailed(f"the input cannot be sent: {error!r}", place=self._spec.image.name) from error

    def _results(self, answer: Answer, count: int) -> list[dict[str, Items] | CellError]:
        try:
            return read_results(answer.body, count, answer.shared)
        except ValueError as error:
            raise self._distrust(error) from error

    async def update_weights(self, feedback: Items) -> None:
        """Teach the agent."""
        await self._call(Kind.UPDATE, write_items(feedback))

    async def get_metadata(self) -> dict[str, Any]:
        """Ask the agent what it is; its words, not ours."""
        body = (await self._call(Kind.METADATA, ())).body
        try:
            facts = parse_json(bytes(body))
        except ValueError as error:
            raise self._distrust(error) from error
        if not isinstance(facts, dict):
            raise self._distrust(ValueError("metadata is no JSON object"))
        return facts

    async def checkpoint(self) -> bytes:
        """The agent's learned state."""
        return bytes((await self._call(Kind.CHECKPOINT, ())).body)

    async def restore(self, data: bytes) -> None:
        """Put a learned state back."""
        await self._call(Kind.RESTORE, (data,))

    def _call(
        self, kind: Kind, parts: Sequence[Data], wall_ms: int | None = None, piece: int = 0
    ) -> asyncio.Future[Answer]:
        if self.state is not State.READY:
            raise self._reason or Broken(f"the cell is {self.state.value}", place=self._spec.image.name)
        limit_ms = self._wall_ms
        return self._channel.call(kind, parts, min(wall_ms or limit_ms, limit_ms) / 1000, piece)

    # -- what ends a cell ---------------------------------------------------------------------------------

    def _step(self, event: str) -> None:
        self.state = NEXT[self.state, event]

    def _stop(self, reason: CellError) -> None:
        """Kill for a reason; the first one stays."""
        if self.state is State.DEAD:
            return
        self._step("stop")
        self._reason = self._reason or reason
        self._channel.close(lambda: reason)
        self._signal()

    def _signal(self) -> None:
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def _close_handle(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _late(self, wall_s: float) -> None:
        self._stop(Exceeded("wall_ms", wall_s * 1000, "more time", place=self._spec.image.name))

    def _broken(self, error: CellError | None) -> None:
        if error is not None:
            self._stop(error)
        elif self.state is not State.DEAD:
            # The channel ended. Either the process is ending, and its status will say why, or it closed
            # the channel and lives: killing is right in both cases and hides no status.
            self._signal()

    def _distrust(self, error: ValueError) -> Broken:
        broken = Broken(f"the answer is malformed: {error}", place=self._spec.image.name)
        self._stop(broken)
        return broken

    def _read_output(self) -> None:
        more = self._output.read()
        if not more:
            self._loop.remove_reader(self._output_descriptor)
        elif self._output.is_over:
            limit = self._spec.limits.output_bytes
            self._stop(Exceeded("output_bytes", limit, self._output.size, place=self._spec.image.name))

    def _explain(self, ending: Exit) -> CellError:
        name, limits = self._spec.image.name, self._spec.limits
        code = os.waitstatus_to_exitcode(ending.status)
        if code >= 0:
            if code == 0 and self.state is State.CLOSING:
                return Broken("the cell was closed", place=name, code="cell.closed")
            said = f": {self._output.text}" if self._output.size else ""
            return Broken(f"the agent ended its process with code {code}{said}", place=name)
        if -code == signal.SIGKILL and self._group.oom_kills():
            return Exceeded("memory_bytes", limits.memory_bytes, "more memory", place=name)
        if -code == signal.SIGSYS:
            return Broken(
                "the agent made a forbidden system call (SIGSYS)", place=name, code="cell.violation"
            )
        return Broken(f"the cell died of {signal.Signals(-code).name}", place=name, code="cell.died")


def _cpu_ms(pid: int) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_bytes(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
