from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import structlog

from swarm import limits
from swarm.coordinator import Coordinator
from swarm.errors import NotLeader, Unreachable
from swarm.ids import Digest, NodeId
from swarm.testing.clock import FakeClock, run_virtually
from swarm.testing.links import LINK_MESSAGES_MAX, MemoryLink, MemoryLinks
from swarm.testing.log import MemoryLogGroup
from swarm.wire.messages import AgentSet, Heartbeat, Hello, Peers, RevokedSet, Welcome

C, N = NodeId("c"), NodeId("n")
HELLO = Hello(N, 2, (), (), (), "n:0", "memory")
BEAT = Heartbeat(0.5, 1, draining=False)


@pytest.fixture(autouse=True)
def quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    yield
    structlog.reset_defaults()


def with_link(act: Callable[[MemoryLinks, Coordinator, MemoryLink], Awaitable[None]]) -> None:
    """One coordinator that leads, one open link to it; a message takes 10 ms."""

    async def main() -> None:
        clock = FakeClock()
        group, links = MemoryLogGroup([C]), MemoryLinks(clock, delay_ms=10)
        coordinator = Coordinator(C, group.replica(C), clock, str)
        await coordinator.start()
        links.listen(coordinator)
        with pytest.raises(NotLeader):
            await links.dialer(N).attach(C, HELLO)
        group.elect(C)
        await clock.sleep_ms(1)
        await act(links, coordinator, await links.dialer(N).attach(C, HELLO))
        await coordinator.stop()
        await links.stop()

    run_virtually(main())


async def next_of(link: MemoryLink) -> object:
    return await anext(link.received())


def test_messages_arrive_in_order_and_in_time():
    async def act(links, coordinator, link):
        said = []
        began = links.clock.monotonic_ms()
        async for message in link.received():
            said.append((type(message), links.clock.monotonic_ms() - began))
            if len(said) == 4:
                break
        assert said == [(Welcome, 10), (RevokedSet, 10), (AgentSet, 10), (Peers, 10)]
        await link.send(BEAT)
        assert coordinator.roster.links[N].status.load == 0.0
        await links.clock.sleep_ms(11)
        assert coordinator.roster.links[N].status.load == 0.5

    with_link(act)


def test_both_ends_learn_that_a_link_was_cut():
    async def act(links, coordinator, link):
        links.cut(N)
        assert coordinator.roster.links == {}
        with pytest.raises(Unreachable, match="cut"):
            await next_of(link)
        with pytest.raises(Unreachable, match="cut"):
            await link.send(BEAT)
        await links.dialer(N).attach(C, HELLO)
        assert set(coordinator.roster.links) == {N}

    with_link(act)


def test_a_reader_that_waits_is_woken_when_the_link_ends():
    async def act(links, coordinator, link):
        for _ in range(4):
            await next_of(link)
        waiting = asyncio.create_task(next_of(link))
        await links.clock.sleep_ms(5)
        coordinator.roster.links[N].cut("enough")
        with pytest.raises(Unreachable, match="enough"):
            await waiting

    with_link(act)


def test_what_is_on_its_way_when_a_link_ends_is_lost():
    async def act(links, coordinator, link):
        node_link = coordinator.roster.links[N]
        await link.send(BEAT)
        await links.clock.sleep_ms(5)
        await link.close()
        await links.clock.sleep_ms(50)
        assert node_link.status.load == 0.0

    with_link(act)


def test_parted_machines_cannot_reach_each_other_until_healed():
    async def act(links, coordinator, link):
        links.part(N, C)
        assert coordinator.roster.links == {}
        with pytest.raises(Unreachable, match="did not answer"):
            await links.dialer(N).attach(C, HELLO)
        links.heal()
        await links.dialer(N).attach(C, HELLO)

    with_link(act)


def test_a_mute_link_looks_whole_and_carries_nothing():
    async def act(links, coordinator, link):
        for _ in range(3):
            await next_of(link)
        links.mute(N, C)
        await link.send(BEAT)
        coordinator.roster.links[N].host((Digest("a" * 64),))
        await links.clock.sleep_ms(1_000)
        assert coordinator.roster.links[N].status.load == 0.0
        await links.clock.sleep_ms(limits.NODE_SILENCE_MS_MAX)
        assert coordinator.roster.links == {}  # it has noticed, and the node has not
        links.heal()
        with pytest.raises(Unreachable, match="is lost"):
            await next_of(link)

    with_link(act)


def test_a_coordinator_that_is_gone_answers_nobody():
    async def act(links, coordinator, link):
        links.leave(C)
        with pytest.raises(Unreachable):
            await next_of(link)
        with pytest.raises(Unreachable, match="nobody answers"):
            await links.dialer(N).attach(C, HELLO)

    with_link(act)


def test_a_node_that_does_not_read_is_cut_off():
    async def act(links, coordinator, link):
        node_link = coordinator.roster.links[N]
        for _ in range(LINK_MESSAGES_MAX):
            node_link.send(AgentSet(()))
        assert coordinator.roster.links == {}
        with pytest.raises(Unreachable, match="does not read"):
            await next_of(link)

    with_link(act)


def test_a_node_that_writes_faster_than_it_is_read_has_to_wait():
    async def act(links, coordinator, link):
        began = links.clock.monotonic_ms()
        for _ in range(LINK_MESSAGES_MAX + 2):
            await link.send(BEAT)
        assert links.clock.monotonic_ms() - began == 10

    with_link(act)


def test_a_node_waits_where_its_coordinator_has_not_read_what_it_sent():
    async def act(links, coordinator, link):
        for _ in range(LINK_MESSAGES_MAX):
            await link.send(BEAT)
        gives_up, waits = (asyncio.create_task(link.send(BEAT)) for _ in range(2))
        await links.clock.sleep_ms(5)
        assert not waits.done()
        gives_up.cancel()
        await links.clock.sleep_ms(20)
        await waits
        assert gives_up.cancelled()

    with_link(act)


def test_a_node_that_waits_to_be_read_learns_that_the_link_ended():
    async def act(links, coordinator, link):
        for _ in range(LINK_MESSAGES_MAX):
            await link.send(BEAT)
        waits = asyncio.create_task(link.send(BEAT))
        await links.clock.sleep_ms(5)
        links.cut(N)
        with pytest.raises(Unreachable, match="cut"):
            await waits

    with_link(act)
