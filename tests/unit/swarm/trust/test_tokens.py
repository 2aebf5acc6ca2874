"""Tokens are read as they were written or not at all, and show no secret to whoever prints them."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.errors import NotTrusted
from swarm.trust.tokens import JoinToken

tokens = st.builds(
    JoinToken,
    st.binary(min_size=8, max_size=8).map(bytes.hex),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True),
)


@given(tokens)
def test_a_token_is_read_as_it_was_written(token):
    assert JoinToken.read(f" {token.text()}\n") == token


@given(tokens, st.data())
def test_a_letter_changed_is_another_token_or_none(token, data):
    text = token.text()
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("abcXYZ019_-"))
    changed = text[:at] + letter + text[at + 1 :]
    try:
        read = JoinToken.read(changed)
    except NotTrusted:
        return
    assert read != token or read.text() == text  # the last letter has bits that say nothing


@given(st.text(max_size=300) | st.text("abcdef0123-", max_size=200).map("swarm-join-".__add__))
def test_rubbish_is_refused_without_being_repeated(text):
    with pytest.raises(NotTrusted) as caught:
        JoinToken.read(text)
    assert str(caught.value) == str(
        NotTrusted("this is no join token", place="token", remedy=caught.value.remedy)
    )


def test_a_token_pins_one_authority_and_shows_no_secret():
    token = JoinToken("00" * 8, b"s" * 32, hashlib.sha256(b"certificate").digest(), "demo")
    assert token.pins(b"certificate")
    assert not token.pins(b"another")
    assert "s" * 32 not in repr(token)
    assert token.secret_sha256 != hashlib.sha256(token.secret).hexdigest()
