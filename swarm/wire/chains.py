"""What a node goes on with after a step, as protobuf."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from swarm.errors import ProtocolBroken
from swarm.ids import CapabilityName, Digest, RunId, StepKey
from swarm.scheduler.actions import Follower, Wire
from swarm.scheduler.chains import CHAIN_STEPS_MAX
from swarm.wire.convert import items_from_pb, items_to_pb
from swarm.wire.gen import work_pb2 as pb


def followers_to_pb(followers: Iterable[Follower]) -> list[pb.Follower]:
    """A chain; run and term are those of the order it comes with."""
    return [
        pb.Follower(
            step=each.key.step,
            attempt=each.key.attempt,
            agent=each.agent,
            capability=each.capability,
            timeout_ms=each.timeout_ms,
            scatter=[pb.ScatterCount(port=port, count=count) for port, count in each.scatter],
            inputs=items_to_pb(each.inputs),
            wires=[
                pb.Wire(out=wire.out, slot=wire.slot, into=wire.into, gathers=wire.gathers)
                for wire in each.wires
            ],
        )
        for each in followers
    ]


def followers_from_pb(run: RunId, term: int, message: Iterable[pb.Follower]) -> Iterator[Follower]:
    """The reverse of `followers_to_pb`; raises `ProtocolBroken`."""
    for count, each in enumerate(message):
        if count >= CHAIN_STEPS_MAX:
            raise ProtocolBroken(f"a chain of more than {CHAIN_STEPS_MAX} steps")
        yield Follower(
            StepKey(run, each.step, term, each.attempt),
            Digest(each.agent),
            CapabilityName(each.capability),
            items_from_pb(each.inputs),
            tuple(Wire(wire.out, wire.slot, wire.into, wire.gathers) for wire in each.wires),
            each.timeout_ms,
            tuple((scatter.port, scatter.count) for scatter in each.scatter),
        )
