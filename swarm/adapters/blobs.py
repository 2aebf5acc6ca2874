"""Files by their sha256 in one private directory: agent files, and the large payloads of runs.

    <digest>            whole: verified, synced, and its name synced, before anybody is told that it is there
    <digest>.copy       whole too, fetched for a step that ran here; the first to go where room is short
    <digest>[.WHO].part on its way in; what was received is kept, so that the next try goes on where it broke

What is whole was verified on its way in, and is verified once more when it is first asked for in the life of
this process: a file that is not what its name says is as good as none. The directory is bounded in bytes:
room is taken before the first byte arrives. What was put here to stay is never thrown away for room; the
coordinator says when nobody needs it any more.

What touches the disk runs in threads; the index of what is here belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from swarm import limits
from swarm.adapters.blobparts import FileIncoming, copy_synced, digest_of, rename_synced, write_synced
from swarm.errors import NotFound, OverLimit, StoreFull
from swarm.ids import Digest

COPY: Final = ".copy"
PART: Final = ".part"
PART_LIFE_S: Final = 24 * 3600.0  # then nobody comes back for the rest
_DIGEST_CHARS: Final = 64
_HEX: Final = frozenset("0123456789abcdef")


@dataclass(slots=True)
class _Blob:
    """One whole file."""

    size: int
    kept: bool  # put here to stay; the others are copies
    used_s: float  # when somebody last asked for it, by the clock that never jumps
    verified: bool = True
    readers: int = 0


def is_digest(text: str) -> bool:
    """Whether this could be a sha256, and so a file name that means no other place."""
    return len(text) == _DIGEST_CHARS and _HEX.issuperset(text)


class FileBlobs:
    """See the head of this module."""

    def __init__(self, directory: Path, bytes_max: int = limits.BLOBS_BYTES_MAX) -> None:
        self.changed: Callable[[Digest], None] = lambda _: None
        self._directory = directory
        self._bytes_max = bytes_max
        self._blobs: dict[Digest, _Blob] = {}
        self._coming: dict[str, int] = {}  # parts that somebody writes, and the room each has taken
        self._broken: dict[str, int] = {}  # parts that wait for somebody to go on, the oldest first
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._index()

    def _index(self) -> None:
        """What an earlier life of this node left. It counts as used just now: how long ago it was, no clock
        that never jumps can tell.
        """
        now_s, oldest_s = time.monotonic(), time.time() - PART_LIFE_S
        for entry in sorted(os.scandir(self._directory), key=lambda entry: entry.stat().st_mtime):
            status, digest = entry.stat(), Digest(entry.name.removesuffix(COPY))
            if is_digest(digest):
                kept = entry.name == digest
                if kept or digest not in self._blobs:
                    self._blobs[digest] = _Blob(status.st_size, kept, now_s, verified=False)
            elif entry.name.endswith(PART) and status.st_mtime < oldest_s:
                Path(entry.path).unlink()
            elif entry.name.endswith(PART):
                self._broken[entry.name.removesuffix(PART)] = status.st_size

    # -- whole files ------------------------------------------------------------------------------

    async def put(self, data: bytes) -> Digest:
        """Store durably; a no-op if it is there. Raises `StoreFull`."""
        digest = Digest(hashlib.sha256(data).hexdigest())
        if await self.size(digest) is None or not self._keep(digest):
            part = self._take_room(f"{digest}.{secrets.token_hex(4)}", len(data))
            try:
                await asyncio.to_thread(write_synced, part, data)
                await self._settle(part, digest, len(data), kept=True)
            except OSError as error:
                raise _full(part, error) from error
            finally:
                self._give_room_back(part)
        return digest

    async def get(self, digest: Digest) -> bytes | None:
        """The bytes of a small file, or None."""
        if await self.size(digest) is None:
            return None
        data = b"".join([chunk async for chunk in self.chunks(digest)])
        if hashlib.sha256(data).hexdigest() == digest:
            return data
        self._lose(digest)
        return None

    async def size(self, digest: Digest) -> int | None:
        """How large it is, if it is here and is what its name says."""
        blob = self._blobs.get(digest)
        if blob is None:
            return None
        blob.used_s = time.monotonic()
        if not blob.verified:
            if await asyncio.to_thread(digest_of, self._path(digest)) != digest:
                self._lose(digest)
                return None
            blob.verified = True
        return blob.size

    async def chunks(self, digest: Digest, start: int = 0) -> AsyncIterator[bytes]:
        """Its bytes from `start` on, a chunk at a time. Raises `NotFound`."""
        opened = await self.open(digest)
        with opened as descriptor:
            while start < opened.size_bytes:
                data = await asyncio.to_thread(os.pread, descriptor, limits.CHUNK_BYTES, start)
                if not data:
                    raise NotFound(f"blob {digest[:12]} is shorter than it was", place="blob")
                yield data
                start += len(data)

    async def open(self, digest: Digest) -> Opened:
        """Its file, for as long as the block runs. Raises `NotFound`."""
        if await self.size(digest) is None:
            raise NotFound(f"no blob {digest[:12]} here", place="blob")
        return Opened(self._path(digest), self._blobs[digest])

    async def drop(self, digest: Digest) -> None:
        """Nobody needs it any more. One that is being read stays until it is to be dropped again."""
        blob = self._blobs.get(digest)
        if blob is not None and not blob.readers:
            self._lose(digest)

    def idle(self, duration_ms: int) -> Sequence[Digest]:
        """What nobody has asked for in that time."""
        until_s = time.monotonic() - duration_ms / 1000
        return [digest for digest, blob in self._blobs.items() if blob.used_s <= until_s]

    def held(self, digests: Iterable[Digest] | None = None) -> Mapping[Digest, bool]:
        names = self._blobs if digests is None else [digest for digest in digests if digest in self._blobs]
        return {digest: self._blobs[digest].kept for digest in names}

    @property
    def used_bytes(self) -> int:
        """What whole files and broken ones take, and what was promised to those on their way in."""
        parts = sum(self._coming.values()) + sum(self._broken.values())
        return sum(blob.size for blob in self._blobs.values()) + parts

    # -- files on their way in ----------------------------------------------------------------------

    async def receive(
        self, digest: Digest, size_bytes: int, *, kept: bool, sender: str = ""
    ) -> FileIncoming | None:
        """Begin to take a file in, where an earlier try of this sender broke off; None if it is here.

        A file that is `kept` stays until nobody needs it; another one is a copy. To a `sender` with a name it
        is not said that the file is here already: he may not know what others have. Raises `StoreFull`.
        """
        if not sender and await self.size(digest) is not None and (not kept or self._keep(digest)):
            return None
        name = f"{digest}.{hashlib.sha256(sender.encode()).hexdigest()[:12]}" if sender else str(digest)
        if name in self._coming:  # somebody sends the same at this moment: whoever is first gives it its name
            name = f"{digest}.{secrets.token_hex(4)}"
        part = self._take_room(name, size_bytes)

        async def settle() -> None:
            await self._settle(part, digest, size_bytes, kept=kept)

        incoming = FileIncoming(part, size_bytes, digest, settle, lambda: self._let_go(name, part))
        try:
            await incoming.open()
        except OSError as error:
            self._coming.pop(name, None)
            raise _full(part, error) from error
        return incoming

    def _let_go(self, name: str, part: Path) -> None:
        """Nobody writes it any more; if it is still there, somebody may go on."""
        self._coming.pop(name, None)
        if part.exists():
            self._broken[name] = part.stat().st_size

    async def take(self, descriptor: int, start: int, size_bytes: int) -> tuple[Digest, bytes]:
        """Store a piece of an open file to stay: its digest and its first bytes. Raises `StoreFull`."""
        part = self._take_room(secrets.token_hex(8), size_bytes)
        try:
            digest, front = await asyncio.to_thread(copy_synced, descriptor, start, size_bytes, part)
            if not self._keep(digest):
                await self._settle(part, digest, size_bytes, kept=True)
        except OSError as error:
            raise _full(part, error) from error
        finally:
            self._give_room_back(part)
        return digest, front

    def _take_room(self, name: str, size_bytes: int) -> Path:
        """A part to write, for which there is room: for it go broken parts, then copies that nobody reads."""
        self._broken.pop(name, None)
        missing = self.used_bytes + size_bytes - self._bytes_max
        while missing > 0 and self._broken:
            oldest = next(iter(self._broken))
            missing -= self._broken.pop(oldest)
            (self._directory / f"{oldest}{PART}").unlink(missing_ok=True)
        copies = [(b.used_s, d) for d, b in self._blobs.items() if not b.kept and not b.readers]
        for _, digest in sorted(copies) if missing > 0 else ():
            if missing > 0:
                missing -= self._blobs[digest].size
                self._lose(digest)
        if missing > 0:
            raise StoreFull(
                f"{size_bytes} bytes do not fit: {self.used_bytes} of {self._bytes_max} bytes are taken",
                place=str(self._directory),
                remedy="wait until older runs are forgotten, or give the node more: `data: {max_mb: ...}`",
            )
        self._coming[name] = size_bytes
        return self._directory / f"{name}{PART}"

    def _give_room_back(self, part: Path) -> None:
        part.unlink(missing_ok=True)
        self._coming.pop(part.name.removesuffix(PART), None)

    async def _settle(self, part: Path, digest: Digest, size_bytes: int, *, kept: bool) -> None:
        """A part is whole, verified and synced: give it its name."""
        known = self._blobs.get(digest)
        if known is None or (kept and not known.kept):
            if known is not None:
                self._lose(digest)
            await asyncio.to_thread(
                rename_synced, part, self._directory / (digest if kept else digest + COPY)
            )
            self._blobs[digest] = _Blob(size_bytes, kept, time.monotonic())
            self.changed(digest)
        else:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    def _keep(self, digest: Digest) -> bool:
        """Whether it is here; if so it stays from now on."""
        blob = self._blobs.get(digest)
        if blob is None:
            return False
        blob.used_s = time.monotonic()
        if not blob.kept:
            rename_synced(self._path(digest), self._directory / digest)
            blob.kept = True
            self.changed(digest)
        return True

    def _lose(self, digest: Digest) -> None:
        path = self._path(digest)
        self._blobs.pop(digest, None)
        path.unlink(missing_ok=True)
        self.changed(digest)

    def _path(self, digest: Digest) -> Path:
        blob = self._blobs.get(digest)
        return self._directory / (digest if blob is None or blob.kept else digest + COPY)


def _full(part: Path, error: OSError) -> OverLimit:
    part.unlink(missing_ok=True)
    return OverLimit(
        f"the blob store takes nothing: {error.strerror or error}",
        place=str(part.parent),
        remedy="make room on the disk of this node",
    )


class Opened:
    """A blob that is being read: it is not thrown away meanwhile, and its file would outlive that anyway."""

    def __init__(self, path: Path, blob: _Blob) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise NotFound(f"the blob is gone: {error.strerror}", place=path.name[:12]) from error
        self.size_bytes = blob.size
        self._blob = blob

    def __enter__(self) -> int:
        self._blob.readers += 1
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        self._blob.readers -= 1
        self._blob.used_s = time.monotonic()
        os.close(self._descriptor)
