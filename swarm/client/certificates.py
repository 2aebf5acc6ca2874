"""Certificates as an administrator sees them, and the renewal of one's own."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.adapters.tls.renewal import Renewal
from swarm.client.connection import Connection
from swarm.errors import NotFound, SwarmError
from swarm.wire.gen import client_pb2


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """A certificate the cluster knows of."""

    id: str
    role: str
    serial: str
    not_after_ms: int
    state: str  # valid | replaced | expired | revoked
    reason: str
    origin: str  # join | renewal | seen
    uri: str

    @classmethod
    def from_pb(cls, state: client_pb2.CertificateState) -> CertificateInfo:
        return cls(
            id=state.name,
            role=state.role,
            serial=state.serial,
            not_after_ms=state.not_after_ms,
            state=state.state,
            reason=state.reason,
            origin=state.origin,
            uri=state.uri,
        )


@dataclass(frozen=True, slots=True)
class Revocation:
    """Who is let in no more: a name, or with a serial number one certificate of it."""

    id: str
    serial: str


async def renew_own(connection: Connection) -> str:
    """Get another certificate for the profile's identity and put it in place; returns its serial number.

    Raises what the last node said where none of the profile's signs.
    """
    renewal = Renewal(connection.profile.files())
    request = client_pb2.RenewCertificateRequest(signing_request=renewal.request())
    refusal: SwarmError | None = None
    for _ in range(connection.peers):
        try:
            reply = await connection.ask(
                lambda stub, timeout_s: stub.RenewCertificate(request, timeout=timeout_s)
            )
        except NotFound as error:
            refusal = error
            connection.move_on(None)
        else:
            renewal.answer(reply.certificate)
            renewal.finish(connection.identity.names)
            connection.identity.refresh()
            return connection.identity.serial
    assert refusal is not None
    refusal.remedy += f"; the request is in {renewal.request_path}"
    raise refusal
