import pytest

from sandbox.payload import json_payload, parse_json


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "ä", [1, [2]], {"a": {"b": []}}])
def test_json_comes_back_as_it_was(value: object) -> None:
    kind, data = json_payload(value)
    assert kind == "json"
    assert parse_json(data) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_what_is_no_number_is_no_json(value: object) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        json_payload(value)


@pytest.mark.parametrize("data", [b"", b"{", b"NaN", b"[Infinity]", b"\xff", b"[" * 100_000, b"1" * 10_000])
def test_text_a_stranger_wrote_is_read_strictly(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (any of its kinds)
        parse_json(data)
