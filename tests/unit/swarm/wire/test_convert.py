from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm import errors, limits
from swarm.errors import Bug, NotLeader, PeerFault, Problem, ProtocolBroken, SwarmError, by_code
from swarm.graph import Payload, Port, PortName, Signature
from swarm.ids import AgentName, CapabilityName, Digest
from swarm.scheduler.events import AgentRecord
from swarm.wire.convert import (
    agent_from_pb,
    agent_to_pb,
    error_from_pb,
    error_to_pb,
    inputs_from_pb,
    items_from_pb,
    items_to_pb,
)
from swarm.wire.gen import common_pb2 as pb

texts = st.text(max_size=20)
payloads = st.builds(Payload, st.sampled_from(["json", "tensor", "bytes"]), st.binary(max_size=20))
port_items = st.dictionaries(
    texts, st.one_of(payloads, st.lists(payloads, max_size=3).map(tuple)), max_size=4
)
ports = st.builds(
    Port,
    texts.map(PortName),
    st.sampled_from(["any", "json", "tensor"]),
    st.sampled_from([None, "f32", "u8"]),
    st.none() | st.lists(st.none() | st.integers(0, 2**40), max_size=4).map(tuple),
    st.booleans(),
    st.booleans(),
)
signatures = st.builds(
    Signature,
    texts.map(CapabilityName),
    st.lists(ports, max_size=3).map(tuple),
    st.lists(ports, max_size=3).map(tuple),
    st.booleans(),
    st.sampled_from(["none", "once"]),
    texts,
)
agents = st.builds(
    AgentRecord,
    texts.map(AgentName),
    texts,
    texts.map(Digest),
    st.sampled_from(["wasm", "python"]),
    st.integers(0, 2**63),
    st.lists(signatures, max_size=3).map(tuple),
    st.integers(0, 2**32 - 1),
    st.floats(0, 64),
    st.frozensets(texts, max_size=3),
)


def said(error: SwarmError | None) -> tuple[object, ...] | None:
    """An error by what it says: two of them are never equal."""
    if error is None:
        return None
    hint = error.hint if isinstance(error, NotLeader) else None
    return type(error), error.message, error.place, error.remedy, error.problems, hint


@given(port_items)
def test_items_come_back_as_they_went(items):
    assert items_from_pb(items_to_pb(items)) == items


@given(agents)
def test_agents_come_back_as_they_went(agent):
    assert agent_from_pb(agent_to_pb(agent)) == agent


problems = st.lists(st.builds(Problem, texts, texts, texts, texts), max_size=3)
kinds = st.sampled_from([kind for kind in by_code().values() if kind not in (NotLeader, Bug)])


@given(kinds, texts, texts, texts, problems)
def test_errors_come_back_as_they_went(kind, message, place, remedy, problems):
    error = kind(message, place=place, remedy=remedy, problems=problems)
    assert said(error_from_pb(error_to_pb(error))) == said(error)


@pytest.mark.parametrize("hint", [None, "n2"])
def test_the_hint_of_where_the_leader_is_survives(hint):
    error = error_from_pb(error_to_pb(NotLeader(hint)))
    assert isinstance(error, NotLeader)
    assert error.hint == hint


def test_every_error_of_ours_can_cross_the_wire():
    for kind in by_code().values():
        error = kind() if kind is NotLeader else kind("it happened")
        back = error_from_pb(error_to_pb(error))
        assert type(back) is (PeerFault if kind is Bug else kind)
        assert back.message == error.message


def test_a_peers_bug_is_no_bug_of_ours():
    assert not isinstance(error_from_pb(pb.Error(code="bug", message="sorry")), Bug)


def test_an_error_nobody_knows_is_still_an_error_of_ours():
    error = error_from_pb(pb.Error(code="from_the_future", message="hello"))
    assert (type(error), error.message) == (SwarmError, "hello")


@given(st.text(st.characters(min_codepoint=0xD700, max_codepoint=0xE000), max_size=10))
def test_words_that_are_no_unicode_can_be_reported(words):
    error = error_from_pb(error_to_pb(errors.AgentFailed(words, place=words, remedy=words)))
    assert len(error.message) == len(words)


def test_long_errors_are_cut_on_both_sides():
    long = "x" * (3 * limits.ERROR_CHARS_MAX)
    many = [Problem(long, long, long, long)] * (2 * limits.ERROR_PROBLEMS_MAX)
    sent = error_to_pb(errors.GraphRefused(long, place=long, remedy=long, problems=many))
    rude = pb.Error(code=errors.GraphRefused.code, message=long, place=long, remedy=long)
    rude.problems.extend(pb.Problem(code=long, place=long) for _ in many)
    for received in (error_from_pb(sent), error_from_pb(rude)):
        assert {len(t) for t in (received.message, received.place, received.remedy)} == {
            limits.ERROR_CHARS_MAX
        }
        assert len(received.problems) == limits.ERROR_PROBLEMS_MAX
        assert len(received.problems[0].code) == limits.ERROR_CHARS_MAX


def port(name: str, *kinds: str, many: bool = False) -> pb.PortItems:
    return pb.PortItems(port=name, many=many, items=[pb.Payload(kind=kind, data=b"1") for kind in kinds])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([port("in", "json", "json")], "in: 2 payloads on a port that takes one"),
        ([port("in")], "in: 0 payloads on a port that takes one"),
        ([port("in", "pickle")], "in: payload of kind 'pickle'"),
        ([port("in", "any")], "in: payload of kind 'any'"),
        ([port("in", "json", "", many=True)], "in: payload of kind ''"),
        ([port("in", "json"), port("in", "json")], "in: a port is given twice"),
    ],
)
def test_items_no_honest_peer_sends_are_refused_with_their_port(values, message):
    with pytest.raises(ProtocolBroken) as refused:
        items_from_pb(values)
    assert str(refused.value) == message


def test_a_strangers_names_are_cut_in_what_we_say_of_them():
    with pytest.raises(ProtocolBroken) as refused:
        items_from_pb([port("p" * 10_000, "k" * 10_000)])
    assert len(str(refused.value)) < 200


def test_a_feed_carries_one_payload():
    assert inputs_from_pb([port("x", "json")]) == {"x": Payload("json", b"1")}
    with pytest.raises(ProtocolBroken, match="exactly one payload"):
        inputs_from_pb([port("x", "json", many=True)])
