"""A proof holds for the step, the inputs and outputs it was made for, with the key its node had then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from swarm.graph import Payload, Ref
from swarm.trust.results import CLOCK_SKEW_MS, PROOF_BYTES, Key, ResultSigner, fault, hash_of

SIGNER, OTHER = ResultSigner(SigningKey(b"\1" * 32)), ResultSigner(SigningKey(b"\2" * 32))
KEYS = [Key("n1", SIGNER.public, 1_000_000, 0)]
STEP = ("run-1", 3, "vision:digit")
INPUTS = {"image": Payload("tensor", b"x"), "all": (Payload("json", b"1"), Payload("json", b"2"))}
OUTPUTS = {"scores": Payload("tensor", b"y")}
AT_MS = 2_000_000
PROOF = SIGNER.proof(STEP, INPUTS, OUTPUTS)

payloads = st.builds(Payload, st.sampled_from(["json", "bytes"]), st.binary(max_size=4))
values = st.dictionaries(
    st.sampled_from(["a", "b", "ab"]), payloads | st.lists(payloads, max_size=3).map(tuple), max_size=3
)


def test_a_result_as_it_was_signed_holds():
    assert len(PROOF) == PROOF_BYTES
    assert fault(PROOF, STEP, [INPUTS], OUTPUTS, KEYS, AT_MS) == ""
    assert fault(PROOF, STEP, [{}, INPUTS], OUTPUTS, KEYS, AT_MS) == ""


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"proof": b""}, "not signed"),
        ({"proof": PROOF[:-1]}, "no known form"),
        ({"proof": PROOF[:40] + bytes([PROOF[40] ^ 1]) + PROOF[41:]}, "not what its node signed"),
        ({"proof": OTHER.proof(STEP, INPUTS, OUTPUTS)}, "not its node's"),
        ({"outputs": {"scores": Payload("tensor", b"z")}}, "not what its node signed"),
        ({"outputs": {"scores": Payload("bytes", b"y")}}, "not what its node signed"),
        ({"step": ("run-2", 3, "vision:digit")}, "not what its node signed"),
        ({"step": ("run-1", 4, "vision:digit")}, "not what its node signed"),
        ({"possible": [{**INPUTS, "image": Payload("tensor", b"w")}]}, "not made from the inputs"),
        ({"keys": [Key("n1", SIGNER.public, AT_MS + CLOCK_SKEW_MS + 1, 0)]}, "at that time"),
        ({"keys": [Key("n1", SIGNER.public, 0, AT_MS - CLOCK_SKEW_MS - 1)]}, "at that time"),
        ({"keys": []}, "not its node's"),
    ],
)
def test_whatever_is_changed_is_told(changed, why):
    given_ = {"proof": PROOF, "step": STEP, "possible": [INPUTS], "outputs": OUTPUTS, "keys": KEYS}
    assert why in fault(**{**given_, **changed}, at_ms=AT_MS)


def test_what_an_older_key_signed_in_its_time_holds_after_another_followed():
    keys = [Key("n1", SIGNER.public, 0, AT_MS), Key("n1", OTHER.public, AT_MS - 10, 0)]
    assert fault(PROOF, STEP, [INPUTS], OUTPUTS, keys, AT_MS) == ""
    assert fault(OTHER.proof(STEP, INPUTS, OUTPUTS), STEP, [INPUTS], OUTPUTS, keys, AT_MS) == ""


def plain(found):
    """What is the same by intention: a list of one is what is in it, and an empty one is nothing."""
    as_lists = {port: [items] if isinstance(items, Payload) else list(items) for port, items in found.items()}
    return {port: items for port, items in as_lists.items() if items}


@given(values, values)
def test_other_values_have_another_hash(one, other):
    assert (hash_of(one) == hash_of(other)) == (plain(one) == plain(other))


def test_where_a_large_value_lies_is_no_part_of_it_but_which_one_it_is():
    here, there = (Ref("json", "ab" * 32, 9, nodes=nodes).payload() for nodes in (("n1",), ("n1", "n2")))
    other = Ref("json", "cd" * 32, 9, nodes=("n1",)).payload()
    assert hash_of({"a": here}) == hash_of({"a": there})
    assert hash_of({"a": here}) != hash_of({"a": other})
