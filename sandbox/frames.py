"""The byte stream between a daemon and a cell, cut into frames; no input or output happens here.

A frame is a 16-byte header (body length, kind, zeros, call number) and a body. The reader is fed by
whoever owns the socket: `space()` is where the next bytes go, `filled(n)` says that n arrived and
returns the frames they completed. A length over the cap is refused before a byte of the body is stored,
and memory grows only with bytes that really came, so a header alone costs nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

Data: TypeAlias = bytes | bytearray | memoryview

HEADER: Final = struct.Struct("<IB3xQ")
HEADER_BYTES: Final = HEADER.size
_HEADER: Final = struct.Struct("<IIQ")  # the same, with the zeros as part of the kind
FRAME_BYTES_MAX: Final = 256 << 20  # no frame is longer, whatever a cell's own limits say
_BUFFER_BYTES: Final = 256 << 10  # of which the kernel gives only the pages that are used
_KIND_MAX: Final = 0xFF
_BODY_STEP_BYTES: Final = 256 << 10


class Kind(IntEnum):
    """What a frame is. Calls go to the cell, answers come back in the same order."""

    LOAD = 1
    PROCESS = 2
    UPDATE = 3
    METADATA = 4
    CHECKPOINT = 5
    RESTORE = 6
    QUIT = 7
    PIECE = 8  # of shared memory: a new one, with its descriptor, or room in it for an answer
    CONNECTED = 9  # a connection the daemon made, with its descriptor
    REFUSED = 10  # why it made none
    ANSWER = 64
    FAILURE = 65
    ANSWER_KEPT = 66  # an answer whose agent still holds the shared memory of its input
    WANT = 67  # room for the answer to the call under way
    CONNECT = 68  # to a place the agent declared


class FrameError(ValueError):
    """The stream is no sequence of frames; nothing after this can be trusted."""


class Frame(NamedTuple):
    """One whole frame. Large bodies are views of the reader's storage, given away with the frame."""

    kind: int
    call: int
    body: Data


_new: Final = tuple.__new__  # a named tuple without the call that checks its arguments


def pack(kind: int, call: int, parts: Sequence[Data]) -> bytes:
    """One frame as one piece of bytes."""
    size = sum(map(len, parts))
    if size > FRAME_BYTES_MAX:
        raise FrameError(f"a body of {size} bytes, at most {FRAME_BYTES_MAX}")
    return b"".join((HEADER.pack(size, kind, call), *parts))


class FrameReader:
    """Turns received bytes into frames; see the module's opening for the protocol with the caller."""

    def __init__(self, body_bytes_max: int) -> None:
        self._body_bytes_max = min(body_bytes_max, FRAME_BYTES_MAX)
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._end = 0
        # A body too long for the buffer is received into storage of its own.
        self._body: bytearray | None = None
        self._body_end = 0
        self._need = 0
        self._head = (0, 0)

    def space(self) -> memoryview:
        """Where to receive into; never empty. Use it before the next `filled` and keep no reference."""
        if self._body is not None:
            return memoryview(self._body)[self._body_end :]
        return self._view[self._end :] if self._end else self._view

    @property
    def is_between_frames(self) -> bool:
        """Whether an end of the stream here would cut nothing."""
        return self._body is None and self._end == 0

    def filled(self, count: int) -> list[Frame]:
        """Account for `count` bytes received into `space()`; returns the frames now complete."""
        if self._body is not None:
            return self._filled_body(count)
        end = self._end = self._end + count
        if end >= HEADER_BYTES:
            size, kind, call = self._parse(0)
            if end == HEADER_BYTES + size:  # one frame and nothing else: the usual case
                self._end = 0
                return [_new(Frame, (kind, call, bytes(self._view[HEADER_BYTES:end])))]
        frames: list[Frame] = []
        start = 0
        while self._end - start >= HEADER_BYTES:
            size, kind, call = self._parse(start)
            stop = start + HEADER_BYTES + size
            if stop <= self._end:
                frames.append(Frame(kind, call, bytes(self._view[start + HEADER_BYTES : stop])))
                start = stop
            elif HEADER_BYTES + size > _BUFFER_BYTES:
                self._start_body(start + HEADER_BYTES, size, kind, call)
                return frames
            else:
                break
        if start:
            rest = self._end - start
            self._view[:rest] = self._view[start : self._end]
            self._end = rest
        return frames

    def _parse(self, start: int) -> tuple[int, int, int]:
        size, kind, call = _HEADER.unpack_from(self._buffer, start)
        if size > self._body_bytes_max:
            raise FrameError(f"a frame of {size} bytes, at most {self._body_bytes_max}")
        if kind > _KIND_MAX:
            raise FrameError("reserved header bytes are not zero")
        return size, kind, call

    def _start_body(self, start: int, size: int, kind: int, call: int) -> None:
        have = self._end - start
        self._body = bytearray(min(size, _BODY_STEP_BYTES))
        self._body[:have] = self._view[start : self._end]
        self._body_end, self._need, self._head, self._end = have, size, (kind, call), 0

    def _filled_body(self, count: int) -> list[Frame]:
        assert self._body is not None
        self._body_end += count
        if self._body_end == self._need:
            body, self._body = self._body, None
            return [Frame(*self._head, memoryview(body))]
        if self._body_end == len(self._body):
            self._body.extend(bytes(min(self._need, 2 * len(self._body)) - len(self._body)))
        return []
