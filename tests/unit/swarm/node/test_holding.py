"""What a node's store holds is told to the leader, and copies are made on its order."""

from __future__ import annotations

import asyncio
from hashlib import sha256

from swarm import limits
from swarm.ids import Digest, NodeId
from swarm.node import Data
from swarm.node.holding import Holding
from swarm.tasks import Tasks
from swarm.testing.clock import FakeClock, run_virtually
from swarm.testing.disk import MemoryBlobPeers, MemoryBlobs
from swarm.testing.links import MemoryLinks
from swarm.wire.messages import BlobCopied, CopyBlob, HeldBlobs

N1, N2, N3 = (NodeId(f"n{number}") for number in (1, 2, 3))


def name_of(data: bytes) -> Digest:
    return Digest(sha256(data).hexdigest())


class Uplink:
    """What was said to a leader."""

    def __init__(self) -> None:
        self.said: list[object] = []

    async def send(self, message: object) -> None:
        self.said.append(message)


class World:
    """A node that tells what it holds, and two others with a store each; n3 is dead."""

    def __init__(self) -> None:
        links = MemoryLinks(FakeClock())
        self.stores = {node: MemoryBlobs() for node in (N1, N2, N3)}
        peers = MemoryBlobPeers(N1, links, self.stores, lambda name: name != N3)
        self.tasks = Tasks()
        data = Data(N1, self.stores[N1], peers, links.clock, [N1, N2, N3])
        self.holding = Holding(self.stores[N1], data, links.clock, self.tasks)
        self.uplink = Uplink()

    async def attach(self) -> asyncio.Task[None]:
        self.uplink.said.clear()
        task = asyncio.create_task(self.holding.tell_forever(self.uplink))  # type: ignore[arg-type]
        await asyncio.sleep(1)
        return task


def test_a_link_begins_with_everything_and_goes_on_with_what_changes():
    async def main() -> None:
        world = World()
        store = world.stores[N1]
        first = await store.put(b"first")
        task = await world.attach()
        assert world.uplink.said == [HeldBlobs((first,))]
        second = await store.put(b"second")
        store.keep(name_of(b"third"), b"third", kept=False)
        await store.drop(first)
        await asyncio.sleep(1)
        assert world.uplink.said[1:] == [HeldBlobs((second,), (name_of(b"third"),), (first,))]
        await store.put(b"third")
        await asyncio.sleep(1)
        assert world.uplink.said[2:] == [HeldBlobs((name_of(b"third"),))]
        task.cancel()
        await store.put(b"fourth")
        task = await world.attach()
        assert world.uplink.said == [HeldBlobs(tuple(store.files))]
        task.cancel()

    run_virtually(main())


def test_a_full_store_is_told_in_parts(monkeypatch):
    monkeypatch.setattr(limits, "BLOB_SWEEP_ITEMS_MAX", 2)

    async def main() -> None:
        world = World()
        for number in range(5):
            await world.stores[N1].put(bytes([number]))
        task = await world.attach()
        assert [len(message.kept) for message in world.uplink.said] == [2, 2, 1]  # type: ignore[attr-defined]
        task.cancel()

    run_virtually(main())


def test_a_copy_is_made_as_ordered_and_what_became_of_it_is_told():
    async def main() -> None:
        world = World()
        digest = await world.stores[N1].put(b"data")
        task = await world.attach()
        for target in (N2, N3):
            world.holding.copy(CopyBlob(digest, target))
            await asyncio.sleep(1)
        world.holding.copy(CopyBlob(name_of(b"never seen"), N2))
        await asyncio.sleep(1)
        assert world.stores[N2].held() == {digest: True}
        done, unreachable, missing = world.uplink.said[1:]
        assert done == BlobCopied(digest, N2)
        for failed, said in ((unreachable, "did not answer"), (missing, "gone")):
            assert isinstance(failed, BlobCopied)
            assert said in str(failed.error)
        task.cancel()
        await world.tasks.stop()

    run_virtually(main())
