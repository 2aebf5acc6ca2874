"""Three logs behind one harness: the twin in memory, pysyncobj over real TLS, servers and files, and etcd."""

import asyncio
import json
import socket

import grpc.aio

from swarm.adapters.etcd import EtcdLog, EtcdSettings
from swarm.adapters.raft import PysyncobjLog, RaftSettings
from swarm.adapters.tls import SERVER_OPTIONS
from swarm.testing.log import MemoryLogGroup
from swarm.wire.gen.raft_pb2_grpc import add_RaftServicer_to_server

PATIENCE_S = 10
VOTERS = ("n1", "n2", "n3")
COMPACT_ENTRIES = 40


async def until(condition, what):
    """Wait for `condition`; every replica lives on this loop, so looking at it costs nothing."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - several replicas' states, no event to wait for
            await asyncio.sleep(0.002)
    assert condition(), what


class Recorder:
    """A state machine that keeps everything it was told, and can say so in a snapshot."""

    def __init__(self):
        self.entries = []
        self.restored_at = None

    def apply(self, entries):
        assert entries, "an empty batch"
        for entry in entries:
            assert not self.entries or entry.index > self.entries[-1][0], "out of order, or twice"
            assert self.restored_at is None or entry.index > self.restored_at, "older than the snapshot"
            self.entries.append((entry.index, entry.data))

    def snapshot(self):
        entries = list(self.entries)
        return lambda: json.dumps([(index, data.decode()) for index, data in entries]).encode()

    def restore(self, data, index):
        self.entries = [(at, text.encode()) for at, text in json.loads(data)]
        self.restored_at = index

    @property
    def data(self):
        return [data for _, data in self.entries]


class Replica:
    def __init__(self, log):
        self.log = log
        self.machine = Recorder()
        self.news = []

    async def start(self):
        await self.log.start(self.machine, self.news.append)


class Cluster:
    """What both clusters can do."""

    def __init__(self):
        self.replicas = {}

    def leader(self):
        leading = [
            replica for node, replica in self.replicas.items() if replica.log.leadership().leader == node
        ]
        return max(leading, key=lambda replica: replica.log.leadership().term, default=None)

    def followers(self):
        return [replica for replica in self.replicas.values() if replica is not self.leader()]

    async def led(self):
        await until(self.leader, "a leader")
        return self.leader()

    async def agreed(self, data):
        await until(lambda: all(r.machine.data == data for r in self.replicas.values()), "the same state")


class MemoryCluster(Cluster):
    def __init__(self):
        super().__init__()
        self.group = MemoryLogGroup(VOTERS)

    async def boot(self, node):
        self.replicas[node] = Replica(self.group.replica(node))
        await self.replicas[node].start()

    async def kill(self, node):
        del self.replicas[node]
        self.group.kill(node)

    async def led(self):
        if self.group.current.leader is None:
            self.group.elect(next(iter(self.replicas)))
        return await super().led()

    async def propose_without_majority(self, data):
        waiting = asyncio.ensure_future(self.leader().log.propose(data))
        await asyncio.sleep(0)
        assert not waiting.done()
        self.group.elect(None)
        return await waiting

    async def compacted(self):
        await until(lambda: self.leader().log.applied_index() >= COMPACT_ENTRIES, "enough entries")
        self.group.compact(self.group.current.leader)

    async def close(self):
        for replica in self.replicas.values():
            await replica.log.stop()


class PysyncobjCluster(Cluster):
    def __init__(self, root, identities):
        super().__init__()
        self.root = root
        self.identities = identities
        self.servers = {}
        self.addresses = {}
        self.faults = []
        for node in VOTERS:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.addresses[node] = f"127.0.0.1:{probe.getsockname()[1]}"

    async def boot(self, node):
        log = PysyncobjLog(
            node,
            self.addresses,
            self.root / node,
            self.identities[node].channel,
            cluster="demo",
            settings=RaftSettings(
                election_ms_min=400, election_ms_max=800, heartbeat_ms=50, compact_entries=COMPACT_ENTRIES
            ),
            on_fatal=self.faults.append,
        )
        server = self.servers[node] = grpc.aio.server(options=SERVER_OPTIONS)
        add_RaftServicer_to_server(log.servicer, server)
        server.add_secure_port(self.addresses[node], self.identities[node].server_credentials())
        await server.start()
        self.replicas[node] = Replica(log)
        await self.replicas[node].start()

    async def kill(self, node):
        replica = self.replicas.pop(node)
        await replica.log.stop()
        await self.servers.pop(node).stop(0)

    async def propose_without_majority(self, data):
        return await self.leader().log.propose(data)

    async def compacted(self):
        await until(
            lambda: all(r.log.status().snapshot_index for r in self.replicas.values()),
            "a snapshot everywhere",
        )

    async def close(self):
        for node in list(self.replicas):
            await self.kill(node)
        assert not self.faults


class EtcdCluster(Cluster):
    """Replicas of a log in an etcd; a majority is one of etcd's members, of which there is one."""

    def __init__(self, server, name):
        super().__init__()
        self.server, self.name = server, name
        self.faults = []

    async def boot(self, node):
        log = EtcdLog(
            node,
            self.name,
            self.server.client(timeout_s=1.3),
            coordinators=dict.fromkeys(VOTERS, ""),
            settings=EtcdSettings(lease_s=4, compact_entries=COMPACT_ENTRIES),
            on_fatal=self.faults.append,
        )
        self.replicas[node] = Replica(log)
        await self.replicas[node].start()

    async def kill(self, node):
        await self.replicas.pop(node).log.stop()

    async def propose_without_majority(self, data):
        self.server.pause()
        return await self.leader().log.propose(data)

    async def compacted(self):
        await until(lambda: self.leader().log.snapshot_index >= COMPACT_ENTRIES, "a snapshot")

    async def close(self):
        self.server.resume()
        for node in list(self.replicas):
            await self.kill(node)
        assert not self.faults
