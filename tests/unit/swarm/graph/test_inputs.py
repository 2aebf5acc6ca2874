"""Values that do not fit a graph's inputs are refused before anything runs."""

import json

import numpy as np
import pytest

from sandbox import tensors
from swarm import limits
from swarm.graph import Payload, Port, Signature, input_problems
from tests.unit.swarm.graph.building import CATALOGUE, codes, graph, node

GRAPH = graph(
    [node("one", "vision:digit"), node("two", "vision:digit"), node("gather", "vision:doubt")],
    feeds=[("image", "one.image"), ("image", "two.image"), ("bias", "one.bias"), ("scores", "gather.scores")],
)


def tensor(*shape, dtype="f4"):
    return Payload("tensor", tensors.encode(np.zeros(shape, dtype)))


GOOD = {"image": tensor(3, 64), "bias": Payload("json", b"1"), "scores": (tensor(1, 10), tensor(2, 10))}


def told(**inputs):
    return input_problems(GRAPH, CATALOGUE, {**GOOD, **inputs})


def test_inputs_that_fit_are_fine():
    assert told() == []
    assert told(scores=tensor(1, 10)) == []


def test_a_missing_and_an_unknown_input_are_both_told():
    found = input_problems(GRAPH, CATALOGUE, {"imag": GOOD["image"], "bias": GOOD["bias"]})
    assert codes(found) == ["missing_input", "missing_input", "unknown_input"]
    assert found[0].place == "input image"
    assert "did you mean 'image'?" in found[2].remedy
    assert "its inputs are: image, bias, scores" in found[2].remedy


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("image", Payload("json", b"[]"), "wrong_kind"),
        ("image", Payload("picture", b"[]"), "wrong_kind"),
        ("image", Payload("tensor", b"[]"), "bad_tensor"),
        ("image", tensor(3, 65), "wrong_size"),
        ("image", tensor(64), "wrong_size"),
        ("image", tensor(3, 64, dtype="f8"), "wrong_size"),
        ("image", (tensor(3, 64), tensor(3, 64)), "wrong_kind"),
        ("image", (Payload("json", b"1"), Payload("json", b"2")), "wrong_kind"),
        ("bias", tensor(1), "wrong_kind"),
        ("scores", (tensor(1, 10), tensor(1, 9)), "wrong_size"),
    ],
)
def test_a_value_of_the_wrong_kind_or_size_is_refused_once(name, value, code):
    (problem,) = told(**{name: value})
    assert (problem.code, problem.place) == (code, f"input {name}")
    assert problem.remedy


def test_a_kind_nobody_knows_is_refused_by_ports_that_take_any():
    anything = graph([node("a")], feeds=[("x", "a.in")])
    assert codes(input_problems(anything, CATALOGUE, {"x": Payload("picture", b"")})) == ["wrong_kind"]
    assert input_problems(anything, CATALOGUE, {"x": Payload("bytes", b"")}) == []


def test_a_size_that_is_wrong_is_told_with_the_size_that_is_right():
    (problem,) = told(image=tensor(3, 65))
    assert problem.message == "its value for one.image is f32 [3, 65], the port takes f32 [?, 64]"


def test_a_truncated_tensor_is_refused():
    whole = tensor(3, 64).data
    for size in (0, 7, 8, 20, len(whole) - 1):
        assert codes(told(image=Payload("tensor", whole[:size]))) == ["bad_tensor"]


def test_a_gigabyte_is_refused_and_so_are_many_values_together():
    large = Payload("json", bytes(limits.PAYLOAD_INLINE_BYTES_MAX + 1))
    assert codes(told(bias=large)) == ["too_large"]
    full = Payload("tensor", tensors.encode(np.zeros((1_600, 10), "f4")))
    assert codes(told(scores=(full,) * 132)) == ["too_large"]


def test_values_may_be_as_large_as_their_bounds(monkeypatch):
    small = {"image": tensor(3, 64), "bias": Payload("json", bytes(100)), "scores": tensor(1, 10)}
    total = sum(len(payload.data) for payload in small.values())
    monkeypatch.setattr(
        limits, "PAYLOAD_INLINE_BYTES_MAX", max(len(payload.data) for payload in small.values())
    )
    monkeypatch.setattr(limits, "RUN_INPUT_BYTES_MAX", total)
    assert input_problems(GRAPH, CATALOGUE, small) == []
    monkeypatch.setattr(limits, "RUN_INPUT_BYTES_MAX", total - 1)
    assert [told.place for told in input_problems(GRAPH, CATALOGUE, small)] == ["inputs"]


def test_ports_that_do_not_exist_are_not_the_inputs_fault():
    broken = graph(
        [node("a", "no:body"), node("b", "vision:digit")], feeds=[("x", "a.in"), ("y", "b.no"), ("z", "c.in")]
    )
    value = Payload("json", json.dumps(1).encode())
    assert input_problems(broken, CATALOGUE, {"x": value, "y": value, "z": value}) == []


def test_an_input_that_feeds_different_ports_is_held_against_each():
    catalogue = {
        "a:json": Signature("a:json", (Port("in", "json"),)),
        "a:tensor": Signature("a:tensor", (Port("in", "tensor"),)),
    }
    both = graph([node("a", "a:json"), node("b", "a:tensor")], feeds=[("x", "a.in"), ("x", "b.in")])
    (problem,) = input_problems(both, catalogue, {"x": Payload("json", b"1")})
    assert problem.message == "its value for b.in is json, the port takes tensor"
