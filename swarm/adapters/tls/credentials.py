"""gRPC over mutual TLS: what a process presents, what it demands, and who is at the other end."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import grpc
import grpc.aio
from cryptography import x509

from swarm.adapters.tls.diagnose import Proof, load_proof
from swarm.adapters.tls.files import IdentityFiles
from swarm.adapters.tls.serving import ServerCertificate
from swarm.adapters.tls.tls13 import require_tls13
from swarm.errors import Bug, NotTrusted
from swarm.ids import NodeId
from swarm.limits import MESSAGE_BYTES_MAX
from swarm.trust import Identity, Kind
from swarm.trust.foreign import IdentityMap

KEEPALIVE_MS = 5_000  # an idle connection is probed this often, so that a vanished peer is noticed
KEEPALIVE_TIMEOUT_MS = 5_000
CONNECT_MS_MAX = 1_000  # for a connection and its handshake, at least; gRPC calls this a reconnect backoff
RECONNECT_MS_MIN = 20
RECONNECT_MS_MAX = 1_000

_LIMITS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)

# What a stranger can cost us before a certificate was seen: a place among so many, for so long. gRPC counts
# all connections alike; half the files a daemon may have open are never for callers.
HANDSHAKE_MS_MAX = 5_000  # from the first byte to the caller's HTTP/2 settings
FILES_MAX = 8_192  # of one daemon; it asks for as many as its hard limit allows
CONNECTIONS_MAX = min(2_048, min(FILES_MAX, resource.getrlimit(resource.RLIMIT_NOFILE)[1]) // 2)
STREAMS_MAX = 1_024  # calls at once over one connection
METADATA_BYTES_MAX = 16 * 1024  # of one call

SERVER_OPTIONS: tuple[tuple[str, Any], ...] = (
    *_LIMITS,
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS_MAX),
    ("grpc.max_allowed_incoming_connections", CONNECTIONS_MAX),
    ("grpc.max_concurrent_streams", STREAMS_MAX),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
    ("grpc.so_reuseport", 0),  # a second daemon on the port must fail, not share it
)
"""Options every gRPC server of ours is made with."""

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    *_LIMITS,
    ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS_MIN),
    ("grpc.min_reconnect_backoff_ms", CONNECT_MS_MAX),
    ("grpc.max_reconnect_backoff_ms", RECONNECT_MS_MAX),
    ("grpc.use_local_subchannel_pool", 1),  # no sharing of a connection between two identities
)


class ChannelFactory(Protocol):
    """How the rest of the runtime reaches another process."""

    def __call__(self, address: str, expected: NodeId | None) -> grpc.aio.Channel:
        """A channel to `address` whose other end must prove to be `expected`."""


class TlsIdentity:
    """One process's identity, loaded and checked, able to serve and to dial.

    When its files are exchanged for newer ones of the same identity, every channel opened from then on uses
    those, and what is connected stays connected. Files that are not whole yet, or somebody else's, are not
    taken. A server shows the newer certificate once `show` was called.
    """

    def __init__(
        self,
        proof: Proof,
        files: IdentityFiles | None = None,
        *,
        names: IdentityMap | None = None,
        server_name: str = "{}",
    ) -> None:
        self.identity: Identity = proof.identity
        self.names = names or IdentityMap()
        self.generation = 0  # counts exchanges
        self._proof = proof
        self._files = files
        self._seen = _stamp(files)
        self._server: ServerCertificate | None = None
        self._shown = 0
        self._server_name = server_name

    @classmethod
    def load(
        cls, files: IdentityFiles, *, names: IdentityMap | None = None, server_name: str = "{}"
    ) -> TlsIdentity:
        """Read and check the files; raises `NotTrusted` naming every fault in them.

        `names` reads the identities in certificates of another authority, and `server_name` is how those call
        a node: `{}` stands for its id.
        """
        return cls(load_proof(files, names=names), files, names=names, server_name=server_name)

    @property
    def certificate(self) -> bytes:
        """The certificate in use, in PEM."""
        return self._proof.certificate

    @property
    def serial(self) -> str:
        return f"{x509.load_pem_x509_certificate(self._proof.certificate).serial_number:x}"

    @property
    def not_after(self) -> datetime:
        return x509.load_pem_x509_certificate(self._proof.certificate).not_valid_after_utc

    def refresh(self) -> bool:
        """Take newer files in, if there are any. Any thread may call this."""
        stamp = _stamp(self._files)
        if self._files is None or stamp == self._seen:
            return False
        try:
            proof = load_proof(self._files, names=self.names)
        except NotTrusted:  # key and certificate are two files: looked at again at the next handshake
            return False
        if proof.identity != self.identity:
            return False
        self._proof, self._seen = proof, stamp
        self.generation += 1
        return True

    def server_credentials(self) -> grpc.ServerCredentials:
        """For a server that only talks to holders of a certificate of this cluster, over TLS 1.3."""
        require_tls13()
        if self.identity.kind is not Kind.NODE:
            raise Bug("only a node serves", place=self.identity.uri)
        self._shown = self.generation
        self._server = ServerCertificate(self._proof)
        return self._server.credentials

    async def show(self, listen: str) -> bool:
        """Let the server that listens there show what was taken in since; whether there was anything.

        Raises `Unreachable` where it cannot be seen to do so; it is to be called again then.
        """
        self.refresh()
        generation = self.generation
        if self._server is None or self._files is None or generation == self._shown:
            return False
        await self._server.exchange(self._proof, self._files, listen)
        self._shown = generation
        return True

    def channel(self, address: str, expected: NodeId | None) -> grpc.aio.Channel:
        """Dial `address`; the handshake fails unless the other side proves to be node `expected`.

        With `expected` None the host in `address` has to be in the node's certificate instead: any node
        of the cluster will do, provided it is the one that was issued for that host.
        """
        self.refresh()
        credentials = grpc.ssl_channel_credentials(
            self._proof.authority, self._proof.key, self._proof.certificate
        )
        options: Sequence[tuple[str, Any]] = CHANNEL_OPTIONS
        if expected is not None:
            options = (*options, ("grpc.ssl_target_name_override", self._server_name.format(expected)))
        return grpc.aio.secure_channel(address, credentials, options=options)


def _stamp(files: IdentityFiles | None) -> tuple[tuple[int, int], ...]:
    """What changes when a file is exchanged."""
    found = []
    for path in (files.certificate, files.key, files.authority) if files is not None else ():
        try:
            stat = path.stat()
        except OSError:  # between two renames
            continue
        found.append((stat.st_ino, stat.st_mtime_ns))
    return tuple(found)
