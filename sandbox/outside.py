"""Payloads too large for the daemon's own memory: it has them open as files, and lets the kernel copy.

Stored    on the way in: bytes of a file, which go from there straight into the piece a cell will see
Held      on the way out: bytes a cell left in a piece that is now its caller's; the cell may still change
          them, so whoever wants to believe them copies first and looks then
"""

from __future__ import annotations

import os
from typing import Protocol

_COPY_BYTES = 64 << 20  # in one system call, so that a thread can be told to stop


class Owner(Protocol):
    """A piece of shared memory that belongs to whoever was given its payloads."""

    @property
    def descriptor(self) -> int: ...

    def close(self) -> None: ...


class Stored:
    """A payload that is a whole file, or the first bytes of one. Its descriptor stays the caller's."""

    __slots__ = ("_size", "descriptor")

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self._size = size

    def __len__(self) -> int:
        return self._size

    def copy_to(self, target: int, at: int) -> None:
        """Put the bytes into another file at a position; raises `OSError` where there are fewer."""
        os.lseek(target, at, os.SEEK_SET)
        done = 0
        while done < self._size:
            count = os.sendfile(target, self.descriptor, done, min(self._size - done, _COPY_BYTES))
            if count == 0:
                raise OSError(0, f"the file ends at byte {done} of {self._size}")
            done += count


class Held:
    """A payload in a piece of shared memory that a cell gave its answer in."""

    __slots__ = ("_size", "owner", "start")

    def __init__(self, owner: Owner, start: int, size: int) -> None:
        self.owner = owner
        self.start = start
        self._size = size

    def __len__(self) -> int:
        return self._size

    def front(self, size: int) -> bytes:
        """Its first bytes, as they are at this moment."""
        return os.pread(self.owner.descriptor, min(size, self._size), self.start)

    def close(self) -> None:
        """Give the memory back: that of every payload of the same answer."""
        self.owner.close()
