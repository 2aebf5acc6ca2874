"""Calls to hosted agents over gRPC: one stream for each caller, many calls in each message, both ways."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio

from swarm import limits
from swarm.adapters.rpc.answers import Answers
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
        worker = self.worker
        answers = Answers(
            limits.CALLS_IN_FLIGHT_MAX, lambda ready: take(ready, limits.CALLS_BATCH_MAX), replies_to_pb
        )
        writer = asyncio.create_task(answers.write_to(context))
        try:
            while (message := await context.read()) is not grpc.aio.EOF:
                await answers.room()
                for row in calls_from_pb(message):
                    _ask(worker, row, answers)
            await answers.finished()
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)


def _ask(worker: Worker, row: CallRow, answers: Answers[ReplyRow]) -> None:
    def answered(result: Reply | SwarmError) -> None:
        answers.ready(ReplyRow(row.id, result))

    answers.begin()
    try:
        worker.call(Call(row.capability, row.inputs, row.timeout_ms, answered))
    except SwarmError as error:
        answered(error)
