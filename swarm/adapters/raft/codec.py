"""Raft messages to protobuf and back. Nothing on the wire is ever unpickled.

A message above a bound is sent as a row of fragments, because one stream carries everything: whole, it would
hold up the heartbeats behind it until its receiver takes the sender for dead.

A message that no voter of ours sends is `ProtocolBroken`: entries out of order, of an unknown kind, from a
term after the message's own. The kinds pysyncobj knows for membership and code versions are among those: they
carry pickles.
"""

from __future__ import annotations

from typing import assert_never

from google.protobuf.message import DecodeError

from swarm.adapters.raft.messages import (
    MEMBERS,
    NO_OP,
    REGULAR,
    Append,
    AppendReply,
    Entry,
    Farewell,
    Incoming,
    Message,
    SnapshotChunk,
    Underway,
    VoteReply,
    VoteRequest,
)
from swarm.adapters.raft.settings import ENTRY_OVERHEAD_BYTES, FRAGMENT_BYTES
from swarm.errors import ProtocolBroken
from swarm.limits import MESSAGE_BYTES_MAX
from swarm.wire.gen import raft_pb2 as pb

KINDS = frozenset({NO_OP[0], REGULAR[0], MEMBERS[0]})
_SMALL_BYTES = 64  # an upper bound for a message without entries or data


def encode(message: Message, wire: pb.RaftMessage) -> None:
    """Write a message into its wire form.

    In place: a protobuf message that is given to another as a part of it is copied, entries and all.
    """
    wire.term = message.term
    match message:
        case VoteRequest():
            request = wire.vote_request
            request.last_index, request.last_term = message.last_index, message.last_term
            request.trial = message.trial
        case VoteReply():
            wire.vote_reply.granted, wire.vote_reply.trial = message.granted, message.trial
        case Append():
            append = wire.append
            append.previous_index, append.previous_term = message.previous_index, message.previous_term
            append.commit_index = message.commit_index
            for entry in message.entries:
                append.entries.add(command=entry.command, index=entry.index, term=entry.term)
        case AppendReply():
            reply = wire.append_reply
            reply.accepted, reply.next_index = message.accepted, message.next_index
            reply.previous_index, reply.awaits = message.previous_index, message.awaits
        case SnapshotChunk():
            chunk = wire.snapshot_chunk
            chunk.index, chunk.entry_term = message.index, message.entry_term
            chunk.offset, chunk.data, chunk.last = message.offset, message.data, message.last
        case Farewell():
            wire.farewell.SetInParent()
        case _:
            assert_never(message)


def decode(wire: pb.RaftMessage) -> Message:
    """The message a wire form stands for; `ProtocolBroken` if no voter would send it."""
    match wire.WhichOneof("body"):
        case "vote_request":
            request = wire.vote_request
            return VoteRequest(wire.term, request.last_index, request.last_term, request.trial)
        case "vote_reply":
            return VoteReply(wire.term, wire.vote_reply.granted, wire.vote_reply.trial)
        case "append":
            append = wire.append
            return Append(
                wire.term,
                append.previous_index,
                append.previous_term,
                append.commit_index,
                _entries(append, wire.term),
            )
        case "append_reply":
            reply = wire.append_reply
            return AppendReply(
                wire.term, reply.accepted, reply.next_index, reply.previous_index, reply.awaits
            )
        case "snapshot_chunk":
            chunk = wire.snapshot_chunk
            return SnapshotChunk(
                wire.term, chunk.index, chunk.entry_term, chunk.offset, chunk.data, chunk.last
            )
        case "farewell":
            return Farewell(wire.term)
        case _:
            raise _broken("a message without a body")


def fragments(message: Message) -> list[pb.RaftFrame]:
    """A message in pieces, each in a frame of its own."""
    whole = pb.RaftMessage()
    encode(message, whole)
    data = whole.SerializeToString()
    frames = []
    for at in range(0, len(data), FRAGMENT_BYTES):
        frames.append(pb.RaftFrame())
        piece = frames[-1].messages.add(term=message.term)
        piece.fragment.data = data[at : at + FRAGMENT_BYTES]
        piece.fragment.last = at + FRAGMENT_BYTES >= len(data)
    return frames


class Assembler:
    """Makes messages of what arrives on one stream, in order."""

    def __init__(self) -> None:
        self._pieces = bytearray()

    def feed(self, wire: pb.RaftMessage) -> Incoming:
        if wire.WhichOneof("body") != "fragment":
            if self._pieces:
                raise _broken("a message between the pieces of another")
            return decode(wire)
        if len(self._pieces) + len(wire.fragment.data) > MESSAGE_BYTES_MAX:
            raise _broken(f"a message above {MESSAGE_BYTES_MAX} bytes")
        self._pieces += wire.fragment.data
        if not wire.fragment.last:
            return Underway(wire.term)
        data, self._pieces = self._pieces, bytearray()
        try:
            return decode(pb.RaftMessage.FromString(bytes(data)))
        except DecodeError as error:
            raise _broken("pieces that make no message") from error


def size_bytes(message: Incoming) -> int:
    """About how much a message weighs on a link."""
    match message:
        case Append():
            payload = sum(len(entry.command) for entry in message.entries)
            return _SMALL_BYTES + payload + ENTRY_OVERHEAD_BYTES * len(message.entries)
        case SnapshotChunk():
            return _SMALL_BYTES + len(message.data)
        case _:
            return _SMALL_BYTES


def _entries(append: pb.RaftAppend, term: int) -> tuple[Entry, ...]:
    entries = []
    index, floor = append.previous_index, append.previous_term
    for wire in append.entries:
        index += 1
        if wire.index != index:
            raise _broken(f"entry {wire.index} where {index} belongs")
        if not floor <= wire.term <= term:
            raise _broken(f"entry {index} of term {wire.term} in a message of term {term}")
        if not wire.command or wire.command[0] not in KINDS:
            raise _broken(f"entry {index} of an unknown kind")
        floor = wire.term
        entries.append(Entry(wire.command, index, wire.term))
    return tuple(entries)


def _broken(what: str) -> ProtocolBroken:
    return ProtocolBroken(what, place="raft message", remedy="run the same version on all coordinators")
