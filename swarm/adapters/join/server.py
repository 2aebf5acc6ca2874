"""The listener for those who have no certificate yet. It serves two questions and nothing else.

Who asks proves nothing by TLS, so everything is bounded before a byte of theirs is read: how many
connections there are, how many one address may open, how long a handshake and a whole call may take, how long
a message may be. The token is judged by the leader and spent in the replicated log *before* a certificate is
signed: what is lost after that costs a use, and the same key may ask again; what would be lost before would
let one token in twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import ssl
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from swarm.adapters.join.frames import CALL_S, HANDSHAKE_S, read_message, write_message
from swarm.adapters.join.signer import Signer
from swarm.adapters.rpc.notes import Recorder
from swarm.adapters.settings import host_of
from swarm.adapters.tls import IdentityFiles
from swarm.adapters.tls.renewal import proven_key
from swarm.errors import NotTrusted, SwarmError, Unreachable
from swarm.ids import NodeId
from swarm.trust import Identity, Role
from swarm.trust.audit import Event
from swarm.trust.authors import Author
from swarm.trust.tokens import KIND_OF_ROLE, secret_hash
from swarm.wire.convert import error_to_pb
from swarm.wire.gen import join_pb2 as pb
from swarm.wire.gen.client_pb2 import SpendTokenReply, SpendTokenRequest

_log = structlog.get_logger("swarm.join")

CONNECTIONS_MAX: Final = 32
ADDRESS_CONNECTIONS_MAX: Final = 16  # of one address at once: nobody takes all the places
ADDRESS_CALLS_MAX: Final = 120  # of one address in a row; then one each ADDRESS_CALL_S
ADDRESS_CALL_S: Final = 0.1
ADDRESSES_MAX: Final = 1_024  # remembered; the one not heard of for longest is forgotten

Spend = Callable[[SpendTokenRequest], Awaitable[SpendTokenReply]]


@dataclass(frozen=True, slots=True)
class Founded:
    """What a newcomer is told of the cluster."""

    cluster: str
    coordinators: Mapping[NodeId, str]  # they may change
    authors: tuple[Author, ...]


class JoinServer:
    """See the head of this module. Only a coordinator that has the authority's key runs one."""

    def __init__(
        self, founded: Founded, signer: Signer, files: IdentityFiles, spend: Spend, recorder: Recorder
    ) -> None:
        self._founded = founded
        self._signer = signer
        self._files = files
        self._spend = spend
        self._recorder = recorder
        self._calls: set[asyncio.Task[None]] = set()
        self._open: Counter[str] = Counter()  # connections by address
        self._paces: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.refresh()
        self._server: asyncio.Server | None = None

    def refresh(self) -> None:
        """Show the certificate that lies there now from the next connection on."""
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_3
        self._tls.load_cert_chain(self._files.certificate, self._files.key)

    async def start(self, listen: str) -> None:
        """Listen on HOST:PORT."""
        host, port = host_of(listen), int(listen.rpartition(":")[2])
        try:
            # TLS begins after a place was given to the connection, so that handshakes are bounded too.
            self._server = await asyncio.start_server(self._accept, host, port)
        except OSError as error:
            raise Unreachable(
                f"cannot listen on {listen}: {error.strerror}",
                place="join.listen",
                remedy="is another process on this port? `ss -ltnp` tells",
            ) from error

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for call in list(self._calls):
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = str((writer.get_extra_info("peername") or ("unknown",))[0])
        full = len(self._calls) >= CONNECTIONS_MAX
        if full or self._open[source] >= ADDRESS_CONNECTIONS_MAX or not self._may_call(source):
            writer.transport.abort()
            return
        call = asyncio.create_task(self._serve(reader, writer, source))
        self._calls.add(call)
        self._open[source] += 1
        call.add_done_callback(lambda call: self._ended(call, source))

    def _ended(self, call: asyncio.Task[None], source: str) -> None:
        self._calls.discard(call)
        self._open[source] -= 1
        if not self._open[source]:
            del self._open[source]

    def _may_call(self, source: str) -> bool:
        """A bucket for each address that fills again with time."""
        now = time.monotonic()
        left, since = self._paces.pop(source, (float(ADDRESS_CALLS_MAX), now))
        left = min(left + (now - since) / ADDRESS_CALL_S, ADDRESS_CALLS_MAX)
        self._paces[source] = (left - 1 if left >= 1 else left, now)
        while len(self._paces) > ADDRESSES_MAX:
            self._paces.popitem(last=False)
        return left >= 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str) -> None:
        try:
            async with asyncio.timeout(CALL_S):
                await writer.start_tls(self._tls, ssl_handshake_timeout=HANDSHAKE_S)
                call = await read_message(reader, pb.JoinCall)
                await write_message(writer, await self._answer(call, source))
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, SwarmError) as error:  # a stranger's connection: nobody else's trouble
            _log.debug("join connection ended", source=source, error=str(error))
        finally:
            writer.transport.abort()

    async def _answer(self, call: pb.JoinCall, source: str) -> pb.JoinReply:
        if call.WhichOneof("call") != "join":
            return pb.JoinReply(authority=self._signer.authority_der)
        ask, result = call.join, "ok"
        try:
            self._recorder.ready()
            return pb.JoinReply(joined=await self._admit(ask))
        except SwarmError as error:
            result = error.code
            return pb.JoinReply(refused=error_to_pb(error))
        finally:
            self._recorder.record(
                Event(
                    at_ms=time.time_ns() // 1_000_000,
                    who=f"token {ask.token}",
                    did="join",
                    on=ask.name,
                    result=result,
                    source=source,
                )
            )

    async def _admit(self, ask: pb.JoinAsk) -> pb.Joined:
        key = _proven_key(ask.signing_request)
        for address in ask.addresses:
            _is_address(address)
        request = SpendTokenRequest(
            token=ask.token,
            secret_sha256=secret_hash(ask.secret),
            name=ask.name,
            key_sha256=key_sha256(key),
        )
        role = Role((await self._spend(request)).role)
        identity = Identity(self._founded.cluster, KIND_OF_ROLE[role], ask.name, role)
        issued = await self._signer.admit(key, identity, list(ask.addresses))
        _log.info("joined", name=ask.name, role=role.value)
        return pb.Joined(
            certificate=issued.certificate,
            cluster=self._founded.cluster,
            role=role.value,
            coordinators={str(node): at for node, at in self._founded.coordinators.items()},
            authors=[
                pb.TrustedAuthor(name=author.name, key=author.key, may=author.may)
                for author in self._founded.authors
            ],
        )


def key_sha256(key: ec.EllipticCurvePublicKey) -> str:
    """The name of a public key."""
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()


def _proven_key(signing_request: bytes) -> ec.EllipticCurvePublicKey:
    """The key of a signing request. Nothing else in it is looked at."""
    try:
        request = x509.load_der_x509_csr(signing_request)
    except ValueError:
        raise _bad_request("this is no signing request") from None
    return proven_key(request)


def _is_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise _bad_request(f"{text[:64]!r} is no IP address") from None


def _bad_request(message: str) -> NotTrusted:
    return NotTrusted(message, place="join", remedy="use `swarm join`")
