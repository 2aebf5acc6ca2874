from __future__ import annotations

import pytest

from swarm.errors import NotFound, TooLarge, Unreachable
from swarm.ids import Digest, NodeId
from swarm.limits import AGENT_FILE_BYTES_MAX
from swarm.testing.clock import FakeClock, run_virtually
from swarm.testing.disk import MemoryBlobPeers, MemoryBlobs, MemoryJournal, MemoryMachine
from swarm.testing.links import MemoryLinks

A, B = NodeId("a"), NodeId("b")


def test_a_file_is_known_by_its_content():
    async def main() -> None:
        blobs = MemoryBlobs()
        digest = await blobs.put(b"content")
        assert await blobs.get(digest) == b"content"
        assert await blobs.get(Digest("0" * 64)) is None
        blobs.files[digest] = b"damaged"
        assert await blobs.get(digest) is None

    run_virtually(main())


def test_files_go_to_and_come_from_other_nodes():
    async def main() -> None:
        links = MemoryLinks(FakeClock(), delay_ms=5)
        stores = {A: MemoryBlobs(), B: MemoryBlobs()}
        peers = MemoryBlobPeers(A, links, stores)
        await peers.push(B, b"content")
        (digest,) = stores[B].files
        assert await peers.pull(B, digest) == b"content"
        assert links.clock.monotonic_ms() == 20
        with pytest.raises(NotFound):
            await peers.pull(B, Digest("0" * 64))
        with pytest.raises(TooLarge):
            await peers.push(B, bytes(AGENT_FILE_BYTES_MAX + 1))
        with pytest.raises(Unreachable):
            await peers.pull(NodeId("c"), digest)
        links.part(A, B)
        with pytest.raises(Unreachable):
            await peers.push(B, b"content")

    run_virtually(main())


def test_a_journal_keeps_its_lines_and_a_machine_is_as_busy_as_told():
    journal, machine = MemoryJournal(), MemoryMachine(load=0.25)
    journal.append([{"step": 1}, {"step": 2}])
    journal.append([{"step": 3}])
    assert [line["step"] for line in journal.lines] == [1, 2, 3]
    assert machine.load() == 0.25
