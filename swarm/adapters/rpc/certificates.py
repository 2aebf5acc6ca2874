"""The calls about certificates, on a coordinator: signed where the key is, decided by the leader."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from swarm import limits
from swarm.adapters.rpc.callers import Access, behalf, from_node
from swarm.adapters.rpc.forward import CALL_S, Forwarder
from swarm.adapters.tls.peers import Peer, caller
from swarm.coordinator import Identities
from swarm.coordinator.identities import Standing
from swarm.errors import NotFound
from swarm.ids import NodeId
from swarm.trust.identity import Identity
from swarm.wire.gen import client_pb2 as pb


class Signer(Protocol):
    """Whoever has the authority's key."""

    def renew(self, signing_request: bytes, peer: Peer) -> Peer:
        """Another certificate for whoever has `peer`'s. Raises `NotTrusted`."""


class CertificateCalls:
    """A part of the client service; see the head of this module."""

    def __init__(self, identities: Identities, forwarder: Forwarder, access: Access) -> None:
        self._access = access
        self._identities = identities
        self._leader = forwarder
        self.signer: Signer | None = None  # where the authority's key is at hand

    def known(self, serial: str) -> bool:
        """Whether it is recorded that there is this certificate."""
        return self._identities.known(serial)

    async def RenewCertificate(  # noqa: N802
        self, request: pb.RenewCertificateRequest, context: Any
    ) -> pb.RenewCertificateReply:
        if self.signer is None:
            raise NotFound(
                "this coordinator does not have the authority's key",
                place="certificate",
                remedy="ask the one with `join:` in its settings; if there is none, see `swarm certs sign`",
            )
        issued = await asyncio.to_thread(self.signer.renew, request.signing_request, caller(context))
        await self.record(issued, "renewal")  # first: what is not recorded is not given away
        return pb.RenewCertificateReply(certificate=issued.certificate)

    async def RecordCertificate(  # noqa: N802
        self,
        request: pb.RecordCertificateRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.RecordCertificateReply:
        """Only a coordinator may say this."""
        return await self._record(request)

    async def record(self, issued: Peer, origin: str) -> None:
        """Let everybody know that there is this certificate."""
        state = pb.CertificateState(
            uri=issued.identity.uri, serial=issued.serial, not_after_ms=issued.not_after_ms, origin=origin
        )
        await self._record(pb.RecordCertificateRequest(certificate=state))

    async def _record(self, request: pb.RecordCertificateRequest) -> pb.RecordCertificateReply:
        async def local() -> pb.RecordCertificateReply:
            said = request.certificate
            await self._identities.record(said.uri, said.serial, said.not_after_ms, said.origin[:16])
            return pb.RecordCertificateReply()

        return await self._leader.decide(
            local, lambda stub: stub.RecordCertificate(request, timeout=CALL_S), twice=True
        )

    async def ListCertificates(  # noqa: N802
        self, request: pb.ListCertificatesRequest, context: Any
    ) -> pb.ListCertificatesReply:
        async def local() -> pb.ListCertificatesReply:
            found = self._identities.standing()[: limits.CERTIFICATES_LISTED_MAX]
            return pb.ListCertificatesReply(certificates=map(_state, found))

        self._access.caller(context, request.on_behalf_of, "/swarm.v1.Swarm/ListCertificates")
        if from_node(context):  # the question was passed on already
            return await local()
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._leader.decide(
            local, lambda stub: stub.ListCertificates(request, timeout=CALL_S), twice=True
        )

    async def RotateCertificates(  # noqa: N802
        self, request: pb.RotateCertificatesRequest, context: Any
    ) -> pb.RotateCertificatesReply:
        request.on_behalf_of = behalf(context, request.on_behalf_of)

        async def local() -> pb.RotateCertificatesReply:
            self._access.caller(context, request.on_behalf_of, "/swarm.v1.Swarm/RotateCertificates")
            return pb.RotateCertificatesReply(told=self._identities.rotate(list(map(NodeId, request.nodes))))

        return await self._leader.decide(
            local, lambda stub: stub.RotateCertificates(request, timeout=CALL_S), twice=True
        )

    async def Revoke(self, request: pb.RevokeRequest, context: Any) -> pb.RevokeReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)

        async def local() -> pb.RevokeReply:
            by = self._access.caller(context, request.on_behalf_of, "/swarm.v1.Swarm/Revoke").name
            gone = await self._identities.revoke(request.id, request.reason, by)
            return pb.RevokeReply(name=gone.name, serial=gone.serial)

        return await self._leader.decide(local, lambda stub: stub.Revoke(request, timeout=CALL_S), twice=True)


def _state(standing: Standing) -> pb.CertificateState:
    issued = standing.issued
    identity = Identity.parse(issued.uri)
    return pb.CertificateState(
        uri=issued.uri,
        name=identity.name,
        role=identity.role.value,
        serial=issued.serial,
        not_after_ms=issued.not_after_ms,
        origin=issued.origin,
        state=standing.state,
        reason=standing.reason,
    )
