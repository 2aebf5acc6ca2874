"""What tests of a real cluster share: an agent that takes its time, graphs, and a look at the processes."""

import pathlib

from swarm import Edge, Endpoint, Feed, Graph, Node, Outlet, Payload, Retry

SLOW_AGENT = b"""\
version: '1.0'
name: slow
description: Waits for as long as it is told, then gives back what it was given.
author: The Neural Swarm authors
created: '2026-01-05T00:00:00Z'
modified: '2026-01-05T00:00:00Z'
kind: python
agent_version: 1.0.0
capabilities:
- name: test:slow
  inputs:
  - {name: seconds, kind: json}
  - {name: value, kind: json, optional: true}
  outputs:
  - {name: value, kind: json}
resources:
  limits: {memory_mb: 512, cpu_cores: 1.0, disk_mb: 16, network_bandwidth_mbps: 0}
  requirements: {minimum_memory_mb: 64, minimum_cpu_cores: 0.1}
---BINARY_SECTION:python_module---
import time


class Agent:
    def process_input(self, capability, inputs):
        time.sleep(inputs["seconds"])
        if inputs.get("value") == "fail":
            raise ValueError("told to fail")
        return {"value": inputs.get("value")}
"""


def slow_graph(steps, seconds, value="done", **options):
    """Steps side by side that each take some time, and give a value."""
    literals = (
        ("seconds", Payload("json", str(seconds).encode())),
        ("value", Payload("json", f'"{value}"'.encode())),
    )
    nodes = tuple(Node(f"s{number}", "test:slow", literals, **options) for number in range(steps))
    outlets = tuple(Outlet(node.name, Endpoint(node.name, "value")) for node in nodes)
    return Graph("slow", nodes, outlets=outlets)


def failing_graph():
    """A step that fails and one that depends on it."""
    literals = (("seconds", Payload("json", b"0")), ("value", Payload("json", b'"fail"')))
    broken = Node("broken", "test:slow", literals, retry=Retry(attempts_max=1))
    after = Node("after", "test:slow", (("seconds", Payload("json", b"0")),))
    edge = Edge(Endpoint("broken", "value"), Endpoint("after", "value"))
    return Graph("failing", (broken, after), (edge,), outlets=(Outlet("value", Endpoint("after", "value")),))


def digit_graph():
    """One image in, its scores out."""
    return Graph(
        "digit",
        (Node("look", "vision:digit"),),
        feeds=(Feed("image", Endpoint("look", "image")),),
        outlets=(Outlet("scores", Endpoint("look", "scores")),),
    )


def processes_about(text):
    """Process ids whose command line or environment names `text`; our own not."""
    found = []
    for directory in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            said = (directory / "cmdline").read_bytes() + (directory / "environ").read_bytes()
            state = (directory / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if text.encode() in said and state != "Z":
            found.append(int(directory.name))
    return found
