"""The certificate a running server shows, and how it is exchanged for a newer one without a restart.

gRPC asks us before each handshake whether there is a newer certificate. What it does with the answer is not
safe by itself: it keeps what it makes of a certificate (the *factory* of handshakes) behind a bare pointer,
and frees the old one at once, while another thread may be about to begin a handshake with it. A server that
was given a newer certificate at every handshake died of that within seconds
(`tests/integration/test_rotation.py`).

A factory that still has a handshake under way is not freed. So an exchange goes like this:

1. call our own port and say hello, no more: that handshake, half-way, keeps the old factory alive;
2. hand the newer certificate out, once;
3. call again until the newer certificate is what we are shown: the pointer is exchanged;
4. hang up the first call a little later, when nobody can be about to use the old one any more.

What is connected stays connected; and an exchange that returns is one that was seen to have happened.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from swarm.adapters.settings import EVERYWHERE, host_of
from swarm.adapters.tls.diagnose import Proof
from swarm.adapters.tls.files import IdentityFiles
from swarm.errors import Unreachable

CALL_S: Final = 5.0
LINGER_S: Final = 1.0
TRIES_MAX: Final = 50
PAUSE_S: Final = 0.02
ANSWER_BYTES_MAX: Final = 64 * 1024


class ServerCertificate:
    """What one server shows; see the head of this module."""

    def __init__(self, proof: Proof) -> None:
        self._lock = threading.Lock()
        self._newer: grpc.ServerCertificateConfiguration | None = None
        self._exchanging = asyncio.Lock()
        # gRPC keeps a bare pointer to these, too, and follows it at every handshake: they must outlive the
        # server.
        self.credentials = grpc.dynamic_ssl_server_credentials(
            _configuration(proof),
            self._take,  # type: ignore[arg-type]  # None is an answer, too: nothing is newer
            require_client_authentication=True,
        )

    def _take(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by gRPC on threads of its own before each handshake. One of them gets what is newer."""
        with self._lock:
            newer, self._newer = self._newer, None
            return newer

    async def exchange(self, proof: Proof, files: IdentityFiles, listen: str) -> None:
        """Show the newer certificate `proof` from now on. Raises `Unreachable` where that cannot be seen."""
        async with self._exchanging:
            try:
                async with asyncio.timeout(CALL_S):
                    holding = await _Call.begin(listen, files)
                try:
                    await self._exchanged(proof, files, listen)
                    await asyncio.sleep(LINGER_S)
                finally:
                    holding.hang_up()
            except (OSError, ValueError) as error:  # a timeout and an end of the stream are among these
                raise Unreachable(
                    f"the newer certificate is not shown: {str(error) or 'no answer in time'}",
                    place=listen,
                    remedy="it is tried again; a restart of the daemon shows it, too",
                ) from error

    async def _exchanged(self, proof: Proof, files: IdentityFiles, listen: str) -> None:
        wanted = x509.load_pem_x509_certificate(proof.certificate).public_bytes(Encoding.DER)
        with self._lock:
            self._newer = _configuration(proof)
        for _ in range(TRIES_MAX):
            async with asyncio.timeout(CALL_S):
                call = await _Call.begin(listen, files)
                try:
                    shown = await call.certificate()
                finally:
                    call.hang_up()
            if shown == wanted:
                return
            await asyncio.sleep(PAUSE_S)
        raise ConnectionError("the server goes on with the one before")


class _Call:
    """A TLS connection to our own port, made by hand: its handshake can be left standing half-way."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, files: IdentityFiles
    ) -> None:
        self._reader, self._writer = reader, writer
        self._heard, self._said = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # it is compared with the very certificate that is expected
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        context.load_cert_chain(files.certificate, files.key)
        self._tls = context.wrap_bio(self._heard, self._said)

    @classmethod
    async def begin(cls, listen: str, files: IdentityFiles) -> _Call:
        """Say hello and wait for the answer: from then on the server has a handshake under way with us."""
        host, port = host_of(listen), int(listen.rpartition(":")[2])
        reader, writer = await asyncio.open_connection(EVERYWHERE.get(host, host), port)
        call = cls(reader, writer, files)
        try:
            call._step()
            await call._hear()
        except BaseException:
            call.hang_up()
            raise
        return call

    async def certificate(self) -> bytes:
        """Go on with the handshake; what the server shows, in DER."""
        while not self._step():
            await self._hear()
        return self._tls.getpeercert(binary_form=True) or b""

    def hang_up(self) -> None:
        self._writer.transport.abort()

    def _step(self) -> bool:
        try:
            self._tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = False
        self._writer.write(self._said.read())
        return done

    async def _hear(self) -> None:
        data = await self._reader.read(ANSWER_BYTES_MAX)
        if not data:
            raise ConnectionError("the server hung up")
        self._heard.write(data)


def _configuration(proof: Proof) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(proof.key, proof.certificate)], proof.authority)
