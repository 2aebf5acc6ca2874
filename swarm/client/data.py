"""Large values on their way into a cluster and out of it: uploaded before a run, downloaded after it.

A value above the bound of what travels inline is hashed here, offered to the node this client talks to, and
sent from where that node wants it; a transfer that breaks goes on with the same node, or begins anew with
another one. What comes back is verified against the digest the cluster's log has of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Final

from swarm import limits
from swarm.client.connection import Connection
from swarm.client.values import Large

from swarm.adapters.rpc.blobs import received, send_all  # isort: skip  # after what loads TLS before grpc
from swarm.errors import ProtocolBroken, Unreachable
from swarm.graph import REF, Items, Payload, Ref, read_ref
from swarm.graph.tensor import head_bytes
from swarm.ids import Digest, NodeId, RunId
from swarm.wire.gen.client_pb2 import DownloadRequest
from swarm.wire.gen.client_pb2_grpc import SwarmStub

DOWNLOADS_MAX: Final = 4  # at once: each has a chunk or two beside what it has received


async def uploaded(connection: Connection, inputs: Mapping[str, Payload | Large]) -> dict[str, Payload]:
    """The same inputs with references in place of what is large, which two nodes hold now."""
    large = [value for value in inputs.values() if isinstance(value, Large)]
    if not large:
        return {name: value for name, value in inputs.items() if isinstance(value, Payload)}
    digests = await asyncio.to_thread(lambda: {id(value): _digest(value) for value in large})
    wanted = {digests[id(value)]: value for value in large}
    nodes: dict[Digest, tuple[NodeId, ...]] = {}
    names = list(wanted)
    for start in range(0, len(names), limits.BLOBS_PER_TRANSFER_MAX):
        batch = names[start : start + limits.BLOBS_PER_TRANSFER_MAX]
        holders = await _upload(connection, batch, [wanted[digest] for digest in batch])
        nodes.update(dict.fromkeys(batch, tuple(holders)))

    def refer(value: Payload | Large) -> Payload:
        if isinstance(value, Payload):
            return value
        digest = digests[id(value)]
        head = head_bytes(bytes(value.parts[0][: limits.KIB])) if value.kind == "tensor" else b""
        return Ref(value.kind, digest, value.size_bytes, head, nodes[digest]).payload()

    return {name: refer(value) for name, value in inputs.items()}


def _digest(value: Large) -> Digest:
    hasher = hashlib.sha256()
    for part in value.parts:
        hasher.update(part)
    return Digest(hasher.hexdigest())


async def _upload(connection: Connection, names: Sequence[Digest], values: Sequence[Large]) -> list[NodeId]:
    sizes = [(digest, value.size_bytes) for digest, value in zip(names, values, strict=True)]

    async def attempt(stub: SwarmStub, progress: Callable[[], None]) -> list[NodeId]:
        async def source(at: int, start: int) -> AsyncIterator[bytes]:
            for chunk in _chunks(values[at], start):
                progress()
                yield chunk

        return await send_all(stub.Upload(), sizes, source)

    return await connection.transfer(attempt)


def _chunks(value: Large, start: int) -> Iterator[bytes]:
    """Its bytes from `start` on, a chunk at a time; only the chunk is a copy."""
    for part in value.parts:
        view = memoryview(part)
        for at in range(min(start, len(view)), len(view), limits.CHUNK_BYTES):
            yield bytes(view[at : at + limits.CHUNK_BYTES])
        start = max(start - len(view), 0)


async def downloaded(connection: Connection, run: RunId, outputs: Mapping[str, Items]) -> dict[str, Items]:
    """The same values with everything that lies elsewhere brought here. Raises `DataLost`."""
    turn = asyncio.Semaphore(DOWNLOADS_MAX)

    async def one(payload: Payload) -> Payload:
        if payload.kind != REF:
            return payload
        ref = read_ref(payload.data)
        async with turn:
            return Payload(ref.kind, await _download(connection, run, ref))

    async def some(items: Items) -> Items:
        if isinstance(items, Payload):
            return await one(items)
        return tuple(await asyncio.gather(*(one(item) for item in items)))

    found = await asyncio.gather(*(some(items) for items in outputs.values()))
    return dict(zip(outputs, found, strict=True))


async def _download(connection: Connection, run: RunId, ref: Ref) -> bytes:
    target, hasher = io.BytesIO(), hashlib.sha256()  # whose bytes can be taken out without a copy

    async def attempt(stub: SwarmStub, progress: Callable[[], None]) -> None:
        request = DownloadRequest(run=run, sha256=ref.digest, start=target.tell())
        async for chunk in received(stub.Download(request)):
            if target.tell() + len(chunk.data) > ref.size_bytes:
                raise ProtocolBroken(f"more than {ref.size_bytes} bytes", place=f"blob {ref.digest[:12]}")
            target.write(chunk.data)
            hasher.update(chunk.data)
            progress()
        if target.tell() < ref.size_bytes:
            raise Unreachable("a download ended early", place=f"blob {ref.digest[:12]}")

    await connection.transfer(attempt)
    if hasher.hexdigest() != ref.digest:
        raise ProtocolBroken(
            "what was downloaded is not what the log says",
            place=f"blob {ref.digest[:12]}",
            remedy="ask again",
        )
    return target.getvalue()
