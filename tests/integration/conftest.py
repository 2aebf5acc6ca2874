"""One real cluster of three daemons for all tests that need one; each leaves it as whole as it found it."""

import contextlib
import json

import pytest

from swarm import Swarm
from swarm.cli import run
from swarm.daemons.local import LocalCluster
from swarm.demo.material import AGENTS, agent_file
from tests.integration.cluster import SLOW_AGENT


@pytest.fixture(scope="session")
def whole_cluster(tmp_path_factory):
    """Three daemons with the built-in agents and one that takes its time."""
    with LocalCluster(tmp_path_factory.mktemp("swarm") / "cluster", cluster="test") as cluster:
        with Swarm.open(cluster.profile_path) as swarm:
            for name in AGENTS:
                swarm.deploy(agent_file(name))
            swarm.deploy(SLOW_AGENT)
        yield cluster


@pytest.fixture
def cluster(whole_cluster):
    """The cluster; daemons a test has ended are started again after it."""
    yield whole_cluster
    ended = set(whole_cluster.nodes) - set(whole_cluster.running())
    for node in ended:
        with contextlib.suppress(KeyError):
            whole_cluster.restart(node)
    if ended:
        whole_cluster.wait_ready()


@pytest.fixture
def swarm(cluster):
    with Swarm.open(cluster.profile_path) as swarm:
        yield swarm


@pytest.fixture
def command(cluster, capsys, monkeypatch):
    """Run `swarm ARGUMENTS... --json` against the cluster: exit code and the document on stdout."""
    monkeypatch.setenv("SWARM_CLUSTER", str(cluster.profile_path))

    def call(*arguments):
        code = run([*arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call
