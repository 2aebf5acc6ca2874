"""Every method of every service is in the permission table, and the gate obeys the table."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from swarm.adapters.rpc.callers import Access
from swarm.adapters.rpc.gate import Gate
from swarm.adapters.tls import Authority, Peers, Validity
from swarm.errors import NotAllowed, NotTrusted, Unreachable
from swarm.trust import Role
from swarm.trust.identity import ROLES_OF_KIND, Identity
from swarm.trust.permissions import PERMISSIONS, allowed
from swarm.trust.revocation import Revocations, Revoked
from swarm.wire.gen import call_pb2, client_pb2, raft_pb2, work_pb2

SERVED = {
    f"/{service.full_name}/{method.name}"
    for module in (call_pb2, client_pb2, raft_pb2, work_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
IDENTITIES = [
    Identity("demo", kind, "somebody", role)
    for kind, roles in ROLES_OF_KIND.items()
    for role in sorted(roles)
]


class Call:
    """A call's context with a certificate in it."""

    def __init__(self, uri):
        self.uri = uri

    def auth_context(self):
        return {"peer_spiffe_id": [self.uri.encode()]} if self.uri else {}


def test_the_table_names_exactly_the_methods_that_are_served():
    assert set(PERMISSIONS) == SERVED


@pytest.mark.parametrize(("method", "identity"), list(itertools.product(sorted(SERVED), IDENTITIES)), ids=str)
def test_the_gate_admits_the_roles_of_the_table_and_no_other(method, identity):
    gate = Gate(Access("demo"))
    if allowed(method, identity.role):
        assert gate.admit(Call(identity.uri), method) == identity
    else:
        with pytest.raises(NotAllowed, match=identity.role.value):
            gate.admit(Call(identity.uri), method)


def test_a_method_nobody_listed_is_denied_to_everybody():
    assert not any(allowed("/swarm.v1.Swarm/Reboot", role) for role in Role)


def test_a_certificate_of_another_cluster_is_not_admitted():
    caller = Identity("other", IDENTITIES[0].kind, "n1", IDENTITIES[0].role)
    with pytest.raises(NotAllowed, match="another cluster"):
        Gate(Access("demo")).admit(Call(caller.uri), "/swarm.v1.Swarm/Status")


def test_a_call_without_an_identity_is_not_admitted():
    with pytest.raises(NotTrusted):
        Gate(Access("demo")).admit(Call(None), "/swarm.v1.Swarm/Status")


# -- who was revoked ---------------------------------------------------------------------------------------

STATUS = "/swarm.v1.Swarm/Status"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Two certificates of ann, one of which has ended."""
    root = tmp_path_factory.mktemp("ca")
    authority = Authority.create(root / "ca", "demo")
    past = datetime(2020, 1, 1, tzinfo=UTC)
    ended = Validity(past, past + timedelta(days=1))
    return {
        "ann": authority.issue_client("ann", Role.CLIENT, root / "1").certificate.read_bytes(),
        "ann again": authority.issue_client("ann", Role.CLIENT, root / "2").certificate.read_bytes(),
        "ended": authority.issue_client(
            "ann", Role.CLIENT, root / "3", validity=ended
        ).certificate.read_bytes(),
    }


class Shown:
    """A call's context as gRPC gives it: with the whole certificate."""

    def __init__(self, pem):
        self.pem = pem

    def auth_context(self):
        return {"x509_pem_cert": [self.pem]}


def test_a_revoked_name_is_refused_in_every_certificate(certificates):
    revocations = Revocations()
    gate = Gate(Access("demo"), revocations=revocations)
    assert gate.admit(Shown(certificates["ann"]), STATUS).name == "ann"
    revocations.take([Revoked("ann", "", "left")])
    for pem in (certificates["ann"], certificates["ann again"]):
        with pytest.raises(NotTrusted, match="ann was revoked: left"):
            gate.admit(Shown(pem), STATUS)


def test_a_revoked_serial_number_is_refused_alone(certificates):
    serial = f"{x509.load_pem_x509_certificate(certificates['ann']).serial_number:x}"
    revocations = Revocations()
    revocations.take([Revoked("ann", serial, "stolen")])
    gate = Gate(Access("demo"), revocations=revocations)
    with pytest.raises(NotTrusted, match="stolen"):
        gate.admit(Shown(certificates["ann"]), STATUS)
    assert gate.admit(Shown(certificates["ann again"]), STATUS).name == "ann"


def test_a_certificate_that_ended_while_its_connection_stayed_is_refused(certificates):
    with pytest.raises(NotTrusted, match="expired"):
        Gate(Access("demo")).admit(Shown(certificates["ended"]), STATUS)


def test_a_node_that_has_heard_of_no_list_answers_no_client(certificates):
    revocations = Revocations(complete=False)
    gate = Gate(Access("demo"), revocations=revocations)
    with pytest.raises(Unreachable, match="not heard yet"):
        gate.admit(Shown(certificates["ann"]), STATUS)
    assert gate.admit(Call("spiffe://demo/node/n1"), STATUS).name == "n1"
    revocations.complete = True
    assert gate.admit(Shown(certificates["ann"]), STATUS).name == "ann"


def test_every_certificate_is_heard_of_once(certificates):
    met = []
    gate = Gate(Access("demo"), peers=Peers(seen=met.append))
    for _ in range(3):
        for pem in (certificates["ann"], certificates["ann again"]):
            gate.admit(Shown(pem), STATUS)
    assert [peer.identity.name for peer in met] == ["ann", "ann"]
    assert len({peer.serial for peer in met}) == 2


@pytest.mark.parametrize("pem", [b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", b"-----"])
def test_what_is_no_certificate_names_nobody(pem):
    with pytest.raises(NotTrusted, match="no identity"):
        Gate(Access("demo")).admit(Shown(pem), STATUS)
