"""Who is at the other end of a call: from the certificate the handshake verified, each read once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from cryptography import x509

from swarm.errors import NotTrusted
from swarm.trust import Identity
from swarm.trust.foreign import IdentityMap

SEEN_MAX: Final = 4_096

_NO_IDENTITY: Final = NotTrusted(
    "the certificate names no identity",
    place="caller",
    remedy="call with a certificate issued by the cluster's authority",
)


class PeerContext(Protocol):
    """What we ask of a call's context; every `grpc.aio.ServicerContext` has it."""

    def auth_context(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """A caller, as its certificate has it."""

    identity: Identity
    serial: str = ""  # hexadecimal
    not_after_ms: int = 0
    certificate: bytes = field(default=b"", repr=False)  # PEM


class Peers:
    """Recognises callers. `seen` hears of every certificate that was not met before."""

    def __init__(
        self, names: IdentityMap | None = None, seen: Callable[[Peer], None] = lambda _: None
    ) -> None:
        self.seen = seen
        self._names = names or IdentityMap()
        self._known: OrderedDict[bytes, Peer] = OrderedDict()

    def recognise(self, context: PeerContext) -> Peer:
        """Who calls. Raises `NotTrusted`."""
        said = context.auth_context()
        shown: list[bytes] = said.get("x509_pem_cert") or said.get("peer_spiffe_id") or []
        if len(shown) != 1:
            raise _NO_IDENTITY
        peer = self._known.get(shown[0])
        if peer is None:
            peer = self._known[shown[0]] = self._read(shown[0])
            while len(self._known) > SEEN_MAX:
                self._known.popitem(last=False)
            self.seen(peer)
        return peer

    def _read(self, shown: bytes) -> Peer:
        if not shown.startswith(b"-----"):
            return Peer(self._names.identity(shown.decode("ascii", "replace")))
        return peer_of(shown, self._names)


def peer_of(pem: bytes, names: IdentityMap) -> Peer:
    """What a certificate says, signed by whomever. Raises `NotTrusted`."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = found.get_values_for_type(x509.UniformResourceIdentifier)
    except (ValueError, x509.ExtensionNotFound):
        raise _NO_IDENTITY from None
    return Peer(
        names.identity(uri),
        f"{certificate.serial_number:x}",
        int(certificate.not_valid_after_utc.timestamp() * 1000),
        pem,
    )


_CALLER: ContextVar[Peer] = ContextVar("caller")
_BY_ITSELF: Final = Peers()


def serve_for(peer: Peer) -> None:
    """What this task does from here on is for `peer`: gRPC gives every call a task of its own."""
    _CALLER.set(peer)


def caller(context: PeerContext) -> Peer:
    """Who makes the call this code serves: never from anything the caller says. Raises `NotTrusted`."""
    found = _CALLER.get(None)
    return _BY_ITSELF.recognise(context) if found is None else found


def peer_identity(context: PeerContext) -> Identity:
    """The identity of whoever makes the call."""
    return caller(context).identity
