"""Large payloads of a node: found with whoever has them, gone on with where a transfer broke, never alone."""

from __future__ import annotations

import asyncio
import os
from hashlib import sha256

import pytest

from swarm import limits
from swarm.errors import DataLost, ProtocolBroken, StoreFull
from swarm.graph import PLAIN, Clearance, Context, Ref
from swarm.ids import Digest, NodeId
from swarm.node import Data
from swarm.node.data import REST_MS
from swarm.testing.clock import FakeClock, run_virtually
from swarm.testing.disk import MemoryBlobPeers, MemoryBlobs
from swarm.testing.links import MemoryLinks
from swarm.wire.messages import Peer

NODES = [NodeId(f"n{number}") for number in range(1, 5)]
BYTES = os.urandom(5 * limits.CHUNK_BYTES + 3)


class World:
    """Four nodes with a store each; `data[node]` is what that node does with large payloads."""

    def __init__(self) -> None:
        self.links = MemoryLinks(FakeClock(), delay_ms=5)
        self.stores = {node: MemoryBlobs() for node in NODES}
        self.dead: set[NodeId] = set()
        self.data = {
            node: Data(
                node,
                self.stores[node],
                MemoryBlobPeers(node, self.links, self.stores, lambda name: name not in self.dead),
                self.links.clock,
                NODES,
            )
            for node in NODES
        }

    async def put(self, *nodes: str) -> Ref:
        for node in nodes:
            await self.stores[NodeId(node)].put(BYTES)
        return Ref("bytes", Digest(sha256(BYTES).hexdigest()), len(BYTES), nodes=tuple(map(NodeId, nodes)))

    def holders(self, ref: Ref) -> list[str]:
        return [node for node, store in self.stores.items() if ref.digest in store.files]


async def whole(data: Data, ref: Ref, start: int = 0) -> bytes:
    return b"".join([chunk async for chunk in data.read(ref, start)])


def test_a_payload_is_fetched_once_however_many_wait_for_it() -> None:
    async def main() -> None:
        world = World()
        ref = await world.put("n2")
        await asyncio.gather(*(world.data[NODES[0]].fetch(ref) for _ in range(5)))
        assert world.stores[NODES[0]].files[ref.digest] == BYTES
        assert ref.digest in world.stores[NODES[0]].copies
        assert world.links.clock.monotonic_ms() < 150  # one transfer: each chunk takes 10 ms

    run_virtually(main())


def test_a_holder_that_dies_in_the_middle_is_followed_by_another_which_sends_only_the_rest() -> None:
    async def main() -> None:
        world = World()
        ref = await world.put("n2", "n3")
        fetch = asyncio.create_task(world.data[NODES[0]].fetch(ref))
        await world.links.clock.sleep_ms(35)
        world.dead.add(NodeId("n2"))
        before_ms = world.links.clock.monotonic_ms()
        await fetch
        assert world.stores[NODES[0]].files[ref.digest] == BYTES
        assert world.links.clock.monotonic_ms() - before_ms < 70

    run_virtually(main())


def test_who_holds_it_is_found_where_the_reference_does_not_know() -> None:
    async def main() -> None:
        world = World()
        ref = await world.put("n4")
        await world.data[NODES[0]].fetch(Ref("bytes", ref.digest, ref.size_bytes, nodes=(NODES[1],)))
        assert world.holders(ref) == ["n1", "n4"]

    run_virtually(main())


def test_a_node_that_comes_back_in_time_is_waited_for_and_one_that_does_not_is_named() -> None:
    async def main() -> None:
        world = World()
        ref = await world.put("n2")
        world.dead.add(NodeId("n2"))
        fetch = asyncio.create_task(world.data[NODES[0]].fetch(ref))
        await world.links.clock.sleep_ms(limits.FETCH_MS_MAX / 2)
        world.dead.clear()
        await fetch
        await world.stores[NODES[0]].drop(ref.digest)
        world.dead.add(NodeId("n2"))
        with pytest.raises(DataLost, match="n2") as caught:
            await world.data[NODES[0]].fetch(ref)
        assert caught.value.remedy
        with pytest.raises(DataLost):
            await whole(world.data[NODES[0]], ref)

    run_virtually(main())


def test_what_is_not_what_its_digest_says_is_not_taken() -> None:
    async def main() -> None:
        world = World()
        ref = await world.put("n2", "n3")
        store = world.stores[NodeId("n2")]
        honest = store.chunks

        async def lying(digest, start=0):
            async for data in honest(digest, start):
                yield data[:-1] + b"!"

        store.chunks = lying  # type: ignore[method-assign]
        await world.data[NODES[0]].fetch(ref)
        assert world.stores[NODES[0]].files[ref.digest] == BYTES

    run_virtually(main())


def test_a_node_without_room_says_so() -> None:
    async def main() -> None:
        world = World()
        ref = await world.put("n2")
        world.stores[NODES[0]].bytes_max = 10
        with pytest.raises(StoreFull):
            await world.data[NODES[0]].fetch(ref)
        assert await whole(world.data[NODES[0]], ref, 7) == BYTES[7:]  # what passes through needs none

    run_virtually(main())


def test_what_passes_through_goes_on_at_another_holder() -> None:
    async def main() -> None:
        world = World()
        ref = await world.put("n2", "n3")
        found = b""
        async for data in world.data[NODES[0]].read(ref):
            found += data
            world.dead.add(NodeId("n2"))
        assert found == BYTES
        assert world.holders(ref) == ["n2", "n3"]

    run_virtually(main())


