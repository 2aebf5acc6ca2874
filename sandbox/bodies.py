"""Walking through the body of a frame that somebody else wrote."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

from sandbox.frames import Data

_NUMBER: Final = struct.Struct("<I")


class MessageError(ValueError):
    """The bytes of a body are not what they should be."""


class Reader:
    """Walks a body; raises `MessageError` at the first byte that is out of place."""

    __slots__ = ("at", "body", "size")

    def __init__(self, body: Data) -> None:
        self.body = bytes(body)  # costs nothing for bytes; of anything else, slices would not be
        self.size = len(body)
        self.at = 0

    def take(self, shape: struct.Struct) -> tuple[Any, ...]:
        """The fields of a structure."""
        try:
            values = shape.unpack_from(self.body, self.at)
        except struct.error as error:
            raise MessageError(f"cut off at byte {self.size}") from error
        self.at += shape.size
        return values

    def data(self, size: int) -> bytes:
        """So many bytes."""
        start = self.at
        end = self.at = start + size
        if end > self.size:
            raise MessageError(f"{size} bytes announced at byte {start}, {self.size - start} there")
        return self.body[start:end]

    def cut(self, sizes: Sequence[int]) -> list[bytes]:
        """Neighbouring pieces."""
        if len(sizes) == 1:
            return [self.data(sizes[0])]
        ends = list(accumulate(sizes, initial=self.at))
        if ends[-1] > self.size:
            raise MessageError(
                f"{ends[-1] - self.at} bytes announced at byte {self.at}, {self.size - self.at} there"
            )
        self.at = ends[-1]
        body = self.body
        return [body[begin:end] for begin, end in pairwise(ends)]

    def numbers(self, count: int) -> tuple[int, ...]:
        """So many u32."""
        return self.take(_NUMBER if count == 1 else struct.Struct(f"<{count}I"))

    def text(self, size: int) -> str:
        """A name."""
        try:
            return self.data(size).decode()
        except UnicodeDecodeError as error:
            raise MessageError("a name is not UTF-8") from error

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.data(self.size - self.at)

    def finish(self) -> None:
        """Refuse what is left."""
        if self.at != self.size:
            raise MessageError(f"{self.size - self.at} bytes too many")
