"""The calls about join tokens, as every node answers them: decided by the leader."""

from __future__ import annotations

from typing import Any

from swarm import limits
from swarm.adapters.rpc.callers import Access, behalf, from_node
from swarm.adapters.rpc.forward import CALL_S, Forwarder
from swarm.coordinator import Admissions
from swarm.errors import ProtocolBroken
from swarm.scheduler.members import Token
from swarm.trust import Role
from swarm.wire.gen import client_pb2 as pb


class TokenCalls:
    """A part of the client service; see the head of this module."""

    def __init__(self, admissions: Admissions, forwarder: Forwarder, access: Access) -> None:
        self._access = access
        self._admissions = admissions
        self._decider = forwarder

    async def CreateToken(self, request: pb.CreateTokenRequest, context: Any) -> pb.CreateTokenReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)

        async def local() -> pb.CreateTokenReply:
            token = await self._admissions.create(
                request.token,
                request.secret_sha256,
                _role(request.role),
                request.life_ms,
                request.uses_max,
                self._on_behalf_of(context, request, "CreateToken"),
            )
            return pb.CreateTokenReply(token=_state(token, token.created.at_ms))

        return await self._decider.decide(
            local, lambda stub: stub.CreateToken(request, timeout=CALL_S), twice=True
        )

    async def RevokeToken(self, request: pb.RevokeTokenRequest, context: Any) -> pb.RevokeTokenReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)

        async def local() -> pb.RevokeTokenReply:
            principal = self._on_behalf_of(context, request, "RevokeToken")
            token = await self._admissions.revoke(request.token, principal)
            return pb.RevokeTokenReply(token=_state(token, token.created.at_ms))

        return await self._decider.decide(
            local, lambda stub: stub.RevokeToken(request, timeout=CALL_S), twice=True
        )

    async def ListTokens(self, request: pb.ListTokensRequest, context: Any) -> pb.ListTokensReply:  # noqa: N802
        async def local() -> pb.ListTokensReply:
            tokens = list(self._admissions.members.tokens.values())[-limits.LIST_ITEMS_MAX :]
            now_ms = self._admissions.now_ms()
            return pb.ListTokensReply(tokens=[_state(token, now_ms) for token in tokens])

        self._on_behalf_of(context, request, "ListTokens")
        if from_node(context):  # the question was passed on already
            return await local()
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._decider.decide(
            local, lambda stub: stub.ListTokens(request, timeout=CALL_S), twice=True
        )

    def _on_behalf_of(self, context: Any, request: Any, method: str) -> str:
        """The name of whoever wants this; raises `NotAllowed` where they may not."""
        return self._access.caller(context, request.on_behalf_of, f"/swarm.v1.Swarm/{method}").name

    async def SpendToken(self, request: pb.SpendTokenRequest, context: Any) -> pb.SpendTokenReply:  # noqa: ARG002, N802
        """Only a coordinator may ask this, for somebody who stands at its join listener."""
        return await self.spend(request)

    async def spend(self, request: pb.SpendTokenRequest) -> pb.SpendTokenReply:
        """May they join, and as what? The answer is the leader's."""

        async def local() -> pb.SpendTokenReply:
            role = await self._admissions.spend(
                request.token, request.secret_sha256, request.name, request.key_sha256
            )
            return pb.SpendTokenReply(role=role.value)

        return await self._decider.decide(
            local, lambda stub: stub.SpendToken(request, timeout=CALL_S), twice=True
        )


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise ProtocolBroken(f"no role {text[:40]!r}", place="role") from None


def _state(token: Token, now_ms: int) -> pb.TokenState:
    made = token.created
    return pb.TokenState(
        token=made.token,
        role=made.role,
        status=token.why_not(now_ms) or "usable",
        created_ms=made.at_ms,
        expires_ms=made.expires_ms,
        uses_max=made.uses_max,
        names=[use.name for use in token.uses],
        principal=made.principal,
    )
