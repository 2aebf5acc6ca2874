"""Submissions: what many tasks submit at once goes in one message, and is answered as each of them ends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Any

from swarm import limits
from swarm.client.connection import ATTEMPT_S, Connection, Patience
from swarm.client.streams import Stream, Streams
from swarm.errors import OutOfTime, SwarmError
from swarm.wire.convert import error_from_pb
from swarm.wire.gen import client_pb2 as pb


class Submitter:
    """Submits, to one node for as long as it answers. What is large goes in a call of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._streams = Streams(connection, _Submissions)

    async def submit(self, request: pb.SubmitRequest) -> pb.SubmitReply:
        """The acknowledgement; raises its error, or why nobody could answer. The request has a key."""
        if request.ByteSize() > limits.SUBMISSIONS_BATCH_BYTES_MAX:
            return await self._connection.ask(lambda stub, timeout_s: stub.Submit(request, timeout=timeout_s))
        patience = Patience(self._connection, 0.0)
        while True:
            stream = self._streams.current()
            try:
                async with asyncio.timeout(ATTEMPT_S):
                    return await stream.ask(pb.Submission(request=request))
            except TimeoutError:
                late = OutOfTime(f"{stream.peer} did not answer within {ATTEMPT_S:g} s", place=stream.peer)
                await patience.suffer(late, transient=True, asked=stream.peer)
            except SwarmError as error:
                await patience.suffer(error, self._connection.may_pass(error), asked=stream.peer)

    async def close(self) -> None:
        """Hang up; who still waits is told."""
        await self._streams.close()


class _Submissions(Stream[pb.Submission, pb.SubmitReply]):
    def call(self, connection: Connection) -> Any:
        return connection.stub().SubmitMany()

    def numbered(self, row: pb.Submission, number: int) -> pb.Submission:
        row.id = number
        return row

    def number(self, row: pb.Submission) -> int:
        return row.id

    def take(self, waiting: deque[pb.Submission]) -> list[pb.Submission]:
        taken: list[pb.Submission] = []
        weight = 0
        while waiting and len(taken) < limits.SUBMISSIONS_BATCH_MAX:
            weight += waiting[0].ByteSize()
            if taken and weight > limits.SUBMISSIONS_BATCH_BYTES_MAX:
                break
            taken.append(waiting.popleft())
        return taken

    def message(self, rows: list[pb.Submission]) -> pb.Submissions:
        return pb.Submissions(parts=rows)

    def answers(self, message: pb.SubmissionAnswers) -> Iterator[tuple[int, pb.SubmitReply | SwarmError]]:
        for part in message.parts:
            yield part.id, error_from_pb(part.error) if part.HasField("error") else part.reply
