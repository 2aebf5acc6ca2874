"""How an error crosses the wall of a cell: its type, its words, cut and cleaned on the way in."""

from __future__ import annotations

import struct
from typing import Final

from sandbox.bodies import MessageError, Reader
from sandbox.errors import AgentFailed, Broken, CellError, Exceeded, Refused, clean_text
from sandbox.frames import Data

# Only these four cross the wall; a code has one meaning on both sides.
_AGENT_FAILED, _BROKEN, _EXCEEDED, _REFUSED = range(4)
_FAILURE: Final = struct.Struct("<BdIII")
_TEXT_BYTES_MAX: Final = 16 << 10


def write(error: CellError) -> list[Data]:
    """The bytes that tell why a call, or one row of it, has no answer."""
    message, value, asked = error.message, 0.0, ""
    match error:
        case Exceeded():
            code, message, value, asked = _EXCEEDED, error.limit, float(error.value), str(error.asked)
        case Broken():
            code = _BROKEN
        case AgentFailed():
            code = _AGENT_FAILED
        case _:
            code = _REFUSED
    texts = [text.encode(errors="replace")[:_TEXT_BYTES_MAX] for text in (message, error.place, asked)]
    return [_FAILURE.pack(code, value, *map(len, texts)), *texts]


def take(reader: Reader) -> CellError:
    """The next failure of a body."""
    kind, value, *sizes = reader.take(_FAILURE)
    code = int(kind)
    if max(sizes) > _TEXT_BYTES_MAX:
        raise MessageError(f"a text of {max(sizes)} bytes, at most {_TEXT_BYTES_MAX}")
    texts = (clean_text(reader.data(size).decode(errors="replace")) for size in sizes)
    message, place, asked = texts
    match code:
        case 0:
            return AgentFailed(message, place=place)
        case 1:
            return Broken(message, place=place)
        case 2:
            return Exceeded(message, value, asked, place=place)
        case 3:
            return Refused(message, place=place)
        case _:
            raise MessageError(f"failure code {code} is unknown")


def read(body: Data) -> CellError:
    """A body that holds one failure; the texts are a stranger's and arrive cleaned."""
    reader = Reader(body)
    error = take(reader)
    reader.finish()
    return error
