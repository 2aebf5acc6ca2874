"""People need a capability where there is a policy, and only coordinators speak for others."""

import pytest

from swarm.adapters.rpc.callers import Access, behalf
from swarm.errors import NotAllowed, NotTrusted
from swarm.trust import Role
from swarm.trust.identity import client_identity, node_identity
from swarm.trust.permissions import NEEDS, PERMISSIONS
from swarm.trust.policy import Capability, Grant, Policy
from swarm.wire.gen import client_pb2, raft_pb2, work_pb2

SERVED = {
    f"/{service.full_name}/{method.name}"
    for module in (client_pb2, raft_pb2, work_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


class Call:
    """A call's context with a certificate in it."""

    def __init__(self, uri):
        self.uri = uri

    def auth_context(self):
        return {"peer_spiffe_id": [self.uri.encode()]} if self.uri else {}


POLICY = Policy(
    in_force=True, tenants={"acme": None}, principals={"ann": Grant("acme", frozenset({Capability.SUBMIT}))}
)


def under_policy():
    return Access("demo", lambda: POLICY)


def test_where_there_is_a_policy_people_need_the_capability_besides_the_role():
    ann = client_identity("demo", "ann", Role.ADMINISTRATOR)
    for method in SERVED:
        if NEEDS.get(method) is Capability.SUBMIT:
            under_policy().check(ann, method)
        elif method in NEEDS:
            with pytest.raises(NotAllowed, match=r"the policy does not grant ann [A-Z_]+") as refusal:
                under_policy().check(ann, method)
            assert "apply the policy" in refusal.value.remedy


def test_whoever_a_policy_does_not_name_may_nothing_unless_they_administer():
    nobody, root = client_identity("demo", "bob"), client_identity("demo", "root", Role.ADMINISTRATOR)
    for method in NEEDS:
        with pytest.raises(NotAllowed):
            under_policy().check(nobody, method)
        under_policy().check(root, method)


def test_every_method_for_people_needs_a_capability_and_no_other_does():
    for_people = {method for method, roles in PERMISSIONS.items() if Role.ADMINISTRATOR in roles}
    assert set(NEEDS) == for_people - {"/swarm.v1.Swarm/RenewCertificate"}  # which is for oneself alone


def test_a_coordinator_is_believed_for_whom_it_asks_and_asks_for_no_more_than_they_may():
    ann = client_identity("demo", "ann")
    leader = Call(node_identity("demo", "n1").uri)
    caller = under_policy().caller(leader, ann.uri, "/swarm.v1.Swarm/Submit")
    assert (caller.name, caller.grant.tenant) == ("ann", "acme")
    with pytest.raises(NotAllowed, match="does not grant ann CANCEL"):
        under_policy().caller(leader, ann.uri, "/swarm.v1.Swarm/CancelRun")
    with pytest.raises(NotAllowed, match="another cluster"):
        under_policy().caller(leader, client_identity("other", "ann").uri, "/swarm.v1.Swarm/Submit")
    with pytest.raises(NotTrusted):
        under_policy().caller(leader, "ann", "/swarm.v1.Swarm/Submit")


def test_a_worker_is_not_believed_where_there_is_a_policy():
    worker = Call(node_identity("demo", "n9", Role.WORKER).uri)
    ann = client_identity("demo", "ann").uri
    with pytest.raises(NotAllowed, match="is not believed"):
        under_policy().caller(worker, ann, "/swarm.v1.Swarm/ListRuns")
    assert Access("demo").caller(worker, ann, "/swarm.v1.Swarm/ListRuns").name == "ann"


def test_people_speak_for_themselves():
    ann = Call(client_identity("demo", "ann").uri)
    with pytest.raises(NotAllowed, match="only a node"):
        behalf(ann, client_identity("demo", "bob").uri)
    assert behalf(ann, "") == ann.uri
