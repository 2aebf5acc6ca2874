"""The link between a node and the leader: its records as protobuf."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, repeat
from operator import itemgetter
from typing import assert_never

from swarm import limits
from swarm.errors import ProtocolBroken
from swarm.graph import PLAIN, Priority
from swarm.ids import CapabilityName, Digest, NodeId, RunId, StepKey
from swarm.scheduler.chains import After
from swarm.trust.authors import KEY
from swarm.trust.revocation import Revoked
from swarm.wire.chains import followers_from_pb, followers_to_pb
from swarm.wire.columns import (
    Shape,
    from_columns,
    same_length,
    shape,
    signatures_from_pb,
    signatures_to_pb,
    to_columns,
)
from swarm.wire.contexts import clearance_from_pb, clearance_to_pb, context_from_pb, context_to_pb
from swarm.wire.convert import (
    error_from_pb,
    error_to_pb,
    lack_from_pb,
    lack_to_pb,
    usage_from_pb,
    usage_to_pb,
)
from swarm.wire.gen import work_pb2 as pb
from swarm.wire.messages import (
    AgentSet,
    Assignment,
    Assignments,
    BlobCopied,
    CopyBlob,
    FromNode,
    Heartbeat,
    HeldBlobs,
    Hello,
    Hosting,
    IdleBlobs,
    Outcome,
    Outcomes,
    Peer,
    Peers,
    Pulse,
    Receipts,
    Renew,
    RevokedSet,
    ToNode,
    UnneededBlobs,
    Welcome,
    Withdrawals,
)

LAYERS_MAX = 100
_PRIORITIES = {int(priority): priority for priority in Priority}
DIGEST_BYTES = 32
CPU_CORES_MAX = 4_096.0  # of one machine; what claims more, or no number, has none


def _key_to_pb(key: StepKey) -> pb.StepKey:
    return pb.StepKey(run=key.run, step=key.step, term=key.term, attempt=key.attempt)


def _key_from_pb(key: pb.StepKey) -> StepKey:
    return StepKey(RunId(key.run), key.step, key.term, key.attempt)


def _digests(raw: Sequence[bytes]) -> tuple[Digest, ...]:
    """Digests as they are written down; how many a message has is bounded, and what they look like."""
    if len(raw) > limits.BLOB_SWEEP_ITEMS_MAX or any(len(digest) != DIGEST_BYTES for digest in raw):
        raise ProtocolBroken(f"{len(raw)} digests, not all of which are")
    return tuple(Digest(digest.hex()) for digest in raw)


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
            memory_mb=hello.memory_mb,
            cpu_cores=hello.cpu_cores,
            lacks=[lack_to_pb(lack) for lack in hello.lacks],
            clearance=clearance_to_pb(hello.clearance),
            result_key=hello.result_key,
        )
    )


def _key(text: str) -> str:
    if text and not KEY.fullmatch(text):
        raise ProtocolBroken("a node said that it signs results with what is no key")
    return text


def hello_from_pb(message: pb.FromNode) -> Hello:
    """The reverse; anything else as a first message breaks the protocol."""
    if message.WhichOneof("message") != "hello":
        raise ProtocolBroken("a link begins with hello")
    hello = message.hello
    if len(hello.running) > limits.NODE_SLOTS_MAX:
        raise ProtocolBroken(f"a node runs {len(hello.running)} attempts, at most {limits.NODE_SLOTS_MAX}")
    if max(len(hello.layers), len(hello.lacks)) > LAYERS_MAX:
        raise ProtocolBroken(f"a node speaks of more than {LAYERS_MAX} sandbox layers")
    return Hello(
        node=NodeId(hello.node),
        slots=hello.slots,
        agents=tuple(map(Digest, hello.agents)),
        layers=tuple(hello.layers),
        running=tuple(_key_from_pb(key) for key in hello.running),
        address=hello.address,
        tier=hello.tier,
        memory_mb=hello.memory_mb,
        cpu_cores=hello.cpu_cores if 0.0 <= hello.cpu_cores <= CPU_CORES_MAX else 0.0,
        lacks=tuple(lack_from_pb(lack) for lack in hello.lacks),
        clearance=clearance_from_pb(hello.clearance),
        result_key=_key(hello.result_key),
    )


def from_node_to_pb(message: FromNode) -> pb.FromNode:
    """What a node says after hello."""
    match message:
        case Outcomes():
            return pb.FromNode(outcomes=_outcomes_to_pb(message))
        case Heartbeat():
            usage = [usage_to_pb(each, each.agent) for each in message.usage]
            return pb.FromNode(
                heartbeat=pb.Heartbeat(
                    load=message.load, cells=message.cells, draining=message.draining, usage=usage
                )
            )
        case Hosting():
            refused = [
                pb.Refusal(digest=digest, error=error_to_pb(error)) for digest, error in message.refused
            ]
            return pb.FromNode(hosting=pb.Hosting(agents=message.agents, refused=refused))
        case IdleBlobs():
            return pb.FromNode(idle_blobs=pb.IdleBlobs(digests=map(bytes.fromhex, message.digests)))
        case HeldBlobs() | BlobCopied():
            return _of_blobs_to_pb(message)
        case _:
            assert_never(message)


def from_node_from_pb(message: pb.FromNode) -> FromNode:
    """The reverse of `from_node_to_pb`."""
    match message.WhichOneof("message"):
        case "outcomes":
            return Outcomes(tuple(_outcomes_from_pb(message.outcomes)))
        case "heartbeat":
            beat = message.heartbeat
            if not 0.0 <= beat.load <= 1.0:  # not a number is not in there either
                raise ProtocolBroken(f"a node said its load is {beat.load}")
            usage = tuple(usage_from_pb(each) for each in beat.usage)
            return Heartbeat(beat.load, beat.cells, beat.draining, usage)
        case "hosting":
            hosting = message.hosting
            return Hosting(
                tuple(map(Digest, hosting.agents)),
                tuple((Digest(item.digest), error_from_pb(item.error)) for item in hosting.refused),
            )
        case "idle_blobs":
            return IdleBlobs(_digests(message.idle_blobs.digests))
        case "held_blobs":
            held = message.held_blobs
            return HeldBlobs(_digests(held.kept), _digests(held.passing), _digests(held.gone))
        case "blob_copied":
            copied = message.blob_copied
            error = error_from_pb(copied.error) if copied.HasField("error") else None
            return BlobCopied(_digests([copied.digest])[0], NodeId(copied.target), error)
        case unknown:
            raise ProtocolBroken(f"a node said {unknown}")


def _of_blobs_to_pb(message: HeldBlobs | BlobCopied) -> pb.FromNode:
    match message:
        case HeldBlobs():
            parts = (map(bytes.fromhex, part) for part in (message.kept, message.passing, message.gone))
            kept, passing, gone = parts
            return pb.FromNode(held_blobs=pb.HeldBlobs(kept=kept, passing=passing, gone=gone))
        case BlobCopied():
            error = error_to_pb(message.error) if message.error is not None else None
            digest = bytes.fromhex(message.digest)
            return pb.FromNode(blob_copied=pb.BlobCopied(digest=digest, target=message.target, error=error))
        case _:
            assert_never(message)


def _outcomes_to_pb(outcomes: Outcomes) -> pb.Outcomes:
    parts: list[pb.OutcomePart] = []
    for key, group in groupby(outcomes.items, _result_key):
        if key is None:
            parts += [pb.OutcomePart(failure=_failure_to_pb(outcome)) for outcome in group]
        else:
            parts.append(pb.OutcomePart(results=_results_to_pb(*key, list(group))))
    return pb.Outcomes(parts=parts)


def _result_key(outcome: Outcome) -> tuple[RunId, int, bool, int, Shape] | None:
    """What neighbours must share to travel as one; None for a failure, which travels alone."""
    if not outcome.ok:
        return None
    key, after = outcome.key, outcome.after
    return key.run, key.term, outcome.cached, 0 if after is None else after[0], shape(outcome.outputs)


def _results_to_pb(
    run: RunId, term: int, cached: bool, after_term: int, common: Shape, outcomes: list[Outcome]
) -> pb.Results:
    return pb.Results(
        run=run,
        term=term,
        steps=[outcome.key.step for outcome in outcomes],
        attempts=[outcome.key.attempt for outcome in outcomes],
        started_ms=[outcome.started_ms for outcome in outcomes],
        wall_ms=[outcome.wall_ms for outcome in outcomes],
        outputs=to_columns([outcome.outputs for outcome in outcomes], common),
        cached=cached,
        signatures=signatures_to_pb([outcome.signature for outcome in outcomes]),
        after_term=after_term,
        after_attempts=[each.after[1] for each in outcomes if each.after is not None],
    )


def _failure_to_pb(outcome: Outcome) -> pb.Failure:
    return pb.Failure(
        key=_key_to_pb(outcome.key),
        error=error_to_pb(outcome.error) if outcome.error is not None else None,
        retryable=outcome.retryable,
        started_ms=outcome.started_ms,
        wall_ms=outcome.wall_ms,
        after_term=0 if outcome.after is None else outcome.after[0],
        after_attempt=0 if outcome.after is None else outcome.after[1],
    )


def _outcomes_from_pb(message: pb.Outcomes) -> Iterator[Outcome]:
    """Numbers are small on the wire and large in memory: how many there are is checked first."""
    count = sum(len(part.results.steps) or 1 for part in message.parts)
    if count > limits.RECORDS_BATCH_MAX:
        raise ProtocolBroken(f"{count} outcomes in one message, at most {limits.RECORDS_BATCH_MAX}")
    for part in message.parts:
        if part.WhichOneof("part") == "results":
            yield from _results_from_pb(part.results)
        elif part.WhichOneof("part") == "failure":
            failure = part.failure
            error = error_from_pb(failure.error) if failure.HasField("error") else None
            yield Outcome(
                _key_from_pb(failure.key),
                ok=False,
                outputs={},
                error=error,
                retryable=failure.retryable,
                started_ms=failure.started_ms,
                wall_ms=failure.wall_ms,
                after=(failure.after_term, failure.after_attempt) if failure.after_term else None,
            )
        else:
            raise ProtocolBroken("a node reported an outcome of no kind we know")


def _results_from_pb(results: pb.Results) -> Iterator[Outcome]:
    run, term, count = RunId(results.run), results.term, len(results.steps)
    same_length(count, results.attempts, results.started_ms, results.wall_ms)
    rows = from_columns(results.outputs, count)
    keys = map(StepKey._make, zip(repeat(run), results.steps, repeat(term), results.attempts))
    after: Iterable[After | None] = repeat(None)
    if results.after_term:
        same_length(count, results.after_attempts)
        after = zip(repeat(results.after_term), results.after_attempts)
    found = zip(
        keys, repeat(True), rows, repeat(None), repeat(False),
        results.started_ms, results.wall_ms, repeat(results.cached),
        signatures_from_pb(results.signatures, count),
        after,
    )  # fmt: skip
    return map(Outcome._make, found)


def to_node_to_pb(message: ToNode) -> pb.ToNode:
    """What the leader says."""
    match message:
        case Welcome():
            return pb.ToNode(welcome=pb.Welcome(term=message.term))
        case Assignments():
            return pb.ToNode(assignments=pb.Assignments(orders=_orders_to_pb(message)))
        case Withdrawals():
            return pb.ToNode(withdrawals=pb.Withdrawals(keys=_attempts_to_pb(message.keys)))
        case Receipts():
            return pb.ToNode(receipts=pb.Receipts(keys=_attempts_to_pb(message.keys)))
        case AgentSet():
            return pb.ToNode(agents=pb.AgentSet(digests=message.digests))
        case Pulse():
            return pb.ToNode(pulse=pb.Pulse())
        case RevokedSet() | Renew() | Peers() | UnneededBlobs() | CopyBlob():
            return _rare_to_pb(message)
        case _:
            assert_never(message)


def _rare_to_pb(message: RevokedSet | Renew | Peers | UnneededBlobs | CopyBlob) -> pb.ToNode:
    """What is said of the cluster, not of steps."""
    match message:
        case RevokedSet():
            entries = [
                pb.RevokedEntry(name=each.name, serial=each.serial, reason=each.reason)
                for each in message.entries
            ]
            return pb.ToNode(revoked=pb.RevokedSet(entries=entries))
        case Renew():
            return pb.ToNode(renew=pb.Renew())
        case Peers():
            peers = [
                pb.Peer(node=peer.node, address=peer.address, clearance=clearance_to_pb(peer.clearance))
                for peer in message.nodes
            ]
            return pb.ToNode(peers=pb.Peers(nodes=peers))
        case UnneededBlobs():
            return pb.ToNode(unneeded_blobs=pb.UnneededBlobs(digests=map(bytes.fromhex, message.digests)))
        case CopyBlob():
            digest = bytes.fromhex(message.digest)
            return pb.ToNode(copy_blob=pb.CopyBlob(digest=digest, target=message.target))
        case _:
            assert_never(message)


def to_node_from_pb(message: pb.ToNode) -> ToNode:
    """The reverse of `to_node_to_pb`."""
    match message.WhichOneof("message"):
        case "welcome":
            return Welcome(message.welcome.term)
        case "assignments":
            orders = message.assignments.orders
            return Assignments(tuple(item for order in orders for item in _order_from_pb(order)))
        case "withdrawals":
            return Withdrawals(tuple(_attempts_from_pb(message.withdrawals.keys)))
        case "receipts":
            return Receipts(tuple(_attempts_from_pb(message.receipts.keys)))
        case "agents":
            return AgentSet(tuple(map(Digest, message.agents.digests)))
        case "pulse":
            return Pulse()
        case _:
            return _rare_from_pb(message)


def _rare_from_pb(message: pb.ToNode) -> RevokedSet | Renew | Peers | UnneededBlobs | CopyBlob:
    match message.WhichOneof("message"):
        case "revoked":
            return RevokedSet(
                tuple(Revoked(each.name, each.serial, each.reason) for each in message.revoked.entries)
            )
        case "renew":
            return Renew()
        case "peers":
            return Peers(
                tuple(
                    Peer(NodeId(peer.node), peer.address, clearance_from_pb(peer.clearance))
                    for peer in message.peers.nodes
                )
            )
        case "unneeded_blobs":
            return UnneededBlobs(_digests(message.unneeded_blobs.digests))
        case "copy_blob":
            order = message.copy_blob
            return CopyBlob(_digests([order.digest])[0], NodeId(order.target))
        case unknown:
            raise ProtocolBroken(f"the leader said {unknown}")


def _attempts_to_pb(keys: Sequence[StepKey]) -> list[pb.Attempts]:
    found = []
    for (run, term), group in groupby(keys, itemgetter(0, 2)):
        _, steps, _, attempts = zip(*group, strict=True)
        found.append(pb.Attempts(run=run, term=term, steps=steps, attempts=attempts))
    return found


def _attempts_from_pb(groups: Iterable[pb.Attempts]) -> Iterator[StepKey]:
    for group in groups:
        same_length(len(group.steps), group.attempts)
        rows = zip(repeat(RunId(group.run)), group.steps, repeat(group.term), group.attempts)
        yield from map(StepKey._make, rows)


def _orders_to_pb(assignments: Assignments) -> list[pb.Order]:
    return [_order_to_pb(list(group)) for _, group in groupby(assignments.items, _order_key)]


def _order_key(item: Assignment) -> tuple[object, ...]:
    """What neighbours must share to be one order."""
    key = item.key
    if item.followers or item.about is not None:
        return (id(item),)  # goes alone
    return (
        key.run, key.term, item.agent, item.capability, item.timeout_ms, item.scatter, shape(item.inputs),
        item.context, item.priority, item.sign,
    )  # fmt: skip


def _order_to_pb(items: list[Assignment]) -> pb.Order:
    first = items[0]
    return pb.Order(
        run=first.key.run,
        term=first.key.term,
        agent=first.agent,
        capability=first.capability,
        timeout_ms=first.timeout_ms,
        scatter=[pb.ScatterCount(port=port, count=count) for port, count in first.scatter],
        steps=[item.key.step for item in items],
        attempts=[item.key.attempt for item in items],
        inputs=to_columns([item.inputs for item in items], shape(first.inputs)),
        context=None if first.context is PLAIN else context_to_pb(first.context),
        priority=int(first.priority),
        sign=first.sign,
        followers=followers_to_pb(first.followers),
        about_term=0 if first.about is None else first.about[0],
        about_attempt=0 if first.about is None else first.about[1],
    )


def _order_from_pb(order: pb.Order) -> Iterator[Assignment]:
    run, term, count = RunId(order.run), order.term, len(order.steps)
    agent, capability, timeout_ms = Digest(order.agent), CapabilityName(order.capability), order.timeout_ms
    scatter = tuple((each.port, each.count) for each in order.scatter)
    same_length(count, order.attempts)
    context = context_from_pb(order.context) if order.HasField("context") else PLAIN
    priority = _PRIORITIES.get(order.priority)
    if priority is None:
        raise ProtocolBroken(f"the leader said priority {order.priority}")
    rows = from_columns(order.inputs, count)
    keys = map(StepKey._make, zip(repeat(run), order.steps, repeat(term), order.attempts))
    followers = tuple(followers_from_pb(run, term, order.followers))
    if followers and count != 1:
        raise ProtocolBroken(f"one chain for {count} steps")
    about = (order.about_term, order.about_attempt) if order.about_term else None
    if about is not None and count != 1:
        raise ProtocolBroken(f"one question about {count} steps")
    found = zip(
        keys, repeat(agent), repeat(capability), rows, repeat(timeout_ms), repeat(scatter),
        repeat(context), repeat(priority), repeat(order.sign), repeat(followers), repeat(None),
        repeat(about),
    )  # fmt: skip
    return map(Assignment._make, found)
