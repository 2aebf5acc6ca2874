"""One stream to one node for many questions: what is asked at once travels together, as answers do."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import grpc.aio

from swarm.client.connection import Connection
from swarm.errors import Bug, SwarmError, Unreachable
from swarm.ids import NodeId

RowT = TypeVar("RowT")
AnswerT = TypeVar("AnswerT")
StreamT = TypeVar("StreamT", bound="Stream[Any, Any]")


class Stream(ABC, Generic[RowT, AnswerT]):
    """What waits to be sent to one node, and who waits for its answers; what rows are, subclasses say."""

    def __init__(self, connection: Connection) -> None:
        self.peer = connection.peer
        self._connection = connection
        self._last_id = 0
        self._waiting: deque[RowT] = deque()
        self._open: dict[int, asyncio.Future[AnswerT]] = {}
        self._kick = asyncio.Event()
        self._call: Any = self.call(connection)
        self._reader = asyncio.create_task(self._read())
        self._writer = asyncio.create_task(self._write())

    @property
    def ended(self) -> bool:
        return self._reader.done()

    async def ask(self, row: RowT) -> AnswerT:
        """The answer, or its error; `Unreachable` where the stream ends before."""
        self._last_id += 1
        number = self._last_id
        answer: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        self._waiting.append(self.numbered(row, number))
        self._kick.set()
        try:
            return await answer
        finally:
            self._open.pop(number, None)

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    # -- what the rows are ----------------------------------------------------------------------

    @abstractmethod
    def call(self, connection: Connection) -> Any:
        """Open the stream."""

    @abstractmethod
    def numbered(self, row: RowT, number: int) -> RowT:
        """The row under the number its answer will have."""

    @abstractmethod
    def number(self, row: RowT) -> int: ...

    @abstractmethod
    def take(self, waiting: deque[RowT]) -> list[RowT]:
        """The next rows that fit into one message."""

    @abstractmethod
    def message(self, rows: list[RowT]) -> Any: ...

    @abstractmethod
    def answers(self, message: Any) -> Iterable[tuple[int, AnswerT | SwarmError]]:
        """What a message brings, by number. Raises `SwarmError` where it is no answer."""

    # -- both ways ------------------------------------------------------------------------------

    async def _read(self) -> None:
        failure: SwarmError = Unreachable("the connection was closed", place="call")
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:
                for number, answer in self.answers(message):
                    self._settle(number, answer)
            failure = self._connection.broken_off()
        except grpc.aio.AioRpcError as error:
            failure, transient = self._connection.meaning(error)
            if transient:
                failure = Unreachable(failure.message, place=failure.place, remedy=failure.remedy)
        except SwarmError as error:  # what came is no answer
            failure = error
        finally:
            self._writer.cancel()
            self._call.cancel()
            (died,) = await asyncio.gather(self._writer, return_exceptions=True)
            if isinstance(died, Exception):
                failure = Bug(f"nothing more can be asked of {self.peer}: {died!r}", place="call")
                failure.__cause__ = died
            for number in list(self._open):
                self._settle(number, failure)

    async def _write(self) -> None:
        try:
            while True:
                await self._kick.wait()
                self._kick.clear()
                while self._waiting:
                    if rows := [row for row in self.take(self._waiting) if self.number(row) in self._open]:
                        await self._call.write(self.message(rows))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass  # the reader says what happened
        finally:
            self._call.cancel()  # whatever it was: who waits for answers must not wait for ever

    def _settle(self, number: int, answer: AnswerT | SwarmError) -> None:
        waiting = self._open.get(number)
        if waiting is None or waiting.done():
            return
        if isinstance(answer, SwarmError):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)


class Streams(Generic[StreamT]):
    """One stream to each node that was asked: they stay open, and one that has ended is replaced."""

    def __init__(self, connection: Connection, kind: Callable[[Connection], StreamT]) -> None:
        self._connection = connection
        self._kind = kind
        self._streams: dict[NodeId, StreamT] = {}
        self._closed = False

    def current(self) -> StreamT:
        """To the node that is asked next. Raises `Unreachable` once this was closed."""
        if self._closed:
            raise Unreachable("the connection was closed", place="client", remedy="connect again")
        peer = self._connection.peer
        stream = self._streams.get(peer)
        if stream is None or stream.ended:
            stream = self._streams[peer] = self._kind(self._connection)
        return stream

    async def close(self) -> None:
        """Hang up; who still waits is told."""
        self._closed = True
        for stream in self._streams.values():
            await stream.close()
        self._streams.clear()
