"""What a node keeps, without a disk: files by digest, the journal, and how busy its machine is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from swarm.errors import NotFound, TooLarge, Unreachable
from swarm.ids import Digest, NodeId, StepKey
from swarm.limits import AGENT_FILE_BYTES_MAX
from swarm.testing.links import MemoryLinks
from swarm.wire.messages import Outcome


class MemoryBlobs:
    """Files by their sha256. `files` is open, so that a test can lose or damage one."""

    def __init__(self) -> None:
        self.files: dict[Digest, bytes] = {}

    async def put(self, data: bytes) -> Digest:
        digest = Digest(hashlib.sha256(data).hexdigest())
        self.files[digest] = data
        return digest

    async def get(self, digest: Digest) -> bytes | None:
        data = self.files.get(digest)
        return data if data is not None and hashlib.sha256(data).hexdigest() == digest else None


class MemoryBlobPeers:
    """The other nodes' files, as one node reaches them."""

    def __init__(self, node: NodeId, links: MemoryLinks, stores: Mapping[NodeId, MemoryBlobs]) -> None:
        self._node = node
        self._links = links
        self._stores = stores

    async def push(self, node: NodeId, data: bytes) -> None:
        if len(data) > AGENT_FILE_BYTES_MAX:
            raise TooLarge(f"a file of {len(data)} bytes, at most {AGENT_FILE_BYTES_MAX}", place=node)
        await (await self._reach(node)).put(data)

    async def pull(self, node: NodeId, digest: Digest) -> bytes:
        data = await (await self._reach(node)).get(digest)
        if data is None:
            raise NotFound(f"{node} has no file {digest[:12]}", place=node)
        return data

    async def _reach(self, node: NodeId) -> MemoryBlobs:
        await self._links.clock.sleep_ms(2 * self._links.delay_ms)
        if node not in self._stores or not self._links.reachable(self._node, node):
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
