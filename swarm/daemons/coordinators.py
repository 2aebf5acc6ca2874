"""Who the coordinators are and where to find them: at first what the settings say, then what the log says.

One object that everybody who dials or names a coordinator shares, so that a change reaches all at once.
The log decides *who* they are; *where* a node is that the settings name, the settings decide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from swarm.adapters import tls  # noqa: F401  # isort: skip  # must run before anything loads grpc
import grpc.aio
import structlog

from swarm.adapters.rpc.channels import Channels
from swarm.daemons.config import NodeConfig
from swarm.errors import Unreachable
from swarm.ids import NodeId
from swarm.ports import Voters
from swarm.wire.gen.client_pb2 import ListCoordinatorsRequest
from swarm.wire.gen.client_pb2_grpc import SwarmStub

_log = structlog.get_logger("swarm.daemon")

ASK_EVERY_S: Final = 5.0
ASK_S: Final = 3.0


class Coordinators(Mapping[NodeId, str]):
    """Address by node; see the head of this module."""

    def __init__(self, config: NodeConfig) -> None:
        self._listed = dict(config.coordinators)
        self._now = dict(config.coordinators)

    def __getitem__(self, node: NodeId) -> str:
        return self._now[node]

    def __iter__(self) -> Iterator[NodeId]:
        return iter(tuple(self._now))

    def __len__(self) -> int:
        return len(self._now)

    def become(self, voters: Voters) -> None:
        """These are it from now on."""
        now = {node: self._listed.get(node, address) for node, address in voters.voters.items()}
        if now and now != self._now:
            _log.info("coordinators", names=sorted(now))
            self._now = now

    async def follow(self, channels: Channels) -> None:
        """On a node that holds no log: ask one of them now and then who they are."""
        turn = 0
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            turn += 1
            node = tuple(self)[turn % len(self)]
            with suppress(grpc.aio.AioRpcError, Unreachable):
                stub = SwarmStub(channels.to(node))
                reply = await stub.ListCoordinators(ListCoordinatorsRequest(), timeout=ASK_S)
                voters = {NodeId(one.node): one.address for one in reply.coordinators if not one.learns}
                self.become(Voters(reply.freshness.applied_index, voters, {}))
