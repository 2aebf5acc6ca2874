"""The daemon's end of a cell's channel: calls go out as they come, answers are matched to them in order.

Written for one asyncio loop and no locks. Sending is tried at once and only what the socket does not
take is queued, so a small call costs one system call; there is one timer, for the call at the head,
because a call's time starts when the cell can begin with it. Everything received is hostile: the first
frame that does not fit breaks the channel, and a broken channel stays broken.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sandbox import failures
from sandbox.bodies import MessageError
from sandbox.errors import Broken, CellError, Exceeded
from sandbox.frames import Data, Frame, FrameError, FrameReader, Kind, pack

CALLS_MAX: Final = 1024  # outstanding in one cell
QUEUED_BYTES_MAX: Final = 512 << 20  # not yet taken by the socket
_ANSWER, _FAILURE = int(Kind.ANSWER), int(Kind.FAILURE)
_OVERHEAD_BYTES: Final = 1 << 20  # framing around the output an agent may produce


@dataclass(slots=True)
class _Call:
    number: int
    answer: asyncio.Future[Data]
    wall_s: float
    began: float


class Channel:
    """One socket, its outstanding calls and the clock of the one being answered."""

    def __init__(
        self,
        stream: socket.socket,
        output_bytes_max: int,
        on_late: Callable[[float], None],
        on_broken: Callable[[CellError | None], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._stream = stream
        self._reader = FrameReader(output_bytes_max + _OVERHEAD_BYTES)
        self._on_late = on_late
        self._on_broken = on_broken
        self._calls: deque[_Call] = deque()
        self._queue: deque[memoryview] = deque()
        self._queued_bytes = 0
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.bytes_in = 0
        self.bytes_out = 0
        stream.setblocking(False)
        self._loop.add_reader(stream.fileno(), self._receive)

    def expect(self, wall_s: float) -> asyncio.Future[Data]:
        """An answer the cell gives without being asked: the report of its lockdown."""
        return self._enqueue(0, wall_s)

    def call(self, kind: Kind, parts: Sequence[Data], wall_s: float) -> asyncio.Future[Data]:
        """Send one call; the future gets the body of its answer or a typed error."""
        if len(self._calls) >= CALLS_MAX:
            raise Exceeded(
                "calls_outstanding", CALLS_MAX, len(self._calls) + 1, remedy="await some answers first"
            )
        self._number += 1
        try:
            frame = pack(kind, self._number, parts)
        except FrameError as error:
            raise Exceeded("frame_bytes", float(len(parts)), str(error)) from error
        if self._queued_bytes + len(frame) > QUEUED_BYTES_MAX:
            raise Exceeded("queued_bytes", QUEUED_BYTES_MAX, self._queued_bytes + len(frame))
        answer = self._enqueue(self._number, wall_s)
        self._send(frame)
        return answer

    def tell(self, kind: Kind) -> None:
        """Send what has no answer."""
        self._send(pack(kind, 0, ()))

    def _enqueue(self, number: int, wall_s: float) -> asyncio.Future[Data]:
        answer: asyncio.Future[Data] = self._loop.create_future()
        call = _Call(number, answer, wall_s, self._loop.time())
        self._calls.append(call)
        if len(self._calls) == 1:
            self._arm(call)
        return answer

    def _arm(self, call: _Call) -> None:
        """Have a timer end no later than this call's time; a later one is moved only when it fires."""
        due = call.began + call.wall_s
        if self._timer is None or due < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(due, self._check_time)
            self._timer_at = due

    def _check_time(self) -> None:
        self._timer = None
        if not self._calls:
            return
        head = self._calls[0]
        if self._loop.time() >= head.began + head.wall_s:
            self._on_late(head.wall_s)
        else:
            self._arm(head)

    def _send(self, frame: bytes) -> None:
        self.bytes_out += len(frame)
        sent = 0
        if not self._queue:
            try:
                sent = self._stream.send(frame)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # the reader sees the end and says why
            if sent == len(frame):
                return
            self._loop.add_writer(self._stream.fileno(), self._flush)
        self._queue.append(memoryview(frame)[sent:])
        self._queued_bytes += len(frame) - sent

    def _flush(self) -> None:
        try:
            sent = self._stream.send(self._queue[0])
        except BlockingIOError:
            return
        except OSError:
            self._loop.remove_writer(self._stream.fileno())
            return
        self._queued_bytes -= sent
        rest = self._queue[0][sent:]
        if rest:
            self._queue[0] = rest
        else:
            self._queue.popleft()
        if not self._queue:
            self._loop.remove_writer(self._stream.fileno())

    def _receive(self) -> None:
        try:
            count = self._stream.recv_into(self._reader.space())
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if count == 0:
            self._break(None)
            return
        self.bytes_in += count
        try:
            for frame in self._reader.filled(count):
                self._take(frame)
        except (FrameError, MessageError) as error:
            self._break(Broken(f"the cell does not speak the protocol: {error}"))

    def _take(self, frame: Frame) -> None:
        if not self._calls or frame.call != self._calls[0].number:
            raise MessageError(f"an answer to call {frame.call} that is not next")
        if frame.kind == _ANSWER:
            result: Data | CellError = frame.body
        elif frame.kind == _FAILURE:
            result = failures.read(frame.body)
        else:
            raise MessageError(f"frame kind {frame.kind} is no answer")
        call = self._calls.popleft()
        if self._calls:
            head = self._calls[0]
            head.began = self._loop.time()
            self._arm(head)
        if call.answer.done():
            return  # the caller has gone away
        if isinstance(result, CellError):
            call.answer.set_exception(result)
        else:
            call.answer.set_result(result)

    def _break(self, error: CellError | None) -> None:
        self._detach()
        self._on_broken(error)

    def _detach(self) -> None:
        self._loop.remove_reader(self._stream.fileno())
        self._loop.remove_writer(self._stream.fileno())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self, reason: Callable[[], CellError]) -> None:
        """Let go of the socket; outstanding calls fail for the given reason."""
        if self._stream.fileno() >= 0:
            self._detach()
            self._stream.close()
        self._queue.clear()
        while self._calls:
            call = self._calls.popleft()
            if not call.answer.done():
                call.answer.set_exception(reason())
