"""Large tensors through real daemons: from node to node, past the log, past the death of a holder."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from swarm import Edge, Endpoint, Feed, Graph, Node, Outlet, Payload, Retry, Swarm, limits
from swarm.daemons.local import LocalCluster
from swarm.errors import NotFound, RunFailed

AGENT = b"""\
version: '1.0'
name: large
description: Makes, passes on and measures large tensors.
author: The Neural Swarm authors
created: '2026-01-05T00:00:00Z'
modified: '2026-01-05T00:00:00Z'
kind: python
agent_version: 1.0.0
capabilities:
- name: large:make
  inputs: [{name: seed, kind: json}]
  outputs: [{name: x, kind: tensor}]
- name: large:flip
  inputs: [{name: x, kind: tensor}]
  outputs: [{name: x, kind: tensor}]
- name: large:sum
  inputs: [{name: x, kind: tensor}, {name: seconds, kind: json, optional: true}]
  outputs: [{name: total, kind: json}]
- name: large:text
  inputs: [{name: x, kind: any, many: true}]
  outputs: [{name: x, kind: any}]
resources:
  limits: {memory_mb: 1024, cpu_cores: 1.0, disk_mb: 16, network_bandwidth_mbps: 0}
  requirements: {minimum_memory_mb: 64, minimum_cpu_cores: 0.1}
---BINARY_SECTION:python_module---
import time

import numpy as np


class Agent:
    def process_input(self, capability, inputs):
        if capability == "large:make":
            seed, items = inputs["seed"]
            return {"x": np.arange(seed, seed + items, dtype=np.float32)}
        if capability == "large:flip":
            return {"x": inputs["x"][::-1]}
        if capability == "large:text":
            return {"x": [len(value) for value in inputs["x"]] + ["y" * 200_000]}
        time.sleep(inputs.get("seconds", 0))
        return {"total": float(inputs["x"].sum(dtype=np.float64))}
"""
MIB = 1 << 20
ITEMS = 16 * MIB  # of four bytes: 64 MB


def edge(source, target, port="x"):
    return Edge(Endpoint(source, port), Endpoint(target, port))


def made(seed, items=ITEMS):
    return ("seed", Payload("json", json.dumps([seed, items]).encode()))


def pipeline(seed, seconds=0.0):
    """Made here, turned round there, added up somewhere else."""
    pause = ("seconds", Payload("json", str(seconds).encode()))
    return Graph(
        "pipeline",
        (
            Node("make", "large:make", (made(seed),)),
            Node("flip", "large:flip"),
            Node("sum", "large:sum", (pause,), retry=Retry(attempts_max=5)),
        ),
        (edge("make", "flip"), edge("flip", "sum")),
        outlets=(Outlet("x", Endpoint("flip", "x")), Outlet("total", Endpoint("sum", "total"))),
    )


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    with LocalCluster(tmp_path_factory.mktemp("large") / "cluster", cluster="large") as cluster:
        with Swarm.open(cluster.profile_path) as swarm:
            swarm.deploy(AGENT)
        yield cluster


def log_bytes(cluster):
    return sum(
        path.stat().st_size
        for node in cluster.nodes
        for path in (cluster.home(node) / "data" / "log").rglob("*")
        if path.is_file()
    )


def peak_bytes(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def test_a_large_tensor_flows_through_three_steps_and_neither_the_log_nor_a_daemon_holds_it(large):
    with Swarm.open(large.profile_path) as swarm:
        swarm.run(pipeline(3))  # the first one makes the cells
        pids = [large.pid(node) for node in large.nodes]
        before, memory = log_bytes(large), [peak_bytes(pid) for pid in pids]
        result = swarm.run(pipeline(1))
        expected = np.arange(1, 1 + ITEMS, dtype=np.float32)
        assert (result["x"] == expected[::-1]).all()
        assert result["total"] == pytest.approx(float(expected.sum(dtype=np.float64)))
        assert log_bytes(large) - before < MIB
        grown = [peak_bytes(pid) - was for pid, was in zip(pids, memory, strict=True)]
        assert max(grown) < 40 * MIB, grown


def test_large_inputs_and_results_of_every_kind_come_back_as_they_were(large):
    graph = Graph(
        "kinds",
        (Node("text", "large:text"), Node("sum", "large:sum")),
        feeds=(
            Feed("words", Endpoint("text", "x")),
            Feed("array", Endpoint("sum", "x")),
        ),
        outlets=(Outlet("text", Endpoint("text", "x")), Outlet("total", Endpoint("sum", "total"))),
    )
    array = np.random.default_rng(1).random((1_000, 1_000), np.float32)
    with Swarm.open(large.profile_path) as swarm:
        for words in ("w" * 3_000_000, b"b" * 3_000_000, {"deep": ["j" * 70_000]}):
            result = swarm.run(graph, {"words": words, "array": array})
            assert result["text"] == [len(words), "y" * 200_000]
            assert result["total"] == pytest.approx(float(array.sum(dtype=np.float64)))


def test_any_node_gives_a_result_that_it_does_not_hold_and_only_results_of_the_run(large):
    with Swarm.open(large.profile_path) as swarm:
        run = swarm.submit(pipeline(7))
        run.wait()
        for node in large.nodes:
            swarm._inner._connection.turn_to(node)
            assert swarm.attach(run.id).result()["x"][-1] == 7
        with pytest.raises(NotFound):
            swarm.attach("run-unknown").result()


def test_the_death_of_a_node_that_holds_the_data_loses_nothing(large):
    with Swarm.open(large.profile_path) as swarm:
        run = swarm.submit(pipeline(5, seconds=1.5))
        maker = _until(lambda: next((s.node for s in run.show().steps if s.step == "flip" and s.node), ""))
        _until(lambda: any(s.step == "flip" and s.status == "ok" for s in run.show().steps))
        large.kill(maker)
        try:
            result = run.result()
            assert result["total"] == pytest.approx(float(np.arange(5, 5 + ITEMS, dtype=np.float64).sum()))
            assert result["x"][-1] == 5
        finally:
            large.restart(maker)
            large.wait_ready()


def test_a_payload_nobody_can_hold_fails_its_step_with_a_reason(large):
    items = (limits.VALUE_BYTES_MAX >> 2) + 1
    graph = Graph("huge", (Node("make", "large:make", (made(0, items),), retry=Retry(attempts_max=1)),))
    with (
        Swarm.open(large.profile_path) as swarm,
        pytest.raises(RunFailed, match=r"over_limit|too_large|agent_failed"),
    ):
        swarm.run(graph)


def _until(question, patience_s=60):
    until = time.monotonic() + patience_s
    while not (answer := question()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return answer
