"""Files on their way between processes: offered, resumed, verified; announced size and digest are held to."""

import asyncio
import hashlib
import os

import grpc.aio
import pytest

from swarm import limits
from swarm.adapters.blobs import FileBlobs
from swarm.adapters.rpc import blobs as transfers
from swarm.adapters.rpc.blobs import Assembly, send_all, take_in
from swarm.errors import ProtocolBroken, StoreFull, TooLarge, Unreachable
from swarm.ids import Digest
from swarm.wire.gen import client_pb2 as pb

BIG = 2 * limits.CHUNK_BYTES + 5


def sha256(data):
    return Digest(hashlib.sha256(data).hexdigest())


class Wire:
    """A call of `Put` without a socket: what one end writes the other one reads, until somebody hangs up."""

    def __init__(self, breaks_after=None):
        self.up, self.down = asyncio.Queue(2), asyncio.Queue(2)
        self.sent_bytes = 0
        self.breaks_after = breaks_after

    async def write(self, part):
        self.sent_bytes += len(part.data)
        if self.breaks_after is not None and self.sent_bytes > self.breaks_after:
            await self.up.put(None)
            await asyncio.sleep(3600)
        await self.up.put(part)

    async def done_writing(self):
        await self.up.put(None)

    async def read(self):
        return await self.down.get()

    def cancel(self):
        pass

    async def parts(self):
        while (part := await self.up.get()) is not None:
            yield part


async def transfer(blobs, files, *, sender="", breaks_after=None, names=None):
    """Send files into a store; returns how many bytes travelled. Raises what the receiver said."""
    wire = Wire(breaks_after)

    async def source(at, start):
        for begin in range(start, len(files[at]), limits.CHUNK_BYTES):
            yield files[at][begin : begin + limits.CHUNK_BYTES]

    async def receive():
        await take_in(blobs, wire.parts(), wire.down.put, sender=sender)
        await wire.down.put(pb.BlobAnswer(taken=pb.BlobTaken(nodes=["n1"])))

    names = names or [(sha256(data), len(data)) for data in files]
    sending = asyncio.create_task(send_all(wire, names, source))
    try:
        await receive()
        assert await sending == ["n1"]
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return wire.sent_bytes


@pytest.mark.parametrize("sizes", [[0], [1], [BIG], [3, 0, BIG, limits.CHUNK_BYTES]], ids=str)
def test_files_arrive_as_they_were_sent(tmp_path, sizes):
    async def main():
        blobs, files = FileBlobs(tmp_path), [os.urandom(size) for size in sizes]
        assert await transfer(blobs, files) == sum(sizes)
        for data in files:
            assert await blobs.get(sha256(data)) == data
        assert await transfer(blobs, files) == 0  # they are there: nothing travels again

    asyncio.run(main())


def test_a_transfer_that_breaks_is_resumed_and_sends_only_the_rest(tmp_path):
    async def main():
        blobs, data = FileBlobs(tmp_path), os.urandom(5 * limits.CHUNK_BYTES)
        with pytest.raises(ProtocolBroken, match="ends before"):
            await transfer(blobs, [data], breaks_after=3 * limits.CHUNK_BYTES)
        assert await transfer(blobs, [data]) == 2 * limits.CHUNK_BYTES
        assert await blobs.get(sha256(data)) == data

    asyncio.run(main())


def test_a_file_that_is_not_what_it_says_is_refused_and_a_good_one_can_follow(tmp_path):
    async def main():
        blobs, data = FileBlobs(tmp_path), os.urandom(BIG)
        with pytest.raises(ProtocolBroken, match="does not match"):
            await transfer(blobs, [data[:-1] + b"!"], names=[(sha256(data), len(data))])
        assert await blobs.size(sha256(data)) is None
        await transfer(blobs, [data])

    asyncio.run(main())


