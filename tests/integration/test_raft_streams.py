"""Who may open a stream to a voter, what happens to one that lost its log, and how a replica stops."""

import asyncio
import contextlib
import errno
import os
import shutil
import stat

import grpc
import grpc.aio
import pytest

from swarm.adapters.raft import PysyncobjLog
from swarm.adapters.tls import Authority, TlsIdentity
from swarm.errors import Bug, Conflict, NotLeader, OutcomeUnknown
from swarm.trust import Role
from swarm.wire.gen import raft_pb2 as pb
from swarm.wire.gen.raft_pb2_grpc import RaftStub
from tests.conformance.log.harness import VOTERS, PysyncobjCluster, until

PATIENCE_S = 10


@pytest.fixture(scope="module")
def identities(tmp_path_factory):
    root = tmp_path_factory.mktemp("pki")
    authority = Authority.create(root / "ca", "demo")
    issued = {node: authority.issue_node(node, ["127.0.0.1"], root / node) for node in (*VOTERS, "n4")}
    issued["worker n2"] = authority.issue_node("n2", ["127.0.0.1"], root / "w", role=Role.WORKER)
    issued["admin"] = authority.issue_client("n2", Role.ADMINISTRATOR, root / "admin")
    return {name: TlsIdentity.load(files) for name, files in issued.items()}


@pytest.fixture
def run(tmp_path, identities):
    def run_scenario(scenario):
        async def main():
            cluster = PysyncobjCluster(tmp_path, identities)
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(cluster.close)
                for node in VOTERS:
                    await cluster.boot(node)
                await cluster.led()
                await scenario(cluster)

        asyncio.run(main())

    return run_scenario


async def pipe(tls, address, expected, *frames):
    """Open a stream as `tls` and say `frames`; how the voter ends it."""
    async with tls.channel(address, expected) as channel:
        call = RaftStub(channel).Pipe(iter(frames), timeout=PATIENCE_S)
        await call
        return call.code()


async def refusal(*args):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await pipe(*args)
    return caught.value


def hello(incarnation=b"i" * 16):
    return pb.RaftFrame(hello=pb.RaftHello(incarnation=incarnation))


@pytest.mark.parametrize("stranger", ["n4", "worker n2", "admin", "n1"])
def test_only_another_voters_certificate_opens_a_stream(run, identities, stranger):
    async def scenario(cluster):
        error = await refusal(identities[stranger], cluster.addresses["n1"], "n1", hello())
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "no other voter" in error.details()
        await cluster.leader().log.propose(b"still serving")
        await cluster.agreed([b"still serving"])

    run(scenario)


def test_a_voters_certificate_of_another_cluster_opens_no_stream(tmp_path, identities):
    async def scenario():
        cluster = PysyncobjCluster(tmp_path, identities)
        await cluster.boot("n1")
        cluster.replicas["n1"].log._links._cluster = "other"
        error = await refusal(identities["n2"], cluster.addresses["n1"], "n1", hello())
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        await cluster.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "frames",
    [
        (),
        (pb.RaftFrame(),),
        (hello(b"short"),),
        (pb.RaftFrame(messages=[pb.RaftMessage(term=9)]),),
    ],
)
def test_a_stream_without_a_proper_hello_is_refused(run, identities, frames):
    async def scenario(cluster):
        error = await refusal(identities["n2"], cluster.addresses["n1"], "n1", *frames)
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION

    run(scenario)


@pytest.mark.parametrize(
    "message",
    [
        pb.RaftMessage(term=1),
        pb.RaftMessage(term=1, append=pb.RaftAppend(entries=[pb.RaftEntry(command=b"\0", index=7, term=1)])),
        pb.RaftMessage(term=1, append=pb.RaftAppend(entries=[pb.RaftEntry(command=b"\2", index=1, term=1)])),
        pb.RaftMessage(term=1, append=pb.RaftAppend(entries=[pb.RaftEntry(command=b"\0", index=1, term=9)])),
        pb.RaftMessage(term=1, fragment=pb.RaftFragment(data=b"\xff" * 9, last=True)),
    ],
)
def test_a_message_no_voter_sends_ends_the_stream_and_nothing_else(tmp_path, identities, message):
    async def scenario():
        cluster = PysyncobjCluster(tmp_path, identities)
        await cluster.boot("n1")
        frames = (hello(), pb.RaftFrame(messages=[message]))
        error = await refusal(identities["n2"], cluster.addresses["n1"], "n1", *frames)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert cluster.replicas["n1"].log.status().term == 0
        await cluster.boot("n3")
        await (await cluster.led()).log.propose(b"x")
        await cluster.close()

    asyncio.run(scenario())


def test_a_voter_that_lost_its_log_is_refused_under_its_old_id(run):
    async def scenario(cluster):
        leader = cluster.leader()
        await leader.log.propose(b"kept")
        await cluster.agreed([b"kept"])
        wiped = cluster.followers()[0].log.node_id
        await cluster.kill(wiped)
        shutil.rmtree(cluster.root / wiped)
        await cluster.boot(wiped)
        other = next(r for r in cluster.replicas.values() if r is not leader and r.log.node_id != wiped)
        await leader.log.propose(b"more")
        await until(lambda: other.machine.data == [b"kept", b"more"], "the healthy follower goes on")
        # With the other follower gone as well, the wiped one must not make a majority.
        await cluster.kill(other.log.node_id)
        with pytest.raises((OutcomeUnknown, NotLeader)):
            await asyncio.wait_for(leader.log.propose(b"not with amnesia"), PATIENCE_S)
        assert cluster.replicas[wiped].log.leadership().leader != wiped
        await cluster.boot(other.log.node_id)
        await (await cluster.led()).log.propose(b"again")

    run(scenario)


def test_a_state_machine_that_fails_stops_the_replica(run):
    async def scenario(cluster):
        follower = cluster.followers()[0]
        follower.machine.apply = lambda entries: 1 / 0
        await cluster.leader().log.propose(b"x")
        await until(lambda: cluster.faults, "the replica stops")
        assert isinstance(cluster.faults[0], Bug)
        assert isinstance(cluster.faults[0].__cause__, ZeroDivisionError)
        await cluster.leader().log.propose(b"the others go on")
        cluster.faults.clear()

    run(scenario)


def test_a_disk_that_fails_stops_the_replica_and_leaves_nobody_waiting(run, monkeypatch):
    async def scenario(cluster):
        leader = cluster.leader()
        await leader.log.propose(b"before")
        real = os.fdatasync
        raft_thread_file = leader.log._runner.wal._file._descriptor

        def fail(descriptor):
            if descriptor == raft_thread_file:
                raise OSError(errno.EIO, "Input/output error")
            real(descriptor)

        monkeypatch.setattr(os, "fdatasync", fail)
        with pytest.raises(OutcomeUnknown):
            await asyncio.wait_for(leader.log.propose(b"lost"), PATIENCE_S)
        await until(lambda: cluster.faults, "the replica stops")
        assert isinstance(cluster.faults[0], OSError)
        cluster.faults.clear()
        await cluster.kill(leader.log.node_id)
        await (await cluster.led()).log.propose(b"after")

    run(scenario)


def test_the_data_directory_is_for_its_owner_alone_and_for_one_process(run, identities):
    async def scenario(cluster):
        directory = cluster.root / "n1"
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
        second = PysyncobjLog("n1", cluster.addresses, directory, identities["n1"].channel, cluster="demo")
        with pytest.raises(Conflict, match="another process"):
            await second.start(None, None)

    run(scenario)
