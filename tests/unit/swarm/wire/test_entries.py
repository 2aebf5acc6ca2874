from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.errors import AgentFailed, Bug, LogTooNew, OutOfTime
from swarm.graph import Payload, Priority
from swarm.ids import AgentName, NodeId, RunId
from swarm.scheduler.events import (
    AgentDeployed,
    AgentRemoved,
    CertificateIssued,
    Durable,
    IdentityRevoked,
    KeyRegistered,
    PolicyApplied,
    RunCancelled,
    RunSubmitted,
    StepIntent,
    StepRecord,
    StepsIntended,
    StepsRecorded,
    TokenCreated,
    TokenRevoked,
    TokenUsed,
)
from swarm.scheduler.ledger import Ledger
from swarm.testing.graphs import CAPABILITIES, model_agent, random_graph, small_graph
from swarm.trust.results import PROOF_BYTES
from swarm.wire.entries import (
    decode_event,
    decode_history,
    encode_event,
    encode_history,
    revokes,
)
from swarm.wire.gen import entry_pb2 as pb
from swarm.wire.schema import VERSION

texts = st.text(max_size=12)
times = st.integers(0, 2**63)
payloads = st.builds(Payload, st.sampled_from(["json", "tensor", "bytes"]), st.binary(max_size=12))
outputs = st.dictionaries(texts, payloads | st.lists(payloads, max_size=2).map(tuple), max_size=2)
errors = st.none() | st.builds(AgentFailed, texts) | st.builds(OutOfTime, texts, place=texts)
names = {
    "run": st.sampled_from(["run-1", "run-2"]).map(RunId),  # few, so that some records are written as one
    "step": st.integers(0, 2**32 - 1),
    "term": st.integers(1, 2),
    "attempt": st.integers(0, 2**32 - 1),
    "node": st.sampled_from(["n1", ""]).map(NodeId),
    "started_ms": times,
    "wall_ms": st.floats(0, 1e9),
}
records = st.one_of(
    st.builds(
        StepRecord,
        **names,
        ok=st.just(True),
        outputs=outputs,
        error=st.none(),
        cached=st.booleans(),
        signature=st.just(b"") | st.binary(min_size=PROOF_BYTES, max_size=PROOF_BYTES),
    ),
    st.builds(
        StepRecord,
        **names,
        ok=st.just(False),
        outputs=st.just({}),
        error=errors,
        cached=st.just(False),
        signature=st.just(b""),
    ),
)
intents = st.builds(StepIntent, **{name: names[name] for name in ("run", "step", "term", "attempt", "node")})
agent = model_agent(CAPABILITIES[0], layers=["seccomp", "wasm"])
events = st.one_of(
    st.builds(
        RunSubmitted,
        times,
        texts.map(RunId),
        st.integers(0, 2**32).map(lambda seed: random_graph(Random(seed), 6)),
        st.dictionaries(texts, payloads, max_size=2),
        st.sampled_from(Priority),
        texts,
        texts,
        texts,
        st.booleans(),
        st.lists(records, max_size=2).map(tuple),
    ),
    st.builds(PolicyApplied, times, texts, texts),
    st.builds(KeyRegistered, times, texts.map(NodeId), texts),
    st.builds(StepsRecorded, times, st.lists(records, max_size=5).map(tuple)),
    st.builds(StepsIntended, times, st.lists(intents, max_size=3).map(tuple)),
    st.builds(RunCancelled, times, texts.map(RunId), texts, texts),
    st.builds(AgentDeployed, times, st.just(agent), texts),
    st.builds(AgentRemoved, times, texts.map(AgentName), texts),
    st.builds(TokenCreated, times, texts, texts, texts, times, st.integers(0, 2**32 - 1), texts),
    st.builds(TokenUsed, times, texts, texts, texts),
    st.builds(TokenRevoked, times, texts, texts),
    st.builds(IdentityRevoked, times, texts, texts, texts, texts),
    st.builds(CertificateIssued, times, texts, texts, times, texts),
)


def plain(event: Durable) -> Durable:
    """The event with errors as text: two errors are never equal."""
    if isinstance(event, StepsRecorded | RunSubmitted):
        said = tuple(record._replace(error=repr(record.error)) for record in event.records)
        return replace(event, records=said)
    return event


@given(events)
def test_an_event_comes_back_as_it_went(event):
    assert plain(decode_event(encode_event(event))) == plain(event)


@given(events)
def test_an_event_that_revokes_is_told_from_the_others_before_it_is_decoded(event):
    assert revokes(encode_event(event)) is isinstance(event, IdentityRevoked)


@given(st.lists(events, max_size=4))
def test_a_history_comes_back_as_it_went(history):
    back = decode_history(encode_history(history))
    assert [plain(event) for event in back] == [plain(event) for event in history]


def test_a_ledger_survives_its_snapshot():
    ledger = Ledger()
    ledger.apply(AgentDeployed(1, agent, "ann"))
    run = RunId("run-1")
    ledger.apply(RunSubmitted(2, run, small_graph("a b", ("a", "b")), {}, Priority.HIGH, "ann", "k"))
    record = StepRecord(run, 0, 1, 1, NodeId("n"), True, {"out": Payload("json", b"1")}, None, 3, 1.0)
    ledger.apply(StepsRecorded(4, (record,)))
    again = Ledger()
    for event in decode_history(encode_history(ledger.history())):
        again.apply(event)
    assert again.runs[run].state == ledger.runs[run].state
    assert again.runs[run].records == ledger.runs[run].records
    assert again.agents == ledger.agents


def decoded(data: bytes) -> Durable | None:
    """What the bytes say, or None where they are a `Bug`; never another error."""
    try:
        return decode_event(data)
    except (Bug, LogTooNew):
        return None


@given(st.binary(max_size=200))
def test_bytes_nobody_wrote_are_a_bug_and_nothing_else(data):
    event = decoded(data)
    assert event is None or plain(decode_event(encode_event(event))) == plain(event)


@given(events, st.data())
def test_a_flipped_bit_is_a_bug_or_another_event(event, data):
    encoded = bytearray(encode_event(event))
    at = data.draw(st.integers(0, 8 * len(encoded) - 1))
    encoded[at // 8] ^= 1 << at % 8
    other = decoded(bytes(encoded))
    assert other is None or plain(decode_event(encode_event(other))) == plain(other)


def entry(**fields: object) -> bytes:
    return pb.Entry(**{"version": VERSION, **fields}).SerializeToString()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (entry(), "a log entry of kind None"),
        (entry(run_submitted=pb.RunSubmitted(graph=b"{}")), "a log entry does not parse"),
        (b"\xff\xff", "a log entry does not parse"),
        (
            entry(steps_recorded=pb.StepsRecorded(parts=[pb.RecordPart()])),
            "a part of step records is of no kind",
        ),
        (
            entry(steps_recorded=pb.StepsRecorded(parts=[{"results": {"steps": [1, 2], "attempts": [1]}}])),
            "a log entry does not parse: lists of",
        ),
    ],
)
def test_an_entry_that_says_nothing_we_know_stops_the_replica(data, message):
    with pytest.raises(Bug, match=message):
        decode_event(data)


def test_a_priority_nobody_knows_is_a_bug():
    event = RunSubmitted(1, RunId("r"), small_graph("a"), {}, Priority.LOW, "ann", "")
    known = pb.Entry.FromString(encode_event(event))
    known.run_submitted.priority = 17
    with pytest.raises(Bug, match="does not parse"):
        decode_event(known.SerializeToString())
