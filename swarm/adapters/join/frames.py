"""Messages on a join connection: four bytes of length, then a protobuf message, small and soon there."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from swarm.errors import ProtocolBroken, TooLarge, Unreachable

FRAME_BYTES_MAX = 32 * 1024
LENGTH_BYTES = 4
CALL_S = 10.0  # one whole connection, from the first byte to the last
HANDSHAKE_S = 5.0

MessageT = TypeVar("MessageT", bound=Message)


async def read_message(reader: asyncio.StreamReader, kind: type[MessageT]) -> MessageT:
    """One message. Raises what a stranger's bytes deserve."""
    try:
        length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
        if length > FRAME_BYTES_MAX:
            raise TooLarge(f"a message of {length} bytes, at most {FRAME_BYTES_MAX}", place="join")
        return kind.FromString(await reader.readexactly(length))
    except asyncio.IncompleteReadError:
        raise Unreachable("the other side hung up", place="join") from None
    except DecodeError:
        raise ProtocolBroken("this is no message of ours", place="join") from None


async def write_message(writer: asyncio.StreamWriter, message: Message) -> None:
    data = message.SerializeToString()
    writer.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
    await writer.drain()
