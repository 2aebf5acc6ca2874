"""Plugins of a package that is really installed: found, tried, used, refused."""

import json
import subprocess
import sys
from importlib import invalidate_caches
from pathlib import Path

import pytest

from swarm import TaskDecomposer
from swarm.cli import run
from swarm.decompose.learn.arrays import encoder_needed
from swarm.errors import NotFound, PluginFailed, PluginRefused
from swarm.plugins import engine_plugin, list_plugins, load_plugin

SAMPLE = Path(__file__).parents[1] / "plugins" / "sample"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The sample package, installed by pip into a folder that is on the path, here and in children."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target",
         str(folder), str(SAMPLE)],
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", f"{folder}:{Path(__file__).parents[2]}")
        invalidate_caches()
        yield folder
    for name in [name for name in sys.modules if name.startswith("swarm_sample")]:
        del sys.modules[name]


def test_every_plugin_is_listed_with_what_it_can_do_or_what_is_wrong_with_it(installed, capsys):
    assert run(["plugins", "list", "--json"]) == 0
    found = {(each["kind"], each["name"]): each for each in json.loads(capsys.readouterr().out)}
    good = found["decompose", "last-word"]
    assert (good["status"], good["version"], good["api"]) == ("usable", "1.2.0", "1.0")
    assert good["provides"] == ["sentence"]
    assert good["distribution"] == "swarm-sample-plugin 1.2.0"
    assert found["neural", "letters"]["provides"] == ["vectors", "states"]
    future = found["decompose", "future"]
    assert future["status"] == "refused"
    assert "written for version 2.0" in future["reason"]
    assert found["decompose", "misnamed"]["status"] == "refused"
    raising, leaving = found["decompose", "raising"], found["decompose", "leaving"]
    assert (raising["status"], leaving["status"]) == ("broken", "broken")
    assert "RuntimeError: this package is broken" in raising["reason"]
    assert "ended with 7" in leaving["reason"]


def test_a_plugin_understands_tasks_where_it_is_asked_for_by_name(installed, whole_cluster, command):
    with TaskDecomposer(whole_cluster.profile_path, engine="last-word") as decomposer:
        found = decomposer.decompose("please be slow")
        assert [node.capability for node in found.graph.nodes] == ["test:slow"]
        assert found.engine == "last-word"
        with pytest.raises(PluginFailed, match="RuntimeError: it was told to"):
            decomposer.decompose("please raise")
    code, planned = command("plan", "please be slow", "--model", "plugin:last-word")
    assert code == 0
    assert [each["capability"] for each in planned["steps"]] == ["test:slow"]
    code, refused = command("plan", "please be slow", "--model", "plugin:future")
    assert code == 2
    assert refused["error"]["code"] == "plugin_refused"


def test_what_a_plugin_makes_up_is_not_believed(installed):
    engine = engine_plugin("inventive")([])
    with pytest.raises(PluginFailed, match="made:up"):
        engine.decompose("anything")


def test_a_plugin_that_does_not_fit_is_refused_by_name_and_one_that_is_not_there_too(installed):
    for name in ("future", "misnamed"):
        with pytest.raises(PluginRefused):
            load_plugin("decompose", name)
    with pytest.raises(PluginFailed, match="this package is broken"):
        load_plugin("decompose", "raising")
    with pytest.raises(NotFound, match="no plugin 'nothing'"):
        load_plugin("decompose", "nothing")


def test_a_neural_plugin_gives_an_encoder(installed):
    encoder = load_plugin("neural", "letters").encoder()
    assert encoder.vectors(["abc", "zz"]).shape == (2, encoder.size)


def test_two_packages_that_offer_one_name_are_both_refused(installed, tmp_path, monkeypatch):
    twin = tmp_path / "twin-1.0.dist-info"
    twin.mkdir()
    (twin / "METADATA").write_text("Metadata-Version: 2.1\nName: twin\nVersion: 1.0\n")
    (twin / "entry_points.txt").write_text("[neural_swarm.decompose]\nlast-word = nowhere:PLUGIN\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    invalidate_caches()
    with pytest.raises(PluginRefused, match="twin"):
        load_plugin("decompose", "last-word")
    twins = [each for each in list_plugins() if each.name == "last-word"]
    assert {each.status for each in twins} == {"refused"}
    assert len(twins) == 2


def test_a_model_is_trained_with_a_plugins_encoder_and_finds_it_again(
    installed, whole_cluster, command, tmp_path
):
    tools, requests, model = tmp_path / "tools.json", tmp_path / "requests.jsonl", tmp_path / "letters.model"
    tools.write_text(
        json.dumps(
            [
                {"name": "test:slow", "description": "waits"},
                {"name": "test:echo", "description": "says it again"},
            ]
        )
    )
    words = [("wait a while", "test:slow"), ("repeat these words", "test:echo")]
    requests.write_text("".join(
        json.dumps({"text": f"{text} number {at}", "nodes": [name], "links": []}) + "\n"
        for at in range(15) for text, name in words
    ))  # fmt: skip
    options = ["--capabilities", str(tools), "--examples", str(requests), "--out", str(model)]
    assert command("decompose", "train", *options, "--encoder", "plugin:letters")[0] == 0
    assert encoder_needed(model.read_bytes()) == "plugin:letters#letters-26"
    code, plan = command("plan", "wait a while number 3", "--model", str(model))
    assert (code, [step["capability"] for step in plan["steps"]]) == (0, ["test:slow"])
    code, out = command("decompose", "train", *options, "--encoder", "nobody")
    assert (code, out["error"]["place"]) == (2, "--encoder")
    code, out = command("decompose", "train", *options, "--encoder", "plugin:nobody")
    assert "letters" in out["error"]["remedy"]
