"""Calls to agents without a run: nothing is written down, so they cost one way there and one way back.

What many tasks call at once travels in one message, and so do the answers. A call whose node is lost is made
again at another one, so an agent may hear it twice; agents that must not (`effects: once`) refuse calls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import grpc.aio

from swarm.client.connection import Connection, Patience
from swarm.client.values import decode_items, inline_value
from swarm.errors import NotHosted, QueueFull, SwarmError, Unreachable
from swarm.graph import Items
from swarm.ids import CapabilityName, NodeId
from swarm.wire.calls import CallRow, calls_to_pb, replies_from_pb, take
from swarm.wire.gen.call_pb2_grpc import CallsStub

ROWS_MAX: Final = 32  # in one message: while its node is at them the next are made, and the last ones read


class Caller:
    """Makes calls, at one node for as long as it answers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._streams: dict[NodeId, _Stream] = {}

    async def call(self, capability: str, inputs: Mapping[str, object], timeout_ms: int) -> dict[str, object]:
        """The agent's outputs; raises its error, or why nobody could answer."""
        row = {port: inline_value(f"input {port!r}", value) for port, value in inputs.items()}
        call = CallRow(0, CapabilityName(capability), timeout_ms, row)
        patience, refused = Patience(self._connection, 0.0), 0
        while True:
            try:
                outputs = await self._stream().ask(call)
            except (NotHosted, QueueFull) as error:
                refused += 1
                await patience.suffer(error, transient=refused < self._connection.peers)
            except Unreachable as error:
                await patience.suffer(error, transient=True)
            else:
                return {port: decode_items(f"output {port!r}", items) for port, items in outputs.items()}

    async def close(self) -> None:
        """Hang up; who still waits is told."""
        for stream in self._streams.values():
            await stream.close()
        self._streams.clear()

    def _stream(self) -> _Stream:
        peer = self._connection.peer
        stream = self._streams.get(peer)
        if stream is None or stream.ended:
            stream = self._streams[peer] = _Stream(self._connection)
        return stream


class _Stream:
    """Calls to one node: what waits to be sent, and what waits for its answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last_id = 0
        self._waiting: deque[CallRow] = deque()
        self._open: dict[int, asyncio.Future[Mapping[str, Items]]] = {}
        self._kick = asyncio.Event()
        self._call: Any = CallsStub(connection.channel()).Open()
        self._reader = asyncio.create_task(self._read())
        self._writer = asyncio.create_task(self._write())

    @property
    def ended(self) -> bool:
        return self._reader.done()

    async def ask(self, call: CallRow) -> Mapping[str, Items]:
        self._last_id += 1
        number = self._last_id
        answer: asyncio.Future[Mapping[str, Items]] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        self._waiting.append(call._replace(id=number))
        self._kick.set()
        try:
            return await answer
        finally:
            self._open.pop(number, None)

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        failure: SwarmError = Unreachable("the connection was closed", place="call")
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:
                for reply in replies_from_pb(message):
                    self._settle(reply.id, reply.result)
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
            await asyncio.gather(self._writer, return_exceptions=True)
            for number in list(self._open):
                self._settle(number, failure)

    async def _write(self) -> None:
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # the reader says what happened
            while True:
                await self._kick.wait()
                self._kick.clear()
                while self._waiting:
                    if rows := [row for row in take(self._waiting, ROWS_MAX) if row.id in self._open]:
                        await self._call.write(calls_to_pb(rows))

    def _settle(self, number: int, result: Mapping[str, Items] | SwarmError) -> None:
        answer = self._open.get(number)
        if answer is None or answer.done():
            return
        if isinstance(result, SwarmError):
            answer.set_exception(result)
        else:
            answer.set_result(result)
