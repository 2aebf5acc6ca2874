"""The link inside one process behaves as one over the wire does: attach, work, cut, close."""

import asyncio

import pytest

from swarm import limits
from swarm.adapters.inside import InsideDialer
from swarm.errors import NotLeader, Unreachable
from swarm.ids import NodeId
from swarm.wire.messages import Heartbeat, Hello, Pulse, Welcome

HERE, ELSEWHERE = NodeId("n1"), NodeId("n2")


def hello():
    return Hello(HERE, 4, (), (), (), "here:1", "root")


class Roster:
    """What a link asks of the coordinator."""

    def __init__(self, *, leads=True):
        self.leads = leads
        self.downlink = None
        self.heard = []
        self.detached = []

    def attach(self, hello, downlink):
        if not self.leads:
            raise NotLeader("n3")
        self.downlink = downlink
        downlink.send(Welcome(7))
        return f"link of {hello.node}"

    def receive(self, link, message):
        self.heard.append((link, message))
        self.downlink.send(Pulse())

    def detach(self, link):
        self.detached.append(link)


class Coordinator:
    node = HERE

    def __init__(self, **options):
        self.roster = Roster(**options)


class Others:
    async def attach(self, coordinator, hello):
        return f"{hello.node} to {coordinator}"


def run(scenario, **options):
    coordinator = Coordinator(**options)
    asyncio.run(asyncio.wait_for(scenario(InsideDialer(HERE, coordinator, Others()), coordinator.roster), 10))


def test_what_either_end_says_the_other_hears_in_order():
    async def scenario(dialer, roster):
        link = await dialer.attach(HERE, hello())
        beat = Heartbeat(0.5, 1, draining=False)
        await link.send(beat)
        stream = link.received()
        assert [await anext(stream), await anext(stream)] == [Welcome(7), Pulse()]
        assert roster.heard == [("link of n1", beat)]

    run(scenario)


def test_a_link_that_the_leader_cuts_says_why_to_reader_and_writer():
    async def scenario(dialer, roster):
        link = await dialer.attach(HERE, hello())
        roster.downlink.cut("the leader is n3")
        with pytest.raises(Unreachable, match="the leader is n3"):
            await anext(link.received())
        with pytest.raises(Unreachable, match="the leader is n3"):
            await link.send(Heartbeat(0.0, 0, draining=False))

    run(scenario)


def test_closing_detaches():
    async def scenario(dialer, roster):
        link = await dialer.attach(HERE, hello())
        await link.close()
        assert roster.detached == ["link of n1"]

    run(scenario)


def test_a_node_that_does_not_read_is_cut_off(monkeypatch):
    monkeypatch.setattr(limits, "LINK_MESSAGES_MAX", 3)

    async def scenario(dialer, roster):
        link = await dialer.attach(HERE, hello())
        for _ in range(5):
            roster.downlink.send(Pulse())
        with pytest.raises(Unreachable, match="does not read"):
            await anext(link.received())

    run(scenario)


def test_where_this_process_does_not_lead_the_caller_is_told_who_does():
    async def scenario(dialer, _):
        with pytest.raises(NotLeader):
            await dialer.attach(HERE, hello())

    run(scenario, leads=False)


def test_other_coordinators_are_reached_the_usual_way():
    async def scenario(dialer, _):
        assert await dialer.attach(ELSEWHERE, hello()) == "n1 to n2"

    run(scenario)
