"""Python values to payloads and back; sizes are looked at before anything is copied."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sandbox import tensors
from swarm import limits
from swarm.client.values import Large, decode_items, encode_inputs, encode_value
from swarm.errors import Mistake, ProtocolBroken, TooLarge
from swarm.graph import Payload

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_json_values_come_back_equal(value):
    payload = encode_value("input 'x'", value)
    assert payload.kind == "json"
    assert decode_items("x", payload) == value


@given(
    arrays.arrays(
        st.sampled_from(["f4", "f8", "i1", "i8", "u1", "u8", "?"]),
        arrays.array_shapes(max_dims=4, max_side=5),
    )
)
def test_arrays_come_back_equal(array):
    payload = encode_value("input 'x'", array)
    assert payload.kind == "tensor"
    back = decode_items("x", payload)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("value", [b"abc", bytearray(b"abc"), memoryview(b"abc")])
def test_bytes_stay_bytes(value):
    assert encode_value("x", value) == Payload("bytes", b"abc")


def test_several_payloads_on_a_port_become_a_list():
    assert decode_items("x", (Payload("json", b"1"), Payload("bytes", b"2"))) == [1, b"2"]


@pytest.mark.parametrize("value", [{1, 2}, object(), math.nan, {"a": math.inf}])
def test_what_json_cannot_say_is_refused_with_its_input(value):
    with pytest.raises(Mistake) as caught:
        encode_inputs({"fine": 1, "odd": value})
    assert caught.value.place == "input 'odd'"
    assert caught.value.remedy


def test_an_array_of_complex_numbers_is_refused_with_its_input():
    with pytest.raises(Mistake, match="complex128") as caught:
        encode_inputs({"wave": np.zeros(3, complex)})
    assert caught.value.place == "input 'wave'"


@pytest.mark.parametrize(
    "value",
    [
        np.broadcast_to(np.float32(0), (1 << 30,)),  # claims four gigabytes, holds four bytes
        bytearray(2_000),
        bytes(2_000),
        Payload("bytes", bytes(2_000)),
        "x" * 2_000,
    ],
    ids=["array", "bytearray", "bytes", "payload", "text"],
)
def test_a_value_above_the_bound_is_refused_with_name_size_bound_and_remedy(value, monkeypatch):
    monkeypatch.setattr(limits, "VALUE_BYTES_MAX", 1_999)
    with pytest.raises(TooLarge) as caught:
        encode_inputs({"big": value})
    assert caught.value.place == "input 'big'"
    assert "1999" in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (np.arange(limits.PAYLOAD_INLINE_BYTES_MAX, dtype="u1")[::1].reshape(2, -1), "tensor"),
        (np.zeros((300, 300), ">f4").T, "tensor"),
        (bytes(limits.PAYLOAD_INLINE_BYTES_MAX + 1), "bytes"),
        ("x" * limits.PAYLOAD_INLINE_BYTES_MAX, "json"),
        (Payload("json", b" " * limits.PAYLOAD_INLINE_BYTES_MAX + b"1"), "json"),
    ],
    ids=["array", "swapped", "bytes", "text", "payload"],
)
def test_a_value_that_is_not_small_is_to_be_uploaded_as_it_would_have_travelled(value, kind):
    large = encode_value("x", value)
    assert isinstance(large, Large)
    assert large.kind == kind
    data = b"".join(large.parts)
    assert len(data) == large.size_bytes > limits.PAYLOAD_INLINE_BYTES_MAX
    if isinstance(value, np.ndarray):
        assert data == tensors.encode(value)


def test_a_value_just_below_the_bound_travels_inline():
    data = bytes(limits.PAYLOAD_INLINE_BYTES_MAX)
    assert encode_value("x", data) == Payload("bytes", data)


def test_small_inputs_that_are_too_many_together_are_refused():
    count = limits.RUN_INPUT_BYTES_MAX // limits.PAYLOAD_INLINE_BYTES_MAX
    inputs = {f"part{number}": bytes(limits.PAYLOAD_INLINE_BYTES_MAX) for number in range(count)}
    assert len(encode_inputs(inputs)) == count
    assert len(encode_inputs({**inputs, "large": bytes(limits.PAYLOAD_INLINE_BYTES_MAX + 1)})) == count + 1
    with pytest.raises(TooLarge, match="together"):
        encode_inputs({**inputs, "more": b"x"})


@pytest.mark.parametrize(
    "payload", [Payload("json", b"{"), Payload("tensor", b"T"), Payload("strange", b"")], ids=lambda p: p.kind
)
def test_a_payload_that_is_not_what_it_says_is_the_peers_fault(payload):
    with pytest.raises(ProtocolBroken) as caught:
        decode_items("outlet 'x'", payload)
    assert caught.value.place == "outlet 'x'"


def test_json_on_the_wire_is_compact_and_plain():
    assert json.loads(encode_value("x", {"a": [1, 2]}).data) == {"a": [1, 2]}
    assert encode_value("x", {"a": [1, 2]}).data == b'{"a":[1,2]}'
