"""Tokens are spent by the log: in its order, once, and the same on every replica."""

from hypothesis import given
from hypothesis import strategies as st

from swarm import limits
from swarm.scheduler.events import CertificateIssued, IdentityRevoked, TokenCreated, TokenRevoked, TokenUsed
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.members import Members


def created(token="t1", *, at_ms=0, expires_ms=1_000, uses_max=1):
    return TokenCreated(at_ms, token, "ab" * 32, "worker", expires_ms, uses_max, "root")


def members(*events):
    found = Members()
    for event in events:
        found.apply(event)
    return found


def test_the_last_use_belongs_to_whoever_comes_first_in_the_log():
    found = members(created(), TokenUsed(1, "t1", "n4", "k4"), TokenUsed(1, "t1", "n5", "k5"))
    assert set(found.joined) == {"n4"}
    assert found.tokens["t1"].why_not(2) == "it is used up"


def test_a_name_is_given_once():
    found = members(
        created(uses_max=5), TokenUsed(1, "t1", "n4", "k4"), TokenUsed(2, "t1", "n4", "another key")
    )
    assert found.joined["n4"].key_sha256 == "k4"
    assert len(found.tokens["t1"].uses) == 1


def test_a_token_that_expired_or_was_revoked_lets_nobody_in():
    found = members(created(), TokenUsed(1_000, "t1", "n4", "k"))
    assert (found.joined, found.tokens["t1"].why_not(1_000)) == ({}, "it has expired")
    found = members(created(), TokenRevoked(1, "t1", "root"), TokenUsed(2, "t1", "n4", "k"))
    assert (found.joined, found.tokens["t1"].why_not(2)) == ({}, "it was revoked")
    assert members(TokenUsed(1, "never made", "n4", "k")).joined == {}


def test_a_revoked_name_stays_taken():
    found = members(IdentityRevoked(1, "n4", "lost", "root"), IdentityRevoked(2, "n4", "again", "root"))
    assert found.taken("n4")
    assert found.revoked["n4"].reason == "lost"


def test_useless_tokens_are_forgotten_and_used_ones_are_not():
    found = members(created("t1"), created("t2", uses_max=2), TokenUsed(1, "t2", "n4", "k"))
    found.apply(created("t3", at_ms=5_000, expires_ms=6_000))
    assert set(found.tokens) == {"t2", "t3"}
    assert not found.full()
    found.tokens = dict.fromkeys(map(str, range(limits.TOKENS_MAX)))
    assert found.full()


def test_a_token_revoked_after_others_were_made_is_in_a_snapshot_too():
    ledger, copy = Ledger(), Ledger()
    for event in (created("t1"), created("t2"), TokenRevoked(1, "t1", "root")):
        ledger.apply(event)
    for event in ledger.history():
        copy.apply(event)
    assert copy.members.tokens == ledger.members.tokens
    assert set(copy.members.tokens) == {"t1", "t2"}


tokens, names = st.sampled_from(["t1", "t2", "t3"]), st.sampled_from(["n4", "n5", "ann"])
times = st.integers(0, 20)
events = st.one_of(
    st.builds(
        TokenCreated,
        times,
        tokens,
        st.just("h"),
        st.just("worker"),
        times,
        st.integers(0, 3),
        st.just("root"),
    ),
    st.builds(TokenUsed, times, tokens, names, st.sampled_from(["k1", "k2"])),
    st.builds(TokenRevoked, times, tokens, st.just("root")),
    st.builds(IdentityRevoked, times, names, st.just("why"), st.just("root"), st.sampled_from(["", "5e"])),
    st.builds(
        CertificateIssued, times, names, st.integers(0, 12).map(str), st.integers(0, 40), st.just("seen")
    ),
)


@given(st.lists(events, max_size=30))
def test_a_snapshot_rebuilds_the_same_members(history):
    ledger, copy = Ledger(), Ledger()
    for event in history:
        ledger.apply(event)
    for event in ledger.history():
        copy.apply(event)
    assert (copy.members.joined, copy.members.revoked) == (ledger.members.joined, ledger.members.revoked)
    assert all(len(token.uses) <= token.created.uses_max for token in ledger.members.tokens.values())
    assert copy.members.tokens == ledger.members.tokens
    assert list(copy.members.certificates.items()) == list(ledger.members.certificates.items())


def certificate(serial, at_ms=0, not_after_ms=1_000, uri="n4"):
    return CertificateIssued(at_ms, uri, str(serial), not_after_ms, "renewal")


def test_the_latest_certificates_of_everybody_are_remembered():
    found = members(*map(certificate, range(9)), certificate(99, uri="n5"))
    assert list(found.certificates) == ["5", "6", "7", "8", "99"]
    assert len(found.certificates) == limits.CERTIFICATES_KEPT_MAX + 1


def test_a_certificate_that_ended_makes_room_for_the_next_of_its_owner():
    found = members(certificate(1), certificate(2, uri="n5"), certificate(3, at_ms=2_000, not_after_ms=9_000))
    assert list(found.certificates) == ["2", "3"]


def test_what_ended_makes_room_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(limits, "CERTIFICATES_MAX", 2)
    found = members(certificate(1, uri="a"), certificate(2, uri="b"), certificate(3, uri="c"))
    assert list(found.certificates) == ["1", "2"]
    found.apply(certificate(4, at_ms=2_000, uri="d"))
    assert list(found.certificates) == ["4"]


def test_one_certificate_is_revoked_without_its_name():
    found = members(IdentityRevoked(1, "n4", "stolen", "root", "5e"))
    assert not found.taken("n4")
    assert found.revoked["5e"].name == "n4"
