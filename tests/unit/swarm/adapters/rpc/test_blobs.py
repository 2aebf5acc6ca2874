"""A file in chunks: announced size and digest are held to."""

import asyncio
import hashlib

import pytest

from swarm import limits
from swarm.adapters.rpc.blobs import Assembly, assemble, chunks
from swarm.errors import ProtocolBroken, TooLarge
from swarm.wire.gen import client_pb2 as pb


async def stream(*messages):
    for message in messages:
        yield message


def put_together(*messages):
    return asyncio.run(assemble(stream(*messages), "blob"))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [0, 1, limits.CHUNK_BYTES, limits.CHUNK_BYTES + 1, 3 * limits.CHUNK_BYTES])
def test_a_file_survives_being_cut_into_chunks(size):
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert asyncio.run(assemble(chunks(data), "blob")) == data


def test_a_file_above_the_bound_is_refused_before_a_byte_of_it_is_taken():
    with pytest.raises(TooLarge, match=str(limits.AGENT_FILE_BYTES_MAX)):
        Assembly(limits.AGENT_FILE_BYTES_MAX + 1, "", "agent file")


def test_more_bytes_than_announced_are_refused():
    with pytest.raises(ProtocolBroken, match="more than the 3 bytes"):
        put_together(pb.BlobChunk(sha256=sha256(b"abc"), size_bytes=3, data=b"abcd"))


def test_fewer_bytes_than_announced_are_refused():
    with pytest.raises(ProtocolBroken, match="2 of the 3 bytes"):
        put_together(pb.BlobChunk(sha256=sha256(b"abc"), size_bytes=3, data=b"ab"))


def test_a_flipped_bit_is_noticed():
    with pytest.raises(ProtocolBroken, match="does not match"):
        put_together(pb.BlobChunk(sha256=sha256(b"abc"), size_bytes=3, data=b"abb"))


def test_an_empty_transfer_is_refused():
    with pytest.raises(ProtocolBroken, match="without a chunk"):
        put_together()


def test_a_refused_file_gives_its_memory_back_though_the_error_is_kept(monkeypatch):
    made = []
    monkeypatch.setattr(Assembly, "__init__", remembered(Assembly.__init__, made))
    with pytest.raises(ProtocolBroken) as kept:
        put_together(pb.BlobChunk(sha256=sha256(b"abc"), size_bytes=3, data=b"abb"))
    assert kept.value.remedy
    assert [len(assembly._data) for assembly in made] == [0]


def remembered(begin, made):
    def remember(self, *args):
        begin(self, *args)
        made.append(self)

    return remember
