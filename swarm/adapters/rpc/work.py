"""The link between a node and the leader over gRPC: one bidirectional stream, opened by the node."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import grpc.aio

from swarm import limits
from swarm.adapters.rpc.channels import Channels
from swarm.adapters.rpc.errors import from_rpc
from swarm.adapters.tls import peer_identity
from swarm.coordinator import Coordinator
from swarm.errors import NotAllowed, NotLeader, ProtocolBroken, Unreachable
from swarm.ids import NodeId
from swarm.wire.gen import work_pb2 as pb
from swarm.wire.gen import work_pb2_grpc as rpc
from swarm.wire.links import (
    from_node_from_pb,
    from_node_to_pb,
    hello_from_pb,
    hello_to_pb,
    to_node_from_pb,
    to_node_to_pb,
)
from swarm.wire.messages import FromNode, Hello, ToNode

Context = grpc.aio.ServicerContext[pb.FromNode, pb.ToNodes]

BUNDLE_BYTES_MAX = limits.RECORDS_BATCH_BYTES_MAX  # parts in one message; a larger part goes alone
ATTACH_S = 3.0  # to connect, say hello and be welcomed


class QueuedDownlink:
    """The leader's end: a queue that the stream's writer empties, bounded in bytes."""

    def __init__(self) -> None:
        self._queue: deque[pb.ToNode] = deque()
        self._bytes = 0
        self._kick = asyncio.Event()
        self.ended: str | None = None

    def send(self, message: ToNode) -> None:
        if self.ended is not None:
            return
        data = to_node_to_pb(message)
        self._line_up(data)
        self._bytes += data.ByteSize()
        if self._bytes > limits.LINK_BYTES_MAX:
            self.cut(f"the node does not read: {self._bytes} bytes wait for it")
        self._kick.set()

    def _line_up(self, data: pb.ToNode) -> None:
        """At the end, but work goes before work that is less urgent: that may be much, on a slow link."""
        place = len(self._queue)
        if (priority := _urgency(data)) is not None:
            while place and (before := _urgency(self._queue[place - 1])) is not None and before > priority:
                place -= 1
        self._queue.insert(place, data)

    def cut(self, reason: str) -> None:
        self.ended = reason
        self._kick.set()

    async def write_to(self, context: Context) -> None:
        """Send until cut."""
        while self.ended is None:
            await self._kick.wait()
            self._kick.clear()
            while self._queue and self.ended is None:
                await context.write(pb.ToNodes(parts=self._take()))

    def _take(self) -> list[pb.ToNode]:
        """What gathered while the last message was on its way: a gRPC message costs what many steps do."""
        parts: list[pb.ToNode] = []
        weight = 0
        while self._queue and (not parts or weight + self._queue[0].ByteSize() <= BUNDLE_BYTES_MAX):
            parts.append(self._queue.popleft())
            weight += parts[-1].ByteSize()
        self._bytes -= weight
        return parts


def _urgency(data: pb.ToNode) -> int | None:
    """The priority of a batch of work, all of which has one; None for what is no work."""
    orders = data.assignments.orders if data.HasField("assignments") else None
    return orders[0].priority if orders else None


class WorkServicer(rpc.WorkServicer):
    """Takes nodes' links in and gives them to the coordinator of this process."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def Attach(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # noqa: ARG002, N802
        """Reads and writes through the context, which gRPC allows beside the generator its stubs describe."""
        caller = peer_identity(context)
        first = await context.read()
        if first is grpc.aio.EOF:
            raise ProtocolBroken("a link begins with hello")
        hello = hello_from_pb(first)
        if hello.node != caller.name:
            raise NotAllowed(f"the certificate is of {caller.name}, the hello of {hello.node[:64]}")
        downlink = QueuedDownlink()
        link = self._coordinator.roster.attach(hello, downlink)
        listener = asyncio.create_task(self._listen(context, link))
        writer = asyncio.create_task(downlink.write_to(context))
        try:
            await asyncio.wait({listener, writer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._coordinator.roster.detach(link)
            for task in (listener, writer):
                task.cancel()
            results = await asyncio.gather(listener, writer, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        if not self._coordinator.replica.leads:
            raise NotLeader(self._coordinator.replica.leadership().leader)
        if downlink.ended is not None:
            raise Unreachable(downlink.ended)

    async def _listen(self, context: Any, link: Any) -> None:
        while (message := await context.read()) is not grpc.aio.EOF:
            self._coordinator.roster.receive(link, from_node_from_pb(message))


class GrpcUplink:
    """The node's end."""

    def __init__(
        self, call: grpc.aio.StreamStreamCall[pb.FromNode, pb.ToNodes], first: pb.ToNodes, peer: str
    ) -> None:
        self._call = call
        self._first = first
        self._peer = peer
        self._writing = asyncio.Lock()  # gRPC takes one write at a time

    async def send(self, message: FromNode) -> None:
        try:
            async with self._writing:
                await self._call.write(from_node_to_pb(message))
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, self._peer) from error
        except asyncio.InvalidStateError as error:
            raise Unreachable("the link is closed", place=self._peer) from error

    async def received(self) -> AsyncIterator[ToNode]:
        message: object = self._first
        while message is not grpc.aio.EOF:
            for part in cast("pb.ToNodes", message).parts:
                yield to_node_from_pb(part)
            try:
                message = await self._call.read()
            except grpc.aio.AioRpcError as error:
                raise from_rpc(error, self._peer) from error

    async def close(self) -> None:
        self._call.cancel()


class GrpcDialer:
    """Opens links."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    async def attach(self, coordinator: NodeId, hello: Hello) -> GrpcUplink:
        stub: Any = rpc.WorkStub(self._channels.to(coordinator))
        call = stub.Attach()
        try:
            async with asyncio.timeout(ATTACH_S):
                await call.write(hello_to_pb(hello))
                first = await call.read()
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, coordinator) from error
        except (TimeoutError, asyncio.InvalidStateError) as error:
            call.cancel()
            raise Unreachable(
                f"{coordinator} did not answer within {ATTACH_S} s", place=coordinator
            ) from error
        if first is grpc.aio.EOF:
            raise Unreachable(f"{coordinator} closed the link", place=coordinator)
        return GrpcUplink(call, first, coordinator)
