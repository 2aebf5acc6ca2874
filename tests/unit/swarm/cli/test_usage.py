"""Wrong use and bad input: the exit codes, one clear block, and JSON where it was asked for."""

import numpy as np
import pytest

from swarm import limits
from swarm.cli.inputs import read_inputs
from swarm.cli.output import exit_code
from swarm.errors import (
    GraphRefused,
    Mistake,
    NotAllowed,
    NotLeader,
    NotTrusted,
    OutOfTime,
    RunFailed,
    TooLarge,
    Unreachable,
)

GRAPH = "graph: tiny\nnodes: {look: {capability: 'vision:digit'}}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunFailed("x"), 1),
        (NotTrusted("x"), 1),
        (OutOfTime("x"), 1),
        (Mistake("x"), 2),
        (GraphRefused("x"), 2),
        (NotAllowed("x"), 2),
        (TooLarge("x"), 2),
        (Unreachable("x"), 3),
        (NotLeader(), 3),
    ],
    ids=lambda value: getattr(value, "code", value),
)
def test_the_exit_code_says_who_must_act(error, code):
    assert exit_code(error) == code


@pytest.mark.parametrize(
    "arguments", [("frobnicate",), ("submit",), ("runs", "show"), ("status", "--no-such")]
)
def test_wrong_use_exits_with_2_and_points_at_help(swarm, arguments):
    code, out, err = swarm(*arguments)
    assert (code, out) == (2, "")
    assert "error mistake at command line" in err
    assert "--help" in err
    code, out, err = swarm(*arguments, "--json")
    assert (code, err, out["error"]["code"]) == (2, "", "mistake")


COMMANDS = (
    "decompose,decompose train,plan,"
    "demo,dev,node,deploy,check,submit,nodes,status,runs,runs list,runs show,runs logs,runs cancel,"
    "agents,agents list,agents show,agents remove,"
    "log,log migrate,coordinators,coordinators list,coordinators prepare,"
    "coordinators add,coordinators remove,"
    "audit,audit tail,audit query,audit prove,audit verify,init,join,"
    "token,token create,token list,token revoke"
)


@pytest.mark.parametrize("command", COMMANDS.split(","))
def test_every_command_explains_itself(swarm, command):
    code, out, _ = swarm(*command.split(), "--help")
    assert code == 0
    assert "Usage: swarm" in out


def test_help_shows_examples_line_by_line(swarm):
    _, out, _ = swarm("submit", "--help")
    assert "\n    swarm submit graph.yaml --input image=@seven.npy --wait\n" in out


def test_without_a_cluster_every_question_exits_with_3(swarm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWARM_CLUSTER", raising=False)
    for arguments in (("status",), ("nodes",), ("agents",), ("runs",)):
        code, _, err = swarm(*arguments)
        assert code == 3
        assert "swarm dev" in err


def test_a_profile_that_is_not_there_is_bad_input(swarm, tmp_path):
    code, out, _ = swarm("status", "--cluster", str(tmp_path / "none.yaml"), "--json")
    assert (code, out["error"]["code"], out["error"]["place"]) == (
        2,
        "config_refused",
        str(tmp_path / "none.yaml"),
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [("graph: [", "line 2"), ("graph: tiny\nnods: {}\n", "line 2"), (GRAPH + "\tx", "line 3"), ("- 1", "")],
)
def test_a_malformed_graph_is_refused_with_file_and_line(swarm, tmp_path, text, line):
    path = tmp_path / "graph.yaml"
    path.write_text(text)
    code, _, err = swarm("check", str(path), "--offline")
    assert code == 2
    assert f"error graph_refused at {path}" in err
    assert line in err


def test_a_graph_that_is_not_text_is_refused(swarm, tmp_path):
    path = tmp_path / "graph.yaml"
    path.write_bytes(b"\xff\xfe")
    code, _, err = swarm("check", str(path), "--offline")
    assert (code, "UTF-8" in err) == (2, True)


def test_node_settings_are_refused_with_every_line(swarm, tmp_path):
    path = tmp_path / "node.yaml"
    path.write_text("cluster: demo\nnode: N1\ndata_dir: d\nlissten: 127.0.0.1:1\n")
    code, out, _ = swarm("node", "--config", str(path), "--json")
    assert (code, out["error"]["code"]) == (2, "config_refused")
    found = {problem["place"].removeprefix(f"{path}:"): problem for problem in out["error"]["problems"]}
    assert "2: node" in found
    assert found["4: lissten"]["remedy"] == "did you mean 'listen'?"
    assert "1: tls" in found


def test_inputs_are_read_by_what_they_are(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    (tmp_path / "b.json").write_text('{"x": 1}')
    (tmp_path / "c.png").write_bytes(b"\x89PNG")
    inputs = read_inputs(
        [f"a=@{tmp_path}/a.npy", f"b={tmp_path}/b.json", f"c={tmp_path}/c.png", 'd:="text"', "e:=[1, 2]"]
    )
    np.testing.assert_array_equal(inputs.pop("a"), np.arange(3))
    assert inputs == {"b": {"x": 1}, "c": b"\x89PNG", "d": "text", "e": [1, 2]}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["image"], "names no input"),
        (["=x"], "names no input"),
        ([":=1"], "names no input"),
        (["a:={"], "not JSON"),
        (["a:=1", "a:=2"], "given twice"),
        (["a=/no/such/file"], "cannot be read"),
    ],
)
def test_an_input_that_cannot_be_read_is_refused_with_its_option(texts, message):
    with pytest.raises(Mistake, match=message) as caught:
        read_inputs(texts)
    assert caught.value.place == f"--input {texts[-1]}"
    assert caught.value.remedy


def test_an_array_file_that_is_none_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(b"not an array")
    with pytest.raises(Mistake, match="not what its name says"):
        read_inputs([f"a={path}"])


def test_pickled_objects_are_never_loaded(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(Mistake, match="not what its name says"):
        read_inputs([f"a={path}"])


def test_a_file_no_value_can_hold_is_refused_unread(tmp_path):
    path = tmp_path / "big.bin"
    with path.open("wb") as file:
        file.truncate(1 << 32)
    with pytest.raises(TooLarge) as caught:
        read_inputs([f"a={path}"])
    assert str(1 << 32) in caught.value.message
    assert str(limits.VALUE_BYTES_MAX) in caught.value.message
