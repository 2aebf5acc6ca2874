"""The calls about who keeps the log: any coordinator tells, the leader decides."""

from __future__ import annotations

from typing import Any

from swarm.adapters.rpc.callers import Access, behalf
from swarm.adapters.rpc.forward import CALL_S, Forwarder
from swarm.coordinator import Coordinator
from swarm.errors import Mistake
from swarm.ids import NodeId
from swarm.ports import Voters
from swarm.trust.identity import is_name
from swarm.wire.gen import client_pb2 as pb


class VoterCalls:
    """A part of the client service; see the head of this module."""

    _coordinator: Coordinator
    _forwarder: Forwarder
    _access: Access

    def _freshness(self) -> pb.Freshness:
        raise NotImplementedError

    async def ListCoordinators(  # noqa: N802
        self,
        request: pb.ListCoordinatorsRequest,  # noqa: ARG002
        context: Any,  # noqa: ARG002
    ) -> pb.CoordinatorsReply:
        return self._told(self._coordinator.replica.log.voters())

    async def AddCoordinator(self, request: pb.AddCoordinatorRequest, context: Any) -> pb.CoordinatorsReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        if not is_name(request.node) or not request.address:
            raise Mistake(
                f"{request.node[:64]!r} at {request.address[:64]!r} can be nobody",
                place="coordinator",
                remedy="name a node and its HOST:PORT",
            )

        async def local() -> pb.CoordinatorsReply:
            self._access.caller(context, request.on_behalf_of, "/swarm.v1.Swarm/AddCoordinator")
            node = NodeId(request.node)
            return self._told(await self._coordinator.replica.log.add_voter(node, request.address))

        return await self._forwarder.decide(
            local, lambda stub: stub.AddCoordinator(request, timeout=CALL_S), twice=True
        )

    async def RemoveCoordinator(  # noqa: N802
        self, request: pb.RemoveCoordinatorRequest, context: Any
    ) -> pb.CoordinatorsReply:
        request.on_behalf_of = behalf(context, request.on_behalf_of)

        async def local() -> pb.CoordinatorsReply:
            self._access.caller(context, request.on_behalf_of, "/swarm.v1.Swarm/RemoveCoordinator")
            return self._told(await self._coordinator.replica.log.remove_voter(NodeId(request.node)))

        return await self._forwarder.decide(
            local, lambda stub: stub.RemoveCoordinator(request, timeout=CALL_S), twice=True
        )

    def _told(self, voters: Voters) -> pb.CoordinatorsReply:
        reply = pb.CoordinatorsReply(freshness=self._freshness())
        for learns, nodes in ((False, voters.voters), (True, voters.learners)):
            for node, address in sorted(nodes.items()):
                reply.coordinators.add(node=node, address=address, learns=learns)
        return reply
