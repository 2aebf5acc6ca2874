"""Submissions of one caller on one stream: a call of its own costs more than most runs do.

Each is let in, recorded and answered as if it had been a call to `Submit`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import grpc.aio
import structlog

from swarm import limits
from swarm.adapters.rpc.answers import Answers
from swarm.adapters.rpc.notes import Note
from swarm.errors import PeerFault, ProtocolBroken, SwarmError
from swarm.wire.convert import error_to_pb
from swarm.wire.gen import client_pb2 as pb

_log = structlog.get_logger("swarm.daemon")

METHOD = "/swarm.v1.Swarm/Submit"

Submit = Callable[[pb.SubmitRequest, Any], Awaitable[pb.SubmitReply]]
LettingIn = Callable[[Any, str], AbstractContextManager[Note]]
"""Lets in whoever a context is of, to call a method; what is done within is written down with its end."""


class SubmissionStreams:
    """Answers them, each as `submit` does."""

    def __init__(self, letting_in: LettingIn) -> None:
        self._letting_in = letting_in

    async def serve(self, context: Any, submit: Submit) -> None:
        """One stream, until its caller hangs up."""
        answers = Answers(limits.SUBMISSIONS_IN_FLIGHT_MAX, _take, _message)
        writer = asyncio.create_task(answers.write_to(context))
        under_way: set[asyncio.Task[None]] = set()
        try:
            while (message := await context.read()) is not grpc.aio.EOF:
                if (count := len(message.parts)) > limits.SUBMISSIONS_BATCH_MAX:
                    raise ProtocolBroken(f"{count} submissions in one message", place="SubmitMany")
                await answers.room()
                for part in message.parts:
                    answers.begin()
                    task = asyncio.create_task(self._answer(part, context, submit, answers))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
            await answers.finished()
        finally:
            tasks = (writer, *under_way)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(
        self, part: pb.Submission, context: Any, submit: Submit, answers: Answers[pb.SubmissionAnswer]
    ) -> None:
        answer = pb.SubmissionAnswer(id=part.id)
        try:
            with self._letting_in(context, METHOD) as note:
                reply = await submit(note.request(part.request), context)
                note.reply(reply)
            answer.reply.CopyFrom(reply)
        except SwarmError as error:
            answer.error.CopyFrom(error_to_pb(error))
        except Exception:  # noqa: BLE001 - a bug of ours: its caller must not wait for ever, nor all the others
            _log.exception("a submission failed")
            answer.error.CopyFrom(error_to_pb(PeerFault("the daemon failed", remedy="its log says why")))
        answers.ready(answer)


def _take(ready: deque[pb.SubmissionAnswer]) -> list[pb.SubmissionAnswer]:
    """The next answers that fit into one message; one that is heavy goes alone."""
    taken: list[pb.SubmissionAnswer] = []
    weight = 0
    while ready and len(taken) < limits.SUBMISSIONS_BATCH_MAX:
        weight += ready[0].ByteSize()
        if taken and weight > limits.RECORDS_BATCH_BYTES_MAX:
            break
        taken.append(ready.popleft())
    return taken


def _message(rows: Sequence[pb.SubmissionAnswer]) -> pb.SubmissionAnswers:
    return pb.SubmissionAnswers(parts=rows)
