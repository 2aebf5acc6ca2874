"""Every cell of the permission table, called with a real certificate at a real daemon."""

import asyncio

import grpc
import grpc.aio
import pytest

from swarm.adapters.rpc.errors import from_rpc
from swarm.adapters.tls import Authority, TlsIdentity
from swarm.errors import NotAllowed
from swarm.ids import NodeId
from swarm.trust import Kind
from swarm.trust.identity import ROLES_OF_KIND
from swarm.trust.permissions import PERMISSIONS, allowed
from swarm.wire.gen import call_pb2, client_pb2, raft_pb2, work_pb2

METHODS = {
    f"/{service.full_name}/{method.name}": method
    for module in (call_pb2, client_pb2, raft_pb2, work_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
CALLERS = [(kind, role) for kind, roles in ROLES_OF_KIND.items() for role in sorted(roles)]
CALL_S = 20


@pytest.fixture(scope="module")
def identities(whole_cluster, tmp_path_factory):
    """A certificate of every kind and role, of somebody who is nobody else."""
    authority = Authority.load(whole_cluster.data_dir / "authority")
    root = tmp_path_factory.mktemp("callers")
    found = {}
    for kind, role in CALLERS:
        name = f"probe-{kind}-{role}"
        if kind is Kind.NODE:
            files = authority.issue_node(NodeId(name), ["127.0.0.1"], root / name, role=role)
        else:
            files = authority.issue_client(name, role, root / name)
        found[kind, role] = TlsIdentity.load(files)
    return found


async def outcome(identity, address, node, method):
    """Call a method with nothing in it: the gate's refusal, or None where the gate let it through."""

    async def nothing():
        return
        yield

    found = METHODS[method]
    shape = ("stream" if found.client_streaming else "unary", "stream" if found.server_streaming else "unary")
    async with identity.channel(address, node) as channel:
        call = getattr(channel, "_".join(shape))(method)
        request = nothing() if found.client_streaming else b""
        try:
            if found.server_streaming:
                async for _ in call(request, timeout=CALL_S):
                    break
            else:
                await call(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            refusal = from_rpc(error, node)
            unknown = error.code() is grpc.StatusCode.UNAUTHENTICATED
            if unknown or (isinstance(refusal, NotAllowed) and "does not cover this" in refusal.message):
                return refusal
    return None


@pytest.mark.parametrize(("kind", "role"), CALLERS, ids=lambda value: value.value)
def test_every_call_is_answered_as_the_table_says(whole_cluster, identities, kind, role):
    node, address = next(iter(whole_cluster.addresses.items()))

    async def all_calls():
        identity = identities[kind, role]
        return {method: await outcome(identity, address, node, method) for method in METHODS}

    found = asyncio.run(all_calls())
    assert {method: refusal is None for method, refusal in found.items()} == {
        method: allowed(method, role) for method in PERMISSIONS
    }
    assert all(role.value in refusal.message for refusal in found.values() if refusal)
    assert whole_cluster.wait_ready()
