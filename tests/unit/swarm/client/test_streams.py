"""A stream that cannot go on tells who waits for its answers, at once and why."""

import asyncio
from types import SimpleNamespace

import grpc.aio
import pytest

from swarm.client.streams import Stream
from swarm.errors import Bug, Unreachable

PATIENCE_S = 60


class Pipe:
    """The call under a stream: what is written can be read; once it is cancelled, reading is as well."""

    def __init__(self):
        self.written = asyncio.Queue()
        self.cancelled = asyncio.Event()

    async def write(self, message):
        self.written.put_nowait(message)

    async def read(self):
        over = asyncio.create_task(self.cancelled.wait())
        found = asyncio.create_task(self.written.get())
        await asyncio.wait({over, found}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if found.done():
            return found.result()
        found.cancel()
        raise asyncio.CancelledError  # as grpc.aio does where the call was cancelled at this end

    def cancel(self):
        self.cancelled.set()


class Echo(Stream):
    def call(self, connection):
        return connection.pipe

    def numbered(self, row, number):
        return number, row

    def number(self, row):
        return row[0]

    def take(self, waiting):
        return [waiting.popleft()]

    def message(self, rows):
        if rows[0][1] == "bad":
            raise ValueError("cannot be encoded")
        return grpc.aio.EOF if rows[0][1] == "end" else rows

    def answers(self, message):
        return message


def with_stream(act):
    async def main():
        connection = SimpleNamespace(
            peer="n1", pipe=Pipe(), broken_off=lambda: Unreachable("broken off", place="n1")
        )
        stream = Echo(connection)
        await act(stream)
        await stream.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))


def test_an_answer_finds_who_asked():
    async def act(stream):
        assert await asyncio.gather(*map(stream.ask, "abc")) == ["a", "b", "c"]

    with_stream(act)


def test_a_writer_that_dies_tells_everybody_who_waits_what_of():
    async def act(stream):
        said = await asyncio.gather(stream.ask("bad"), stream.ask("a"), return_exceptions=True)
        assert [type(one) for one in said] == [Bug, Bug]
        assert "cannot be encoded" in said[1].message
        assert stream.ended

    with_stream(act)


def test_a_stream_its_node_ends_tells_who_waits_that_it_broke_off():
    async def act(stream):
        with pytest.raises(Unreachable, match="broken off"):
            await stream.ask("end")

    with_stream(act)
