"""Links in one process: nodes' drivers joined to coordinators' drivers by queues that take their time.

`MemoryLinks` is the network. Messages pass the wire's own codec, arrive in order `delay_ms` after they
were sent, and are lost when their link ends. A link ends when either end closes it, when the two are
parted (`part`, until `heal`), when the coordinator goes (`leave`), or when one side reads too slowly.
A `mute` link carries nothing and tells nobody, not even that its other end is gone: silence gives it away.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from swarm.coordinator import Coordinator, NodeLink
from swarm.errors import Bug, SwarmError, Unreachable
from swarm.ids import NodeId
from swarm.ports import Clock
from swarm.tasks import Tasks
from swarm.testing.clock import wake
from swarm.wire.links import from_node_from_pb, from_node_to_pb, to_node_from_pb, to_node_to_pb
from swarm.wire.messages import FromNode, Hello, ToNode

_MessageT = TypeVar("_MessageT", FromNode, ToNode)

LINK_MESSAGES_MAX = 1_024  # on their way in one direction


class MemoryLinks:
    """See the head of this module."""

    def __init__(self, clock: Clock, *, delay_ms: float = 1.0) -> None:
        self.clock = clock
        self.delay_ms = delay_ms
        self.tasks = Tasks()
        self._coordinators: dict[NodeId, Coordinator] = {}
        self._parted: set[frozenset[NodeId]] = set()
        self._muted: set[frozenset[NodeId]] = set()
        self._links: list[MemoryLink] = []
        self._said: tuple[ToNode | None, ToNode | None] = None, None

    # -- who is there ----------------------------------------------------------------------

    def listen(self, coordinator: Coordinator) -> None:
        """Nodes can reach this coordinator from now on."""
        self._coordinators[coordinator.node] = coordinator

    def leave(self, coordinator: NodeId) -> None:
        """The coordinator's process is gone."""
        self._coordinators.pop(coordinator, None)
        for link in [link for link in self._links if link.coordinator == coordinator]:
            link.drop("the process is gone")

    def coordinator(self, node: NodeId) -> Coordinator:
        """Raises `Unreachable`."""
        if node not in self._coordinators:
            raise Unreachable(f"nobody answers for {node}", place=node)
        return self._coordinators[node]

    def dialer(self, node: NodeId) -> MemoryDialer:
        return MemoryDialer(self, node)

    async def stop(self) -> None:
        await self.tasks.stop()

    # -- bad luck ----------------------------------------------------------------------------

    def cut(self, node: NodeId) -> None:
        """End the links of a node; it may open another at once."""
        self._end(lambda link: node in (link.node, link.coordinator), "the link was cut")

    def part(self, one: NodeId, other: NodeId) -> None:
        """These two cannot reach each other until `heal`."""
        self._parted.add(frozenset((one, other)))
        self._end(lambda link: {link.node, link.coordinator} == {one, other}, "the network is down")

    def mute(self, one: NodeId, other: NodeId) -> None:
        """What these two say is lost until `heal`, and their links look as if they were whole."""
        self._muted.add(frozenset((one, other)))

    def heal(self) -> None:
        self._parted.clear()
        self._muted.clear()
        self._end(lambda link: link.torn, "what was said meanwhile is lost")

    def reachable(self, one: NodeId, other: NodeId) -> bool:
        return frozenset((one, other)) not in self._parted | self._muted

    def carries(self, one: NodeId, other: NodeId) -> bool:
        """Whether what is sent now will arrive."""
        return not self._muted or frozenset((one, other)) not in self._muted

    def _end(self, which: Callable[[MemoryLink], bool], reason: str) -> None:
        for link in [link for link in self._links if which(link)]:
            link.end(reason)

    def carried(self, message: ToNode) -> ToNode:
        """The message as it arrives; one that is told to several nodes passes the codec once."""
        said, heard = self._said
        if said is not message or heard is None:
            heard = to_node_from_pb(to_node_to_pb(message))
            self._said = message, heard
        return heard

    def opened(self, link: MemoryLink) -> None:
        self._links.append(link)

    def ended(self, link: MemoryLink) -> None:
        self._links.remove(link)


class MemoryDialer:
    """How one node reaches coordinators."""

    def __init__(self, links: MemoryLinks, node: NodeId) -> None:
        self._links = links
        self._node = node

    async def attach(self, coordinator: NodeId, hello: Hello) -> MemoryLink:
        links = self._links
        await links.clock.sleep_ms(2 * links.delay_ms)
        if not links.reachable(self._node, coordinator):
            raise Unreachable(f"{coordinator} did not answer", place=coordinator)
        driver = links.coordinator(coordinator)
        link = MemoryLink(links, self._node, driver)
        link.open(driver.roster.attach(hello, MemoryDownlink(link)))
        return link


