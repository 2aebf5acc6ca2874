"""Certificates of another authority stand for whom the list says, and for nobody else."""

import pytest

from swarm.errors import ConfigRefused, NotTrusted
from swarm.trust import Identity, Kind, Role
from swarm.trust.foreign import IdentityMap, IdentityRule

RULES = (
    IdentityRule("spiffe://example.org/prod/n1", Role.COORDINATOR, "n1"),
    IdentityRule("spiffe://example.org/prod/worker/*", Role.WORKER),
    IdentityRule("https://example.org/people/*", Role.CLIENT),
)
LISTED = IdentityMap("demo", RULES)


@pytest.mark.parametrize(
    ("uri", "identity"),
    [
        ("spiffe://example.org/prod/n1", Identity("demo", Kind.NODE, "n1", Role.COORDINATOR)),
        ("spiffe://example.org/prod/worker/w7", Identity("demo", Kind.NODE, "w7", Role.WORKER)),
        ("https://example.org/people/ann", Identity("demo", Kind.CLIENT, "ann", Role.CLIENT)),
    ],
)
def test_a_uri_stands_for_whom_its_rule_says(uri, identity):
    assert LISTED.identity(uri) == identity


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://demo/client/administrator/eve",  # our own way to write it, which that authority may not use
        "spiffe://example.org/prod/n2",
        "spiffe://example.org/prod/worker/",
        "spiffe://example.org/prod/worker/a/b",
        "spiffe://example.org/prod/worker/W7",
        "spiffe://example.org/prod/worker/n1",  # the coordinator's name
        "spiffe://example.org.evil.org/prod/n1",
        "https://example.org/people/%61nn",
        "",
    ],
)
def test_whatever_is_not_listed_stands_for_nobody(uri):
    with pytest.raises(NotTrusted):
        LISTED.identity(uri)


def test_without_a_list_our_own_authority_is_read():
    assert IdentityMap().identity("spiffe://demo/node/n1") == Identity(
        "demo", Kind.NODE, "n1", Role.COORDINATOR
    )
    with pytest.raises(NotTrusted):
        IdentityMap().identity("spiffe://example.org/prod/n1")


@pytest.mark.parametrize(
    ("uri", "name"), [("", "n1"), ("a*b", "n1"), ("a/*", "n1"), ("a", ""), ("a*/*", ""), ("x" * 300, "n1")]
)
def test_a_rule_that_makes_no_sense_is_refused(uri, name):
    with pytest.raises(ConfigRefused):
        IdentityRule(uri, Role.WORKER, name)
