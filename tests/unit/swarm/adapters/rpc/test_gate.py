"""Every method of every service is in the permission table, and the gate obeys the table."""

import itertools

import pytest

from swarm.adapters.rpc.gate import Gate
from swarm.errors import NotAllowed, NotTrusted
from swarm.trust import Role
from swarm.trust.identity import ROLES_OF_KIND, Identity
from swarm.trust.permissions import PERMISSIONS, allowed
from swarm.wire.gen import client_pb2, raft_pb2, work_pb2

SERVED = {
    f"/{service.full_name}/{method.name}"
    for module in (client_pb2, raft_pb2, work_pb2)
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
    gate = Gate("demo")
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
        Gate("demo").admit(Call(caller.uri), "/swarm.v1.Swarm/Status")


def test_a_call_without_an_identity_is_not_admitted():
    with pytest.raises(NotTrusted):
        Gate("demo").admit(Call(None), "/swarm.v1.Swarm/Status")