def test_who_has_a_name_sends_what_is_there_already_all_over_again(tmp_path):
    async def main():
        blobs, data = FileBlobs(tmp_path), os.urandom(BIG)
        await transfer(blobs, [data])
        assert await transfer(blobs, [data], sender="ann") == BIG

    asyncio.run(main())


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ([], ProtocolBroken),
        ([("0" * 64, 1)] * 2, ProtocolBroken),
        ([(f"{at:064x}", 1) for at in range(limits.BLOBS_PER_TRANSFER_MAX + 1)], ProtocolBroken),
        ([("../../etc/passwd", 1)], ProtocolBroken),
        ([("0" * 64, limits.VALUE_BYTES_MAX + 1)], TooLarge),
        ([("0" * 64, limits.VALUE_BYTES_MAX)], StoreFull),
    ],
    ids=["none", "twice", "many", "no digest", "too large", "no room"],
)
def test_an_offer_that_makes_no_sense_is_refused_before_a_byte_of_it_is_taken(tmp_path, names, error):
    async def main():
        with pytest.raises(error):
            await transfer(FileBlobs(tmp_path, bytes_max=1 << 20), [b"x"] * len(names), names=names)
        assert list(tmp_path.iterdir()) == []

    asyncio.run(main())


def test_a_transfer_that_does_not_begin_with_an_offer_is_refused(tmp_path):
    async def main():
        async def parts(*messages):
            for message in messages:
                yield message

        for messages in ([pb.BlobPart(data=b"x")], [pb.BlobPart()], []):
            with pytest.raises(ProtocolBroken):
                await take_in(FileBlobs(tmp_path), parts(*messages), lambda answer: None)

    asyncio.run(main())


def test_who_falls_silent_in_the_middle_of_a_file_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(transfers, "SILENCE_S", 0.01)

    async def main():
        wire = Wire()
        await wire.up.put(pb.BlobPart(offer=pb.BlobOffer(blobs=[pb.BlobName(sha256="0" * 64, size_bytes=9)])))
        with pytest.raises(Unreachable, match="nothing was sent"):
            await take_in(FileBlobs(tmp_path), wire.parts(), wire.down.put)

    asyncio.run(main())


def test_an_answer_of_another_kind_is_no_answer():
    async def main():
        async def nothing(at, start):
            yield b""

        for answer in (
            grpc.aio.EOF,
            pb.BlobAnswer(taken=pb.BlobTaken()),
            pb.BlobAnswer(wanted=pb.BlobWanted()),
        ):
            wire = Wire()
            await wire.down.put(answer)
            with pytest.raises(ProtocolBroken):
                await send_all(wire, [(sha256(b""), 0)], nothing)

    asyncio.run(main())


def agent_file(data, size, said=None):
    assembly = Assembly(size, said or sha256(data), "agent file")
    try:
        assembly.add(data)
        return assembly.done()
    finally:
        assembly.drop()


def test_an_agent_file_above_the_bound_is_refused_before_a_byte_of_it_is_taken():
    with pytest.raises(TooLarge, match=str(limits.AGENT_FILE_BYTES_MAX)):
        Assembly(limits.AGENT_FILE_BYTES_MAX + 1, "", "agent file")


def test_an_agent_file_is_held_to_its_size_and_digest():
    assert agent_file(b"abc", 3) == b"abc"
    with pytest.raises(ProtocolBroken, match="more than the 3 bytes"):
        agent_file(b"abcd", 3)
    with pytest.raises(ProtocolBroken, match="2 of the 3 bytes"):
        agent_file(b"ab", 3)
    with pytest.raises(ProtocolBroken, match="does not match"):
        agent_file(b"abb", 3, sha256(b"abc"))


def test_a_refused_file_gives_its_memory_back_though_the_error_is_kept():
    assembly = Assembly(3, sha256(b"abc"), "agent file")
    assembly.add(b"abb")
    with pytest.raises(ProtocolBroken) as kept:
        assembly.done()
    assembly.drop()
    assert kept.value.remedy
    assert len(assembly._data) == 0
