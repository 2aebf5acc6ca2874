"""A reference says what it stands for, fits where that would fit, and is doubted when it is read."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import tensors
from swarm import limits
from swarm.errors import ProtocolBroken
from swarm.graph import REF, Payload, Port, Ref, has_refs, read_ref, refs
from swarm.graph.ports import payload_misfit
from swarm.graph.reference import HOLDERS_MAX
from swarm.graph.tensor import HEAD_BYTES_MAX, head_bytes
from swarm.ids import Digest, NodeId

DIGEST = Digest("ab" * 32)
TENSOR = tensors.encode(np.zeros((3, 64), "f4"))

references = st.builds(
    Ref,
    kind=st.sampled_from(["json", "bytes"]),
    digest=st.binary(min_size=32, max_size=32).map(lambda raw: Digest(raw.hex())),
    size_bytes=st.integers(0, limits.VALUE_BYTES_MAX),
    nodes=st.lists(st.text(min_size=1, max_size=60).map(NodeId), max_size=HOLDERS_MAX).map(tuple),
) | st.builds(
    lambda shape, nodes: Ref(
        "tensor", DIGEST, 24, head_bytes(tensors.encode(np.zeros(shape, "u1"))), tuple(nodes)
    ),
    shape=st.lists(st.integers(0, 3), max_size=8),
    nodes=st.lists(st.text(min_size=1, max_size=60).map(NodeId), max_size=HOLDERS_MAX),
)


@given(references)
def test_a_reference_is_read_as_it_was_written(ref):
    payload = ref.payload()
    assert payload.kind == REF
    assert read_ref(payload.data) == ref
    assert len(payload.data) < 2_000


@given(references, st.data())
def test_a_reference_that_was_cut_or_altered_is_another_one_or_none(ref, data):
    raw = ref.payload().data
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(ProtocolBroken):
        read_ref(raw[:cut])
    with pytest.raises(ProtocolBroken):
        read_ref(raw + b"!")
    at, bit = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(0, 7))
    altered = raw[:at] + bytes((raw[at] ^ 1 << bit,)) + raw[at + 1 :]
    try:
        found = read_ref(altered)
    except ProtocolBroken:
        return
    assert found != ref


@given(st.binary(max_size=200))
def test_what_a_stranger_sends_is_a_reference_or_refused(data):
    with suppress(ProtocolBroken):
        assert read_ref(data).size_bytes <= limits.VALUE_BYTES_MAX


def test_a_size_above_the_bound_is_refused():
    with pytest.raises(ProtocolBroken):
        read_ref(Ref("bytes", DIGEST, limits.VALUE_BYTES_MAX + 1).payload().data)


def test_references_are_found_alone_and_among_many():
    one, other = Ref("bytes", DIGEST, 5), Ref("json", DIGEST, 6)
    plain = Payload("json", b"1")
    assert list(refs([plain, one.payload(), (plain, other.payload())])) == [one, other]
    assert has_refs([plain, (plain, other.payload())])
    assert has_refs([one.payload()])
    assert not has_refs([plain, (), (plain,)])


def test_a_reference_fits_where_what_it_stands_for_would_fit():
    ref = Ref("tensor", DIGEST, len(TENSOR), head_bytes(TENSOR)).payload()
    assert payload_misfit(ref, Port("x", "tensor", "f32", (None, 64))) is None
    assert payload_misfit(ref, Port("x")) is None
    wrong = payload_misfit(ref, Port("x", "tensor", "f32", (None, 65)))
    assert wrong is not None
    assert "f32 [3, 64]" in wrong.message
    assert payload_misfit(ref, Port("x", "json")).code == "wrong_kind"
    lying = Ref("tensor", DIGEST, len(TENSOR) + 4, head_bytes(TENSOR)).payload()
    assert payload_misfit(lying, Port("x", "tensor")).code == "bad_tensor"


@pytest.mark.parametrize("dimensions", range(9))
def test_the_head_of_a_tensor_is_all_that_comes_before_its_items(dimensions):
    data = tensors.encode(np.zeros((1,) * dimensions, "u1"))
    assert head_bytes(data) == data[:-1]
    assert len(head_bytes(data)) <= HEAD_BYTES_MAX
