"""Whose agents may run: only what an entry of the policy covers."""

from hypothesis import given
from hypothesis import strategies as st

from swarm.trust.authors import AgentPolicy, Author

ANN, BOB = "aa" * 32, "bb" * 32
POLICY = AgentPolicy((Author("ann", ANN, ("vision:*", "df:transform")), Author("bob", BOB, ("*",))))


def refused(policy, key, *capabilities):
    return [(problem.place, problem.message) for problem in policy.problems(key, capabilities)]


def test_without_a_policy_nothing_runs():
    assert refused(AgentPolicy(), None, "vision:digit")
    assert refused(AgentPolicy(), ANN, "vision:digit")


def test_an_author_signs_for_what_the_policy_says_and_nothing_else():
    assert refused(POLICY, ANN, "vision:digit", "df:transform") == []
    assert refused(POLICY, ANN, "vision:digit", "llm:chat", "df:other") == [
        ("llm:chat", "ann may not sign for this"),
        ("df:other", "ann may not sign for this"),
    ]
    assert refused(POLICY, BOB, "anything:at-all") == []


def test_a_file_nobody_or_a_stranger_signed_is_refused():
    assert "nobody has signed" in refused(POLICY, None, "vision:digit")[0][1]
    assert "no trusted author" in refused(POLICY, "cc" * 32, "vision:digit")[0][1]


def test_two_keys_of_one_author_overlap():
    policy = AgentPolicy(
        (Author("ann", ANN, ("a:*",)), Author("ann", ANN, ("b:*",)), Author("ann", BOB, ("a:*",)))
    )
    assert refused(policy, ANN, "a:x", "b:x") == []
    assert refused(policy, BOB, "a:x") == []
    assert refused(policy, BOB, "b:x")


def test_in_development_anything_runs():
    assert refused(AgentPolicy(anybody=True), None, "vision:digit") == []


@given(st.text(max_size=80), st.text(max_size=20))
def test_no_key_but_a_listed_one_is_ever_enough(key, capability):
    assert key in (ANN, BOB) or refused(POLICY, key, capability)
