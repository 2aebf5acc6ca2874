"""The client service on a node that holds no log: every question is passed on to the coordinators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from swarm.adapters.rpc.callers import principal
from swarm.adapters.rpc.clients import receive_file, send_file
from swarm.adapters.rpc.forward import CALL_S, Forwarder
from swarm.errors import NotFound
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen import client_pb2_grpc as rpc

ReplyT = TypeVar("ReplyT")


class ProxyServicer(rpc.SwarmServicer):
    """See the head of this module."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder

    async def _pass(self, call: Callable[[Any], Awaitable[ReplyT]], *, twice: bool = True) -> ReplyT:
        return await self._forwarder.decide(None, call, twice=twice)

    async def Submit(self, request: pb.SubmitRequest, context: Any) -> pb.SubmitReply:  # noqa: N802
        request.on_behalf_of = principal(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.Submit(request, timeout=CALL_S), twice=bool(request.key))

    async def CancelRun(self, request: pb.CancelRunRequest, context: Any) -> pb.CancelRunReply:  # noqa: N802
        request.on_behalf_of = principal(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.CancelRun(request, timeout=CALL_S))

    async def Deploy(self, request_iterator: Any, context: Any) -> pb.DeployReply:  # noqa: N802
        start, data = await receive_file(request_iterator)
        start.on_behalf_of = principal(context, start.on_behalf_of)
        return await self._pass(lambda stub: stub.Deploy(send_file(start, data), timeout=2 * CALL_S))

    async def RemoveAgent(self, request: pb.RemoveAgentRequest, context: Any) -> pb.RemoveAgentReply:  # noqa: N802
        request.on_behalf_of = principal(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.RemoveAgent(request, timeout=CALL_S), twice=False)

    async def CreateToken(self, request: pb.CreateTokenRequest, context: Any) -> pb.CreateTokenReply:  # noqa: N802
        request.on_behalf_of = principal(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.CreateToken(request, timeout=CALL_S))

    async def RevokeToken(self, request: pb.RevokeTokenRequest, context: Any) -> pb.RevokeTokenReply:  # noqa: N802
        request.on_behalf_of = principal(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.RevokeToken(request, timeout=CALL_S))

    async def ListTokens(self, request: pb.ListTokensRequest, context: Any) -> pb.ListTokensReply:  # noqa: ARG002, N802
        return await self._pass(lambda stub: stub.ListTokens(request, timeout=CALL_S))

    async def SpendToken(self, request: pb.SpendTokenRequest, context: Any) -> pb.SpendTokenReply:  # noqa: ARG002, N802
        return await self._pass(lambda stub: stub.SpendToken(request, timeout=CALL_S))

    async def ListCertificates(  # noqa: N802
        self,
        request: pb.ListCertificatesRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.ListCertificatesReply:
        return await self._pass(lambda stub: stub.ListCertificates(request, timeout=CALL_S))

    async def RotateCertificates(  # noqa: N802
        self, request: pb.RotateCertificatesRequest, context: Any
    ) -> pb.RotateCertificatesReply:
        request.on_behalf_of = principal(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.RotateCertificates(request, timeout=CALL_S))

    async def Revoke(self, request: pb.RevokeRequest, context: Any) -> pb.RevokeReply:  # noqa: N802
        request.on_behalf_of = principal(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.Revoke(request, timeout=CALL_S))

    async def RenewCertificate(self, request: Any, context: Any) -> pb.RenewCertificateReply:  # noqa: ARG002, N802
        raise NotFound("a worker signs nothing", place="certificate", remedy="ask a coordinator")

    async def Watch(self, request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.WatchReply]:  # noqa: ARG002, N802
        async for reply in self._forwarder.any_voter(lambda stub: stub.Watch(request)):
            yield reply

    async def ListRuns(self, request: pb.ListRunsRequest, context: Any) -> pb.ListRunsReply:  # noqa: ARG002, N802
        return await self._pass(lambda stub: stub.ListRuns(request, timeout=CALL_S))

    async def ShowRun(self, request: pb.ShowRunRequest, context: Any) -> pb.ShowRunReply:  # noqa: ARG002, N802
        return await self._pass(lambda stub: stub.ShowRun(request, timeout=CALL_S))

    async def ExplainStep(self, request: pb.ExplainStepRequest, context: Any) -> pb.ExplainStepReply:  # noqa: ARG002, N802
        return await self._pass(lambda stub: stub.ExplainStep(request, timeout=CALL_S))

    async def ListAgents(self, request: pb.ListAgentsRequest, context: Any) -> pb.ListAgentsReply:  # noqa: ARG002, N802
        return await self._pass(lambda stub: stub.ListAgents(request, timeout=CALL_S))

    async def ListNodes(self, request: pb.ListNodesRequest, context: Any) -> pb.ListNodesReply:  # noqa: ARG002, N802
        return await self._pass(lambda stub: stub.ListNodes(request, timeout=CALL_S))

    async def Status(self, request: pb.StatusRequest, context: Any) -> pb.StatusReply:  # noqa: ARG002, N802
        return await self._pass(lambda stub: stub.Status(request, timeout=CALL_S))
