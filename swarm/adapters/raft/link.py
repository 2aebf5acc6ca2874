"""One open stream to a peer, seen from both threads."""

from __future__ import annotations

import asyncio

from swarm.adapters.raft.settings import LINK_BYTES_MAX, LINK_FRAMES_MAX
from swarm.ids import NodeId
from swarm.wire.gen import raft_pb2 as pb


class Link:
    """The Raft thread hands frames over, the event loop writes them.

    `handed_bytes` is moved by the Raft thread only and `written_bytes` by the loop only, so their difference
    is safe to read from either.
    """

    def __init__(self, peer: NodeId) -> None:
        self.peer = peer
        self.frames: asyncio.Queue[tuple[pb.RaftFrame, int] | None] = asyncio.Queue(LINK_FRAMES_MAX)
        self.handed_bytes = 0
        self.written_bytes = 0

    @property
    def waiting_bytes(self) -> int:
        return self.handed_bytes - self.written_bytes

    def put(self, frame: pb.RaftFrame, size_bytes: int) -> None:
        """On the loop: queue a frame; a link that is hopelessly behind is ended instead."""
        if self.waiting_bytes > LINK_BYTES_MAX or self.frames.full():
            self.cut()
        else:
            self.frames.put_nowait((frame, size_bytes))

    def cut(self) -> None:
        """On the loop: end the stream once what is queued before has been written or failed."""
        if self.frames.full():
            self.frames.get_nowait()  # it will not arrive; the stream has to end
        self.frames.put_nowait(None)
