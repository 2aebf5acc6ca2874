"""Typed errors survive the wire, and a plain gRPC failure becomes the closest of ours."""

import grpc
import pytest

from swarm.adapters.rpc.errors import TRAILER, from_rpc, status_of
from swarm.errors import (
    Bug,
    GraphRefused,
    NotAllowed,
    NotBuilt,
    NotLeader,
    NotTrusted,
    OutOfTime,
    PeerFault,
    Problem,
    SwarmError,
    TooLarge,
    Unreachable,
    by_code,
)
from swarm.wire.convert import error_to_pb


def failure(code, details="", trailer=()):
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailer), details, details)


def over_the_wire(error):
    return from_rpc(
        failure(status_of(error), trailer=((TRAILER, error_to_pb(error).SerializeToString()),)), "n1"
    )


@pytest.mark.parametrize("kind", sorted(by_code().values(), key=lambda kind: kind.code), ids=lambda k: k.code)
def test_every_error_keeps_its_class_place_and_remedy_over_the_wire(kind):
    error = NotLeader("n2") if kind is NotLeader else kind("it broke", place="here", remedy="mend it")
    again = over_the_wire(error)
    assert type(again) is (PeerFault if kind is Bug else kind)  # a peer's bug is none of ours
    assert (again.message, again.place, again.remedy) == (error.message, error.place, error.remedy)


def test_every_problem_of_a_refusal_arrives():
    problems = tuple(Problem("unknown", f"node n{i}", "no such thing", "look again") for i in range(3))
    assert over_the_wire(GraphRefused("no", problems=problems)).problems == problems


def test_not_leader_arrives_with_its_hint():
    again = over_the_wire(NotLeader("n3"))
    assert isinstance(again, NotLeader)
    assert again.hint == "n3"


def test_a_trailer_that_does_not_parse_is_not_believed():
    found = from_rpc(failure(grpc.StatusCode.UNAVAILABLE, trailer=((TRAILER, b"\xff\xff\xff"),)), "n1")
    assert isinstance(found, Unreachable)


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, "connection refused", Unreachable),
        (grpc.StatusCode.UNAVAILABLE, "Ssl handshake failed: CERTIFICATE_VERIFY_FAILED", NotTrusted),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "message larger than max", TooLarge),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", OutOfTime),
        (grpc.StatusCode.PERMISSION_DENIED, "", NotAllowed),
        (grpc.StatusCode.UNIMPLEMENTED, "", NotBuilt),
        (grpc.StatusCode.INTERNAL, "", PeerFault),
    ],
)
def test_a_plain_failure_becomes_the_closest_error_and_names_the_peer(code, details, kind):
    found = from_rpc(failure(code, details), "n1")
    assert type(found) is kind
    assert found.place == "n1"


def test_no_error_of_ours_is_reported_as_success():
    assert all(status_of(kind("x") if kind is not NotLeader else NotLeader()) is not grpc.StatusCode.OK
               for kind in by_code().values() if issubclass(kind, SwarmError))  # fmt: skip
