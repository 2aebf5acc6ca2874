"""The one place where a call is let in: identity from the certificate, permission from the table.

Whether it is let in or not, the audit log hears of it; where that cannot take an event, nothing is let in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio

from swarm.adapters.rpc.errors import abort
from swarm.adapters.rpc.notes import Note, Nowhere, Recorder
from swarm.adapters.tls import peer_identity
from swarm.errors import NotAllowed, SwarmError
from swarm.trust import Identity
from swarm.trust.permissions import allowed

Handler: TypeAlias = Any  # grpc.RpcMethodHandler; its stubs know only the synchronous kind
Context: TypeAlias = Any  # grpc.aio.ServicerContext


class Gate(grpc.aio.ServerInterceptor):
    """Checks every call to every service of a server before its handler runs."""

    def __init__(self, cluster: str, recorder: Recorder | None = None) -> None:
        self._cluster = cluster
        self._recorder = recorder or Nowhere()

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
        caller = peer_identity(context)
        if caller.cluster != self._cluster:
            raise NotAllowed(
                f"{caller} belongs to another cluster",
                place=method,
                remedy=f"this is cluster {self._cluster}",
            )
        if not allowed(method, caller.role):
            raise NotAllowed(
                f"{caller.kind.value} {caller.name} is a {caller.role.value}, and that does not cover this",
                place=method,
                remedy="use a certificate with a role that does",
            )
        return caller

    def _guarded(self, handler: Handler, method: str) -> Handler:
        """The same handler behind the check; errors of ours leave it as typed errors."""
        if handler.request_streaming or handler.response_streaming:
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

        async def call(request: Any, context: Context) -> Any:
            try:
                with Note(self._recorder, method, context) as note:
                    self.admit(context, method)
                    note.admitted()
                    reply = await behaviour(note.request(request), context)
                    note.reply(reply)
                    return reply
            except SwarmError as error:
                await abort(context, error)

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            try:
                with Note(self._recorder, method, context) as note:
                    self.admit(context, method)
                    note.admitted()
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
