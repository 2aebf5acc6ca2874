from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm import limits
from swarm.errors import AgentFailed, ProtocolBroken
from swarm.graph import Clearance, Context, Payload, Priority, Ref
from swarm.ids import CapabilityName, Digest, NodeId, RunId, StepKey
from swarm.scheduler.actions import Follower, Wire
from swarm.trust.results import PROOF_BYTES
from swarm.trust.revocation import Revoked
from swarm.wire.gen import common_pb2
from swarm.wire.gen import work_pb2 as pb
from swarm.wire.links import (
    from_node_from_pb,
    from_node_to_pb,
    hello_from_pb,
    hello_to_pb,
    to_node_from_pb,
    to_node_to_pb,
)
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
    Lack,
    Outcome,
    Outcomes,
    Peer,
    Peers,
    Pulse,
    Receipts,
    Renew,
    RevokedSet,
    UnneededBlobs,
    Usage,
    Welcome,
    Withdrawals,
)

texts = st.text(max_size=12)
small = st.integers(0, 2**32 - 1)
large = st.integers(0, 2**63)
digests = texts.map(Digest)
names = st.binary(min_size=32, max_size=32).map(lambda raw: Digest(raw.hex()))
payloads = st.builds(
    Payload, st.sampled_from(["json", "tensor", "bytes"]), st.binary(max_size=12)
) | st.builds(Ref, st.sampled_from(["json", "bytes"]), names, small.map(lambda size: size >> 2)).map(
    Ref.payload
)
items = st.dictionaries(texts, payloads | st.lists(payloads, max_size=2).map(tuple), max_size=2)
keys = st.builds(StepKey, texts.map(RunId), small, large, small)
some_keys = st.lists(keys, max_size=3).map(tuple)
faults = st.builds(AgentFailed, texts, place=texts)

contexts = st.builds(
    Context, st.integers(0, limits.CONTEXT_LEVEL_MAX), texts, texts, st.frozensets(texts, max_size=2)
)
some_texts = st.none() | st.frozensets(texts, max_size=2)
clearances = st.builds(
    Clearance, st.integers(0, limits.CONTEXT_LEVEL_MAX), some_texts, some_texts, some_texts
)
hellos = st.builds(
    Hello,
    texts.map(NodeId),
    small,
    st.lists(digests, max_size=2).map(tuple),
    st.lists(texts, max_size=2).map(tuple),
    some_keys,
    texts,
    texts,
    small,
    st.floats(0, 4096),
    st.lists(st.builds(Lack, texts, texts, texts), max_size=2).map(tuple),
    clearances,
)


def of_one_run(assignment: Assignment) -> Assignment:
    """A chain is of one run and one term: those of its head."""
    run, _, term, _ = assignment.key
    chain = tuple(each._replace(key=each.key._replace(run=run, term=term)) for each in assignment.followers)
    return assignment._replace(followers=chain)


few_keys = st.builds(StepKey, st.sampled_from(["run-1", "run-2"]).map(RunId), small, st.integers(1, 2), small)
afters = st.none() | st.tuples(st.integers(1, 2), small)
outcomes = st.one_of(
    st.builds(
        Outcome,
        few_keys,
        st.just(True),
        items,
        st.none(),
        st.just(False),
        large,
        st.floats(0, 1e9),
        st.booleans(),
        st.just(b"") | st.binary(min_size=PROOF_BYTES, max_size=PROOF_BYTES),
        afters,
    ),
    st.builds(
        Outcome,
        few_keys,
        st.just(False),
        st.just({}),
        st.none() | faults,
        st.booleans(),
        large,
        st.floats(0, 1e9),
        st.just(False),
        st.just(b""),
        afters,
    ),
)
some_names = st.lists(names, max_size=3).map(tuple)
usages = st.builds(Usage, digests, small, st.none() | st.floats(0, 1e9), large, large, large)
from_nodes = st.one_of(
    st.builds(Outcomes, st.lists(outcomes, max_size=6).map(tuple)),
    st.builds(Heartbeat, st.floats(0, 1), small, st.booleans(), st.lists(usages, max_size=2).map(tuple)),
    st.builds(
        Hosting,
        st.lists(digests, max_size=3).map(tuple),
        st.lists(st.tuples(digests, faults), max_size=2).map(tuple),
    ),
    st.builds(IdleBlobs, some_names),
    st.builds(HeldBlobs, some_names, some_names, some_names),
    st.builds(BlobCopied, names, texts.map(NodeId), st.none() | faults),
)
scatters = st.lists(st.tuples(texts, small), max_size=2).map(tuple)
wires = st.lists(st.builds(Wire, texts, small, texts, st.booleans()), max_size=2).map(tuple)
followers = st.builds(Follower, few_keys, digests, texts.map(CapabilityName), items, wires, small, scatters)
assignments = st.builds(
    Assignment,
    few_keys,
    st.sampled_from(["a", "b"]).map(Digest),
    texts.map(CapabilityName),
    items,
    small,
    scatters,
    contexts,
    st.sampled_from(Priority),
    st.booleans(),
    st.lists(followers, max_size=2).map(tuple),
    st.none(),
    st.none() | st.tuples(st.integers(1, 2**63), small),
).map(of_one_run)
to_nodes = st.one_of(
    st.builds(Welcome, large),
    st.builds(Assignments, st.lists(assignments, max_size=5).map(tuple)),
    st.builds(Withdrawals, some_keys),
    st.builds(Receipts, some_keys),
    st.builds(AgentSet, st.lists(digests, max_size=3).map(tuple)),
    st.builds(Pulse),
    st.builds(RevokedSet, st.lists(st.builds(Revoked, texts, texts, texts), max_size=3).map(tuple)),
    st.builds(Renew),
    st.builds(Peers, st.lists(st.builds(Peer, texts, texts, clearances), max_size=3).map(tuple)),
    st.builds(UnneededBlobs, some_names),
    st.builds(CopyBlob, names, texts.map(NodeId)),
)


