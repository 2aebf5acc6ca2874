"""The link between a node and the leader: its records as protobuf."""

from __future__ import annotations

from typing import assert_never

from swarm.errors import ProtocolBroken
from swarm.ids import CapabilityName, Digest, NodeId, RunId, StepKey
from swarm.wire.convert import error_from_pb, error_to_pb, items_from_pb, items_to_pb
from swarm.wire.gen import work_pb2 as pb
from swarm.wire.messages import (
    AgentSet,
    Assignment,
    Assignments,
    FromNode,
    Heartbeat,
    Hello,
    Hosting,
    Outcome,
    Outcomes,
    Receipts,
    ToNode,
    Welcome,
    Withdrawals,
)


def _key_to_pb(key: StepKey) -> pb.StepKey:
    return pb.StepKey(run=key.run, step=key.step, term=key.term, attempt=key.attempt)


def _key_from_pb(key: pb.StepKey) -> StepKey:
    return StepKey(RunId(key.run), key.step, key.term, key.attempt)


def hello_to_pb(hello: Hello) -> pb.FromNode:
    """The first message of a link."""
    return pb.FromNode(
        hello=pb.Hello(
            node=hello.node,
            slots=hello.slots,
            agents=hello.agents,
            layers=hello.layers,
            running=[_key_to_pb(key) for key in hello.running],
            address=hello.address,
            tier=hello.tier,
        )
    )


def hello_from_pb(message: pb.FromNode) -> Hello:
    """The reverse; anything else as a first message breaks the protocol."""
    if message.WhichOneof("message") != "hello":
        raise ProtocolBroken("a link begins with hello")
    hello = message.hello
    return Hello(
        node=NodeId(hello.node),
        slots=hello.slots,
        agents=tuple(map(Digest, hello.agents)),
        layers=tuple(hello.layers),
        running=tuple(_key_from_pb(key) for key in hello.running),
        address=hello.address,
        tier=hello.tier,
    )


def from_node_to_pb(message: FromNode) -> pb.FromNode:
    """What a node says after hello."""
    match message:
        case Outcomes():
            return pb.FromNode(outcomes=pb.Outcomes(items=[_outcome_to_pb(item) for item in message.items]))
        case Heartbeat():
            return pb.FromNode(
                heartbeat=pb.Heartbeat(load=message.load, cells=message.cells, draining=message.draining)
            )
        case Hosting():
            refused = [
                pb.Refusal(digest=digest, error=error_to_pb(error)) for digest, error in message.refused
            ]
            return pb.FromNode(hosting=pb.Hosting(agents=message.agents, refused=refused))
        case _:
            assert_never(message)


def from_node_from_pb(message: pb.FromNode) -> FromNode:
    """The reverse of `from_node_to_pb`."""
    match message.WhichOneof("message"):
        case "outcomes":
            return Outcomes(tuple(_outcome_from_pb(item) for item in message.outcomes.items))
        case "heartbeat":
            beat = message.heartbeat
            return Heartbeat(beat.load, beat.cells, beat.draining)
        case "hosting":
            hosting = message.hosting
            return Hosting(
                tuple(map(Digest, hosting.agents)),
                tuple((Digest(item.digest), error_from_pb(item.error)) for item in hosting.refused),
            )
        case unknown:
            raise ProtocolBroken(f"a node said {unknown}")


def _outcome_to_pb(outcome: Outcome) -> pb.Outcome:
    return pb.Outcome(
        key=_key_to_pb(outcome.key),
        ok=outcome.ok,
        outputs=items_to_pb(outcome.outputs),
        error=error_to_pb(outcome.error) if outcome.error is not None else None,
        retryable=outcome.retryable,
        started_ms=outcome.started_ms,
        wall_ms=outcome.wall_ms,
    )


def _outcome_from_pb(outcome: pb.Outcome) -> Outcome:
    return Outcome(
        key=_key_from_pb(outcome.key),
        ok=outcome.ok,
        outputs=items_from_pb(outcome.outputs),
        error=error_from_pb(outcome.error) if outcome.HasField("error") else None,
        retryable=outcome.retryable,
        started_ms=outcome.started_ms,
        wall_ms=outcome.wall_ms,
    )


def to_node_to_pb(message: ToNode) -> pb.ToNode:
    """What the leader says."""
    match message:
        case Welcome():
            return pb.ToNode(welcome=pb.Welcome(term=message.term))
        case Assignments():
            items = [_assignment_to_pb(item) for item in message.items]
            return pb.ToNode(assignments=pb.Assignments(items=items))
        case Withdrawals():
            return pb.ToNode(withdrawals=pb.Withdrawals(keys=[_key_to_pb(key) for key in message.keys]))
        case Receipts():
            return pb.ToNode(receipts=pb.Receipts(keys=[_key_to_pb(key) for key in message.keys]))
        case AgentSet():
            return pb.ToNode(agents=pb.AgentSet(digests=message.digests))
        case _:
            assert_never(message)


def to_node_from_pb(message: pb.ToNode) -> ToNode:
    """The reverse of `to_node_to_pb`."""
    match message.WhichOneof("message"):
        case "welcome":
            return Welcome(message.welcome.term)
        case "assignments":
            return Assignments(tuple(_assignment_from_pb(item) for item in message.assignments.items))
        case "withdrawals":
            return Withdrawals(tuple(_key_from_pb(key) for key in message.withdrawals.keys))
        case "receipts":
            return Receipts(tuple(_key_from_pb(key) for key in message.receipts.keys))
        case "agents":
            return AgentSet(tuple(map(Digest, message.agents.digests)))
        case unknown:
            raise ProtocolBroken(f"the leader said {unknown}")


def _assignment_to_pb(item: Assignment) -> pb.Assignment:
    return pb.Assignment(
        key=_key_to_pb(item.key),
        agent=item.agent,
        capability=item.capability,
        inputs=items_to_pb(item.inputs),
        timeout_ms=item.timeout_ms,
        scatter=[pb.ScatterCount(port=port, count=count) for port, count in item.scatter],
    )


def _assignment_from_pb(item: pb.Assignment) -> Assignment:
    return Assignment(
        key=_key_from_pb(item.key),
        agent=Digest(item.agent),
        capability=CapabilityName(item.capability),
        inputs=items_from_pb(item.inputs),
        timeout_ms=item.timeout_ms,
        scatter=tuple((count.port, count.count) for count in item.scatter),
    )
