"""What can be asked about the policy; a part of `Session`."""

from __future__ import annotations

from swarm.client.connection import Connection
from swarm.client.records import PolicyInfo
from swarm.wire.gen import client_pb2


class PolicyQuestions:
    """Who may do what."""

    _connection: Connection

    async def apply_policy(self, document: str) -> int:
        """Let a policy hold from now on: JSON as `PolicyFile.document` gives it. Returns the log's index.

        Raises `ConfigRefused` with every problem.
        """
        request = client_pb2.ApplyPolicyRequest(document=document)
        reply = await self._connection.ask(
            lambda stub, timeout_s: stub.ApplyPolicy(request, timeout=timeout_s)
        )
        return reply.index

    async def policy(self) -> PolicyInfo | None:
        """The policy that holds; None where none was ever applied."""
        request = client_pb2.ShowPolicyRequest()
        reply = await self._connection.ask(
            lambda stub, timeout_s: stub.ShowPolicy(request, timeout=timeout_s)
        )
        return PolicyInfo(reply.document, reply.applied_ms, reply.principal) if reply.document else None
