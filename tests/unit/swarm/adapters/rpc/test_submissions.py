"""A stream of submissions: each is let in, answered and recorded by itself."""

import asyncio
from contextlib import contextmanager

import grpc.aio
import pytest

from swarm import limits
from swarm.adapters.rpc.submissions import METHOD, SubmissionStreams
from swarm.errors import GraphRefused, NotAllowed, PeerFault, ProtocolBroken
from swarm.wire.convert import error_from_pb
from swarm.wire.gen import client_pb2 as pb


class Context:
    """A stream whose messages are written by the test."""

    def __init__(self, *messages):
        self.messages = list(messages)
        self.answers = {}
        self.hung_up = asyncio.Event()

    async def read(self):
        if not self.messages:
            await self.hung_up.wait()
            return grpc.aio.EOF
        return self.messages.pop(0)

    async def write(self, message):
        for part in message.parts:
            self.answers[part.id] = error_from_pb(part.error) if part.HasField("error") else part.reply.run


class Gate:
    """Lets everybody in but whom it refuses, and remembers how each call ended."""

    def __init__(self, refused=()):
        self.refused = set(refused)
        self.record = []

    @contextmanager
    def letting_in(self, context, method):
        number = len(self.record)
        self.record.append((method, None))
        try:
            if number in self.refused:
                raise NotAllowed("no more")  # noqa: TRY301 - its own end is what is recorded
            yield self
        except BaseException as error:
            self.record[number] = (method, type(error))
            raise

    def request(self, request):
        return request

    def reply(self, reply):
        pass


def message(*keys):
    parts = [
        pb.Submission(id=number, request=pb.SubmitRequest(key=key)) for number, key in enumerate(keys, 1)
    ]
    return pb.Submissions(parts=parts)


async def submit(request, context):
    match request.key:
        case "refused":
            raise GraphRefused("it has no steps")
        case "bug":
            raise ZeroDivisionError
        case "slow":
            await asyncio.sleep(0.01)
    return pb.SubmitReply(run=f"run-{request.key}")


def served(gate, *messages):
    async def main():
        context = Context(*messages)
        context.hung_up.set()
        await SubmissionStreams(gate.letting_in).serve(context, submit)
        return context.answers

    return asyncio.run(main())


def test_each_has_its_own_answer_in_whatever_order_they_come():
    gate = Gate()
    answers = served(gate, message("slow", "a", "refused", "bug"))
    assert (answers[1], answers[2]) == ("run-slow", "run-a")
    assert isinstance(answers[3], GraphRefused)
    assert isinstance(answers[4], PeerFault)
    assert gate.record == [
        (METHOD, None),
        (METHOD, None),
        (METHOD, GraphRefused),
        (METHOD, ZeroDivisionError),
    ]


def test_whoever_is_let_in_no_more_is_refused_on_an_open_stream():
    answers = served(Gate(refused=[1]), message("a", "b", "c"))
    assert (answers[1], answers[3]) == ("run-a", "run-c")
    assert isinstance(answers[2], NotAllowed)


def test_a_message_with_too_many_is_refused():
    with pytest.raises(ProtocolBroken):
        served(Gate(), message(*["a"] * (limits.SUBMISSIONS_BATCH_MAX + 1)))


def test_a_stream_is_read_no_further_while_too_many_are_under_way(monkeypatch):
    monkeypatch.setattr(limits, "SUBMISSIONS_IN_FLIGHT_MAX", 2)
    begun, go_on = [], asyncio.Event()

    async def wait(request, context):
        begun.append(request.key)
        await go_on.wait()
        return pb.SubmitReply(run=request.key)

    async def main():
        context = Context(*(message(str(number)) for number in range(5)))
        context.hung_up.set()
        serving = asyncio.create_task(SubmissionStreams(Gate().letting_in).serve(context, wait))
        for _ in range(20):
            await asyncio.sleep(0)
        held = list(begun)
        go_on.set()
        await serving
        return held

    assert asyncio.run(main()) == ["0", "1"]
    assert begun == ["0", "1", "2", "3", "4"]


def test_what_is_under_way_ends_with_its_stream():
    ended = []

    async def wait(request, context):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(request.key)

    async def main():
        serving = asyncio.create_task(
            SubmissionStreams(Gate().letting_in).serve(Context(message("a", "b")), wait)
        )
        for _ in range(10):
            await asyncio.sleep(0)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(main())
    assert sorted(ended) == ["a", "b"]
