"""What a node keeps, without a disk: files by digest, the journal, and how busy its machine is."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

from swarm import limits
from swarm.errors import NotFound, ProtocolBroken, StoreFull, Unreachable
from swarm.ids import Digest, NodeId, StepKey
from swarm.testing.links import MemoryLinks
from swarm.wire.messages import Outcome


class MemoryBlobs:
    """Files by their sha256. `files` is open, so that a test can lose or damage one."""

    def __init__(self, bytes_max: int = limits.BLOBS_BYTES_MAX) -> None:
        self.changed: Callable[[Digest], None] = lambda _: None
        self.files: dict[Digest, bytes] = {}
        self.parts: dict[tuple[Digest, str], bytes] = {}
        self.copies: set[Digest] = set()
        self.bytes_max = bytes_max
        self.now_ms: Callable[[], int] = lambda: 0  # the clock that says what is idle
        self._used_ms: dict[Digest, int] = {}

    async def put(self, data: bytes) -> Digest:
        digest = Digest(hashlib.sha256(data).hexdigest())
        self._make_room(0 if digest in self.files else len(data))
        self.keep(digest, data, kept=True)
        return digest

    async def get(self, digest: Digest) -> bytes | None:
        data = self.files.get(digest)
        self._used_ms[digest] = self.now_ms()
        return data if data is not None and hashlib.sha256(data).hexdigest() == digest else None

    async def size(self, digest: Digest) -> int | None:
        data = await self.get(digest)
        return None if data is None else len(data)

    async def chunks(self, digest: Digest, start: int = 0) -> AsyncIterator[bytes]:
        data = await self.get(digest)
        if data is None:
            raise NotFound(f"no blob {digest[:12]} here", place="blob")
        for at in range(start, len(data), limits.CHUNK_BYTES):
            yield data[at : at + limits.CHUNK_BYTES]

    async def receive(
        self, digest: Digest, size_bytes: int, *, kept: bool, sender: str = ""
    ) -> MemoryIncoming | None:
        if not sender and (data := await self.get(digest)) is not None:
            self.keep(digest, data, kept=kept)
            return None
        self._make_room(size_bytes)
        return MemoryIncoming(self, digest, size_bytes, sender, kept=kept)

    async def drop(self, digest: Digest) -> None:
        self.files.pop(digest, None)
        self.changed(digest)

    def held(self, digests: Iterable[Digest] | None = None) -> Mapping[Digest, bool]:
        names = self.files if digests is None else [digest for digest in digests if digest in self.files]
        return {digest: digest not in self.copies for digest in names}

    def idle(self, duration_ms: int) -> Sequence[Digest]:
        until_ms = self.now_ms() - duration_ms
        return [digest for digest in self.files if self._used_ms.get(digest, 0) <= until_ms]

    def keep(self, digest: Digest, data: bytes, *, kept: bool) -> None:
        """It is here from now on; one that was to stay stays."""
        if kept:
            self.copies.discard(digest)
        elif digest not in self.files:
            self.copies.add(digest)
        self.files[digest] = data
        self._used_ms[digest] = self.now_ms()
        self.changed(digest)

    def _make_room(self, size_bytes: int) -> None:
        missing = sum(map(len, self.files.values())) + size_bytes - self.bytes_max
        for digest in sorted(self.copies) if missing > 0 else ():
            if missing > 0:
                missing -= len(self.files.pop(digest, b""))
                self.copies.discard(digest)
                self.changed(digest)
        if missing > 0:
            raise StoreFull(f"{size_bytes} bytes do not fit", place="memory", remedy="give it more")


class MemoryIncoming:
    """A file on its way into a `MemoryBlobs`."""

    def __init__(
        self, blobs: MemoryBlobs, digest: Digest, size_bytes: int, sender: str, *, kept: bool
    ) -> None:
        self._blobs = blobs
        self._name = digest, sender
        self._size = size_bytes
        self._kept = kept
        self._data = bytearray(blobs.parts.pop(self._name, b"")[:size_bytes])
        self._over = False
        self.at = len(self._data)

    async def write(self, data: bytes) -> None:
        if self.at + len(data) > self._size:
            raise ProtocolBroken(f"more than the {self._size} bytes announced", place="blob")
        self._data += data
        self.at = len(self._data)

    async def done(self) -> None:
        digest, data = self._name[0], bytes(self._data)
        if self.at != self._size:
            raise ProtocolBroken(f"{self.at} of the {self._size} bytes announced", place="blob")
        self._over = True
        if hashlib.sha256(data).hexdigest() != digest:
            raise ProtocolBroken("the content does not match its sha256", place="blob")
        self._blobs.keep(digest, data, kept=self._kept)

    def close(self) -> None:
        if not self._over:
            self._blobs.parts[self._name] = bytes(self._data)


class MemoryBlobPeers:
    """The other nodes' files, as one node reaches them; each chunk takes its way over the links."""

    def __init__(
        self,
        node: NodeId,
        links: MemoryLinks,
        stores: Mapping[NodeId, MemoryBlobs],
        alive: Callable[[NodeId], bool] = lambda _: True,
    ) -> None:
        self._node = node
        self._links = links
        self._stores = stores
        self._alive = alive

    async def push(self, node: NodeId, digests: Sequence[Digest]) -> None:
        own, other = self._stores[self._node], await self._reach(node)
        for digest in digests:
            size = await own.size(digest)
            if size is None:
                raise NotFound("a file that was to be copied is gone", place="blob")
            await self._copy(own, other, node, digest, size, kept=True)

    async def pull(self, node: NodeId, digest: Digest, size_bytes: int | None = None) -> None:
        own, other = self._stores[self._node], await self._reach(node)
        size = await other.size(digest)
        if size is None:
            raise NotFound(f"{node} has no file {digest[:12]}", place=node)
        await self._copy(other, own, node, digest, size_bytes or size, kept=False)

    async def read(self, node: NodeId, digest: Digest, start: int = 0) -> AsyncIterator[bytes]:
        async for data in (await self._reach(node)).chunks(digest, start):
            await self._reach(node)
            yield data

    def introduce(self, addresses: Mapping[NodeId, str]) -> None:
        """In memory everybody can be found."""

    async def _copy(
        self, source: MemoryBlobs, target: MemoryBlobs, node: NodeId, digest: Digest, size: int, *, kept: bool
    ) -> None:
        incoming = await target.receive(digest, size, kept=kept)
        if incoming is None:
            return
        try:
            async for data in source.chunks(digest, incoming.at):
                await self._reach(node)
                await incoming.write(data)
            await incoming.done()
        finally:
            incoming.close()

    async def _reach(self, node: NodeId) -> MemoryBlobs:
        await self._links.clock.sleep_ms(2 * self._links.delay_ms)
        if node not in self._stores or not self._alive(node) or not self._links.reachable(self._node, node):
            raise Unreachable(f"{node} did not answer", place=node)
        return self._stores[node]


class MemoryJournal:
    """One line for each attempt a node started."""

    def __init__(self) -> None:
        self.lines: list[Mapping[str, object]] = []

    def append(self, lines: Sequence[Mapping[str, object]]) -> None:
        self.lines += lines


class MemoryOutcomes:
    """Outcomes without a receipt, as they outlive a node."""

    def __init__(self) -> None:
        self.open: dict[StepKey, Outcome] = {}

    def open_outcomes(self) -> Sequence[Outcome]:
        return tuple(self.open.values())

    def keep(self, outcomes: Sequence[Outcome]) -> None:
        self.open.update((outcome.key, outcome) for outcome in outcomes)

    def forget(self, keys: Sequence[StepKey]) -> None:
        for key in keys:
            self.open.pop(key, None)


class MemoryMachine:
    """A machine as busy as a test says."""

    def __init__(self, load: float = 0.0) -> None:
        self.busy = load

    def load(self) -> float:
        return self.busy

    def memory_mb(self) -> int:
        return 4_096

    def cpu_cores(self) -> float:
        return 4.0
