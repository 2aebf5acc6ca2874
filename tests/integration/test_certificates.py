"""Certificates of a running cluster: exchanged without dropping anything, and taken back."""

import asyncio
import contextlib
import json
import shutil
import ssl
import threading
import time

import grpc
import grpc.aio
import pytest
from cryptography import x509

from swarm import Swarm
from swarm.adapters.audit import AuditReader
from swarm.adapters.rpc.errors import from_rpc
from swarm.adapters.tls import Authority, IdentityFiles, TlsIdentity
from swarm.cli import run
from swarm.daemons.local import LocalCluster
from swarm.errors import NotAllowed, NotTrusted, SwarmError
from swarm.trust import Role
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen.client_pb2_grpc import SwarmStub
from tests.integration.cluster import SLOW_AGENT, slow_graph

PATIENCE_S = 100
pytestmark = pytest.mark.timeout(300)  # several daemons start, perhaps on a busy machine
CALL_S = 20


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Three coordinators and a worker, of which tests revoke some."""
    with LocalCluster(tmp_path_factory.mktemp("certs") / "c", 4, cluster="test") as cluster:
        with Swarm.open(cluster.profile_path) as swarm:
            swarm.deploy(SLOW_AGENT)
        yield cluster


@pytest.fixture
def swarm(cluster):
    with Swarm.open(cluster.profile_path) as swarm:
        yield swarm


def soon(condition):
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.1)
    return None


def issued(cluster, tmp_path, name, role=Role.CLIENT):
    """Somebody's certificate, signed away from the cluster."""
    return Authority.load(cluster.data_dir / "authority").issue_client(name, role, tmp_path / name)


def serial_shown(address):
    """The serial number of the certificate a server shows whoever knocks."""
    host, _, port = address.rpartition(":")
    pem = ssl.get_server_certificate((host, int(port)), timeout=CALL_S)
    return f"{x509.load_pem_x509_certificate(pem.encode()).serial_number:x}"


def valid(swarm, name):
    return {c.serial for c in swarm.certificates() if c.id == name and c.state == "valid"}


def test_all_nodes_get_another_certificate_and_no_stream_and_no_process_ends(cluster, swarm, capsys):
    pids = {node: cluster.pid(node) for node in cluster.running()}
    lost = {node: cluster.log_path(node).read_text().count("node lost") for node in cluster.running()}
    work = swarm.submit(slow_graph(24, 0.3))
    ended = []
    watcher = threading.Thread(target=lambda: ended.append(work.result()))
    watcher.start()
    assert run(["certs", "rotate", "--all", "--json", "--cluster", str(cluster.profile_path)]) == 0
    rotated = json.loads(capsys.readouterr().out)
    assert not rotated["missing"]
    assert set(rotated["rotated"]) == set(pids)
    for node, serial in rotated["rotated"].items():
        assert soon(lambda node=node, serial=serial: serial_shown(cluster.addresses[node]) == serial)
        assert not (cluster.home(node) / "identity" / "renewal").exists()
    watcher.join(PATIENCE_S)
    assert ended
    assert {node: cluster.pid(node) for node in cluster.running()} == pids
    assert {node: cluster.log_path(node).read_text().count("node lost") for node in lost} == lost
    with Swarm.open(cluster.profile_path) as newcomer:
        assert newcomer.status().nodes_attached == len(cluster.running())


def test_a_client_renews_its_own_certificate_and_is_still_who_it_was(cluster, swarm):
    before = soon(lambda: valid(swarm, "local"))
    serial = swarm.renew_certificate()
    assert valid(swarm, "local") == {serial} != before
    with Swarm.open(cluster.profile_path) as again:
        assert again.create_token("worker", 60_000)  # an administrator, as before


def test_a_revoked_clients_watch_ends_with_the_reason_and_no_node_answers_it(cluster, swarm, tmp_path):
    identity = TlsIdentity.load(issued(cluster, tmp_path, "eve"))
    node, address = next((n, a) for n, a in cluster.addresses.items() if n in cluster.running())
    work = swarm.submit(slow_graph(2, 15))

    async def scenario():
        async with identity.channel(address, node) as channel:
            stub = SwarmStub(channel)
            watch = stub.Watch(pb.WatchRequest(run=work.id, follow=True))
            assert (await asyncio.wait_for(watch.read(), CALL_S)).run.run == work.id
            assert await asyncio.to_thread(soon, lambda: valid(swarm, "eve"))
            await asyncio.to_thread(swarm.revoke, "eve", "left the company")
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await asyncio.wait_for(to_its_end(watch), PATIENCE_S)
            error = from_rpc(ended.value, node)
            assert isinstance(error, NotTrusted)
            assert "eve was revoked: left the company" in error.message
        return [await refused(identity, cluster.addresses[n], n) for n in cluster.running()]

    assert all(asyncio.run(scenario()))
    work.cancel()


async def to_its_end(stream):
    while await stream.read() is not grpc.aio.EOF:
        pass


