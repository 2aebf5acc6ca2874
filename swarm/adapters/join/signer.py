"""The authority's key at work: certificates for newcomers and renewals, recorded before they are given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from swarm.adapters.tls import Authority, Peer
from swarm.adapters.tls.peers import peer_of
from swarm.adapters.tls.renewal import proven_key
from swarm.errors import Mistake
from swarm.trust import Identity
from swarm.trust.foreign import IdentityMap

Record = Callable[[Peer, str], Awaitable[None]]

_OURS = IdentityMap()  # what our own authority signs needs no list to be read


class Signer:
    """Signs on a coordinator that has the authority's key."""

    def __init__(self, authority: Authority, record: Record) -> None:
        self._authority = authority
        self._record = record

    @property
    def authority_der(self) -> bytes:
        return self._authority.certificate_der

    async def admit(
        self, key: ec.EllipticCurvePublicKey, identity: Identity, addresses: Sequence[str]
    ) -> Peer:
        """A newcomer's first certificate."""
        pem = await asyncio.to_thread(self._authority.certify, key, identity, addresses)
        issued = peer_of(pem, _OURS)
        await self._record(issued, "join")
        return issued

    def renew(self, signing_request: bytes, peer: Peer) -> Peer:
        """Another certificate for whoever has `peer`'s. Raises `NotTrusted` or `Mistake`."""
        try:
            request = x509.load_pem_x509_csr(signing_request)
        except ValueError:
            raise Mistake("this is no signing request", place="signing request") from None
        held = x509.load_pem_x509_certificate(peer.certificate)
        return peer_of(self._authority.renew(proven_key(request), held), _OURS)
