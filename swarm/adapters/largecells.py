"""How large payloads pass the wall of a cell: from the node's blob store into shared memory, and back.

Neither way goes through this process's memory. On the way in the kernel copies from the blob's file into a
sealed piece; on the way out the piece a cell wrote its answer in is hashed and written to the store in one
pass through a small buffer, so that what is stored is what was hashed, whatever the cell does meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Final, cast

import sandbox
from sandbox.rows import BULK_BYTES
from swarm import limits
from swarm.adapters.blobs import FileBlobs
from swarm.errors import CellLost, DataLost, NotFound, SwarmError, TooLarge
from swarm.graph import REF, Items, Payload, Ref, read_ref
from swarm.graph.tensor import head_bytes, tensor_head
from swarm.ports import Reply

SOCKET_BYTES_MAX: Final = 32 * limits.MIB  # of one input of an agent that shares this process
_STORES_MAX: Final = 8  # payloads of one batch that are written at once


async def given(
    blobs: FileBlobs, inputs: Mapping[str, Items], stack: ExitStack, *, shared: bool
) -> sandbox.Ports:
    """Inputs as a cell takes them; files stay open as long as the stack. Raises `DataLost` or `TooLarge`."""
    found: dict[str, sandbox.Items] = {}
    for port, items in inputs.items():
        if isinstance(items, Payload):
            found[port] = await _given(blobs, items, stack, shared=shared)
        else:
            found[port] = [await _given(blobs, item, stack, shared=shared) for item in items]
    return found


async def _given(blobs: FileBlobs, payload: Payload, stack: ExitStack, *, shared: bool) -> sandbox.Payload:
    if payload.kind != REF:
        return payload
    ref = read_ref(payload.data)
    if not shared and ref.size_bytes > SOCKET_BYTES_MAX:
        raise TooLarge(f"{ref.size_bytes} bytes, cells of this tier take at most {SOCKET_BYTES_MAX}")
    try:
        opened = await blobs.open(ref.digest)
    except NotFound as error:
        raise _gone(ref) from error
    descriptor = stack.enter_context(opened)
    if shared and ref.size_bytes >= BULK_BYTES:
        return ref.kind, cast("bytes", sandbox.Stored(descriptor, ref.size_bytes))
    data = await asyncio.to_thread(os.pread, descriptor, ref.size_bytes, 0)
    if len(data) < ref.size_bytes:
        raise _gone(ref)
    return ref.kind, data


def _gone(ref: Ref) -> DataLost:
    return DataLost("it was here, and is not any more", place=f"blob {ref.digest[:12]}")


def is_large(reply: Mapping[str, sandbox.Items]) -> bool:
    """Whether some of these results must not travel inline."""
    for items in reply.values():
        for _, data in items if isinstance(items, list) else (items,):
            if len(data) > limits.PAYLOAD_INLINE_BYTES_MAX:
                return True
    return False


async def stored(
    blobs: FileBlobs, replies: Sequence[Mapping[str, sandbox.Items] | SwarmError]
) -> list[Reply | SwarmError]:
    """The same replies with what is large in the store; one that cannot be stored says why."""
    turn = asyncio.Semaphore(_STORES_MAX)

    async def one(reply: Mapping[str, sandbox.Items] | SwarmError) -> Reply | SwarmError:
        if isinstance(reply, SwarmError):
            return reply
        try:
            return {port: await _taken(blobs, items, turn) for port, items in reply.items()}
        except SwarmError as error:
            return error

    try:
        return await asyncio.gather(*(one(reply) for reply in replies))
    finally:
        for reply in replies:
            if not isinstance(reply, SwarmError):
                give_back(reply)


def give_back(reply: Mapping[str, sandbox.Items]) -> None:
    """Let go of the memory an answer still lies in."""
    for items in reply.values():
        for _, data in items if isinstance(items, list) else (items,):
            if isinstance(held := cast("object", data), sandbox.Held):
                held.close()


async def _taken(blobs: FileBlobs, items: sandbox.Items, turn: asyncio.Semaphore) -> Items:
    if isinstance(items, list):
        return tuple(await asyncio.gather(*(_stored(blobs, *item, turn) for item in items)))
    return await _stored(blobs, *items, turn)


async def _stored(
    blobs: FileBlobs, kind: str, data: bytes | sandbox.Held, turn: asyncio.Semaphore
) -> Payload:
    if isinstance(data, sandbox.Held):
        async with turn:
            digest, front = await blobs.take(data.owner.descriptor, data.start, len(data))
    elif len(data) > limits.PAYLOAD_INLINE_BYTES_MAX:
        async with turn:
            digest, front = await blobs.put(data), data[: limits.KIB]
    else:
        return Payload(kind, data)
    head = head_bytes(front) if kind == "tensor" else b""
    if kind == "tensor" and isinstance(fault := tensor_head(head, len(data)), str):
        raise CellLost(f"the cell changed what it had said: {fault}")
    return Ref(kind, digest, len(data), head).payload()