class _Way(Generic[_MessageT]):
    """One direction of a link: what is under way, when it is due, and who waits at either end."""

    __slots__ = ("messages", "reader", "writers")

    def __init__(self) -> None:
        self.messages: deque[tuple[float, _MessageT]] = deque()
        self.reader: asyncio.Future[None] | None = None
        self.writers: list[asyncio.Future[None]] = []  # there was no room for what they have to say

    @property
    def full(self) -> bool:
        return len(self.messages) >= LINK_MESSAGES_MAX

    def put(self, due_ms: float, message: _MessageT) -> None:
        self.messages.append((due_ms, message))
        if self.reader is not None and len(self.messages) == 1:  # else it waits for the first to be due
            wake(self.reader)

    def take(self) -> _MessageT:
        while self.writers:
            if not (waiter := self.writers.pop(0)).done():  # else it was cancelled
                wake(waiter)
                break
        return self.messages.popleft()[1]

    def end(self) -> None:
        """Nobody waits here for anything any more."""
        for waiter in (self.reader, *self.writers):
            if waiter is not None:
                wake(waiter)


class MemoryLink:
    """One open link; to the node it is the `Uplink`."""

    def __init__(self, links: MemoryLinks, node: NodeId, driver: Coordinator) -> None:
        self.node = node
        self.coordinator = driver.node
        self.dropped = False  # by the coordinator, and the node has not heard of it
        self.torn = False  # it cannot go on where it was: something is lost
        self._links = links
        self._driver = driver
        self._served: NodeLink | None = None
        self._loop = asyncio.get_running_loop()
        self._up: _Way[FromNode] = _Way()
        self._down: _Way[ToNode] = _Way()
        self._over: str | None = None  # why

    def open(self, served: NodeLink) -> None:
        if self._over is not None:  # it read too slowly for the very first messages
            self._driver.roster.detach(served)
            return
        self._served = served
        self._links.opened(self)
        self._links.tasks.start(self._carry_up())

    def drop(self, reason: str) -> None:
        """The coordinator's end is gone; the node hears of it if anything arrives there."""
        if self._carries():
            self.end(reason)
        elif self._served is not None and not self.dropped:
            self.dropped = self.torn = True
            self._driver.roster.detach(self._served)

    def end(self, reason: str) -> None:
        """Both ends learn of it, once."""
        if self._over is not None:
            return
        self._over = reason
        self._up.end()
        self._down.end()
        if self._served is not None:
            self._links.ended(self)
            self._driver.roster.detach(self._served)

    # -- the node's end ------------------------------------------------------------------------

    async def send(self, message: FromNode) -> None:
        if not self._carries():
            self.torn = True
            return
        due_ms, sent = self._due_ms(), _through_the_wire_up(message)
        self._must_last()
        while self._up.full:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._up.writers.append(waiter)
            await waiter
            self._must_last()
        self._up.put(due_ms, sent)

    async def received(self) -> AsyncIterator[ToNode]:
        while True:
            yield await self._next(self._down)

    async def close(self) -> None:
        self.end("the node closed it")

    # -- the coordinator's end -------------------------------------------------------------------

    def push(self, message: ToNode) -> None:
        if not self._carries():
            self.torn = True
        if self._over is not None or self.torn:
            return
        if self._down.full:
            self.end("the node does not read")
        else:
            self._down.put(self._due_ms(), self._links.carried(message))

    async def _carry_up(self) -> None:
        assert self._served is not None
        try:
            while True:
                message = await self._next(self._up)
                if not self.dropped:
                    self._driver.roster.receive(self._served, message)
        except Bug:
            raise
        except SwarmError as error:
            self.end(str(error))

    # -- on the way ------------------------------------------------------------------------------

    def _carries(self) -> bool:
        return self._links.carries(self.node, self.coordinator)

    def _due_ms(self) -> float:
        return self._links.clock.monotonic_ms() + self._links.delay_ms

    async def _next(self, way: _Way[_MessageT]) -> _MessageT:
        """What arrives next, once it does. Raises `Unreachable` when the link is over before."""
        self._must_last()
        if way.messages:
            await asyncio.sleep(0)  # others have their turn between two messages
        while True:
            self._must_last()
            left_ms = way.messages[0][0] - self._links.clock.monotonic_ms() if way.messages else None
            if left_ms is not None and left_ms <= 0:
                return way.take()
            way.reader = waiter = self._loop.create_future()
            timer = None if left_ms is None else self._loop.call_later(left_ms / 1_000, wake, waiter)
            try:
                await waiter
            finally:
                way.reader = None
                if timer is not None:
                    timer.cancel()

    def _must_last(self) -> None:
        if self._over is not None:
            raise Unreachable(self._over, place=self.coordinator)


class MemoryDownlink:
    """The coordinator's end of a link."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link

    def send(self, message: ToNode) -> None:
        self._link.push(message)

    def cut(self, reason: str) -> None:
        self._link.drop(reason)


def _through_the_wire_up(message: FromNode) -> FromNode:
    return from_node_from_pb(from_node_to_pb(message))
