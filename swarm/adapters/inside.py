"""The link between a node and the coordinator of its own process: no wire, so nothing to encode or encrypt.

What both hand over are records nobody changes, so they are handed over as they are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from swarm import limits
from swarm.coordinator import Coordinator, NodeLink
from swarm.errors import Unreachable
from swarm.ids import NodeId
from swarm.ports import Dialer, Uplink
from swarm.wire.messages import FromNode, Hello, ToNode


class InsideLink:
    """Both ends of one link."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._queue: deque[ToNode] = deque()
        self._kick = asyncio.Event()
        self._ended: str | None = None
        self._link: NodeLink | None = None

    def open(self, hello: Hello) -> None:
        """Raises `NotLeader`."""
        self._link = self._coordinator.roster.attach(hello, Downward(self))

    # -- the leader's end --------------------------------------------------------------------

    def push(self, message: ToNode) -> None:
        if self._ended is None:
            self._queue.append(message)
            if len(self._queue) > limits.LINK_MESSAGES_MAX:
                self.end(f"the node does not read: {len(self._queue)} messages wait for it")
            self._kick.set()

    def end(self, reason: str) -> None:
        self._ended = self._ended or reason
        self._kick.set()

    # -- the node's end ------------------------------------------------------------------------

    async def send(self, message: FromNode) -> None:
        if self._ended is not None or self._link is None:
            raise Unreachable(self._ended or "the link is closed", place=self._coordinator.node)
        self._coordinator.roster.receive(self._link, message)
        await asyncio.sleep(0)  # the leader's other work has its turn

    async def received(self) -> AsyncIterator[ToNode]:
        while self._ended is None:
            await self._kick.wait()
            self._kick.clear()
            while self._queue and self._ended is None:
                yield self._queue.popleft()
        raise Unreachable(self._ended, place=self._coordinator.node)

    async def close(self) -> None:
        self.end("closed")
        if self._link is not None:
            self._coordinator.roster.detach(self._link)


class Downward:
    """What the leader holds of a link."""

    def __init__(self, link: InsideLink) -> None:
        self._link = link

    def send(self, message: ToNode) -> None:
        self._link.push(message)

    def cut(self, reason: str) -> None:
        self._link.end(reason)


class InsideDialer:
    """Goes to the coordinator of this process directly, and to all others the usual way."""

    def __init__(self, node: NodeId, coordinator: Coordinator, others: Dialer) -> None:
        self._node = node
        self._coordinator = coordinator
        self._others = others

    async def attach(self, coordinator: NodeId, hello: Hello) -> Uplink:
        if coordinator != self._node:
            return await self._others.attach(coordinator, hello)
        link = InsideLink(self._coordinator)
        link.open(hello)
        return link
