"""Calls to hosted agents over gRPC: one stream for each caller, many calls in each message, both ways."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import grpc.aio

from swarm import limits
from swarm.errors import SwarmError, Unreachable
from swarm.node import Call, Worker
from swarm.ports import Reply
from swarm.wire.calls import CallRow, ReplyRow, calls_from_pb, replies_to_pb, take
from swarm.wire.gen import call_pb2_grpc as rpc


class CallServicer(rpc.CallsServicer):
    """Answers calls with the agents of one node."""

    def __init__(self) -> None:
        self.worker: Worker | None = None  # until the node has started

    async def Open(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # noqa: ARG002, N802
        """Reads and writes through the context, which gRPC allows beside the generator its stubs describe."""
        if self.worker is None:
            raise Unreachable("this node is still starting", remedy="call again in a moment, or elsewhere")
        desk = _Desk(self.worker)
        writer = asyncio.create_task(desk.write_to(context))
        try:
            while (message := await context.read()) is not grpc.aio.EOF:
                await desk.room()
                for row in calls_from_pb(message):
                    desk.take(row)
            await desk.finished()
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)


class _Desk:
    """One caller: what is under way for it, and what is ready to be sent."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._under_way = 0
        self._ready: deque[ReplyRow] = deque()
        self._kick = asyncio.Event()
        self._room = asyncio.Event()

    def take(self, row: CallRow) -> None:
        self._under_way += 1

        def answered(result: Reply | SwarmError) -> None:
            self._ready.append(ReplyRow(row.id, result))
            self._kick.set()

        try:
            self._worker.call(Call(row.capability, row.inputs, row.timeout_ms, answered))
        except SwarmError as error:
            answered(error)

    async def room(self) -> None:
        """Wait while too much is under way: the stream is not read, and its writer slows down."""
        while self._under_way >= limits.CALLS_IN_FLIGHT_MAX:
            self._room.clear()
            await self._room.wait()

    async def finished(self) -> None:
        """The caller has hung up politely: what is under way is still answered."""
        while self._under_way:
            self._room.clear()
            await self._room.wait()

    async def write_to(self, context: Any) -> None:
        """Send what is ready; what becomes ready meanwhile travels together."""
        while True:
            await self._kick.wait()
            self._kick.clear()
            while self._ready:
                rows = take(self._ready, limits.CALLS_BATCH_MAX)
                await context.write(replies_to_pb(rows))
                self._under_way -= len(rows)
                self._room.set()
