"""Messages survive the wire; what no voter would send does not pass."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.adapters.raft.codec import Assembler, decode, encode, fragments, size_bytes
from swarm.adapters.raft.messages import (
    NO_OP,
    REGULAR,
    Append,
    AppendReply,
    Entry,
    SnapshotChunk,
    Underway,
    VoteReply,
    VoteRequest,
)
from swarm.adapters.raft.settings import FRAGMENT_BYTES
from swarm.errors import ProtocolBroken
from swarm.limits import MESSAGE_BYTES_MAX
from swarm.wire.gen import raft_pb2 as pb

numbers = st.integers(0, (1 << 64) - 1)
flags = st.booleans()


@st.composite
def appends(draw):
    term = draw(st.integers(0, 1_000))
    previous_term = draw(st.integers(0, term))
    previous_index = draw(st.integers(0, 1 << 60))
    terms = sorted(draw(st.lists(st.integers(previous_term, term), max_size=5)))
    payloads = st.one_of(st.just(NO_OP), st.binary(max_size=50).map(lambda data: REGULAR + data))
    entries = tuple(
        Entry(draw(payloads), previous_index + 1 + place, entry_term)
        for place, entry_term in enumerate(terms)
    )
    return Append(term, previous_index, previous_term, draw(numbers), entries)


messages = st.one_of(
    st.builds(VoteRequest, numbers, numbers, numbers, flags),
    st.builds(VoteReply, numbers, flags, flags),
    appends(),
    st.builds(AppendReply, numbers, flags, numbers, numbers, flags),
    st.builds(SnapshotChunk, numbers, numbers, numbers, numbers, st.binary(max_size=200), flags),
)


def over_the_wire(message):
    wire = pb.RaftMessage()
    encode(message, wire)
    return pb.RaftMessage.FromString(wire.SerializeToString())


@given(messages)
def test_every_message_survives_the_wire(message):
    assert decode(over_the_wire(message)) == message


@given(messages)
def test_a_message_is_not_heavier_than_it_was_taken_for(message):
    assert over_the_wire(message).ByteSize() <= size_bytes(message)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_a_message_or_a_broken_protocol(data):
    try:
        wire = pb.RaftMessage.FromString(data)
    except Exception:  # noqa: BLE001 - protobuf's own refusal, before ours
        return
    try:
        message = decode(wire)
    except ProtocolBroken:
        return
    assert message.term == wire.term


@pytest.mark.parametrize("kind", [2, 3, 255])
def test_the_kinds_that_carry_pickles_are_refused(kind):
    append = pb.RaftAppend(entries=[pb.RaftEntry(command=bytes([kind]) + b"x", index=1, term=1)])
    with pytest.raises(ProtocolBroken, match="unknown kind"):
        decode(pb.RaftMessage(term=1, append=append))


def test_an_entry_without_even_a_kind_is_refused():
    with pytest.raises(ProtocolBroken, match="unknown kind"):
        decode(pb.RaftMessage(term=1, append=pb.RaftAppend(entries=[pb.RaftEntry(index=1, term=1)])))


@pytest.mark.parametrize(("index", "term"), [(6, 1), (8, 1), (7, 0), (7, 3)])
def test_entries_that_do_not_follow_are_refused(index, term):
    append = pb.RaftAppend(
        previous_index=6, previous_term=1, entries=[pb.RaftEntry(command=NO_OP, index=index, term=term)]
    )
    with pytest.raises(ProtocolBroken):
        decode(pb.RaftMessage(term=2, append=append))


@given(st.integers(FRAGMENT_BYTES // 2, 4 * FRAGMENT_BYTES))
@settings(max_examples=15, deadline=None)
def test_a_large_message_goes_in_pieces_and_each_is_a_sign_of_life(size):
    message = Append(3, 1, 1, 1, (Entry(REGULAR + bytes(size), 2, 3),))
    frames = fragments(message)
    assert all(frame.ByteSize() < FRAGMENT_BYTES + 100 for frame in frames)
    assembler = Assembler()
    arrived = [assembler.feed(wire) for frame in frames for wire in frame.messages]
    assert arrived == [Underway(3)] * (len(frames) - 1) + [message]
    assert assembler.feed(over_the_wire(VoteReply(3, granted=True))) == VoteReply(3, granted=True)


def test_nothing_may_come_between_the_pieces_of_a_message():
    assembler = Assembler()
    first, *_ = fragments(Append(3, 1, 1, 1, (Entry(REGULAR + bytes(3 * FRAGMENT_BYTES), 2, 3),)))
    assembler.feed(first.messages[0])
    with pytest.raises(ProtocolBroken, match="between"):
        assembler.feed(over_the_wire(VoteReply(3, granted=True)))


def test_pieces_without_end_are_refused_at_the_bound():
    assembler = Assembler()
    piece = pb.RaftMessage(term=1, fragment=pb.RaftFragment(data=bytes(8 << 20)))
    for _ in range(MESSAGE_BYTES_MAX // (8 << 20)):
        assembler.feed(piece)
    with pytest.raises(ProtocolBroken, match="above"):
        assembler.feed(piece)


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b""])
def test_pieces_that_make_no_message_are_refused(data):
    with pytest.raises(ProtocolBroken):
        Assembler().feed(pb.RaftMessage(term=1, fragment=pb.RaftFragment(data=data, last=True)))
