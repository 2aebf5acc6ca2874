"""The calls about the policy, as coordinators answer them: applied by the leader, shown from the log."""

from __future__ import annotations

from typing import Any

from swarm.adapters.rpc.callers import Access, behalf
from swarm.adapters.rpc.forward import CALL_S, Forwarder
from swarm.coordinator import Coordinator
from swarm.wire.gen import client_pb2 as pb


class PolicyCalls:
    """A part of the client service; see the head of this module."""

    def __init__(self, coordinator: Coordinator, access: Access, forwarder: Forwarder) -> None:
        self._holder = coordinator
        self._access = access
        self._applier = forwarder

    async def ApplyPolicy(self, request: pb.ApplyPolicyRequest, context: Any) -> pb.ApplyPolicyReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)

        async def local() -> pb.ApplyPolicyReply:
            caller = self._access.caller(context, request.on_behalf_of, "/swarm.v1.Swarm/ApplyPolicy")
            return pb.ApplyPolicyReply(index=await self._holder.apply_policy(request.document, caller))

        return await self._applier.decide(
            local, lambda stub: stub.ApplyPolicy(request, timeout=CALL_S), twice=True
        )

    async def ShowPolicy(self, request: pb.ShowPolicyRequest, context: Any) -> pb.ShowPolicyReply:  # noqa: N802
        self._access.caller(context, request.on_behalf_of, "/swarm.v1.Swarm/ShowPolicy")
        replica = self._holder.replica
        applied, leadership = replica.scheduler.ledger.policy_applied, replica.leadership()
        reply = pb.ShowPolicyReply(
            freshness=pb.Freshness(
                applied_index=replica.applied_index(),
                term=leadership.term,
                leader=leadership.leader or "",
                answered_by=self._holder.node,
            )
        )
        if applied is not None:
            reply.document, reply.applied_ms = applied.document, applied.at_ms
            reply.principal = applied.principal
        return reply
