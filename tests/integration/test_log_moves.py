"""`swarm log migrate`: a cluster's log goes to etcd, whole or not at all."""

import asyncio
import json
import shutil

import pytest
import yaml

from swarm import Swarm
from swarm.adapters.etcd.keys import Keys
from swarm.adapters.etcd.migration import read_history, write_history
from swarm.adapters.history import History
from swarm.adapters.tls import Authority
from swarm.cli import run
from swarm.daemons.local import LocalCluster
from swarm.errors import Conflict
from swarm.ports import Committed
from swarm.wire.gen.etcdlog_pb2 import EtcdOrigin
from tests.conformance.log.harness import until
from tests.etcd import EtcdServer
from tests.integration.cluster import SLOW_AGENT, slow_graph
from tests.integration.test_etcd_log import boot, led


@pytest.fixture
def etcd(tmp_path):
    server = EtcdServer(tmp_path, Authority.create(tmp_path / "ca", "demo"))
    yield server
    server.stop()


def log_section(etcd):
    tls = {"ca": etcd.tls.authority, "certificate": etcd.tls.certificate, "key": etcd.tls.key}
    tls = {name: str(path) for name, path in tls.items()}
    return {"kind": "etcd", "etcd": {"endpoints": [etcd.endpoint], "tls": tls, "lease_s": 3}}


def call(capsys, *arguments):
    code = run([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def history(count, state=None, index=0, gap=0):
    places = [index + 1 + number + (gap if number > count // 2 else 0) for number in range(count)]
    entries = tuple(Committed(at, 3 + at % 2, b"%d" % at) for at in places)
    return History(7, index, state, entries, entries[-1].index + 2)


@pytest.mark.parametrize(
    "moved",
    [history(5), history(40, state=b"state" * 400_000, index=1_000, gap=9), history(1, state=b"", index=3)],
    ids=["no snapshot", "a snapshot and gaps", "an empty state"],
)
def test_a_history_arrives_as_it_was_and_goes_on_under_later_terms(etcd, moved):
    async def scenario():
        client = etcd.client()
        arrived = await write_history(client, "demo", moved)
        assert arrived == moved
        await client.close()
        replica = await boot(etcd)
        if moved.state is None or moved.state == b"":
            replica.machine.restore = lambda _state, _index: None
        else:
            replica.machine.restore = lambda state, index: replica.machine.entries.append((index, state))
        await led(replica)
        assert replica.log.leadership().term > moved.term
        index = await replica.log.propose(b"after")
        assert index > moved.last_index
        kept = [data for _, data in replica.machine.entries if data != moved.state]
        assert kept == [entry.data for entry in moved.entries] + [b"after"]
        await replica.log.stop()

    asyncio.run(scenario())


def test_a_move_that_was_interrupted_keeps_coordinators_away_and_can_be_repeated(etcd):
    async def scenario():
        client, keys, faults = etcd.client(), Keys("demo"), []
        await client.put(keys.origin, EtcdOrigin(term=7, complete=False).SerializeToString())
        await client.put(keys.batch(1), b"half")
        replica = await boot(etcd, faults=faults)
        await until(lambda: faults, "a refusal")
        assert "not moved here to its end" in str(faults[0])
        await replica.log.stop()
        await write_history(client, "demo", history(5))
        assert (await read_history(client, "demo")).digest() == history(5).digest()
        with pytest.raises(Conflict, match="holds a log of this cluster already"):
            await write_history(client, "demo", history(5))
        await client.close()

    asyncio.run(scenario())


def test_a_cluster_moves_to_etcd_and_remembers_everything(etcd, tmp_path, capsys):
    cluster = LocalCluster(tmp_path / "cluster", settings={"cells_per_agent": 1})
    logs = [argument for node in ("n1", "n3") for argument in ("--log", str(cluster.node_data(node) / "log"))]
    migrate = ("log", "migrate", "--config", str(cluster.home("n1") / "node.yaml"))
    with cluster:
        with Swarm.open(cluster.profile_path) as swarm:
            swarm.deploy(SLOW_AGENT)
            runs = [swarm.submit(slow_graph(2, 0.0, str(number)), key=f"k{number}") for number in range(5)]
            assert all(run.result() for run in runs)
        code, said = call(capsys, *migrate, *logs)
        assert (code, said["error"]["code"]) == (2, "config_refused")  # it names no etcd yet
        for node in cluster.nodes:
            path = cluster.home(node) / "node.yaml"
            document = yaml.safe_load(path.read_text())
            path.write_text(yaml.safe_dump(document | {"log": log_section(etcd)}))
        code, said = call(capsys, *migrate, *logs)
        assert (code, said["error"]["code"]) == (2, "conflict")
        assert "another process uses this data directory" in said["error"]["message"]
    code, said = call(capsys, *migrate, *logs[:2])
    assert (code, said["error"]["code"]) == (2, "config_refused")
    assert "no majority" in said["error"]["message"]
    code, said = call(capsys, *migrate, *logs)
    assert code == 0, said
    assert said["entries"] > 10
    code, again = call(capsys, *migrate, *logs)
    assert (code, again["error"]["code"]) == (2, "conflict")

    for node in cluster.nodes:
        shutil.rmtree(cluster.node_data(node) / "log")
    moved = LocalCluster(tmp_path / "cluster", settings={"cells_per_agent": 1, "log": log_section(etcd)})
    with moved, Swarm.open(moved.profile_path) as swarm:
        for number, run in enumerate(runs):
            assert set(swarm.attach(run.id).result().values()) == {str(number)}
            assert swarm.submit(slow_graph(2, 0.0, str(number)), key=f"k{number}").id == run.id
        assert set(swarm.submit(slow_graph(2, 0.0)).result().values()) == {"done"}
