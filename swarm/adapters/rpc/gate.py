"""The one place where a call is let in: identity from the certificate, permission from the table.

Whether it is let in or not, the audit log hears of it; where that cannot take an event, nothing is let in.
Who is revoked is let in no more, and what they have open is ended: the gate knows every stream it let in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio

from swarm.adapters.rpc.callers import Access
from swarm.adapters.rpc.errors import abort
from swarm.adapters.rpc.notes import Note, Nowhere, Recorder
from swarm.adapters.tls.peers import Peer, Peers, serve_for
from swarm.errors import NotTrusted, SwarmError, Unreachable
from swarm.trust import Identity, Kind
from swarm.trust.revocation import Revocations, Revoked

Handler: TypeAlias = Any  # grpc.RpcMethodHandler; its stubs know only the synchronous kind
Context: TypeAlias = Any  # grpc.aio.ServicerContext


class Gate(grpc.aio.ServerInterceptor):
    """Checks every call to every service of a server before its handler runs."""

    def __init__(
        self,
        access: Access,
        recorder: Recorder | None = None,
        peers: Peers | None = None,
        revocations: Revocations | None = None,
    ) -> None:
        self._access = access
        self._recorder = recorder or Nowhere()
        self._peers = peers or Peers()
        self._revocations = revocations or Revocations()
        self.known: Callable[[str], None] = lambda _: None  # told of connections somebody was let in over
        self._open: dict[asyncio.Task[Any], Peer] = {}  # streams

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        if handler is None:  # no such method: gRPC answers that itself
            return handler
        return self._guarded(handler, handler_call_details.method)

    def admit(self, context: Context, method: str) -> Identity:
        """Who calls; raises `NotTrusted` or `NotAllowed`."""
        peer = self._peers.recognise(context)
        self._check(peer, method)
        return peer.identity

    @contextmanager
    def letting_in(self, context: Context, method: str) -> Iterator[Note]:
        """For a call that came on a stream with others: let in or not, and written down as one by itself."""
        with Note(self._recorder, method, context) as note:
            peer = self._peers.recognise(context)
            self._check(peer, method)
            note.admitted(self._access.policy().grant(peer.identity).tenant)
            yield note

    def cut(self) -> None:
        """End the streams of those who were revoked."""
        for task, peer in list(self._open.items()):
            if self._revocations.find(peer.identity.name, peer.serial) is not None:
                task.cancel()

    def _check(self, peer: Peer, method: str) -> None:
        caller = peer.identity
        if (gone := self._revocations.find(caller.name, peer.serial)) is not None:
            raise revoked(gone)
        if not self._revocations.complete and caller.kind is Kind.CLIENT:
            raise Unreachable(
                "this node has not heard yet who was revoked",
                place=method,
                remedy="ask another node, or again",
            )
        if peer.not_after_ms and peer.not_after_ms < time.time_ns() // 1_000_000:
            raise NotTrusted(  # it was valid when the connection was made
                "the certificate has expired", place=caller.uri, remedy="renew it: `swarm certs renew`"
            )
        self._access.check(caller, method)

    @contextmanager
    def _watching(self, peer: Peer, *, stream: bool) -> Iterator[None]:
        """While a stream is open it can be cut; what was cut ends with the reason."""
        task = asyncio.current_task() if stream else None
        if task is None:
            yield
            return
        self._open[task] = peer
        try:
            yield
        except asyncio.CancelledError:
            gone = self._revocations.find(peer.identity.name, peer.serial)
            if gone is None:  # the caller hung up, or the daemon stops
                raise
            task.uncancel()
            raise revoked(gone) from None
        else:
            if (gone := self._revocations.find(peer.identity.name, peer.serial)) is not None:
                raise revoked(gone)
        finally:
            del self._open[task]

    def _guarded(self, handler: Handler, method: str) -> Handler:
        """The same handler behind the check; errors of ours leave it as typed errors."""
        long = handler.request_streaming or handler.response_streaming
        if long:
            make = {
                (True, True): grpc.stream_stream_rpc_method_handler,
                (True, False): grpc.stream_unary_rpc_method_handler,
                (False, True): grpc.unary_stream_rpc_method_handler,
            }[(handler.request_streaming, handler.response_streaming)]
        else:
            make = grpc.unary_unary_rpc_method_handler
        behaviour = (
            handler.stream_stream or handler.stream_unary or handler.unary_stream or handler.unary_unary
        )

        @contextmanager
        def admitted(note: Note, context: Context) -> Iterator[None]:
            peer = self._peers.recognise(context)
            serve_for(peer)
            self._check(peer, method)
            self.known(context.peer())
            note.admitted(self._access.policy().grant(peer.identity).tenant)
            with self._watching(peer, stream=long):
                yield

        async def call(request: Any, context: Context) -> Any:
            try:
                with Note(self._recorder, method, context) as note, admitted(note, context):
                    reply = await behaviour(note.request(request), context)
                    note.reply(reply)
                    return reply
            except SwarmError as error:
                await abort(context, error)

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            try:
                with Note(self._recorder, method, context) as note, admitted(note, context):
                    async for reply in behaviour(note.request(request), context):
                        yield reply
            except SwarmError as error:
                await abort(context, error)

        streams = handler.response_streaming and handler.unary_stream is not None
        return make(
            stream if streams else call,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def revoked(gone: Revoked) -> NotTrusted:
    """What somebody is told who is let in no more."""
    what = f"certificate {gone.serial}" if gone.serial else "every certificate of that name"
    return NotTrusted(
        f"{gone.name} was revoked: {gone.reason or 'no reason was given'}",
        place=what,
        remedy="ask an administrator; where it was a mistake, join again"
        + (" or renew" if gone.serial else " under another name"),
    )
