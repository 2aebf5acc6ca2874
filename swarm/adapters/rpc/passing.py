"""Calls about members of the cluster on a node that holds no log: passed on to the coordinators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from swarm.adapters.rpc.callers import behalf
from swarm.adapters.rpc.forward import CALL_S, Forwarder
from swarm.errors import NotFound
from swarm.wire.gen import client_pb2 as pb

ReplyT = TypeVar("ReplyT")


class MembersPassedOn:
    """A part of the client service; see the head of this module."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder

    async def _pass(self, call: Callable[[Any], Awaitable[ReplyT]], *, twice: bool = True) -> ReplyT:
        return await self._forwarder.decide(None, call, twice=twice)

    async def CreateToken(self, request: pb.CreateTokenRequest, context: Any) -> pb.CreateTokenReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.CreateToken(request, timeout=CALL_S))

    async def RevokeToken(self, request: pb.RevokeTokenRequest, context: Any) -> pb.RevokeTokenReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.RevokeToken(request, timeout=CALL_S))

    async def ListTokens(self, request: pb.ListTokensRequest, context: Any) -> pb.ListTokensReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.ListTokens(request, timeout=CALL_S))

    async def SpendToken(self, request: pb.SpendTokenRequest, context: Any) -> pb.SpendTokenReply:  # noqa: ARG002, N802
        return await self._pass(lambda stub: stub.SpendToken(request, timeout=CALL_S))

    async def ListCertificates(  # noqa: N802
        self, request: pb.ListCertificatesRequest, context: Any
    ) -> pb.ListCertificatesReply:
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.ListCertificates(request, timeout=CALL_S))

    async def RotateCertificates(  # noqa: N802
        self, request: pb.RotateCertificatesRequest, context: Any
    ) -> pb.RotateCertificatesReply:
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.RotateCertificates(request, timeout=CALL_S))

    async def Revoke(self, request: pb.RevokeRequest, context: Any) -> pb.RevokeReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.Revoke(request, timeout=CALL_S))

    async def RenewCertificate(self, request: Any, context: Any) -> pb.RenewCertificateReply:  # noqa: ARG002, N802
        raise NotFound("a worker signs nothing", place="certificate", remedy="ask a coordinator")

    async def ApplyPolicy(self, request: pb.ApplyPolicyRequest, context: Any) -> pb.ApplyPolicyReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.ApplyPolicy(request, timeout=CALL_S))

    async def ShowPolicy(self, request: pb.ShowPolicyRequest, context: Any) -> pb.ShowPolicyReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.ShowPolicy(request, timeout=CALL_S))

    async def ListCoordinators(  # noqa: N802
        self,
        request: pb.ListCoordinatorsRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.CoordinatorsReply:
        return await self._pass(lambda stub: stub.ListCoordinators(request, timeout=CALL_S))

    async def AddCoordinator(self, request: pb.AddCoordinatorRequest, context: Any) -> pb.CoordinatorsReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.AddCoordinator(request, timeout=CALL_S))

    async def RemoveCoordinator(  # noqa: N802
        self, request: pb.RemoveCoordinatorRequest, context: Any
    ) -> pb.CoordinatorsReply:
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.RemoveCoordinator(request, timeout=CALL_S))
