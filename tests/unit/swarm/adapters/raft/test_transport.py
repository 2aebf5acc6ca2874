"""What a turn says waits for its end, goes out in order, and never floods a link."""

import asyncio

import pytest
from pysyncobj.node import Node

from swarm.adapters.raft.codec import decode
from swarm.adapters.raft.link import Link
from swarm.adapters.raft.messages import REGULAR, Append, AppendReply, Entry, SnapshotChunk, VoteRequest
from swarm.adapters.raft.settings import FRAME_BYTES, LINK_BYTES_MAX, WINDOW_BYTES
from swarm.adapters.raft.transport import TurnTransport
from swarm.wire.gen import raft_pb2 as pb

B, C = Node("b"), Node("c")


@pytest.fixture
def transport():
    made = TurnTransport()
    made.connected, made.gone = [], []
    made.setOnNodeConnectedCallback(lambda node: made.connected.append(node.id))
    made.setOnNodeDisconnectedCallback(lambda node: made.gone.append(node.id))
    return made


def large(size, index=2):
    return Append(1, index - 1, 1, 1, (Entry(REGULAR + bytes(size), index, 1),))


def chunk(size):
    return SnapshotChunk(1, 9, 1, 0, bytes(size), last=False)


def said(outgoing):
    return [decode(wire) for one in outgoing for wire in one.frame.messages]


def test_nothing_leaves_before_it_is_taken_and_then_all_in_order(transport):
    link = Link("b")
    transport.link_up(link)
    spoken = [AppendReply(1, accepted=True, next_index=n) for n in range(5)]
    for message in spoken:
        transport.send(B, message)
    assert link.frames.empty()
    assert said(transport.take()) == spoken
    assert transport.take() == []


def test_what_is_for_a_peer_that_is_away_is_dropped(transport):
    assert not transport.send(B, large(10))
    transport.link_up(Link("b"))
    assert transport.take() == []


def test_the_librarys_own_message_is_translated(transport):
    transport.link_up(Link("b"))
    transport.send(B, {"type": "request_vote", "term": 4, "last_log_index": 9, "last_log_term": 3})
    assert said(transport.take()) == [VoteRequest(4, 9, 3)]


def test_frames_are_bounded(transport):
    transport.link_up(Link("b"))
    for _ in range(10):
        transport.send(B, chunk(300 << 10))
    frames = transport.take()
    assert len(frames) > 3
    assert all(one.size_bytes <= FRAME_BYTES for one in frames)
    assert len(said(frames)) == 10


def test_a_large_message_for_two_peers_is_cut_up_once(transport):
    transport.link_up(Link("b"))
    transport.link_up(Link("c"))
    message = large(3 * FRAME_BYTES)
    transport.send(B, message)
    transport.send(C, message)
    frames = transport.take()
    for_b = [one.frame for one in frames if one.link.peer == "b"]
    for_c = [one.frame for one in frames if one.link.peer == "c"]
    assert len(for_b) > 3
    assert all(one is other for one, other in zip(for_b, for_c, strict=True))


def test_the_window_closes_while_bytes_wait_and_opens_when_they_are_written(transport):
    link = Link("b")
    transport.link_up(link)
    assert not transport.room(C)
    while transport.room(B):
        transport.send(B, chunk(200 << 10))
    frames = transport.take()
    assert WINDOW_BYTES <= sum(one.size_bytes for one in frames) < WINDOW_BYTES + FRAME_BYTES
    assert not transport.room(B)
    link.written_bytes += FRAME_BYTES
    assert transport.room(B)


def test_the_end_of_a_link_that_was_replaced_is_no_disconnection(transport):
    old, new = Link("b"), Link("b")
    transport.link_up(old)
    transport.link_up(new)
    transport.link_down(old)
    assert transport.gone == []
    assert transport.connected_peers() == {"b"}
    transport.link_down(new)
    assert transport.gone == ["b"]


def test_a_sign_of_life_overtakes_what_waits_for_the_turns_end(transport):
    transport.link_up(Link("b"))
    transport.send(B, AppendReply(1, accepted=True, next_index=9))
    sign = AppendReply(1, accepted=True, next_index=2)
    assert said(transport.at_once(B, sign)) == [sign]
    assert transport.at_once(C, sign) == []
    assert len(said(transport.take())) == 1


def test_a_link_hopelessly_behind_is_ended():
    async def scenario():
        link = Link("b")
        link.handed_bytes = LINK_BYTES_MAX
        link.put(pb.RaftFrame(), 10)
        assert link.frames.get_nowait() is not None
        link.handed_bytes += 1
        link.put(pb.RaftFrame(), 10)
        assert link.frames.get_nowait() is None

    asyncio.run(scenario())
