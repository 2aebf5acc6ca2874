from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest

from swarm.errors import NotFound, ProtocolBroken, StoreFull, Unreachable
from swarm.ids import Digest, NodeId
from swarm.limits import CHUNK_BYTES
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
        digest = await stores[A].put(b"content")
        await peers.push(B, [digest])
        assert await stores[B].get(digest) == b"content"
        assert links.clock.monotonic_ms() == 20
        await stores[A].drop(digest)
        assert [data async for data in peers.read(B, digest, 3)] == [b"tent"]
        await peers.pull(B, digest)
        assert await stores[A].get(digest) == b"content"
        with pytest.raises(NotFound):
            await peers.pull(B, Digest("0" * 64))
        with pytest.raises(Unreachable):
            await peers.pull(NodeId("c"), digest)
        links.part(A, B)
        with pytest.raises(Unreachable):
            await peers.push(B, [digest])

    run_virtually(main())


def test_a_link_that_breaks_in_the_middle_of_a_file_costs_only_the_rest_of_it() -> None:
    async def main() -> None:
        links = MemoryLinks(FakeClock(), delay_ms=5)
        stores = {A: MemoryBlobs(), B: MemoryBlobs()}
        peers = MemoryBlobPeers(A, links, stores)
        digest = await stores[B].put(bytes(5 * CHUNK_BYTES))
        pull = asyncio.create_task(peers.pull(B, digest))
        await links.clock.sleep_ms(35)
        links.part(A, B)
        with pytest.raises(Unreachable):
            await pull
        assert len(stores[A].parts[digest, ""]) == 2 * CHUNK_BYTES
        links.heal()
        await peers.pull(B, digest)
        assert await stores[A].size(digest) == 5 * CHUNK_BYTES

    run_virtually(main())


def test_a_store_in_memory_has_a_bound_copies_and_verified_contents() -> None:
    async def main() -> None:
        blobs = MemoryBlobs(bytes_max=10)
        kept, copy = await blobs.put(b"kept"), Digest(sha256(b"copy").hexdigest())
        for data, error in ((b"cop", None), (b"!", ProtocolBroken), (b"copy", None)):
            incoming = await blobs.receive(copy, 4, kept=False)
            assert incoming is not None
            await incoming.write(data[incoming.at :])
            if error is not None:
                with pytest.raises(error):
                    await incoming.done()
            elif len(data) == 4:
                await incoming.done()
            incoming.close()
        assert await blobs.size(copy) == 4
        await blobs.put(b"123456")
        assert await blobs.size(copy) is None
        assert await blobs.size(kept) == 4
        with pytest.raises(StoreFull):
            await blobs.put(b"7")

    run_virtually(main())


def test_a_journal_keeps_its_lines_and_a_machine_is_as_busy_as_told():
    journal, machine = MemoryJournal(), MemoryMachine(load=0.25)
    journal.append([{"step": 1}, {"step": 2}])
    journal.append([{"step": 3}])
    assert [line["step"] for line in journal.lines] == [1, 2, 3]
    assert machine.load() == 0.25
