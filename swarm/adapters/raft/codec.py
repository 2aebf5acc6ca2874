"""Raft messages to protobuf and back. Nothing on the wire is ever unpickled.

A message that no voter of ours sends is `ProtocolBroken`: entries out of order, of an unknown kind, from a
term after the message's own. The kinds pysyncobj knows for membership and code versions are among those: they
carry pickles.
"""

from __future__ import annotations

from typing import assert_never

from swarm.adapters.raft.messages import (
    NO_OP,
    REGULAR,
    Append,
    AppendReply,
    Entry,
    Message,
    SnapshotChunk,
    VoteReply,
    VoteRequest,
)
from swarm.adapters.raft.settings import ENTRY_OVERHEAD_BYTES
from swarm.errors import ProtocolBroken
from swarm.wire.gen import raft_pb2 as pb

KINDS = frozenset({NO_OP[0], REGULAR[0]})
_SMALL_BYTES = 64  # an upper bound for a message without entries or data


def encode(message: Message) -> pb.RaftMessage:
    """The wire form of a message."""
    match message:
        case VoteRequest():
            request = pb.RaftVoteRequest(
                last_index=message.last_index, last_term=message.last_term, trial=message.trial
            )
            return pb.RaftMessage(term=message.term, vote_request=request)
        case VoteReply():
            return pb.RaftMessage(
                term=message.term, vote_reply=pb.RaftVoteReply(granted=message.granted, trial=message.trial)
            )
        case Append():
            append = pb.RaftAppend(
                previous_index=message.previous_index,
                previous_term=message.previous_term,
                commit_index=message.commit_index,
                entries=[
                    pb.RaftEntry(command=entry.command, index=entry.index, term=entry.term)
                    for entry in message.entries
                ],
            )
            return pb.RaftMessage(term=message.term, append=append)
        case AppendReply():
            reply = pb.RaftAppendReply(
                accepted=message.accepted,
                next_index=message.next_index,
                previous_index=message.previous_index,
            )
            return pb.RaftMessage(term=message.term, append_reply=reply)
        case SnapshotChunk():
            chunk = pb.RaftSnapshotChunk(
                index=message.index,
                entry_term=message.entry_term,
                offset=message.offset,
                data=message.data,
                last=message.last,
            )
            return pb.RaftMessage(term=message.term, snapshot_chunk=chunk)
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
            return AppendReply(wire.term, reply.accepted, reply.next_index, reply.previous_index)
        case "snapshot_chunk":
            chunk = wire.snapshot_chunk
            return SnapshotChunk(
                wire.term, chunk.index, chunk.entry_term, chunk.offset, chunk.data, chunk.last
            )
        case _:
            raise _broken("a message without a body")


def size_bytes(message: Message) -> int:
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
