"""A cluster that acknowledges before its disks have synced: what kill -9 takes from it, which is nothing."""

import json
import subprocess
import sys

from swarm import LocalCluster, Swarm
from tests.integration.cluster import SLOW_AGENT, slow_graph

RUNS = 20


def test_a_relaxed_cluster_says_so_and_loses_nothing_when_all_of_it_is_killed(tmp_path):
    settings = {"log": {"kind": "embedded", "relaxed": True}}
    with LocalCluster(tmp_path / "cluster", settings=settings) as cluster:
        with Swarm.open(cluster.profile_path) as swarm:
            assert swarm.status().relaxed
            told = [sys.executable, "-m", "swarm", "doctor", "--tier", "wasm-only", "--json"]
            told += ["--config", cluster.home("n1") / "node.yaml"]
            said = subprocess.run(told, capture_output=True, check=False).stdout
            assert "log" in {found["layer"] for found in json.loads(said)["causes"]}
            swarm.deploy(SLOW_AGENT)
            runs = [swarm.submit(slow_graph(1, 0, f"v{number}"), {}).id for number in range(RUNS)]
        for node in cluster.nodes:
            cluster.kill(node)
        for node in cluster.nodes:
            cluster.restart(node)
        cluster.wait_ready()
        with Swarm.open(cluster.profile_path) as swarm:
            assert [swarm.attach(run).wait().status for run in runs] == ["succeeded"] * RUNS