def plain(message: FromNode) -> FromNode:
    """The message with errors as text: two errors are never equal."""
    match message:
        case Outcomes():
            return Outcomes(tuple(item._replace(error=repr(item.error)) for item in message.items))
        case Hosting():
            return replace(message, refused=tuple((d, repr(error)) for d, error in message.refused))
        case BlobCopied():
            return replace(message, error=repr(message.error))
        case _:
            return message


@given(hellos)
def test_a_hello_comes_back_as_it_went(hello):
    assert hello_from_pb(hello_to_pb(hello)) == hello


@given(from_nodes)
def test_what_a_node_says_comes_back_as_it_went(message):
    assert plain(from_node_from_pb(from_node_to_pb(message))) == plain(message)


@given(to_nodes)
def test_what_the_leader_says_comes_back_as_it_went(message):
    assert to_node_from_pb(to_node_to_pb(message)) == message


def test_a_link_begins_with_hello_and_has_one():
    beat = pb.FromNode(heartbeat=pb.Heartbeat())
    with pytest.raises(ProtocolBroken, match="begins with hello"):
        hello_from_pb(beat)
    with pytest.raises(ProtocolBroken, match="begins with hello"):
        hello_from_pb(pb.FromNode())
    with pytest.raises(ProtocolBroken, match="said hello"):
        from_node_from_pb(pb.FromNode(hello=pb.Hello()))


def test_a_context_of_a_level_there_is_not_breaks_the_protocol():
    order = pb.Order(context=common_pb2.Context(level=limits.CONTEXT_LEVEL_MAX + 1))
    with pytest.raises(ProtocolBroken, match="a context of level 256"):
        to_node_from_pb(pb.ToNode(assignments=pb.Assignments(orders=[order])))


def test_saying_nothing_breaks_the_protocol():
    with pytest.raises(ProtocolBroken, match="a node said None"):
        from_node_from_pb(pb.FromNode())
    with pytest.raises(ProtocolBroken, match="the leader said None"):
        to_node_from_pb(pb.ToNode())


@pytest.mark.parametrize("load", [float("nan"), float("inf"), -0.1, 1.1])
def test_a_load_no_machine_has_breaks_the_protocol(load):
    with pytest.raises(ProtocolBroken, match="its load is"):
        from_node_from_pb(pb.FromNode(heartbeat=pb.Heartbeat(load=load)))


def results(**fields: object) -> pb.FromNode:
    whole = {"run": "r", "steps": [1, 2], "attempts": [1, 1], "started_ms": [1, 1], "wall_ms": [1.0, 1.0]}
    return pb.FromNode(outcomes={"parts": [{"results": {**whole, **fields}}]})


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (results(attempts=[1]), "for 2 rows"),
        (
            results(outputs=[{"port": "out", "kind": "json", "data": [b"1"]}]),
            "out: 1 payloads of kind 'json'",
        ),
        (results(outputs=[{"port": "out", "kind": "pickle", "data": [b"1", b"2"]}]), "kind 'pickle'"),
        (
            results(outputs=[{"port": "o", "many": True, "kind": "json", "data": [b"1"], "counts": [2, 0]}]),
            "fill",
        ),
        (
            results(outputs=2 * [{"port": "o", "kind": "json", "data": [b"1", b"2"]}]),
            "o: a port is given twice",
        ),
        (pb.FromNode(outcomes={"parts": [{}]}), "no kind we know"),
        (pb.FromNode(outcomes={"parts": 513 * [{"failure": {}}]}), "513 outcomes in one message"),
        (results(steps=[1] * 100_000), "100000 outcomes in one message"),
    ],
)
def test_outcomes_no_honest_node_sends_break_the_protocol(message, said):
    with pytest.raises(ProtocolBroken, match=said):
        from_node_from_pb(message)


def test_a_node_cannot_claim_more_than_any_node_may_run():
    claims = [pb.StepKey(run="r")] * (limits.NODE_SLOTS_MAX + 1)
    with pytest.raises(ProtocolBroken, match="4097 attempts"):
        hello_from_pb(pb.FromNode(hello=pb.Hello(running=claims)))


def test_digests_that_are_none_or_too_many_are_refused() -> None:
    for digests in ([b"short"], [bytes(32)] * (limits.BLOB_SWEEP_ITEMS_MAX + 1)):
        with pytest.raises(ProtocolBroken):
            from_node_from_pb(pb.FromNode(idle_blobs=pb.IdleBlobs(digests=digests)))


def test_a_reference_that_is_none_does_not_pass_the_wire() -> None:
    for columns in (
        [common_pb2.Column(port="x", kind="ref", data=[b"no reference"])],
        [common_pb2.Column(port="x", many=True, counts=[1], kinds=["ref"], data=[b"no reference"])],
    ):
        results = pb.Results(steps=[1], attempts=[1], started_ms=[0], wall_ms=[0], outputs=columns)
        with pytest.raises(ProtocolBroken, match="reference"):
            from_node_from_pb(pb.FromNode(outcomes=pb.Outcomes(parts=[pb.OutcomePart(results=results)])))
