"""What is read and written at once means exactly what the long way says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import tensors
from sandbox.bodies import MessageError
from sandbox.errors import AgentFailed
from sandbox.messages import read_process, read_results, write_process, write_results
from sandbox.payload import Payload
from sandbox.rows import BULK_BYTES
from sandbox.single import Seen, as_result, write_call, write_result

names = st.text(st.characters(codec="utf-8"), max_size=6)
arrays = st.integers(0, 3).map(lambda n: tensors.encode(np.arange(n, dtype=np.float32)))
payloads = st.one_of(
    st.tuples(st.sampled_from(["json", "bytes"]), st.binary(max_size=4)),
    arrays.map(lambda data: ("tensor", data)),
)


@given(names, names, payloads)
def test_what_is_written_at_once_is_what_the_long_way_writes(
    capability: str, port: str, payload: Payload
) -> None:
    call, result = write_call(capability, {port: payload}), write_result({port: payload})
    assert call is not None
    assert result is not None
    assert b"".join(call) == b"".join(write_process(capability, ({port: payload},)))
    assert b"".join(result) == b"".join(write_results(({port: payload},)))


@given(st.lists(st.tuples(names, payloads), max_size=6))
def test_what_is_recognised_says_what_the_long_way_reads(said: list[tuple[str, Payload]]) -> None:
    calls, results = Seen(), Seen()
    for port, payload in said:
        body = b"".join(write_process("a:b", ({port: payload},)))
        capability, (row,) = read_process(body)
        if (data := calls.payload(body)) is not None:
            assert (calls.capability, as_result(calls, data)) == (capability, row)
        calls.learn(body, row, capability)
        assert calls.payload(body) == payload[1]
        body = b"".join(write_results(({port: payload},)))
        (result,) = read_results(body, 1)
        if (data := results.payload(body)) is not None:
            assert as_result(results, data) == result
        results.learn(body, result)


@given(payloads, st.data())
def test_a_body_that_differs_is_recognised_only_if_the_long_way_takes_it(
    payload: Payload, data: st.DataObject
) -> None:
    body = b"".join(write_results(({"y": payload},)))
    seen = Seen()
    seen.learn(body, {"y": payload})
    place = data.draw(st.integers(0, len(body) - 1))
    forged = bytearray(body)
    forged[place] ^= data.draw(st.integers(1, 255))
    found = seen.payload(bytes(forged))
    if found is not None:
        assert read_results(bytes(forged), 1) == [as_result(seen, found)]


def test_bools_are_looked_at_each_time() -> None:
    payload = "tensor", tensors.encode(np.ones(4, np.bool_))
    body = b"".join(write_results(({"y": payload},)))
    seen = Seen()
    seen.learn(body, {"y": payload})
    assert seen.payload(body) is None
    with pytest.raises(MessageError):
        read_results(body[:-1] + b"\2", 1)


def test_what_is_not_one_small_payload_takes_the_long_way() -> None:
    small, large = ("bytes", b"1"), ("bytes", bytes(BULK_BYTES))
    for inputs in ({}, {"x": small, "y": small}, {"x": [small]}, {"x": large}):
        assert write_call("a:b", inputs) is None
        assert write_result(inputs) is None
    seen = Seen()
    for row in ({}, {"x": small, "y": small}, {"x": [small]}, {"x": large}, AgentFailed("no")):
        seen.learn(b"", row)
        assert seen.payload(b"") is None
    assert seen.payload(memoryview(b"1")) is None
