"""The log in etcd where only etcd is concerned: it stops, it forgets, others write; and whole daemons."""

import asyncio
import os

import pytest

from swarm import Swarm
from swarm.adapters.etcd import EtcdLog, EtcdSettings
from swarm.adapters.etcd.keys import Keys
from swarm.adapters.etcd.writer import Writer
from swarm.adapters.tls import Authority
from swarm.daemons.local import LocalCluster
from swarm.errors import LogDamaged, OutcomeUnknown
from tests.conformance.log.harness import Replica, until
from tests.etcd import EtcdServer
from tests.integration.cluster import SLOW_AGENT, slow_graph

PATIENCE_S = 20


@pytest.fixture
def etcd(tmp_path):
    server = EtcdServer(tmp_path, Authority.create(tmp_path / "ca", "demo"))
    yield server
    server.stop()


async def boot(server, node="n1", faults=None):
    log = EtcdLog(
        node,
        "demo",
        server.client(timeout_s=1.3),
        coordinators={node: ""},
        settings=EtcdSettings(lease_s=4, compact_entries=50),
        on_fatal=(faults if faults is not None else []).append,
    )
    replica = Replica(log)
    await replica.start()
    return replica


async def led(replica):
    await until(lambda: replica.log.leadership().leader == replica.log.node_id, "leadership")


def test_a_leader_goes_on_where_etcd_was_restarted_and_nothing_acknowledged_is_gone(etcd):
    async def scenario():
        replica = await boot(etcd)
        await led(replica)
        acknowledged = []
        for number in range(30):
            if number == 15:
                etcd.stop()
                etcd.start()
            while True:
                try:
                    await replica.log.propose(b"%d" % number)
                    break
                except OutcomeUnknown:  # the lease may have run out meanwhile
                    await led(replica)
            acknowledged.append(b"%d" % number)
        assert list(dict.fromkeys(replica.machine.data)) == acknowledged
        await replica.log.stop()

    asyncio.run(scenario())


def test_what_a_deposed_leader_still_writes_is_never_in_the_log(etcd):
    async def scenario():
        replica = await boot(etcd)
        await led(replica)
        await replica.log.propose(b"mine")
        index = replica.log.applied_index()
        client = etcd.client()
        late = Writer(
            client, Keys("demo"), fence=1, term=1, number=replica.log._reader.at.number, index=index
        )
        writing = asyncio.ensure_future(late.append(b"late"))
        with pytest.raises(OutcomeUnknown):
            await late.failure
        late.stop()
        with pytest.raises(OutcomeUnknown):
            await writing
        await replica.log.propose(b"mine again")
        assert replica.machine.data == [b"mine", b"mine again"]
        await client.close()
        await replica.log.stop()

    asyncio.run(scenario())


def test_an_entry_of_many_pieces_arrives_whole_and_again_after_a_restart(etcd):
    async def scenario():
        replica = await boot(etcd)
        await led(replica)
        large = os.urandom(3 << 20).hex().encode()
        await asyncio.gather(*(replica.log.propose(data) for data in (b"before", large, b"after")))
        assert replica.machine.data == [b"before", large, b"after"]
        await replica.log.stop()
        again = await boot(etcd)
        await until(lambda: again.machine.data == [b"before", large, b"after"], "the same entries")
        await again.log.stop()

    asyncio.run(scenario())


def test_the_history_of_an_etcd_does_not_grow_with_the_log(etcd):
    async def scenario():
        replica = await boot(etcd)
        await led(replica)
        for start in range(0, 400, 40):
            await asyncio.gather(*(replica.log.propose(b"%d" % (start + n)) for n in range(40)))
        await until(lambda: replica.log.snapshot_index > 300, "a snapshot of late")
        client = etcd.client()
        keys = Keys("demo")
        left = await client.read_all(keys.log, keys.log + b"\xff", 0)
        parts = await client.read_all(keys.parts, keys.parts + b"\xff", 0)
        assert len(left) < 60
        assert len(parts) <= 2
        await client.close()
        await replica.log.stop()

    asyncio.run(scenario())


def test_an_etcd_that_forgot_what_it_acknowledged_is_not_followed(etcd, tmp_path):
    async def scenario():
        faults = []
        replica = await boot(etcd, faults=faults)
        await led(replica)
        for number in range(5):
            await replica.log.propose(b"%d" % number)
        etcd.stop()
        (etcd.directory / "data").rename(tmp_path / "lost")
        etcd.start()
        await until(lambda: faults, "a refusal to go on")
        assert isinstance(faults[0], LogDamaged)
        assert replica.machine.data == [b"0", b"1", b"2", b"3", b"4"]
        await replica.log.stop()

    asyncio.run(scenario())


def test_three_daemons_on_etcd_run_a_graph_and_outlive_their_leader(etcd, tmp_path):
    settings = {
        "cells_per_agent": 1,
        "log": {
            "kind": "etcd",
            "etcd": {
                "endpoints": [etcd.endpoint],
                "tls": {
                    "ca": str(etcd.tls.authority),
                    "certificate": str(etcd.tls.certificate),
                    "key": str(etcd.tls.key),
                },
                "lease_s": 2,
            },
        },
    }
    with LocalCluster(tmp_path / "cluster", settings=settings) as cluster:
        assert not (cluster.node_data("n1") / "log").exists()
        with Swarm.open(cluster.profile_path) as swarm:
            swarm.deploy(SLOW_AGENT)
            run = swarm.submit(slow_graph(6, 0.4))
            leader = swarm.status().leader
            cluster.kill(leader)
            assert set(run.result().values()) == {"done"}
            after = swarm.submit(slow_graph(2, 0.0))
            assert set(after.result().values()) == {"done"}
