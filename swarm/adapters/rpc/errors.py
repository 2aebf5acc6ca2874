"""Typed errors over gRPC: a status code for everybody, our own error in the trailing metadata for us."""

from __future__ import annotations

from typing import NoReturn

import grpc
from google.protobuf.message import DecodeError

from swarm.errors import (
    Conflict,
    LimitReached,
    Mistake,
    NotAllowed,
    NotBuilt,
    NotFound,
    NotLeader,
    NotTrusted,
    OutcomeUnknown,
    OutOfTime,
    PeerFault,
    SwarmError,
    TooLarge,
    Unreachable,
)
from swarm.wire.convert import error_from_pb, error_to_pb
from swarm.wire.gen import common_pb2

TRAILER = "swarm-error-bin"

# The first class an error is an instance of decides; the specific ones come first.
_STATUS: tuple[tuple[type[SwarmError], grpc.StatusCode], ...] = (
    (NotFound, grpc.StatusCode.NOT_FOUND),
    (Conflict, grpc.StatusCode.ALREADY_EXISTS),
    (NotAllowed, grpc.StatusCode.PERMISSION_DENIED),
    (NotBuilt, grpc.StatusCode.UNIMPLEMENTED),
    (Mistake, grpc.StatusCode.INVALID_ARGUMENT),
    (NotLeader, grpc.StatusCode.FAILED_PRECONDITION),
    (OutcomeUnknown, grpc.StatusCode.UNKNOWN),
    (NotTrusted, grpc.StatusCode.UNAUTHENTICATED),
    (PeerFault, grpc.StatusCode.UNAVAILABLE),
    (OutOfTime, grpc.StatusCode.DEADLINE_EXCEEDED),
    (LimitReached, grpc.StatusCode.RESOURCE_EXHAUSTED),
)


def status_of(error: SwarmError) -> grpc.StatusCode:
    """The gRPC status that says most about an error to a client that does not know ours."""
    return next((code for kind, code in _STATUS if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


async def abort(context: grpc.aio.ServicerContext[object, object], error: SwarmError) -> NoReturn:
    """End a call with a typed error."""
    trailer = error_to_pb(error).SerializeToString()
    await context.abort(status_of(error), error.message[:400], ((TRAILER, trailer),))
    raise AssertionError  # abort always raises; this is for the type checker


def from_rpc(error: grpc.aio.AioRpcError, peer: str) -> SwarmError:
    """What a failed call means. `peer` names whom we called, for the message."""
    for key, value in error.trailing_metadata() or ():
        if key == TRAILER and isinstance(value, bytes):
            try:
                return error_from_pb(common_pb2.Error.FromString(value))
            except DecodeError:
                break
    details = error.details() or error.code().name
    match error.code():
        case grpc.StatusCode.UNAVAILABLE if _is_handshake(error):
            return NotTrusted(
                f"the TLS handshake with {peer} failed: {details}",
                place=peer,
                remedy="check that both certificates are signed by the same authority and have not expired",
            )
        case grpc.StatusCode.UNAVAILABLE:
            return Unreachable(
                f"{peer} does not answer: {details}", place=peer, remedy="is the daemon running?"
            )
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return TooLarge(details, place=peer)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return OutOfTime(f"{peer} did not answer in time", place=peer)
        case grpc.StatusCode.PERMISSION_DENIED | grpc.StatusCode.UNAUTHENTICATED:
            return NotAllowed(details, place=peer)
        case grpc.StatusCode.UNIMPLEMENTED:
            return NotBuilt(details, place=peer, remedy="the daemon is of another version")
        case _:
            return PeerFault(f"{peer}: {details}", place=peer)


def _is_handshake(error: grpc.aio.AioRpcError) -> bool:
    text = f"{error.details()} {error.debug_error_string()}".lower()
    return any(word in text for word in ("handshake", "ssl", "tls", "certificate"))
