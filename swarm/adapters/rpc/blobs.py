"""Files by their digest between processes: offered, sent from where the last try broke off, verified, synced.

A transfer holds one chunk in memory at either end, however large the file. Who sends says first what it will
be; who receives answers how much of each it has, takes the rest, and says `taken` when all of it is verified
and on its disk. What does not match its digest is refused and thrown away, and the audit log has the call.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import grpc
import grpc.aio

from swarm import limits
from swarm.adapters.blobs import is_digest
from swarm.adapters.rpc.channels import Channels
from swarm.adapters.rpc.errors import from_rpc
from swarm.errors import NotFound, ProtocolBroken, TooLarge, Unreachable
from swarm.ids import Digest, NodeId
from swarm.ports import Blobs, Incoming
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen import client_pb2_grpc as rpc

SILENCE_S = 30.0  # between two messages of a transfer; then its other end is given up
Name = tuple[Digest, int]


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


# -- receiving -----------------------------------------------------------------------------------


async def take_in(
    blobs: Blobs,
    parts: AsyncIterator[pb.BlobPart],
    answer: Callable[[pb.BlobAnswer], Awaitable[None]],
    *,
    sender: str = "",
) -> list[Name]:
    """Receive what is offered, all of it to stay; returns what it was. See `Blobs.receive` about `sender`."""
    names = _offered(await _next(parts))
    with ExitStack() as stack:
        coming: list[Incoming | None] = []
        for digest, size_bytes in names:
            coming.append(await blobs.receive(digest, size_bytes, kept=True, sender=sender))
            if (begun := coming[-1]) is not None:
                stack.callback(begun.close)
        starts = [size if one is None else one.at for one, (_, size) in zip(coming, names, strict=True)]
        await answer(pb.BlobAnswer(wanted=pb.BlobWanted(starts=starts)))
        for one, (_, size_bytes) in zip(coming, names, strict=True):
            while one is not None and one.at < size_bytes:
                await one.write(_data(await _next(parts)))
        await asyncio.gather(*(one.done() for one in coming if one is not None))
    return names


async def _next(parts: AsyncIterator[pb.BlobPart]) -> pb.BlobPart:
    """The next message of a sender who may hang up, or fall silent."""
    try:
        async with asyncio.timeout(SILENCE_S):
            return await anext(parts)
    except StopAsyncIteration:
        raise ProtocolBroken("a transfer that ends before its files do", place="blob") from None
    except TimeoutError:
        raise Unreachable(f"nothing was sent for {SILENCE_S:g} s", place="blob") from None


def _offered(part: pb.BlobPart) -> list[Name]:
    if part.WhichOneof("part") != "offer":
        raise ProtocolBroken("a transfer begins with an offer", place="blob")
    names = [(Digest(blob.sha256), blob.size_bytes) for blob in part.offer.blobs]
    if not 0 < len(names) <= limits.BLOBS_PER_TRANSFER_MAX or len({*names}) < len(names):
        raise ProtocolBroken(
            f"{len(names)} files, 1 to {limits.BLOBS_PER_TRANSFER_MAX} different ones at once", place="blob"
        )
    for digest, size_bytes in names:
        if not is_digest(digest):
            raise ProtocolBroken("that is no sha256", place="blob")
        if size_bytes > limits.VALUE_BYTES_MAX:
            raise TooLarge(f"{size_bytes} bytes, at most {limits.VALUE_BYTES_MAX}", place="blob")
    return names


def _data(part: pb.BlobPart) -> bytes:
    data = part.data
    if not data:
        raise ProtocolBroken("a message without bytes in the middle of a file", place="blob")
    return data


class BlobsServicer(rpc.BlobsServicer):
    """Gives and takes files; for nodes only."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def Put(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        """Answers through the context, which gRPC allows beside the generator its stubs describe."""
        await take_in(self._blobs, request_iterator, context.write)
        await context.write(pb.BlobAnswer(taken=pb.BlobTaken()))

    async def Get(self, request: pb.BlobGetRequest, context: Any) -> AsyncIterator[pb.BlobChunk]:  # noqa: ARG002, N802
        digest = Digest(request.sha256)
        size_bytes = await self._blobs.size(digest) if is_digest(digest) else None
        if size_bytes is None:
            raise NotFound(f"no file {request.sha256[:12]} here", place="blob")
        yield pb.BlobChunk(size_bytes=size_bytes)
        async for data in self._blobs.chunks(digest, request.start):
            yield pb.BlobChunk(data=data)


# -- sending -------------------------------------------------------------------------------------

Source = Callable[[int, int], AsyncIterator[bytes]]
"""The bytes of the file at this place of the offer, from this position on."""


async def send_all(call: Any, names: Sequence[Name], source: Source) -> list[NodeId]:
    """Send files over an open call of `Put` or `Upload`; returns who says to hold them.

    Raises `grpc.aio.AioRpcError`, `ProtocolBroken`, or `TimeoutError` where the other end falls silent.
    """
    try:
        offer = pb.BlobOffer(blobs=[pb.BlobName(sha256=digest, size_bytes=size) for digest, size in names])
        await _in_time(call.write(pb.BlobPart(offer=offer)))
        starts = (await _answer(call, "wanted")).wanted.starts
        if len(starts) != len(names):
            raise ProtocolBroken(f"{len(starts)} answers to an offer of {len(names)} files", place="blob")
        for at, (start, (_, size_bytes)) in enumerate(zip(starts, names, strict=True)):
            if start < size_bytes:
                async for data in source(at, start):
                    await _in_time(call.write(pb.BlobPart(data=data)))
        await call.done_writing()
        return [NodeId(node) for node in (await _answer(call, "taken", None)).taken.nodes]
    except asyncio.InvalidStateError:
        await _answer(call, "taken")  # the call is over: this raises why
        raise
    finally:
        call.cancel()


async def _answer(call: Any, what: str, silence_s: float | None = SILENCE_S) -> pb.BlobAnswer:
    answer = await (_in_time(call.read()) if silence_s is not None else call.read())
    if answer is grpc.aio.EOF or answer.WhichOneof("answer") != what:
        raise ProtocolBroken(f"an answer that does not say {what}", place="blob")
    found: pb.BlobAnswer = answer
    return found


async def _in_time(awaited: Awaitable[Any]) -> Any:
    async with asyncio.timeout(SILENCE_S):
        return await awaited


async def received(call: Any) -> AsyncIterator[pb.BlobChunk]:
    """The messages of a download, none of which may take for ever."""
    try:
        while (chunk := await _in_time(call.read())) is not grpc.aio.EOF:
            yield chunk
    finally:
        call.cancel()


class GrpcBlobPeers:
    """Other nodes' files, and ours for them."""

    def __init__(self, channels: Channels, blobs: Blobs) -> None:
        self._channels = channels
        self._blobs = blobs

    async def push(self, node: NodeId, digests: Sequence[Digest]) -> None:
        stub: Any = rpc.BlobsStub(self._channels.to(node))
        sizes = [(digest, await self._blobs.size(digest)) for digest in digests]
        names = [(digest, size) for digest, size in sizes if size is not None]
        if len(names) < len(digests):
            raise NotFound("a file that was to be copied is gone", place="blob")
        try:
            await send_all(stub.Put(), names, lambda at, start: self._blobs.chunks(names[at][0], start))
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, node) from error
        except TimeoutError as error:
            raise _silent(node) from error

    async def pull(self, node: NodeId, digest: Digest, size_bytes: int | None = None) -> None:
        incoming: Incoming | None = None
        if size_bytes is not None:
            incoming = await self._blobs.receive(digest, size_bytes, kept=False)
            if incoming is None:
                return
        try:
            async for data in self._read(node, digest, incoming.at if incoming is not None else 0):
                if isinstance(data, int):
                    if incoming is None:
                        incoming = await self._begin(digest, data)
                elif incoming is not None:
                    await incoming.write(data)
            if incoming is not None:
                await incoming.done()
        finally:
            if incoming is not None:
                incoming.close()

    async def _begin(self, digest: Digest, size_bytes: int) -> Incoming | None:
        """An agent file, whose size nobody told us before."""
        if size_bytes > limits.AGENT_FILE_BYTES_MAX:
            raise TooLarge(f"{size_bytes} bytes, at most {limits.AGENT_FILE_BYTES_MAX}", place="agent file")
        return await self._blobs.receive(digest, size_bytes, kept=False)

    async def read(self, node: NodeId, digest: Digest, start: int = 0) -> AsyncIterator[bytes]:
        async for data in self._read(node, digest, start):
            if isinstance(data, bytes):
                yield data

    def introduce(self, addresses: Mapping[NodeId, str]) -> None:
        self._channels.learn(addresses)

    async def _read(self, node: NodeId, digest: Digest, start: int) -> AsyncIterator[int | bytes]:
        """The size of a file, then its bytes."""
        stub: Any = rpc.BlobsStub(self._channels.to(node))
        try:
            async for chunk in received(stub.Get(pb.BlobGetRequest(sha256=digest, start=start))):
                yield chunk.data or chunk.size_bytes
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, node) from error
        except TimeoutError as error:
            raise _silent(node) from error


def _silent(node: NodeId) -> Unreachable:
    return Unreachable(f"{node} fell silent in the middle of a file", place=node)
