"""The daemon's end of a cell's channel: calls go out as they come, answers are matched to them in order.

Written for one asyncio loop and no locks. Sending is tried at once and only what the socket does not
take is queued, so a small call costs one system call; there is one timer, for the call at the head,
because a call's time starts when the cell can begin with it. Everything received is hostile: the first
frame that does not fit breaks the channel, and a broken channel stays broken.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from sandbox import failures
from sandbox.bodies import MessageError
from sandbox.errors import Broken, CellError, Exceeded, Refused
from sandbox.frames import Data, Frame, FrameError, FrameReader, Kind, pack
from sandbox.lookout import Lookout, Vigil
from sandbox.rows import Payable
from sandbox.shared import GRANT, HELD_BYTES, WANT, Lender, Piece, fill, load
from sandbox.spec import PIECE_BYTES_MAX, PLACE_BYTES_MAX
from sandbox.tensors import Encoded

CALLS_MAX: Final = 1024  # outstanding in one cell
QUEUED_BYTES_MAX: Final = 512 << 20  # not yet taken by the socket
UNHEARD_BYTES_MAX: Final = 64 << 10  # of what we say to a cell that goes on asking
_ANSWER, _FAILURE, _WANT = int(Kind.ANSWER), int(Kind.FAILURE), int(Kind.WANT)
_CONNECT = int(Kind.CONNECT)
_ANSWERS: Final = frozenset({_ANSWER, int(Kind.ANSWER_KEPT)})
_OVERHEAD_BYTES: Final = 1 << 20  # framing around the output an agent may produce
_SOCKET_BYTES_MAX: Final = 64 << 20  # of output in one frame: large payloads do not come by it


class Answer(NamedTuple):
    """The body of an answer and, where it has any, a private copy of what it left in shared memory."""

    body: Data
    shared: bytes | None = None
    held: tuple[Piece, int] | None = None  # the piece itself, and the bytes in it, for who asked for that


_new: Final = tuple.__new__  # a named tuple without the call that checks its arguments


@dataclass(slots=True)
class _Call:
    number: int
    answer: asyncio.Future[Answer]
    wall_s: float
    began: float
    piece: int = 0  # of shared memory its payloads lie in
    held: bool = False


@dataclass(slots=True)
class Loan:
    """A piece for the payloads of a call that is yet to be sent."""

    piece: Piece
    is_new: bool
    payloads: list[Payable]

    def fill(self) -> None:
        """Copy the payloads in, none of which is in a file."""
        fill(self.piece.memory, cast("list[Data | Encoded]", self.payloads))

    def load(self, target: int) -> None:
        """Copy the payloads in, by a descriptor of the piece that this closes; may be done in a thread."""
        try:
            load(target, self.payloads)
        finally:
            os.close(target)


@dataclass(slots=True)
class _Unsent:
    rest: memoryview
    descriptor: int  # goes with the first byte; -1 for none


class Channel:
    """One socket, its outstanding calls and the clock of the one being answered."""

    def __init__(
        self,
        stream: socket.socket,
        output_bytes_max: int,
        on_late: Callable[[float], None],
        on_broken: Callable[[CellError | None], None],
        lender: Lender | None = None,
        connect: Callable[[str], socket.socket] | None = None,
        vigil: Vigil | None = None,
        on_failure: Callable[[CellError], None] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._stream = stream
        self._reader = FrameReader(min(output_bytes_max, _SOCKET_BYTES_MAX) + _OVERHEAD_BYTES)
        self._on_late = on_late
        self._on_broken = on_broken
        self._on_failure = on_failure
        self._connect = connect
        self.lender = lender or Lender(0)
        self._calls: deque[_Call] = deque()
        self._queue: deque[_Unsent] = deque()
        self._queued_bytes = 0
        self._room_bytes_max = min(output_bytes_max, PIECE_BYTES_MAX)
        self._granted = 0
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._vigil = vigil or Vigil()
        self._lookout = Lookout(self._loop, self._vigil, self._receive)
        self.bytes_in = 0
        self.bytes_out = 0
        stream.setblocking(False)
        self._loop.add_reader(stream.fileno(), self._receive)

    @property
    def is_idle(self) -> bool:
        """Whether every call has been answered."""
        return not self._calls

    def call(
        self, kind: int, parts: Sequence[Data], wall_s: float, piece: int = 0, *, held: bool = False
    ) -> asyncio.Future[Answer]:
        """Send one call, whose payloads may lie in a piece; the future gets the body of its answer."""
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
        answer = self.expect(wall_s, self._number, piece, held=held)
        self._send(frame)
        self._lookout.begin(len(self._calls))
        return answer

    def tell(self, kind: Kind) -> None:
        """Send what has no answer."""
        self._send(pack(kind, 0, ()))

    def expect(
        self, wall_s: float, number: int = 0, piece: int = 0, *, held: bool = False
    ) -> asyncio.Future[Answer]:
        """An answer to a call; without a number, to none: the report of its lockdown comes unasked."""
        answer: asyncio.Future[Answer] = self._loop.create_future()
        call = _Call(number, answer, wall_s, self._loop.time(), piece, held)
        self._calls.append(call)
        if len(self._calls) == 1:
            self._vigil.waiting += 1
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

    def announce(self, loan: Loan) -> None:
        """Let the cell see a piece that is loaded."""
        if loan.is_new:
            self._tell_of(loan.piece, is_new=True, writable=False)
        self.bytes_out += sum(map(len, loan.payloads))

    def _tell_of(self, piece: Piece, *, is_new: bool, writable: bool) -> None:
        descriptor = piece.handle(writable=writable) if is_new else -1
        self._send(pack(Kind.PIECE, piece.number, (GRANT.pack(piece.size, is_new, piece.once),)), descriptor)

    def _send(self, frame: bytes, descriptor: int = -1) -> None:
        self.bytes_out += len(frame)
        if self._queue:
            self._queue.append(_Unsent(memoryview(frame), descriptor))
            self._queued_bytes += len(frame)
            return
        sent = self._try(frame, descriptor)
        if 0 <= sent < len(frame):
            self._queue.append(_Unsent(memoryview(frame)[sent:], -1 if sent else descriptor))
            self._queued_bytes += len(frame) - sent
            self._loop.add_writer(self._stream.fileno(), self._flush)

    def _try(self, data: Data, descriptor: int) -> int:
        """Send what the socket takes now; -1 if it has ended, which the reader sees and explains."""
        try:
            if descriptor < 0:
                return self._stream.send(data)
            sent = socket.send_fds(self._stream, [data], [descriptor])
        except BlockingIOError:
            return 0
        except OSError:
            sent = -1
        if descriptor >= 0:
            os.close(descriptor)
        return sent

    def _flush(self) -> None:
        first = self._queue[0]
        sent = self._try(first.rest, first.descriptor)
        if sent < 0:
            self._loop.remove_writer(self._stream.fileno())
            return
        self._queued_bytes -= sent
        if sent:
            first.rest, first.descriptor = first.rest[sent:], -1
        if not first.rest:
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
        kind, number, body = frame
        calls = self._calls
        if not calls or number != calls[0].number:
            raise MessageError(f"an answer to call {number} that is not next")
        result: Answer | CellError
        if kind in _ANSWERS:
            result = _answer(body, self.lender, self._granted, held=calls[0].held)
        elif kind == _FAILURE:
            result = failures.read(body)
        else:
            self._serve(kind, body)
            return
        call = calls.popleft()
        if call.piece:
            self.lender.take_back(call.piece, kept=kind != _ANSWER)
        self._granted = 0
        now = self._loop.time()
        self._lookout.end(now - call.began)
        if calls:
            calls[0].began = now
            self._arm(calls[0])
        else:
            self._vigil.waiting -= 1
        if isinstance(result, CellError) and self._on_failure is not None:
            self._on_failure(result)
        if call.answer.done():  # the caller has gone away
            if isinstance(result, Answer) and result.held is not None:
                result.held[0].close()
            return
        if isinstance(result, CellError):
            call.answer.set_exception(result)
        else:
            call.answer.set_result(result)

    def _serve(self, kind: int, body: Data) -> None:
        """What a cell asks for while it works at a call."""
        if kind == _WANT:
            self._grant(body)
        elif kind == _CONNECT:
            self._give_connection(body)
        else:
            raise MessageError(f"frame kind {kind} is no answer")

    def _grant(self, body: Data) -> None:
        """Room for an answer: once for each call, so that asking is no way to keep the daemon busy."""
        if self._granted or len(body) != WANT.size:
            raise MessageError("room for an answer asked twice")
        (size,) = WANT.unpack(body)
        if not 0 < size <= self._room_bytes_max:
            raise MessageError(f"room for {size} bytes asked, at most {self._room_bytes_max}")
        self._granted = size
        piece, is_new = self.lender.grant(size, once=self._calls[0].held and size >= HELD_BYTES)
        self.bytes_in += size
        self._tell_of(piece, is_new=is_new, writable=True)

    def _give_connection(self, body: Data) -> None:
        """A connection to a place, or why not. What a cell does not listen to cannot pile up here."""
        if len(body) > PLACE_BYTES_MAX or self._queued_bytes > UNHEARD_BYTES_MAX:
            raise MessageError("connections asked by a cell that does not hear the answers")
        try:
            if self._connect is None:
                raise Refused("this agent declares no egress", place="egress")
            made = self._connect(bytes(body).decode(errors="replace"))
        except CellError as error:
            self._send(pack(Kind.REFUSED, 0, failures.write(error)))
        else:
            self._send(pack(Kind.CONNECTED, 0, ()), made.detach())

    def _break(self, error: CellError | None) -> None:
        self._detach()
        self._on_broken(error)

    def _detach(self) -> None:
        self._loop.remove_reader(self._stream.fileno())
        self._loop.remove_writer(self._stream.fileno())
        self._lookout.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self, reason: Callable[[], CellError]) -> None:
        """Let go of the socket; outstanding calls fail for the given reason."""
        if self._stream.fileno() >= 0:
            self._detach()
            self._stream.close()
        for unsent in self._queue:
            if unsent.descriptor >= 0:
                os.close(unsent.descriptor)
        self._queue.clear()
        self._vigil.waiting -= bool(self._calls)
        while self._calls:
            call = self._calls.popleft()
            if not call.answer.done():
                call.answer.set_exception(reason())
        self.lender.close()


def lend(lender: Lender, payloads: list[Payable], size: int, *, outside: bool = False) -> Loan | None:
    """Room for the payloads of a call, to be loaded and announced before the call is sent.

    `outside`: its caller wants large ones outside of this process.
    """
    lent = lender.lend(size, once=outside and size >= HELD_BYTES)
    return Loan(*lent, payloads) if lent is not None else None


def _answer(body: Data, lender: Lender, granted: int, *, held: bool) -> Answer:
    """Copied now: the next answer may be written to the same room before this one's caller wakes up."""
    if not granted:
        return _new(Answer, (body, None, None))
    if held and granted >= HELD_BYTES:
        return _new(Answer, (body, None, (lender.give_away(), granted)))
    return _new(Answer, (body, lender.take(granted), None))
