"""A daemon's own certificate: looked after for as long as the daemon runs.

Two thirds of its life gone, or told to, it makes a new key and asks the coordinators in turn, over the
identity it still has, for another certificate; the one with the authority's key signs it. The new one is put
in place and shown from the next handshake on: no stream is dropped and nothing is started again. Files that
somebody else exchanged (an operator, a SPIFFE agent) are shown in the same way.

Where no coordinator has the key, the request waits in `renewal/request.pem` beside the certificate for an
operator to sign it where the key is (`swarm certs sign`) and to lay the answer beside it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import Any, Final

import grpc.aio
import structlog

from swarm.adapters.rpc.channels import Channels
from swarm.adapters.rpc.errors import from_rpc
from swarm.adapters.tls import IdentityFiles, Peer, TlsIdentity
from swarm.adapters.tls.peers import peer_of
from swarm.adapters.tls.renewal import Renewal, due_at
from swarm.errors import NotFound, NotTrusted, SwarmError, Unreachable
from swarm.ids import NodeId
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen import client_pb2_grpc as rpc

_log = structlog.get_logger("swarm.daemon")

LOOK_S: Final = 1.0  # how often the files and the calendar are looked at
RETRY_S: Final = 60.0  # after nobody signed
UNREACHED_RETRY_S: Final = 5.0  # after somebody who may have the key did not answer
CALL_S: Final = 20.0
SIGHTINGS_MAX: Final = 1_000  # waiting to be recorded; what is not is met again after a restart

_NOBODY_SIGNS: Final = (
    "no coordinator has the authority's key. Where it is, run `swarm certs sign {request} --authority DIR`,"
    " and lay the certificate beside the request; or give a coordinator the key with `join:` in its settings"
)


class CertificateKeeper:
    """See the head of this module."""

    def __init__(
        self,
        identity: TlsIdentity,
        files: IdentityFiles,
        listen: str,
        channels: Channels,
        coordinators: Collection[NodeId],
    ) -> None:
        self.record: Callable[[Peer, str], Awaitable[None]] | None = None  # on a coordinator
        self.known: Callable[[str], bool] = lambda _: True
        self.exchanged: list[Callable[[], None]] = []  # called when another certificate is in place
        self._identity = identity
        self._renewal = Renewal(files)
        self._listen = listen
        self._channels = channels
        self._coordinators = coordinators  # they may change
        self._told = asyncio.Event()
        self._wanted = False  # told to, and not done yet
        self._again_at = 0.0
        self._sightings: deque[Peer] = deque(maxlen=SIGHTINGS_MAX)
        self.seen(peer_of(identity.certificate, identity.names))

    def renew(self) -> None:
        """Ask for another certificate now."""
        self._told.set()

    def seen(self, peer: Peer) -> None:
        """Somebody called with a certificate this process had not met."""
        self._sightings.append(peer)

    async def run(self) -> None:
        while True:
            try:
                await self._look()
            except SwarmError as error:
                _log.warning("certificate", error=str(error))
            await self._record_sightings()
            if not self._told.is_set():
                try:
                    async with asyncio.timeout(LOOK_S):
                        await self._told.wait()
                except TimeoutError:
                    pass

    async def _look(self) -> None:
        self._take_answer()
        if await self._identity.show(self._listen):
            for tell in self.exchanged:
                tell()
            _log.info("certificate exchanged", serial=self._identity.serial)
        if self._told.is_set():
            self._told.clear()
            self._wanted, self._again_at = True, 0.0
        now = asyncio.get_running_loop().time()
        if (self._wanted or self._due()) and now >= self._again_at:
            self._again_at = now + UNREACHED_RETRY_S
            try:
                await self._renew()
            except NotTrusted:
                self._again_at = now + RETRY_S
                raise

    def _due(self) -> bool:
        if self._identity.names.foreign:
            return False
        return datetime.now(UTC) >= due_at(self._identity.certificate)

    def _take_answer(self) -> None:
        if self._renewal.finish(self._identity.names):
            self._identity.refresh()
            self._wanted = False

    async def _renew(self) -> None:
        request = pb.RenewCertificateRequest(signing_request=self._renewal.request())
        failures: list[SwarmError] = []
        for coordinator in tuple(self._coordinators):
            try:
                stub: Any = rpc.SwarmStub(self._channels.to(coordinator))
                reply = await stub.RenewCertificate(request, timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                failures.append(from_rpc(error, coordinator))
            except Unreachable as error:
                failures.append(error)
            else:
                self._renewal.answer(reply.certificate)
                self._take_answer()
                await self._look()
                return
        if all(isinstance(failure, NotFound) for failure in failures):
            raise NotTrusted(
                f"nobody renews the certificate, which ends on {self._identity.not_after:%Y-%m-%d %H:%M} UTC",
                place=str(self._renewal.files.certificate),
                remedy=_NOBODY_SIGNS.format(request=self._renewal.request_path),
            )
        raise next(failure for failure in failures if not isinstance(failure, NotFound))

    async def _record_sightings(self) -> None:
        while self._sightings and self.record is not None:
            peer = self._sightings[0]
            if peer.serial and not self.known(peer.serial):
                try:
                    await self.record(peer, "seen")
                except SwarmError:  # nobody leads at the moment
                    return
            self._sightings.popleft()
