"""Blobs on their way to the disk: written piece by piece, hashed as they come, synced, then named."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from swarm import limits
from swarm.errors import ProtocolBroken
from swarm.graph.tensor import HEAD_BYTES_MAX
from swarm.ids import Digest

_MODE: Final = 0o600
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class FileIncoming:
    """One file that is being received. What is not done when it is closed is kept for the next try."""

    def __init__(
        self,
        part: Path,
        size_bytes: int,
        digest: Digest,
        settle: Callable[[], Awaitable[None]],
        release: Callable[[], None],
    ) -> None:
        self._part = part
        self._size = size_bytes
        self._digest = digest
        self._settle = settle
        self._release = release
        self._hash: Any = hashlib.sha256()
        self._descriptor = -1
        self.at = 0

    async def open(self) -> None:
        """Go on where an earlier try ended; what it left is hashed again, for nobody vouches for it."""
        await asyncio.to_thread(self._open)

    def _open(self) -> None:
        self._descriptor = os.open(self._part, _FLAGS, _MODE)
        while self.at < self._size and (data := os.pread(self._descriptor, limits.CHUNK_BYTES, self.at)):
            self._hash.update(data)
            self.at += len(data)
        os.ftruncate(self._descriptor, min(self.at, self._size))

    async def write(self, data: bytes) -> None:
        """The next bytes. Raises `ProtocolBroken` for more than was announced."""
        if self.at + len(data) > self._size:
            raise self._refusal(f"more than the {self._size} bytes announced")
        await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        write_all(self._descriptor, data, self.at)
        self._hash.update(data)
        self.at += len(data)

    async def done(self) -> None:
        """Verify, sync, name it. Raises `ProtocolBroken`, and keeps nothing, where it is another file."""
        if self.at != self._size:
            raise self._refusal(f"{self.at} of the {self._size} bytes announced")
        if self._hash.hexdigest() != self._digest:
            self._part.unlink(missing_ok=True)
            raise self._refusal("the content does not match its sha256")
        await asyncio.to_thread(os.fdatasync, self._descriptor)
        await self._settle()

    def close(self) -> None:
        """Let go of it, done or not."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._release()

    def _refusal(self, message: str) -> ProtocolBroken:
        return ProtocolBroken(
            message,
            place=f"blob {self._digest[:12]}",
            remedy="send it again, with the size and sha256 it really has",
        )


def write_synced(part: Path, data: bytes) -> None:
    """A new file with these bytes, on the disk."""
    descriptor = os.open(part, _FLAGS | os.O_TRUNC, _MODE)
    try:
        write_all(descriptor, data, 0)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def copy_synced(source: int, start: int, size_bytes: int, part: Path) -> tuple[Digest, bytes]:
    """A new file with a piece of an open one, on the disk; its digest, and its first bytes.

    One pass through one small buffer: what is hashed is what is written, whatever the source does meanwhile.
    """
    hasher = hashlib.sha256()
    buffer = memoryview(bytearray(min(limits.CHUNK_BYTES, max(size_bytes, 1))))
    front = b""
    descriptor = os.open(part, _FLAGS | os.O_TRUNC, _MODE)
    try:
        at = 0
        while at < size_bytes:
            count = os.preadv(source, [buffer[: size_bytes - at]], start + at)
            if not count:
                raise OSError(0, f"the source ends at {at} of {size_bytes} bytes")
            piece = buffer[:count]
            hasher.update(piece)
            write_all(descriptor, piece, at)
            if at == 0:
                front = bytes(piece[:HEAD_BYTES_MAX])
            at += count
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    return Digest(hasher.hexdigest()), front


def rename_synced(part: Path, target: Path) -> None:
    """Give a synced file its name, so that the name outlives a power cut as well."""
    part.replace(target)
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def digest_of(path: Path) -> str:
    """The sha256 of a file; empty where it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return ""


def write_all(descriptor: int, data: bytes | memoryview, at: int) -> None:
    """A short write is an error: the kernel's reason comes with the next one."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written
