"""The URI inside a certificate is read strictly and written in one way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.errors import NotTrusted
from swarm.trust import Identity, Kind, Role
from swarm.trust.identity import NAME_CHARS_MAX, ROLES_OF_KIND, URI_CHARS_MAX, is_name

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z0-9]{1,10}){0,3}", fullmatch=True)
kinds_and_roles = st.sampled_from([(kind, role) for kind in Kind for role in ROLES_OF_KIND[kind]])
identities = st.builds(
    lambda cluster, name, pair: Identity(cluster, pair[0], name, pair[1]), names, names, kinds_and_roles
)


@given(identities)
def test_every_identity_survives_its_uri(identity):
    assert len(identity.uri) <= URI_CHARS_MAX
    assert Identity.parse(identity.uri) == identity


@given(st.text(max_size=80) | st.from_regex(r"spiffe://[a-zA-Z0-9./%_:@?#-]{0,60}", fullmatch=True))
def test_a_uri_is_read_only_if_it_is_the_one_spelling(text):
    try:
        identity = Identity.parse(text)
    except NotTrusted:
        return
    assert identity.uri == text


@given(identities, st.data())
def test_one_changed_character_never_gives_the_same_identity(identity, data):
    uri = identity.uri
    place = data.draw(st.integers(0, len(uri) - 1))
    character = data.draw(st.characters(codec="utf-8").filter(lambda c: c != uri[place]))
    try:
        other = Identity.parse(uri[:place] + character + uri[place + 1 :])
    except NotTrusted:
        return
    assert other != identity


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://",
        "spiffe://demo",
        "spiffe://demo/",
        "spiffe://demo/node/",
        "spiffe://demo/node/n1/",
        "spiffe://demo//node/n1",
        "spiffe://demo/node/n1?role=administrator",
        "spiffe://demo/node/n1#x",
        "spiffe://demo/node/coordinator/n1",
        "spiffe://demo/node/administrator/n1",
        "spiffe://demo/client/alice",
        "spiffe://demo/client/worker/alice",
        "spiffe://demo/node/N1",
        "spiffe://demo/node/n%31",
        "spiffe://demo/node/..",
        "spiffe://demo/node/n1\n",
        "spiffe://demo/node/n\u0661",
        "spiffe://de:443/node/n1",
        "SPIFFE://demo/node/n1",
        "https://demo/node/n1",
        "spiffe://demo/node/" + "a" * (NAME_CHARS_MAX + 1),
        "spiffe://demo/node/" + "a." * 10_000,
    ],
)
def test_anything_else_is_refused_with_a_remedy(uri):
    with pytest.raises(NotTrusted) as caught:
        Identity.parse(uri)
    assert caught.value.remedy


def test_a_node_with_a_lesser_role_says_so_in_its_uri():
    worker = Identity("demo", Kind.NODE, "n4", Role.WORKER)
    assert worker.uri == "spiffe://demo/node/worker/n4"
    assert Identity("demo", Kind.NODE, "n1", Role.COORDINATOR).uri == "spiffe://demo/node/n1"


@pytest.mark.parametrize("role", sorted(set(Role) - ROLES_OF_KIND[Kind.CLIENT]))
def test_a_client_cannot_be_made_with_the_role_of_a_node(role):
    with pytest.raises(NotTrusted):
        Identity("demo", Kind.CLIENT, "alice", role)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a..b", ".a", "a.", "a_b", "A", "a b", "ä", "a" * 64])
def test_what_is_no_dns_name_names_nothing(name):
    assert not is_name(name)
