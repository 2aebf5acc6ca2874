"""Every verb of the command line on a real cluster, and what it left behind looked at from another side."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from swarm import LocalCluster, Retry, RunEnded, RunFailed, StepDone, Swarm
from swarm.daemons.keeper import SOURCE
from swarm.demo.material import Examples, agent_file
from tests.integration.cluster import SLOW_AGENT, digit_graph, failing_graph, processes_about, slow_graph

DIGIT = """\
graph: digit
inputs: {image: look.image}
nodes: {look: {capability: "vision:digit"}}
outputs: {scores: look.scores}
"""
SLOW = """\
graph: slow
nodes: {wait: {capability: "test:slow", with: {seconds: 30}}}
outputs: {value: wait.value}
"""
PROCESS_S = 60


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "digit.yaml"
    path.write_text(DIGIT)
    return str(path)


@pytest.fixture
def image(tmp_path):
    """A `--input` option with one held-out image."""
    np.save(tmp_path / "image.npy", Examples.load().images[:1])
    return f"image=@{tmp_path / 'image.npy'}"


def swarm_process(*arguments, **options):
    """`swarm ARGUMENTS...` as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), **options.pop("env", {})}
    command = [sys.executable, "-m", "swarm", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


def ended(process):
    """Exit code, stdout and stderr of a process that must end by itself."""
    out, err = process.communicate(timeout=PROCESS_S)
    return process.returncode, out, err


def soon(condition, seconds=20.0):
    """Whether something becomes true before long."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


# -- agents and nodes -------------------------------------------------------------------------------


def test_deploy_puts_the_file_on_every_node(command, cluster):
    code, deployed = command("deploy", str(agent_file("digits")))
    assert code == 0
    assert deployed[0]["nodes"] == list(cluster.nodes)
    for node in cluster.nodes:
        assert (cluster.node_data(node) / "blobs" / deployed[0]["digest"]).exists()


def test_agents_are_listed_shown_removed_and_then_refused(command, graph, image):
    names = {agent["name"] for agent in command("agents")[1]}
    assert {"digits", "split", "doubtful", "report", "slow"} <= names
    assert command("agents", "show", "digits")[1]["capabilities"][0]["name"] == "vision:digit"
    try:
        assert command("agents", "remove", "digits")[0] == 0
        assert "digits" not in {agent["name"] for agent in command("agents", "list")[1]}
        code, answer = command("submit", graph, "--input", image)
        assert (code, answer["error"]["code"]) == (2, "graph_refused")
        assert "vision:digit" in json.dumps(answer["error"]["problems"])
    finally:
        assert command("deploy", str(agent_file("digits")))[0] == 0


def test_nodes_and_status_agree_on_who_leads(command, cluster):
    nodes = {node["node"]: node for node in command("nodes")[1]}
    code, status = command("status")
    assert code == 0
    assert [name for name, node in nodes.items() if node["role"] == "leader"] == [status["leader"]]
    assert {node["state"] for node in nodes.values()} == {"attached"}
    assert {name: node["address"] for name, node in nodes.items()} == cluster.addresses
    assert (status["nodes_attached"], status["voters"]) == (3, list(cluster.nodes))
    assert status["pid"] == cluster.pid(status["node"])


# -- runs -------------------------------------------------------------------------------------------


def test_submit_and_wait_gives_the_agents_answer(command, graph, image):
    code, answer = command("submit", graph, "--input", image, "--wait")
    assert (code, answer["run"]["status"]) == (0, "succeeded")
    assert int(np.argmax(answer["outputs"]["scores"][0])) == Examples.load().labels[0]


def test_a_submitted_run_can_be_listed_shown_and_read_line_by_line(command, graph, image):
    run = command("submit", graph, "--input", image)[1]["run"]
    steps = command("runs", "logs", run, "--follow")[1]
    assert [(step["step"], step["ok"]) for step in steps] == [("look", True)]
    assert run in {known["id"] for known in command("runs", "list", "--status", "succeeded")[1]}
    shown = command("runs", "show", run, "--outputs")[1]
    assert (shown["run"]["status"], shown["steps"][0]["status"]) == ("succeeded", "ok")
    assert len(shown["outputs"]["scores"][0]) == 10


def test_the_same_key_is_the_same_run(command, graph, image):
    first = command("submit", graph, "--input", image, "--key", "once")[1]
    second = command("submit", graph, "--input", image, "--key", "once")[1]
    assert (first["run"], first["existed"], second["existed"]) == (second["run"], False, True)


def test_a_cancelled_run_ends_and_frees_its_cell(command, tmp_path, swarm):
    path = tmp_path / "slow.yaml"
    path.write_text(SLOW)
    run = command("submit", str(path), "--priority", "low")[1]["run"]
    assert soon(lambda: command("runs", "show", run)[1]["steps"][0]["status"] == "running")
    assert command("runs", "cancel", run, "--reason", "enough")[1]["status"] == "cancelled"
    shown = command("runs", "show", run)[1]["run"]
    assert (shown["status"], shown["reason"]) == ("cancelled", "enough")
    assert swarm.run(slow_graph(1, 0)) == {"s0": "done"}


def test_check_tells_every_problem_without_running_anything(command, tmp_path, graph):
    assert command("check", graph)[1]["steps"] == 1
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "graph: wrong\nnodes: {a: {capability: 'vision:digti'}, b: {capability: 'vision:digit'}}\n"
    )
    before = command("runs")[1]
    code, answer = command("check", str(path))
    assert code == 2
    told = json.dumps(answer["error"]["problems"])
    assert "vision:digti" in told
    assert "image" in told
    assert command("runs")[1] == before


def test_a_failed_run_exits_with_1_and_names_the_step(command, swarm):
    run = swarm.submit(failing_graph())
    with pytest.raises(RunFailed, match="told to fail") as caught:
        run.result()
    assert "step 'broken' (test:slow)" in caught.value.place
    code, answer = command("runs", "show", run.id, "--outputs")
    assert (code, answer["error"]["code"]) == (1, "run_failed")


# -- any node, and the loss of one --------------------------------------------------------------------


def test_any_node_answers_any_client(cluster, tmp_path):
    profile = yaml.safe_load(cluster.profile_path.read_text())
    image = Examples.load().images[:1]
    for node, address in cluster.addresses.items():
        path = cluster.profile_path.with_name(f"only-{node}.yaml")
        path.write_text(yaml.safe_dump({**profile, "endpoints": {node: address}}))
        with Swarm.open(path) as swarm:
            assert swarm.run(digit_graph(), {"image": image})["scores"].shape == (1, 10)
            assert len(swarm.nodes()) == 3
            assert swarm.deploy(agent_file("split")).nodes == cluster.nodes


def test_killing_the_leader_midway_is_invisible_to_who_watches(cluster, swarm):
    run = swarm.submit(slow_graph(60, 0.02))
    leader, seen = swarm.status().leader, []
    for event in run.progress():
        match event:
            case StepDone():
                seen.append(event)
                if len(seen) == 20:
                    cluster.kill(leader)
            case RunEnded():
                assert event.run.status == "succeeded"
    assert [event.offset for event in seen] == list(range(60))
    assert len({event.step for event in seen}) == 60
    assert run.result() == {f"s{number}": "done" for number in range(60)}
    assert swarm.status().leader not in ("", leader)


def test_a_second_daemon_on_the_same_data_directory_is_refused(cluster, swarm):
    config = cluster.home("n1") / "node.yaml"
    code, out, _ = ended(swarm_process("node", "--config", config, "--json"))
    error = json.loads(out)["error"]
    assert (code, error["code"], error["place"]) == (2, "conflict", str(cluster.node_data("n1")))
    assert str(cluster.pid("n1")) in error["message"]
    assert swarm.run(slow_graph(1, 0)) == {"s0": "done"}


def test_sigterm_drains_and_exits_with_0(cluster, swarm):
    run = swarm.submit(slow_graph(6, 0.5, retry=Retry(attempts_max=1)))  # tried once, begun once
    leader = swarm.status().leader
    victim = next(node for node in cluster.nodes if node != leader)
    assert soon(lambda: any(step.node == victim and step.status == "running" for step in run.show().steps))
    assert cluster.terminate(victim) == 0
    assert run.result() == {f"s{number}": "done" for number in range(6)}
    assert {event.attempt for event in run.logs()} == {1}


# -- clusters of their own ------------------------------------------------------------------------------


@contextlib.contextmanager
def dev_cluster(directory, *arguments):
    """`swarm dev` on a directory of its own, once it says that it is ready; killed if it does not end."""
    process = swarm_process("dev", "--data", directory, "--json", *arguments)
    try:
        text = ""
        for line in process.stdout:
            text += line
            if line == "}\n":
                break
        ready = json.loads(text)
        assert "nodes" in ready, ready
        yield process, ready
    finally:
        process.kill()
        process.communicate()


def test_dev_ends_with_ctrl_c_and_is_continued_with_all_it_knew(tmp_path):
    with dev_cluster(tmp_path / "dev", "--nodes", "1") as (process, ready):
        with Swarm.open(ready["profile"]) as swarm:
            swarm.deploy(SLOW_AGENT)
            run = swarm.submit(slow_graph(1, 0))
            assert run.result() == {"s0": "done"}
        process.send_signal(signal.SIGINT)
        assert process.wait(PROCESS_S) == 0
    assert processes_about(str(tmp_path)) == []
    with LocalCluster(tmp_path / "dev", 1) as cluster, Swarm.open(cluster.profile_path) as swarm:
        assert [agent.name for agent in swarm.agents()] == ["slow"]
        assert swarm.attach(run.id).result() == {"s0": "done"}


def test_dev_starts_a_dead_daemon_again_and_none_outlives_it(tmp_path):
    with dev_cluster(tmp_path / "dev", "--nodes", "1") as (process, ready):
        pid = ready["nodes"]["n1"]["pid"]
        os.kill(pid, signal.SIGKILL)
        with Swarm.open(ready["profile"], patience_s=30) as swarm:
            assert swarm.status().pid != pid
        process.kill()
        process.wait(PROCESS_S)
        assert soon(lambda: processes_about(str(tmp_path)) == [])


def test_a_cluster_that_cannot_start_says_why_and_leaves_nothing(tmp_path):
    cluster = LocalCluster(tmp_path / "cluster", 1, settings={"listten": "127.0.0.1:1"})
    with pytest.raises(Exception, match="did you mean 'listen'"), cluster:
        pass
    assert processes_about(str(tmp_path)) == []
    assert Path(cluster.log_path("n1")).exists()
