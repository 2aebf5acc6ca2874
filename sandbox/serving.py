"""The loop inside a cell: one frame in, one frame out, in order, until the channel closes.

It runs after lockdown, so everything here is done with the cell's own few rights. Errors of the agent
become failure frames and the loop goes on; anything else ends the process, which is the daemon's
problem to report.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, cast

from sandbox import egress, failures
from sandbox.bodies import MessageError
from sandbox.contract import Agent, BatchAgent
from sandbox.errors import AgentFailed, Broken, CellError, Exceeded
from sandbox.frames import FRAME_BYTES_MAX, HEADER_BYTES, Data, Frame, FrameReader, Kind, pack
from sandbox.linux import trim_heap
from sandbox.lockdown import THREAD_STACK_BYTES, Base, Order, tighten
from sandbox.messages import read_items, read_load, read_process, write_results
from sandbox.overruns import Bounds
from sandbox.payload import Items, Ports
from sandbox.rows import BULK_BYTES, Payable
from sandbox.shared import GRANT, WANT, Borrower
from sandbox.single import Seen, as_result, write_result
from sandbox.spec import PIECE_BYTES_MAX, PLACE_BYTES_MAX
from sandbox.tensors import Encoded
from sandbox.vigil import AWAKE_S, Habit, has_room

BatchCall: TypeAlias = Callable[[str, Sequence[Ports]], list[dict[str, Items] | CellError]]

_PROCESS, _QUIT, _PIECE, _ANSWER = int(Kind.PROCESS), int(Kind.QUIT), int(Kind.PIECE), int(Kind.ANSWER)
_CONNECTED, _REFUSED = int(Kind.CONNECTED), int(Kind.REFUSED)
_EXTRA_BYTES: Final = socket.CMSG_SPACE(4 * 4)  # room for four descriptors in one read
_EPOCH_GRACE_MS = 500  # the daemon's own deadline comes first; this one holds where there is no daemon


def serve(stream: socket.socket, order: Order, base: Base) -> None:
    """Answer frames until the daemon closes the channel or says quit."""
    if "numpy.random" in sys.modules:
        sys.modules["numpy"].random.seed()  # every fork would draw the same numbers
    threading.stack_size(THREAD_STACK_BYTES)
    # Where less than a processor is allowed, what is spent on waiting would be missing for the work.
    link = _Link(stream, Habit(allowed=order.cpu_cores >= 1 and has_room()))
    egress.serve(link.connect)
    resident = _Resident(order, base, link)
    while (frame := link.next()) is not None and frame.kind != _QUIT:
        stream.sendall(resident.answer(frame))


class _Link:
    """What comes from the daemon, in order; pieces of shared memory are mapped in passing."""

    def __init__(self, stream: socket.socket, habit: Habit) -> None:
        self._stream = stream
        self._habit = habit
        self._reader = FrameReader(FRAME_BYTES_MAX)
        self._frames: deque[Frame] = deque()
        self._descriptors: deque[int] = deque()
        self._call = 0  # the one under way
        self._has_room = False
        self._connections: deque[int | CellError] = deque()  # what came of asking for one
        self.memory = Borrower()

    def next(self) -> Frame | None:
        """The next call, or None when the daemon is gone."""
        while not self._frames:
            if not self._await():
                return None
        frame = self._frames.popleft()
        self._call = frame.call
        return frame

    def _await(self) -> bool:
        """Receive; where calls have come quickly, first awake and then asleep."""
        began = now = time.monotonic()
        heard = None
        while self._habit.is_awake and heard is None and now - began < AWAKE_S:
            with contextlib.suppress(BlockingIOError):
                heard = self._receive(socket.MSG_DONTWAIT)
            now = time.monotonic()
        if heard is None:
            heard = self._receive()
            now = time.monotonic()
        self._habit.waited(now - began)
        return heard

    def _receive(self, flags: int = 0) -> bool:
        """Wait for bytes; says whether there were any."""
        count, extra, _, _ = self._stream.recvmsg_into((self._reader.space(),), _EXTRA_BYTES, flags)
        for _, _, data in extra:
            self._descriptors.extend(memoryview(data).cast("i"))
        for frame in self._reader.filled(count) if count else ():
            if frame.kind == _PIECE:
                size, is_new, once = GRANT.unpack(frame.body)
                # What is not new is room for an answer; a new one may be for the input of a later call.
                if not is_new or self.memory.add(
                    frame.call, size, self._descriptors.popleft(), once=bool(once)
                ):
                    self._has_room = True
            elif frame.kind == _CONNECTED:
                self._connections.append(self._descriptors.popleft())
            elif frame.kind == _REFUSED:
                self._connections.append(failures.read(frame.body))
            else:
                self._frames.append(frame)
        return count > 0

    def share(self, call: int, payloads: list[Payable], size: int) -> int | None:
        """Ask for room, wait for it and put an answer's payloads there; None where there is none."""
        if size > PIECE_BYTES_MAX:
            return None
        self._has_room = False
        self._stream.sendall(pack(Kind.WANT, call, (WANT.pack(size),)))
        while not self._has_room:
            if not self._receive():
                raise Broken("the daemon is gone")
        self.memory.fill(cast("list[Data | Encoded]", payloads))  # `Stored` is the daemon's alone
        payloads.clear()  # or the arrays would seem to be kept
        return call

    def connect(self, place: str) -> int:
        """A connection the daemon makes; raises why it does not."""
        self._stream.sendall(pack(Kind.CONNECT, self._call, (place.encode()[:PLACE_BYTES_MAX],)))
        while not self._connections:
            if not self._receive():
                raise Broken("the daemon is gone")
        made = self._connections.popleft()
        if isinstance(made, CellError):
            raise made
        return made


