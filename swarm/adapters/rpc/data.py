"""Large payloads of clients: uploaded before the submission that speaks of them, downloaded after the run.

A client uploads to whatever node it talks to; when it is told `taken`, a second node has it too. It downloads
what the outlets of a run give, and nothing else: who may see the run's result may have it, from any node,
which passes on what it does not hold.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from swarm.adapters.rpc.blobs import take_in
from swarm.adapters.rpc.callers import behalf
from swarm.errors import NotFound, ProtocolBroken
from swarm.graph import Ref
from swarm.node import Data
from swarm.ports import Blobs
from swarm.wire.gen import client_pb2 as pb


class DataCalls:
    """The two calls, for the servicers of nodes with and without a log."""

    def __init__(self, blobs: Blobs, data: Data) -> None:
        self._blobs = blobs
        self._data = data

    async def upload(self, request_iterator: Any, context: Any) -> None:
        """Take in what is offered, and have it copied."""
        names = await take_in(self._blobs, request_iterator, context.write, sender=behalf(context, ""))
        nodes = await self._data.spread([digest for digest, _ in names], None)
        await context.write(pb.BlobAnswer(taken=pb.BlobTaken(nodes=nodes)))

    async def download(
        self, request: pb.DownloadRequest, outlets: Iterable[Ref]
    ) -> AsyncIterator[pb.BlobChunk]:
        """Give one large payload out, if it is among the results that the caller may have."""
        found = [ref for ref in outlets if ref.digest == request.sha256]
        if not found:
            raise NotFound(
                f"run {request.run[:64]!r} has no such result", place=f"blob {request.sha256[:12]!r}"
            )
        if request.start > found[0].size_bytes:
            raise ProtocolBroken(f"byte {request.start} of {found[0].size_bytes}", place="start")
        yield pb.BlobChunk(size_bytes=found[0].size_bytes)
        async for data in self._data.read(found[0], request.start):
            yield pb.BlobChunk(data=data)
