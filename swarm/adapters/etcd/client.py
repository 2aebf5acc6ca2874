"""Calls to an etcd cluster: one member at a time, the next one when it fails, errors by who must act."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from swarm.adapters.tls import IdentityFiles  # before grpc, see swarm.adapters.tls.tls13

import grpc  # isort: skip
import grpc.aio  # isort: skip

from swarm.adapters.etcd.settings import KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS, PAGE_KEYS
from swarm.errors import ConfigRefused, NotTrusted, QueueFull, Unreachable
from swarm.limits import MESSAGE_BYTES_MAX
from swarm.wire.gen import etcd_pb2 as pb
from swarm.wire.gen import etcd_pb2_grpc as rpc

T = TypeVar("T")

_OPTIONS: Final = (
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
)
_NEEDS_LEADER: Final = (("hasleader", "true"),)  # a member that lost its cluster ends the watch


class Compacted(Unreachable):
    """What was asked for is no longer in etcd's history: read what there is now."""


class EtcdClient:
    """An etcd cluster over mutual TLS. A call that raises `Unreachable` may have had its effect."""

    def __init__(self, endpoints: Sequence[str], tls: IdentityFiles, *, timeout_s: float) -> None:
        self._endpoints = tuple(endpoints)
        self._tls = tls
        self._timeout_s = timeout_s
        self._turn = 0
        self._channels: dict[str, grpc.aio.Channel] = {}

    @property
    def endpoint(self) -> str:
        """The member that is asked at the moment."""
        return self._endpoints[self._turn % len(self._endpoints)]

    def rotate(self) -> None:
        """Ask the next member from now on. Calls under way go on: their channel stays open."""
        self._turn += 1

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    # -- keys ------------------------------------------------------------------------------------

    async def range(self, request: pb.RangeRequest) -> pb.RangeResponse:
        return await self._ask(lambda channel: rpc.KVStub(channel).Range(request, timeout=self._timeout_s))

    async def read_all(self, start: bytes, end: bytes, revision: int) -> Sequence[pb.KeyValue]:
        """Every key from `start` to `end`, page by page, as of one revision."""
        found: list[pb.KeyValue] = []
        while True:
            page = await self.page(start, end, revision)
            found += page.kvs
            if not page.more:
                return found
            start = page.kvs[-1].key + b"\0"

    async def page(self, start: bytes, end: bytes, revision: int) -> pb.RangeResponse:
        """The first keys from `start` to `end` as of one revision."""
        return await self.range(pb.RangeRequest(key=start, range_end=end, limit=PAGE_KEYS, revision=revision))

    async def put(self, key: bytes, value: bytes) -> None:
        request = pb.PutRequest(key=key, value=value)
        await self._ask(lambda channel: rpc.KVStub(channel).Put(request, timeout=self._timeout_s))

    async def delete(self, start: bytes, end: bytes) -> None:
        request = pb.DeleteRangeRequest(key=start, range_end=end)
        await self._ask(lambda channel: rpc.KVStub(channel).DeleteRange(request, timeout=self._timeout_s))

    async def txn(self, request: pb.TxnRequest) -> pb.TxnResponse:
        return await self._ask(lambda channel: rpc.KVStub(channel).Txn(request, timeout=self._timeout_s))

    async def compact(self, revision: int) -> None:
        request = pb.CompactionRequest(revision=revision)
        await self._ask(lambda channel: rpc.KVStub(channel).Compact(request, timeout=self._timeout_s))

    async def watch(
        self, start: bytes, end: bytes, revision: int, take: Callable[[pb.WatchResponse], Awaitable[None]]
    ) -> None:
        """Hand every change from `revision` on to `take`, in order. Only ends by raising."""
        with self._errors():
            call = rpc.WatchStub(self._channel()).Watch(metadata=_NEEDS_LEADER)
            try:
                wanted = pb.WatchCreateRequest(
                    key=start, range_end=end, start_revision=revision, fragment=True
                )
                await call.write(pb.WatchRequest(create_request=wanted))
                async for response in call:
                    if response.canceled:
                        reason = response.cancel_reason or "the history it wanted is gone"
                        raise Compacted(f"the watch was ended: {reason}", place=self.endpoint)
                    await take(response)
            finally:
                call.cancel()
        raise Unreachable("the watch ended", place=self.endpoint)

    # -- leases ----------------------------------------------------------------------------------

    async def grant(self, ttl_s: int) -> int:
        """A new lease; its id."""
        request = pb.LeaseGrantRequest(TTL=ttl_s)
        reply = await self._ask(
            lambda channel: rpc.LeaseStub(channel).LeaseGrant(request, timeout=self._timeout_s)
        )
        return reply.ID

    async def renew(self, lease: int) -> bool:
        """Whether the lease still holds, and now for its whole time again."""

        async def ask(channel: grpc.aio.Channel) -> bool:
            call = rpc.LeaseStub(channel).LeaseKeepAlive(timeout=self._timeout_s)
            await call.write(pb.LeaseKeepAliveRequest(ID=lease))
            await call.done_writing()
            async for reply in call:
                return reply.TTL > 0
            return False

        return await self._ask(ask)

    async def revoke(self, lease: int) -> None:
        request = pb.LeaseRevokeRequest(ID=lease)
        await self._ask(lambda channel: rpc.LeaseStub(channel).LeaseRevoke(request, timeout=self._timeout_s))

    # -- inside ----------------------------------------------------------------------------------

    async def _ask(self, call: Callable[[grpc.aio.Channel], Awaitable[T]]) -> T:
        with self._errors():
            return await call(self._channel())

    def _channel(self) -> grpc.aio.Channel:
        endpoint = self.endpoint
        if endpoint not in self._channels:
            # Read anew for each connection, so that certificates may be exchanged.
            try:
                files = (self._tls.authority, self._tls.key, self._tls.certificate)
                credentials = grpc.ssl_channel_credentials(*(path.read_bytes() for path in files))
            except OSError as error:
                raise ConfigRefused(
                    f"the certificate for etcd cannot be read: {error}",
                    place="log.tls",
                    remedy="name the files of a client certificate that etcd accepts",
                ) from error
            self._channels[endpoint] = grpc.aio.secure_channel(endpoint, credentials, options=_OPTIONS)
        return self._channels[endpoint]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        endpoint = self.endpoint
        try:
            yield
        except grpc.aio.AioRpcError as error:
            raise _translated(endpoint, error.code(), error.details() or "") from error
        except grpc.aio.UsageError as error:
            raise Unreachable(f"etcd's channel is closed: {error}", place=endpoint) from error


def _translated(endpoint: str, code: Any, details: str) -> Exception:
    match code:
        case grpc.StatusCode.OUT_OF_RANGE:
            return Compacted(details, place=endpoint)
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return QueueFull(
                f"etcd takes nothing more: {details}",
                place=endpoint,
                remedy="give it room (--quota-backend-bytes, defrag), then `etcdctl alarm disarm`",
            )
        case grpc.StatusCode.PERMISSION_DENIED | grpc.StatusCode.UNAUTHENTICATED:
            return NotTrusted(
                f"etcd lets this node in no further: {details}",
                place=endpoint,
                remedy="give it a certificate, or a role in etcd, that may read and write /swarm/",
            )
        case _:
            return Unreachable(
                f"etcd does not answer: {code.name} {details}",
                place=endpoint,
                remedy="is etcd running, and is its certificate one that `log.tls.ca` vouches for?",
            )