def test_a_second_node_keeps_what_one_made_and_the_choice_is_spread() -> None:
    async def main() -> None:
        world = World()
        second: set[str] = set()
        for number in range(40):
            data = BYTES[:100] + bytes([number])
            digest = await world.stores[NODES[0]].put(data)
            nodes = await world.data[NODES[0]].spread([digest], PLAIN)
            assert nodes[0] == "n1"
            assert len(nodes) == limits.BLOB_COPIES
            assert world.stores[nodes[1]].files[digest] == data
            assert digest not in world.stores[nodes[1]].copies
            second.add(nodes[1])
        assert second == {"n2", "n3", "n4"}

    run_virtually(main())


def test_a_node_that_cannot_take_a_copy_is_passed_over_and_when_nobody_can_the_answer_says_so() -> None:
    async def main() -> None:
        world = World()
        ref = await world.put("n1")
        data = world.data[NODES[0]]
        world.dead = {NodeId("n2"), NodeId("n4")}
        assert await data.spread([ref.digest], PLAIN) == ("n1", "n3")
        other = await world.stores[NODES[0]].put(b"other")
        world.dead.add(NodeId("n3"))
        before_ms = world.links.clock.monotonic_ms()
        assert await data.spread([other], PLAIN) == ("n1",)
        assert world.links.clock.monotonic_ms() - before_ms >= limits.COPY_MS_MAX
        assert world.links.clock.monotonic_ms() - before_ms < limits.COPY_MS_MAX + 4 * REST_MS

    run_virtually(main())


def test_a_node_alone_holds_it_alone_and_does_not_wait() -> None:
    async def main() -> None:
        world = World()
        ref = await world.put("n1")
        data = world.data[NODES[0]]
        data.introduce([Peer(NODES[0], "n1:0")])
        assert await data.spread([ref.digest], PLAIN) == ("n1",)
        assert world.links.clock.monotonic_ms() == 0

    run_virtually(main())


def test_what_an_agent_gives_back_as_it_was_given_is_not_sent_again() -> None:
    async def main() -> None:
        world = World()
        ref = await world.put("n2", "n3")
        await world.data[NODES[0]].fetch(ref)
        before_ms = world.links.clock.monotonic_ms()
        assert await world.data[NODES[0]].spread([ref.digest], PLAIN) == ("n2", "n3")
        assert world.links.clock.monotonic_ms() == before_ms

    run_virtually(main())


def test_a_store_that_breaks_the_protocol_is_no_holder() -> None:
    async def main() -> None:
        world = World()
        ref = await world.put("n2")

        async def refuse(*_: object, **__: object) -> None:
            raise ProtocolBroken("not today")

        world.stores[NodeId("n3")].receive = refuse  # type: ignore[method-assign,assignment]
        world.stores[NodeId("n4")].receive = refuse  # type: ignore[method-assign,assignment]
        assert await world.data[NodeId("n2")].spread([ref.digest], PLAIN) == ("n2", "n1")

    run_virtually(main())


def test_a_copy_goes_only_to_who_is_cleared_for_its_context() -> None:
    async def main() -> None:
        world = World()
        ref = await world.put("n1")
        data = world.data[NODES[0]]
        secret, low = Context(level=3, tenant="acme"), Clearance(level=2)
        data.introduce(
            [
                Peer(NODES[0], "n1:0"),
                Peer(NODES[1], "n2:0", low),
                Peer(NODES[2], "n3:0", Clearance(tenants=frozenset({"other"}))),
                Peer(NODES[3], "n4:0", Clearance(tenants=frozenset({"acme"}))),
            ]
        )
        assert await data.spread([ref.digest], secret) == ("n1", "n4")
        data.introduce([Peer(NODES[0], "n1:0"), Peer(NODES[1], "n2:0", low)])
        other = await world.stores[NODES[0]].put(b"other")
        assert await data.spread([other], secret) == ("n1",)
        assert world.holders(Ref("bytes", other, 5)) == ["n1"]

    run_virtually(main())


def test_what_is_of_no_known_context_goes_to_coordinators_or_who_may_keep_everything() -> None:
    async def main() -> None:
        world = World()
        ref = await world.put("n1")
        peers = MemoryBlobPeers(NODES[0], world.links, world.stores)
        data = Data(NODES[0], world.stores[NODES[0]], peers, world.links.clock, NODES[1:2])
        low = Clearance(level=2)
        data.introduce([Peer(node, "", low) for node in NODES])
        assert await data.spread([ref.digest], None) == ("n1", "n2")

    run_virtually(main())


def test_holders_that_are_gone_do_not_count_when_an_agent_gives_back_what_it_was_given() -> None:
    async def main() -> None:
        world = World()
        ref = await world.put("n2", "n3")
        data = world.data[NODES[0]]
        await data.fetch(ref)
        data.introduce([Peer(NODES[0], "n1:0"), Peer(NODES[1], "n2:0"), Peer(NODES[3], "n4:0")])
        world.dead.add(NodeId("n3"))
        first, second = await data.spread([ref.digest], PLAIN)
        assert (first, second in ("n2", "n4")) == ("n1", True)

    run_virtually(main())