async def refused(identity, address, node):
    """Whether a node refuses somebody for being revoked, within seconds."""
    until = asyncio.get_running_loop().time() + PATIENCE_S
    while asyncio.get_running_loop().time() < until:
        async with identity.channel(address, node) as channel:
            try:
                await SwarmStub(channel).Status(pb.StatusRequest(), timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                if "was revoked" in (error.details() or ""):
                    return True
        await asyncio.sleep(0.1)
    return False


def test_one_certificate_is_revoked_by_its_serial_number_and_the_name_goes_on(cluster, swarm, tmp_path):
    stolen, fresh = issued(cluster, tmp_path, "ann"), issued(cluster, tmp_path / "new", "ann")
    node, address = next((n, a) for n, a in cluster.addresses.items() if n in cluster.running())
    identities = [TlsIdentity.load(files) for files in (stolen, fresh)]

    async def asks(identity):
        async with identity.channel(address, node) as channel:
            return (await SwarmStub(channel).Status(pb.StatusRequest(), timeout=CALL_S)).cluster

    assert [asyncio.run(asks(identity)) for identity in identities] == ["test", "test"]
    assert soon(
        lambda: {identities[0].serial, identities[1].serial} <= {c.serial for c in swarm.certificates()}
    )
    swarm.revoke(identities[0].serial, "the key was stolen")
    assert asyncio.run(refused(identities[0], address, node))
    assert asyncio.run(asks(identities[1])) == "test"
    states = {c.serial: c.state for c in swarm.certificates() if c.id == "ann"}
    assert states == {identities[0].serial: "revoked", identities[1].serial: "valid"}


def test_nobody_revokes_themselves_nor_somebody_who_does_not_exist(cluster, swarm, tmp_path):
    for what in ("local", "nobody-at-all", "0123456789abcdef"):
        assert run(["certs", "revoke", what, "--cluster", str(cluster.profile_path)]) == 2
    files = issued(cluster, tmp_path, "bob")
    profile = tmp_path / "bob.yaml"
    text = cluster.profile_path.read_text().replace("client/", f"{files.key.parent}/")
    profile.write_text(text)
    with Swarm.open(profile) as bob:
        for forbidden in (bob.certificates, lambda: bob.revoke("n1"), bob.rotate_certificates):
            with pytest.raises(NotAllowed):
                forbidden()


def test_a_revoked_worker_is_cut_off_and_does_not_come_back(cluster, swarm):
    assert soon(lambda: valid(swarm, "n4"))
    swarm.revoke("n4", "compromised")
    assert soon(lambda: "n4" not in cluster.running())
    assert "n4 was revoked: compromised" in cluster.log_path("n4").read_text()
    assert soon(lambda: {node.node: node.state for node in swarm.nodes()}.get("n4", "absent") == "absent")
    # One that ignores what it was told has forgotten nothing of its key, and gets in nowhere all the same.
    (cluster.node_data("n4") / "revoked.json").unlink()
    identity = TlsIdentity.load(_files(cluster, "n4"))
    assert all(asyncio.run(refused(identity, cluster.addresses[n], n)) for n in cluster.running())
    since = restarted(cluster, "n4")
    assert soon(lambda: "serving" in since())
    refused_twice = soon(lambda: audited(cluster, "n4") >= 2)
    assert refused_twice
    assert "n4" not in {node.node for node in swarm.nodes() if node.state == "attached"}
    cluster.kill("n4")
    assert swarm.submit(slow_graph(2, 0)).result()


def test_a_leader_that_is_revoked_is_heard_no_more_and_the_others_elect_another(cluster, swarm):
    leader = swarm.status().leader
    data = cluster.node_data(leader)
    keep = data.parent / "kept"
    swarm.revoke(leader, "compromised")
    assert soon(lambda: leader not in cluster.running())
    assert swarm.submit(slow_graph(2, 0)).result()
    assert swarm.status().leader not in ("", leader)
    (data / "revoked.json").rename(keep)
    shutil.rmtree(data / "log")  # what it knew of its own revocation is gone, too
    since = restarted(cluster, leader)
    assert soon(lambda: "was revoked: compromised" in since())
    assert swarm.submit(slow_graph(2, 0)).result()
    assert swarm.status().leader not in ("", leader)


def audited(cluster, name):
    """How many links of somebody the coordinators' audit logs say were refused."""
    events = []
    for node in cluster.running():
        with contextlib.suppress(SwarmError):
            events += AuditReader(cluster.node_data(node) / "audit").query(
                lambda facts: (
                    facts["did"].endswith("/Attach")
                    and facts["result"] == "not_trusted"
                    and facts["who"].endswith(f"/{name}")
                ),
                100,
            )
    return len(events)


def restarted(cluster, node):
    """Start a daemon again; what it says from then on."""
    said = len(cluster.log_path(node).read_text())
    cluster.restart(node)
    return lambda: cluster.log_path(node).read_text()[said:]


def _files(cluster, node):
    return IdentityFiles.within(cluster.home(node) / "identity")
