"""pysyncobj's side of the network: messages are collected during a turn and leave after the log is durable.

Stock: a listener on a port of its own that unpickles whatever it is sent, before it knows from whom.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pysyncobj.node import Node
from pysyncobj.transport import Transport as LibraryTransport

from swarm.adapters.raft.codec import encode, fragments, size_bytes
from swarm.adapters.raft.link import Link
from swarm.adapters.raft.messages import Append, Incoming, Message, VoteRequest
from swarm.adapters.raft.settings import FRAME_BYTES, WINDOW_BYTES
from swarm.ids import NodeId
from swarm.wire.gen import raft_pb2 as pb


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A frame for one link."""

    link: Link
    frame: pb.RaftFrame = field(repr=False)
    size_bytes: int


@dataclass(slots=True)
class _Outbox:
    link: Link
    messages: list[Message] = field(default_factory=list)
    size_bytes: int = 0


class TurnTransport(LibraryTransport):  # type: ignore[misc]  # the library has no types
    """Holds one turn's messages for every connected peer."""

    def __init__(self) -> None:
        super().__init__(None, None, None)
        self._outboxes: dict[str, _Outbox] = {}

    def link_up(self, link: Link) -> None:
        self._outboxes[link.peer] = _Outbox(link)
        self._onNodeConnected(Node(link.peer))

    def link_down(self, link: Link) -> None:
        outbox = self._outboxes.get(link.peer)
        if outbox is not None and outbox.link is link:  # not one that has replaced it
            del self._outboxes[link.peer]
            self._onNodeDisconnected(Node(link.peer))

    def receive(self, peer: NodeId, message: Incoming) -> None:
        self._onMessageReceived(Node(peer), message)

    def send(self, node: Node, message: Message | dict[str, Any]) -> bool:
        outbox = self._outboxes.get(node.id)
        if outbox is None:
            return False
        if isinstance(message, dict):
            message = from_library(message)
        outbox.messages.append(message)
        outbox.size_bytes += size_bytes(message)
        return True

    def room(self, node: Node) -> bool:
        outbox = self._outboxes.get(node.id)
        return outbox is not None and outbox.size_bytes + outbox.link.waiting_bytes < WINDOW_BYTES

    def at_once(self, node: Node, message: Message) -> list[Outgoing]:
        """A frame that does not wait for the turn's end; only for what says nothing new."""
        outbox = self._outboxes.get(node.id)
        if outbox is None:
            return []
        frames = list(_frames(_Outbox(outbox.link, [message]), {}))
        outbox.link.handed_bytes += sum(frame.size_bytes for frame in frames)
        return frames

    def only_appends(self) -> bool:
        """Whether this turn has nothing to say but what a leader tells its followers."""
        return all(type(message) is Append for box in self._outboxes.values() for message in box.messages)

    def take(self) -> list[Outgoing]:
        """This turn's frames. Only to be let go of after a flush; a leader's appends may go before."""
        cut: dict[int, list[pb.RaftFrame]] = {}
        frames = [frame for outbox in self._outboxes.values() for frame in _frames(outbox, cut)]
        for outbox in self._outboxes.values():
            outbox.messages.clear()
            outbox.size_bytes = 0
        for frame in frames:
            frame.link.handed_bytes += frame.size_bytes
        return frames

    def connected_peers(self) -> frozenset[str]:
        return frozenset(self._outboxes)


def _frames(outbox: _Outbox, cut: dict[int, list[pb.RaftFrame]]) -> Iterator[Outgoing]:
    """The messages of a turn, in order. `cut` keeps the pieces of a message that goes to several peers."""
    frame, weight = pb.RaftFrame(), 0
    for message in outbox.messages:
        message_bytes = size_bytes(message)
        if weight and weight + message_bytes > FRAME_BYTES:
            yield Outgoing(outbox.link, frame, weight)
            frame, weight = pb.RaftFrame(), 0
        if message_bytes > FRAME_BYTES:
            if id(message) not in cut:
                cut[id(message)] = fragments(message)
            for piece in cut[id(message)]:
                yield Outgoing(outbox.link, piece, len(piece.messages[0].fragment.data))
        else:
            encode(message, frame.messages.add())
            weight += message_bytes
    if weight:
        yield Outgoing(outbox.link, frame, weight)


def from_library(message: dict[str, Any]) -> VoteRequest:
    """The one message the library still makes itself: it stands for election."""
    assert message["type"] == "request_vote", f"pysyncobj sends {message['type']}"
    return VoteRequest(message["term"], message["last_log_index"], message["last_log_term"])
