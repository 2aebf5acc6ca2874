"""What a node may be told, and what not."""

import os

import pytest
import yaml

from swarm import limits
from swarm.daemons.config import NodeConfig
from swarm.errors import ConfigRefused
from swarm.scheduler.together import Options
from swarm.trust import Role

GOOD = {
    "cluster": "demo",
    "node": "n1",
    "data_dir": "data",
    "coordinators": {"n1": "127.0.0.1:7101"},
    "tls": {"ca": "ca.pem", "certificate": "c.pem", "key": "k.pem"},
}
THREE = {"n1": "127.0.0.1:7101", "n2": "127.0.0.1:7102", "n3": "127.0.0.1:7103"}


@pytest.fixture
def load(tmp_path):
    def read(**changes):
        path = tmp_path / "node.yaml"
        path.write_text(yaml.safe_dump({**GOOD, **changes}))
        return NodeConfig.load(path)

    return read


def test_what_is_left_out_has_a_safe_default(load, tmp_path):
    config = load()
    assert config.listen == "127.0.0.1:7101"
    assert config.address == config.listen
    assert config.sandbox.tier == "auto"
    assert config.slots == limits.NODE_SLOTS_DEFAULT
    assert 1 <= config.cells_per_agent <= min(4, os.cpu_count())
    assert config.data_dir == tmp_path / "data"
    assert config.tls.files().authority == tmp_path / "ca.pem"


def test_a_node_that_is_no_coordinator_is_a_worker(load):
    assert load().role is Role.COORDINATOR
    assert load(node="n9").role is Role.WORKER


def test_others_may_reach_it_at_another_address_than_it_listens_on(load):
    config = load(listen="0.0.0.0:7101", advertise="10.0.0.5:7101", coordinators={"n1": "10.0.0.5:7101"})
    assert config.address == "10.0.0.5:7101"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coordinators": {}}, "1, 3 or 5"),
        ({"coordinators": {"n1": "127.0.0.1:7101", "n2": "127.0.0.1:7102"}}, "1, 3 or 5"),
        ({"coordinators": {**THREE, "n3": "127.0.0.1:7102"}}, "the same address"),
        ({"coordinators": {"n1": "127.0.0.1:9"}}, "the same"),
        ({"listen": "0.0.0.0:7101"}, "advertise"),
        ({"listen": "127.0.0.1:0"}, "port"),
        ({"node": "N1"}, "lower-case"),
        ({"cluster": "my cluster"}, "lower-case"),
        ({"slots": 0}, "greater than or equal to 1"),
        ({"slots": "64"}, "whole number"),
        ({"slots": limits.NODE_SLOTS_MAX + 1}, f"{limits.NODE_SLOTS_MAX}"),
        ({"cells_per_agent": limits.CELLS_PER_AGENT_MAX + 1}, f"{limits.CELLS_PER_AGENT_MAX}"),
        ({"sandbox": {"tier": "none"}}, "'reduced'"),
        ({"raft": {"election_ms": [100, 600]}}, "3 heartbeats"),
        ({"raft": {"election_ms": [600, 300]}}, "LEAST < MOST"),
        ({"raft": {"election_ms": [300]}}, "election_ms"),
        ({"log_level": "loud"}, "'debug'"),
        ({"tls": {"ca": "a", "certificate": "b"}}, "add it"),
        ({"data-dir": "x"}, "did you mean 'data_dir'?"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_with_place_and_remedy(load, changes, message):
    with pytest.raises(ConfigRefused) as caught:
        load(**changes)
    assert message in str(caught.value)
    assert all(problem.place for problem in caught.value.problems)


def test_agents_may_connect_nowhere_unless_the_operator_says_where(load, tmp_path):
    assert load().egress.allow == load().egress.allow_private == []
    egress = load(egress={"allow": ["api.example.org:443"], "roots": "roots.pem"}).egress
    assert egress.allow == ["api.example.org:443"]
    assert egress.roots == tmp_path / "roots.pem"
    with pytest.raises(ConfigRefused, match="is no address"):
        load(egress={"allow": ["*"]})
    with pytest.raises(ConfigRefused, match="did you mean 'allow'"):
        load(egress={"alow": []})


def test_how_steps_are_placed_and_results_kept_may_be_said(load, tmp_path):
    assert load().placement.options() == Options()
    assert load(placement={"assigner": "auction", "rebalance": False}).placement.options() == Options(
        "auction", rebalance=False
    )
    kept = load(result_cache={"mb": 8, "redis": "redis://127.0.0.1/0", "key_file": "key"}).result_cache
    assert (kept.mb, kept.key_file) == (8, tmp_path / "key")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"placement": {"assigner": "luck"}}, "assigner"),
        ({"result_cache": {"redis": "redis://127.0.0.1/0"}}, "go together"),
        ({"result_cache": {"mb": -1}}, "mb"),
    ],
)
def test_placing_by_luck_and_sharing_without_a_key_are_refused(load, changes, message):
    with pytest.raises(ConfigRefused, match=message):
        load(**changes)
