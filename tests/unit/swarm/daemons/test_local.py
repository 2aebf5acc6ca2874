"""What a local cluster writes before it starts anything, and what it refuses to touch."""

import socket

import pytest
import yaml

from swarm.client import ClusterProfile
from swarm.daemons.config import NodeConfig
from swarm.daemons.layout import PORTS, free_ports
from swarm.daemons.local import LocalCluster
from swarm.errors import ConfigRefused, Conflict, NotFound
from swarm.trust import Role


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A cluster that has written its files; no process is started."""
    started = []

    def prepare(nodes=3, **options):
        cluster = LocalCluster(tmp_path / "cluster", nodes, **options)
        monkeypatch.setattr(cluster, "_spawn", started.append)
        cluster.start()
        return cluster

    yield prepare
    assert started


def test_every_node_gets_settings_that_load_and_a_profile_reaches_them_all(prepared):
    cluster = prepared(4, settings={"slots": 8})
    configs = [NodeConfig.load(cluster.home(node) / "node.yaml") for node in cluster.nodes]
    assert [config.role for config in configs] == [Role.COORDINATOR] * 3 + [Role.WORKER]
    assert {config.slots for config in configs} == {8}
    assert len({config.data_dir for config in configs}) == 4
    profile = ClusterProfile.load(cluster.profile_path)
    assert profile.endpoints == {config.node: config.address for config in configs}
    assert all(path.exists() for path in (profile.ca, profile.certificate, profile.key))
    assert cluster.stop() == {}


def test_a_directory_can_be_moved_with_all_that_is_in_it(prepared):
    cluster = prepared(1)
    document = yaml.safe_load((cluster.home("n1") / "node.yaml").read_text())
    assert not document["data_dir"].startswith("/")
    assert not any(path.startswith("/") for path in document["tls"].values())
    cluster.stop()


def test_a_second_cluster_in_the_same_directory_is_refused_while_the_first_is_kept(prepared):
    first = prepared(1)
    with pytest.raises(Conflict, match="another process keeps a cluster here"):
        prepared(1)
    first.stop()
    prepared(1).stop()


def test_a_directory_is_continued_by_as_many_nodes_as_it_had(prepared):
    prepared(3).stop()
    authority = prepared(3)
    authority.stop()
    other = LocalCluster(authority.data_dir, 5)
    with pytest.raises(Conflict, match="a cluster of 3 nodes lives here") as caught:
        other.start()
    other.stop()
    assert "ask for 3 nodes" in caught.value.remedy


def test_a_continued_cluster_keeps_its_authority(prepared):
    first = prepared(1)
    before = (first.data_dir / "authority" / "authority.pem").read_bytes()
    first.stop()
    second = prepared(1)
    assert (second.data_dir / "authority" / "authority.pem").read_bytes() == before
    second.stop()


@pytest.mark.parametrize("nodes", [0, 10])
def test_a_senseless_number_of_nodes_is_refused(tmp_path, nodes):
    with pytest.raises(ConfigRefused):
        LocalCluster(tmp_path, nodes)


def test_a_node_that_is_not_running_cannot_be_killed(tmp_path):
    with pytest.raises(NotFound, match="no node 'n9' is running"):
        LocalCluster(tmp_path).kill("n9")


def test_free_ports_are_different_and_can_be_bound():
    ports = free_ports(5)
    assert len(set(ports)) == 5
    for port in ports:
        assert port in PORTS
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
