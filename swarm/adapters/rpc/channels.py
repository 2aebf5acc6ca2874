"""One channel to each other node, opened when first used and shared by everything this process asks of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

import grpc.aio

from swarm.adapters.tls import TlsIdentity
from swarm.errors import Unreachable
from swarm.ids import NodeId
from swarm.trust.revocation import Revocations


class Channels:
    """Channels by node. The other end of each must prove to be that node, and not be revoked."""

    def __init__(
        self, identity: TlsIdentity, addresses: Mapping[NodeId, str], revocations: Revocations | None = None
    ) -> None:
        self._identity = identity
        self._listed = dict(addresses)  # by this node's own settings, which nobody overrules
        self._addresses = dict(addresses)
        self._revocations = revocations or Revocations()
        self._open: dict[NodeId, tuple[tuple[int, str | None], grpc.aio.Channel]] = {}
        self._retired: deque[grpc.aio.Channel] = deque()
        self._closing: set[asyncio.Task[None]] = set()

    def to(self, node: NodeId) -> grpc.aio.Channel:
        """Raises `Unreachable` for a node nobody is to speak to any more, too."""
        if (gone := self._revocations.find(node)) is not None:
            raise Unreachable(f"{node} was revoked: {gone.reason}", place=str(node))
        self._identity.refresh()
        now = (self._identity.generation, self._addresses.get(node))
        made, channel = self._open.get(node, (now, None))
        if channel is not None and made != now:
            # Streams on it live on; new calls prove who we are with the new certificate, or go where the node
            # is now. One is kept for each node and exchange: a month's certificates make a dozen a year.
            self._retired.append(channel)
            channel = None
        if channel is None:
            address = self._addresses.get(node)
            if address is None:
                raise Unreachable(f"the address of node {node} is not known here", place=str(node))
            channel = self._identity.channel(address, node)
            self._open[node] = (now, channel)
        return channel

    def dismiss(self, node: NodeId) -> None:
        """End everything this process asks of a node."""
        if (found := self._open.pop(node, None)) is not None:
            closing = asyncio.get_running_loop().create_task(found[1].close(None))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def learn(self, addresses: Mapping[NodeId, str]) -> None:
        """Where nodes are, beside those listed. A channel to where one was before is not used again."""
        known = {**addresses, **self._listed}
        for node in [node for node in self._open if known.get(node) != self._addresses.get(node)]:
            self._retired.append(self._open.pop(node)[1])
        self._addresses = known

    async def close(self) -> None:
        for channel in [*self._retired, *(channel for _, channel in self._open.values())]:
            await channel.close(None)
        await asyncio.gather(*self._closing)
        self._open.clear()
        self._retired.clear()
