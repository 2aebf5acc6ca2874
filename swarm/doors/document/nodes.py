"""Reads the nodes of a graph document, multiplied where `times` says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from swarm import limits
from swarm.doors.document.fields import Section
from swarm.doors.document.literals import read_literals
from swarm.graph import Context, Firing, Node, NodeName, Resources, Retry
from swarm.ids import CapabilityName

NODE_KEYS: Final = (
    "capability",
    "times",
    "with",
    "firing",
    "retry",
    "timeout_ms",
    "resources",
    "context",
    "layers",
)
_STAND_IN = "stand:in"  # of a node that names no capability, so that this is told once
_FIRINGS = {firing.value: firing for firing in Firing}


class Nodes:
    """The nodes of one document: all of them with their lines, and which were made of one."""

    def __init__(self, section: Section) -> None:
        self.read: list[tuple[Node, int]] = []
        self.multiplied: dict[str, list[NodeName]] = {}
        for name, found, path in section.items():
            one = Section(found, path, section.complaints, NODE_KEYS)
            node = _node(name, one)
            if "times" in one:
                self._multiply(node, one)
            else:
                self.read.append((node, found.line))
        self.by_name = dict.fromkeys(node.name for node, _ in self.read)

    def _multiply(self, node: Node, section: Section) -> None:
        times = section.whole("times", 1)
        if not 1 <= times <= limits.GRAPH_NODES_MAX - len(self.read):
            message = (
                f"{times} times is none, or too often: a graph has at most {limits.GRAPH_NODES_MAX} nodes"
            )
            section.complaints.add(
                section["times"],
                section.at("times"),
                message,
                "write 1 or more, or split the work",
                code="out_of_bounds",
            )
            times = 1
        names = [NodeName(f"{node.name}.{at}") for at in range(times)]
        self.multiplied[node.name] = names
        self.read += ((replace(node, name=name), section.found.line) for name in names)


def _node(name: str, section: Section) -> Node:
    section.require("capability", "capability: group:element")
    retry = section.section("retry", ("attempts_max", "backoff_ms"))
    resources = section.section("resources", ("memory_mb", "cpu_cores"))
    context = section.section("context", ("level", "domain", "tenant", "permissions"))
    permissions = (context.complaints.text(found, path) for found, path in context.each("permissions"))
    layers = (section.complaints.text(found, path) for found, path in section.each("layers"))
    return Node(
        name=NodeName(name),
        capability=CapabilityName(section.text("capability", _STAND_IN)),
        literals=read_literals(section),
        firing=section.choice("firing", _FIRINGS, Firing.ONCE),
        resources=Resources(resources.whole("memory_mb", 0), resources.number("cpu_cores", 0.0)),
        context=Context(
            context.whole("level", 0),
            context.text("domain"),
            context.text("tenant"),
            frozenset(permissions),
        ),
        retry=Retry(
            retry.whole("attempts_max", limits.ATTEMPTS_DEFAULT),
            retry.whole("backoff_ms", limits.BACKOFF_MS_DEFAULT),
        ),
        timeout_ms=section.whole("timeout_ms", limits.STEP_TIMEOUT_MS_DEFAULT),
        layers=frozenset(layers),
    )
