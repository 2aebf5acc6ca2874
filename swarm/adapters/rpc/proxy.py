"""The client service on a node that holds no log: every question is passed on to the coordinators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeVar

from swarm.adapters.rpc.callers import behalf
from swarm.adapters.rpc.clients import receive_file, send_file
from swarm.adapters.rpc.data import DataCalls
from swarm.adapters.rpc.forward import CALL_S, Forwarder
from swarm.adapters.rpc.passing import MembersPassedOn
from swarm.adapters.rpc.submissions import SubmissionStreams
from swarm.graph import refs
from swarm.wire.convert import items_from_pb
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen import client_pb2_grpc as rpc

ReplyT = TypeVar("ReplyT")


class ProxyServicer(MembersPassedOn, rpc.SwarmServicer):
    """See the head of this module."""

    def __init__(self, forwarder: Forwarder, data: DataCalls, submissions: SubmissionStreams) -> None:
        super().__init__(forwarder)
        self._data = data
        self._submissions = submissions

    async def Submit(self, request: pb.SubmitRequest, context: Any) -> pb.SubmitReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.Submit(request, timeout=CALL_S), twice=bool(request.key))

    async def SubmitMany(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # noqa: ARG002, N802
        """Reads and writes through the context, which gRPC allows beside the generator its stubs describe."""
        await self._submissions.serve(context, self.Submit)

    async def CancelRun(self, request: pb.CancelRunRequest, context: Any) -> pb.CancelRunReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.CancelRun(request, timeout=CALL_S))

    async def Deploy(self, request_iterator: Any, context: Any) -> pb.DeployReply:  # noqa: N802
        start, data = await receive_file(request_iterator)
        start.on_behalf_of = behalf(context, start.on_behalf_of)
        return await self._pass(lambda stub: stub.Deploy(send_file(start, data), timeout=2 * CALL_S))

    async def RemoveAgent(self, request: pb.RemoveAgentRequest, context: Any) -> pb.RemoveAgentReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.RemoveAgent(request, timeout=CALL_S), twice=False)

    async def Upload(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        """Kept here and copied to another node: large payloads are not passed on to the coordinators."""
        await self._data.upload(request_iterator, context)

    async def Download(self, request: pb.DownloadRequest, context: Any) -> AsyncIterator[pb.BlobChunk]:  # noqa: N802
        caller = behalf(context, request.on_behalf_of)
        question = pb.ShowRunRequest(run=request.run, outputs=True, on_behalf_of=caller)
        reply = await self._pass(lambda stub: stub.ShowRun(question, timeout=CALL_S))
        async for chunk in self._data.download(request, refs(items_from_pb(reply.outputs).values())):
            yield chunk

    async def Watch(self, request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.WatchReply]:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        async for reply in self._forwarder.any_voter(lambda stub: stub.Watch(request)):
            yield reply

    async def ExportRun(  # noqa: N802
        self, request: pb.ExportRunRequest, context: Any
    ) -> AsyncIterator[pb.ExportRunReply]:
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        async for reply in self._forwarder.any_voter(lambda stub: stub.ExportRun(request)):
            yield reply

    async def ListRuns(self, request: pb.ListRunsRequest, context: Any) -> pb.ListRunsReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.ListRuns(request, timeout=CALL_S))

    async def ShowRun(self, request: pb.ShowRunRequest, context: Any) -> pb.ShowRunReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.ShowRun(request, timeout=CALL_S))

    async def ExplainStep(self, request: pb.ExplainStepRequest, context: Any) -> pb.ExplainStepReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.ExplainStep(request, timeout=CALL_S))

    async def ListAgents(self, request: pb.ListAgentsRequest, context: Any) -> pb.ListAgentsReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.ListAgents(request, timeout=CALL_S))

    async def ListNodes(self, request: pb.ListNodesRequest, context: Any) -> pb.ListNodesReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.ListNodes(request, timeout=CALL_S))

    async def Status(self, request: pb.StatusRequest, context: Any) -> pb.StatusReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._pass(lambda stub: stub.Status(request, timeout=CALL_S))
