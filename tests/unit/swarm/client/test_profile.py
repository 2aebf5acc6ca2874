"""Cluster profiles: where they are looked for, and what is wrong with them."""

import pytest

from swarm.client import ClusterProfile
from swarm.errors import ConfigRefused, Unreachable

GOOD = "cluster: demo\nendpoints: {n1: 127.0.0.1:7101}\nca: ca.pem\ncertificate: c.pem\nkey: keys/k.pem\n"


def test_paths_are_relative_to_the_profile(tmp_path):
    path = tmp_path / "client.yaml"
    path.write_text(GOOD)
    profile = ClusterProfile.load(path)
    assert profile.key == tmp_path / "keys" / "k.pem"
    assert profile.endpoints == {"n1": "127.0.0.1:7101"}


def test_a_path_beats_the_variable_and_the_variable_beats_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("by-path", "by-variable", "by-default"):
        directory = tmp_path / (".swarm" if name == "by-default" else name)
        directory.mkdir()
        (directory / "client.yaml").write_text(GOOD.replace("demo", name))
    monkeypatch.delenv("SWARM_CLUSTER", raising=False)
    assert ClusterProfile.find().cluster == "by-default"
    monkeypatch.setenv("SWARM_CLUSTER", "by-variable/client.yaml")
    assert ClusterProfile.find().cluster == "by-variable"
    assert ClusterProfile.find("by-path/client.yaml").cluster == "by-path"


def test_without_any_cluster_the_remedy_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWARM_CLUSTER", raising=False)
    with pytest.raises(Unreachable) as caught:
        ClusterProfile.find()
    assert "swarm dev" in caught.value.remedy


@pytest.mark.parametrize(
    ("change", "line", "expected"),
    [
        (("endpoints", "endpoint"), 2, "did you mean 'endpoints'?"),
        (("127.0.0.1:7101", "127.0.0.1"), 2, "HOST:PORT"),
        (("{n1: 127.0.0.1:7101}", "{}"), 2, ""),
        (("cluster: demo", "cluster: 7"), 1, "quotes"),
    ],
)
def test_what_is_wrong_is_told_with_line_and_remedy(tmp_path, change, line, expected):
    path = tmp_path / "client.yaml"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(ConfigRefused) as caught:
        ClusterProfile.load(path)
    assert any(f"{path}:{line}" in problem.place for problem in caught.value.problems)
    assert expected in str(caught.value)
