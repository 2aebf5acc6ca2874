"""`effects: once` on real daemons: done once, and never repeated unasked."""

import json

import pytest

from swarm import Feed, Graph, Node, Outlet, RunFailed
from swarm.graph import Endpoint

PAYING_AGENT = b"""\
version: '1.0'
name: payer
description: Pays, and must not pay twice.
author: The Neural Swarm authors
created: '2026-01-05T00:00:00Z'
modified: '2026-01-05T00:00:00Z'
kind: python
agent_version: 1.0.0
capabilities:
- name: test:pay
  effects: once
  inputs:
  - {name: amount, kind: json}
  outputs:
  - {name: paid, kind: json}
resources:
  limits: {memory_mb: 512, cpu_cores: 1.0, disk_mb: 16, network_bandwidth_mbps: 0}
  requirements: {minimum_memory_mb: 64, minimum_cpu_cores: 0.1}
---BINARY_SECTION:python_module---
import os


class Agent:
    def process_input(self, capability, inputs):
        if inputs["amount"] == "die":
            os._exit(1)
        if inputs["amount"] == "refuse":
            raise ValueError("no money left")
        return {"paid": inputs["amount"]}
"""

TELLING_AGENT = (
    PAYING_AGENT.split(b"---BINARY")[0]
    .replace(b"name: payer", b"name: teller")
    .replace(
        b"- name: test:pay\n  effects: once\n",
        b"""\
- name: test:look
  inputs:
  - {name: amount, kind: json}
  outputs:
  - {name: paid, kind: json}
  - {name: outcome, kind: json}
- name: test:pay
  effects: once
  reconcile: test:look
""",
    )
    + b"""\
---BINARY_SECTION:python_module---
import time


class Agent:
    def process_input(self, capability, inputs):
        intent = inputs["intent"]
        if capability == "test:look":
            return {"outcome": inputs["amount"], "paid": f"found {intent['attempt']}"}
        if intent["attempt"] == 1:
            time.sleep(3600)
        return {"paid": f"paid {intent['attempt']}"}
"""
)

GRAPH = Graph(
    "pay",
    (Node("pay", "test:pay"),),
    feeds=(Feed("amount", Endpoint("pay", "amount")),),
    outlets=(Outlet("paid", Endpoint("pay", "paid")),),
)


@pytest.fixture
def teller(swarm):
    swarm.deploy(TELLING_AGENT)
    yield swarm
    swarm.remove_agent("teller")


@pytest.fixture
def payer(swarm):
    swarm.deploy(PAYING_AGENT)
    yield swarm
    swarm.remove_agent("payer")


def begun(cluster, run):
    """How often the run's one step was begun, by every node's journal."""
    return sum(begun_on(cluster, node, run) for node in cluster.nodes)


def begun_on(cluster, node, run):
    lines = []
    for path in cluster.node_data(node).glob("journal.jsonl*"):
        lines += [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return sum(len(line["steps"]) for line in lines if line["run"] == run)


def test_what_must_not_run_twice_runs_once(cluster, payer):
    run = payer.submit(GRAPH, {"amount": 7})
    assert run.result() == {"paid": 7}
    assert begun(cluster, run.id) == 1


@pytest.mark.parametrize(
    ("amount", "code", "words"),
    [
        ("die", "needs_decision", "nobody can say whether it ran"),
        ("refuse", "agent_failed", "no money left"),
    ],
)
def test_a_failure_is_never_tried_again_and_says_how_to_go_on(cluster, payer, amount, code, words):
    run = payer.submit(GRAPH, {"amount": amount})
    with pytest.raises(RunFailed) as caught:
        run.result()
    assert code in caught.value.message
    assert words in caught.value.message
    assert ("new key" in caught.value.remedy) == (code == "needs_decision")
    assert begun(cluster, run.id) == 1


def test_the_agent_is_asked_what_became_of_work_whose_node_was_killed(cluster, teller):
    runs = {word: teller.submit(GRAPH, {"amount": word}) for word in ("done", "not_done", "unknown")}
    where = {}
    while len(where) < len(runs):
        where |= {
            run.id: node for run in runs.values() for node in cluster.nodes if begun_on(cluster, node, run.id)
        }
    for node in set(where.values()):
        cluster.kill(node)
        cluster.restart(node)
        cluster.wait_ready()
    assert runs["done"].result() == {"paid": "found 1"}
    paid = runs["not_done"].result()["paid"]
    assert paid.startswith("paid ")
    assert paid != "paid 1"
    with pytest.raises(RunFailed, match="its agent cannot tell either"):
        runs["unknown"].result()
    assert [begun(cluster, run.id) for run in runs.values()] == [1, 2, 1]
