"""Calls and replies come back from the wire as they went, whatever their shapes."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm import limits
from swarm.errors import AgentFailed, ProtocolBroken
from swarm.graph import Payload
from swarm.ids import CapabilityName
from swarm.wire.calls import (
    CallRow,
    ReplyRow,
    calls_from_pb,
    calls_to_pb,
    replies_from_pb,
    replies_to_pb,
    take,
)
from swarm.wire.gen import call_pb2 as pb

ids = st.integers(0, 2**64 - 1)
payloads = st.builds(Payload, st.sampled_from(["json", "tensor", "bytes"]), st.binary(max_size=8))
values = st.dictionaries(
    st.text(max_size=4), payloads | st.lists(payloads, max_size=2).map(tuple), max_size=2
)
names = st.sampled_from(["a:b", "c:d"]).map(CapabilityName)
calls = st.lists(st.builds(CallRow, ids, names, st.integers(0, 2**32 - 1), values), max_size=8)
replies = st.lists(
    st.builds(ReplyRow, ids, values | st.text(max_size=8).map(AgentFailed)),
    max_size=8,
    unique_by=lambda r: r.id,
)


def plain(rows):
    return {row.id: repr(row.result) if isinstance(row.result, AgentFailed) else row.result for row in rows}


@given(calls)
def test_calls_come_back_in_order(rows):
    assert calls_from_pb(calls_to_pb(rows)) == rows


@given(replies)
def test_replies_come_back_each_to_its_call(rows):
    assert plain(replies_from_pb(replies_to_pb(rows))) == plain(rows)


def test_more_calls_than_a_message_may_have_are_refused_before_they_are_read():
    part = pb.CallBatch(capability="a:b", ids=[1] * (limits.CALLS_BATCH_MAX + 1))
    with pytest.raises(ProtocolBroken, match="513 calls in one message"):
        calls_from_pb(pb.CallBatches(parts=[part]))


def test_columns_that_do_not_fill_the_calls_are_refused():
    part = pb.CallBatch(capability="a:b", ids=[1, 2], inputs=[{"port": "x", "kind": "json", "data": [b"1"]}])
    with pytest.raises(ProtocolBroken, match="for 2 rows"):
        calls_from_pb(pb.CallBatches(parts=[part]))


def test_a_message_has_no_more_rows_and_no_more_bytes_than_it_may(monkeypatch):
    monkeypatch.setattr(limits, "RECORDS_BATCH_BYTES_MAX", 100)

    def rows(*sizes):
        return deque(ReplyRow(1, {"out": Payload("bytes", bytes(size))}) for size in sizes)

    assert len(take(rows(1, 1, 1, 1), 3)) == 3
    assert len(take(rows(60, 60), 3)) == 1
    assert len(take(rows(500, 1), 3)) == 1
    assert len(take(deque([ReplyRow(1, AgentFailed("no"))]), 3)) == 1
