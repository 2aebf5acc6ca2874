"""Files by their digest between nodes: streamed in chunks, size checked first, digest checked last."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from swarm import limits
from swarm.adapters.rpc.channels import Channels
from swarm.adapters.rpc.errors import from_rpc
from swarm.errors import NotFound, ProtocolBroken, TooLarge
from swarm.ids import Digest, NodeId
from swarm.ports import Blobs
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen import client_pb2_grpc as rpc

TRANSFER_S = 60.0


async def chunks(data: bytes) -> AsyncIterator[pb.BlobChunk]:
    """A file as messages; the first says what it will be."""
    digest = hashlib.sha256(data).hexdigest()
    yield pb.BlobChunk(sha256=digest, size_bytes=len(data), data=data[: limits.CHUNK_BYTES])
    for start in range(limits.CHUNK_BYTES, len(data), limits.CHUNK_BYTES):
        yield pb.BlobChunk(data=data[start : start + limits.CHUNK_BYTES])


class Assembly:
    """A file on its way in: never larger than it said, and what it said is bounded."""

    def __init__(self, size_bytes: int, sha256: str, place: str) -> None:
        if size_bytes > limits.AGENT_FILE_BYTES_MAX:
            raise TooLarge(
                f"a file of {size_bytes} bytes, at most {limits.AGENT_FILE_BYTES_MAX}",
                place=place,
                remedy="make it smaller: fewer weights, int8, or no training data",
            )
        self._size = size_bytes
        self._sha256 = sha256
        self._place = place
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        if len(self._data) + len(data) > self._size:
            raise _garbled(f"more than the {self._size} bytes announced", self._place)
        self._data += data

    def done(self) -> bytes:
        if len(self._data) != self._size:
            raise _garbled(f"{len(self._data)} of the {self._size} bytes announced", self._place)
        if hashlib.sha256(self._data).hexdigest() != self._sha256:
            raise _garbled("the content does not match its sha256", self._place)
        return bytes(self._data)

    def drop(self) -> None:
        """Give the memory back now: whoever still names this file may live until cycles are looked for."""
        self._data = bytearray()


def _garbled(message: str, place: str) -> ProtocolBroken:
    return ProtocolBroken(
        message, place=place, remedy="send it again, with the size and sha256 it really has"
    )


async def assemble(stream: AsyncIterator[pb.BlobChunk], place: str) -> bytes:
    """Put a file together again."""
    assembly: Assembly | None = None
    try:
        async for chunk in stream:
            if assembly is None:
                assembly = Assembly(chunk.size_bytes, chunk.sha256, place)
            assembly.add(chunk.data)
        if assembly is None:
            raise ProtocolBroken("a transfer without a chunk", place=place)
        return assembly.done()
    finally:
        if assembly is not None:
            assembly.drop()


class BlobsServicer(rpc.BlobsServicer):
    """Gives and takes files."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def Put(self, request_iterator: Any, context: Any) -> pb.BlobPutReply:  # noqa: ARG002, N802
        await self._blobs.put(await assemble(request_iterator, "blob"))
        return pb.BlobPutReply()

    async def Get(self, request: pb.BlobGetRequest, context: Any) -> AsyncIterator[pb.BlobChunk]:  # noqa: ARG002, N802
        if len(request.sha256) != 64 or set(request.sha256) - set("0123456789abcdef"):
            raise NotFound("that is no sha256", place="blob")
        data = await self._blobs.get(Digest(request.sha256))
        if data is None:
            raise NotFound(f"no file {request.sha256[:12]} here", place="blob")
        async for chunk in chunks(data):
            yield chunk


class GrpcBlobPeers:
    """Other nodes' files."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    async def push(self, node: NodeId, data: bytes) -> None:
        stub: Any = rpc.BlobsStub(self._channels.to(node))
        try:
            await stub.Put(chunks(data), timeout=TRANSFER_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, node) from error

    async def pull(self, node: NodeId, digest: Digest) -> bytes:
        stub: Any = rpc.BlobsStub(self._channels.to(node))
        try:
            data = await assemble(
                stub.Get(pb.BlobGetRequest(sha256=digest), timeout=TRANSFER_S), f"blob of {node}"
            )
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, node) from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise ProtocolBroken(f"{node} sent another file", place=f"blob {digest[:12]}")
        return data
