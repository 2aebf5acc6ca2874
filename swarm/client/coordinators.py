"""Who keeps the log, as clients see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from swarm.client.connection import Connection
from swarm.ids import NodeId
from swarm.wire.gen import client_pb2


@dataclass(frozen=True, slots=True)
class CoordinatorInfo:
    """A coordinator. `state` is leader, voter, or learner: one that catches up and does not vote yet."""

    node: NodeId
    address: str
    state: str

    @classmethod
    def all_from_pb(cls, reply: client_pb2.CoordinatorsReply) -> list[Self]:
        return [
            cls(
                NodeId(one.node),
                one.address,
                "learner" if one.learns else "leader" if one.node == reply.freshness.leader else "voter",
            )
            for one in reply.coordinators
        ]


class CoordinatorCalls:
    """A part of `Session`."""

    _connection: Connection

    async def coordinators(self) -> list[CoordinatorInfo]:
        """Who keeps the log, and who only catches up so far, as whoever answers knows it."""
        request = client_pb2.ListCoordinatorsRequest()
        reply = await self._connection.ask(
            lambda stub, timeout_s: stub.ListCoordinators(request, timeout=timeout_s)
        )
        return CoordinatorInfo.all_from_pb(reply)

    async def add_coordinator(self, node: str, address: str) -> list[CoordinatorInfo]:
        """Let a node keep the log too: it catches up first, and then votes. Asking twice is harmless."""
        request = client_pb2.AddCoordinatorRequest(node=node, address=address)
        reply = await self._connection.ask(
            lambda stub, timeout_s: stub.AddCoordinator(request, timeout=timeout_s)
        )
        return CoordinatorInfo.all_from_pb(reply)

    async def remove_coordinator(self, node: str) -> list[CoordinatorInfo]:
        """Let a node keep the log no more. Refused where too few of the others would answer."""
        request = client_pb2.RemoveCoordinatorRequest(node=node)
        reply = await self._connection.ask(
            lambda stub, timeout_s: stub.RemoveCoordinator(request, timeout=timeout_s)
        )
        return CoordinatorInfo.all_from_pb(reply)
