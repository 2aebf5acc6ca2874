"""One channel to each other node, opened when first used and shared by everything this process asks of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import grpc.aio

from swarm.adapters.tls import TlsIdentity
from swarm.errors import Unreachable
from swarm.ids import NodeId


class Channels:
    """Channels by node. The other end of each must prove to be that node."""

    def __init__(self, identity: TlsIdentity, addresses: Mapping[NodeId, str]) -> None:
        self._identity = identity
        self._addresses = addresses
        self._open: dict[NodeId, tuple[int, grpc.aio.Channel]] = {}
        self._retired: deque[grpc.aio.Channel] = deque()

    def to(self, node: NodeId) -> grpc.aio.Channel:
        self._identity.refresh()
        generation, channel = self._open.get(node, (0, None))
        if channel is not None and generation != self._identity.generation:
            # Streams on it live on; new calls prove who we are with the new certificate. One is kept for
            # each node and exchange: a month's certificates make a dozen a year.
            self._retired.append(channel)
            channel = None
        if channel is None:
            address = self._addresses.get(node)
            if address is None:
                raise Unreachable(f"the address of node {node} is not known here", place=str(node))
            channel = self._identity.channel(address, node)
            self._open[node] = (self._identity.generation, channel)
        return channel

    async def close(self) -> None:
        for channel in [*self._retired, *(channel for _, channel in self._open.values())]:
            await channel.close(None)
        self._open.clear()
        self._retired.clear()
