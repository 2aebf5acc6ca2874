"""Join tokens as whoever hands them out sees them."""

from __future__ import annotations

import hashlib
import secrets
import ssl
from dataclasses import dataclass

from swarm.client.profile import ClusterProfile
from swarm.trust.tokens import ID_BYTES, SECRET_BYTES, JoinToken
from swarm.wire.gen import client_pb2


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token, without its secret. `status` is usable, or says why it is not."""

    token: str
    role: str
    status: str
    created_ms: int
    expires_ms: int
    uses_max: int
    names: tuple[str, ...]
    principal: str

    @classmethod
    def from_pb(cls, token: client_pb2.TokenState) -> TokenInfo:
        return cls(
            token=token.token,
            role=token.role,
            status=token.status,
            created_ms=token.created_ms,
            expires_ms=token.expires_ms,
            uses_max=token.uses_max,
            names=tuple(token.names),
            principal=token.principal,
        )


def new_token(profile: ClusterProfile) -> JoinToken:
    """A token nobody has seen, which pins the authority of the profile's cluster."""
    certificate = ssl.PEM_cert_to_DER_cert(profile.ca.read_text(encoding="ascii"))
    digest = hashlib.sha256(certificate).digest()
    return JoinToken(secrets.token_hex(ID_BYTES), secrets.token_bytes(SECRET_BYTES), digest, profile.cluster)