class _Resident:
    """The agent that lives in this cell, from the frame that loads it on."""

    def __init__(self, order: Order, base: Base, link: _Link) -> None:
        self._link = link
        self._order = order
        self._answer_bytes_max = order.output_bytes + HEADER_BYTES
        self._base = base
        self._agent: Agent | None = None
        self._process: BatchCall | None = None
        self._seen = Seen()

    def answer(self, frame: Frame) -> bytes:
        try:
            return self._answer(frame)
        except CellError as error:
            failure = error
        except MemoryError:
            failure = Exceeded("memory_bytes", self._order.memory_bytes, "more")
        except MessageError as error:
            failure = AgentFailed(f"the answer cannot be sent: {error}")
        self._link.memory.give_back()
        return pack(Kind.FAILURE, frame.call, failures.write(failure))

    def _answer(self, frame: Frame) -> bytes:
        parts = self._handle(frame)
        kind = _ANSWER if self._link.memory.give_back() else Kind.ANSWER_KEPT
        answer = pack(kind, frame.call, parts)
        if len(answer) > self._answer_bytes_max:
            raise Exceeded("output_bytes", self._order.output_bytes, len(answer) - HEADER_BYTES)
        return answer

    def _process_rows(self, frame: Frame, process: BatchCall) -> Sequence[Data]:
        memory, body, seen = self._link.memory, frame.body, self._seen
        if (data := seen.payload(body)) is not None:
            (result,) = process(seen.capability, (as_result(seen, data),))
            if not isinstance(result, CellError) and (single := write_result(result)):
                return single
            results: Sequence[dict[str, Items] | CellError] = (result,)
        else:
            capability, rows = read_process(body, memory.open)
            if len(rows) == 1:
                seen.learn(body, rows[0], capability)
            results = process(capability, rows)
            del rows

        def share(payloads: list[Payable], size: int) -> int | None:
            if size > self._order.output_bytes:
                raise Exceeded("output_bytes", self._order.output_bytes, size)
            return self._link.share(frame.call, payloads, size)

        return write_results(results, share)

    def _handle(self, frame: Frame) -> Sequence[Data]:
        if frame.kind == _PROCESS and self._process is not None:
            return self._process_rows(frame, self._process)
        if frame.kind == Kind.LOAD:
            self._load(frame.body)
            return ()
        agent = self._agent
        if agent is None:
            raise Broken("no agent is loaded")
        match frame.kind:
            case Kind.UPDATE:
                agent.update_weights(read_items(frame.body))
                return ()
            case Kind.METADATA:
                return (json.dumps(agent.get_metadata()).encode(),)
            case Kind.CHECKPOINT:
                return (agent.checkpoint(),)
            case Kind.RESTORE:
                agent.restore(bytes(frame.body))
                return ()
            case _:
                raise Broken(f"frame kind {frame.kind} is unknown")

    def _load(self, body: Data) -> None:
        kind, name, manifest, code = read_load(body)
        deadline_ms = self._order.wall_ms + _EPOCH_GRACE_MS
        if kind == "wasm":
            from sandbox.wasmcomponent import ABI as COMPONENT_ABI  # noqa: PLC0415  (as below)
            from sandbox.wasmcomponent import ComponentAgent  # noqa: PLC0415  (as below)
            from sandbox.wasmfresh import wasm_agent  # noqa: PLC0415  (only cells of that profile map wasmtime)

            if manifest.get("abi") == COMPONENT_ABI:
                self._agent = ComponentAgent(name, code, manifest, deadline_ms=deadline_ms)
            else:
                self._agent = wasm_agent(name, code, manifest, deadline_ms=deadline_ms)
            tighten(self._base)
            trim_heap()  # a compiler was at work
        else:
            from sandbox.python_agent import PythonAgent  # noqa: PLC0415  (not needed in a wasm cell)

            tighten(self._base)
            order = self._order
            bounds = Bounds(order.disk_bytes, order.open_files, order.threads)
            self._agent = PythonAgent(name, code, manifest, unjoined_bytes_min=BULK_BYTES, bounds=bounds)
        self._process = batch_call(self._agent)
        os.environ.clear()


def batch_call(agent: Agent) -> BatchCall:
    """How to answer a batch: by the agent's own call for that, or one input after the other."""
    if isinstance(agent, BatchAgent):
        return agent.process_batch
    answer = agent.process_input

    def one_by_one(capability: str, batch: Sequence[Ports]) -> list[dict[str, Items] | CellError]:
        results: list[dict[str, Items] | CellError] = []
        for inputs in batch:
            try:
                results.append(answer(capability, inputs))
            except CellError as error:
                error.__traceback__ = error.__cause__ = error.__context__ = None  # they hold on to the inputs
                results.append(error)
        return results

    return one_by_one
