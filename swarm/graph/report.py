"""Collects problems, and says where each is in words that every door uses too."""

from __future__ import annotations

import math
from collections.abc import Iterable

from swarm.errors import Problem
from swarm.graph.model import Edge, NodeName, PortName
from swarm.graph.names import Suggester, is_name, shown


class Report:
    """Every problem found so far, in the order the graph is read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._suggester = Suggester()

    def add(self, code: str, place: str, message: str, remedy: str = "") -> None:
        self.problems.append(Problem(code, place, message, remedy))

    def add_unknown(
        self, code: str, place: str, word: str, what: str, known: Iterable[str], remedy: str
    ) -> None:
        """Something that is not there: the closest name first, then what else to do."""
        guess = self._suggester.did_you_mean(word, known)
        self.add(
            code, place, f"there is no {what} {spoken(word)}", f"{guess} or {remedy}" if guess else remedy
        )

    def add_out_of_bounds(self, place: str, what: str, value: float, low: float, high: float) -> None:
        most = f" to {high}" if high < math.inf else " or more"
        self.add("out_of_bounds", place, f"{what} is {shown(value)}", f"use {low}{most}")


def spoken(name: str) -> str:
    """A name as it stands in messages: bare when it is a good one."""
    return name if is_name(name) else shown(name)


def node_place(name: NodeName) -> str:
    return f"node {spoken(name)}"


def port_place(node: NodeName, port: PortName) -> str:
    return f"port {spoken(node)}.{spoken(port)}"


def edge_place(edge: Edge) -> str:
    source, target = edge.source, edge.target
    return f"edge {spoken(source.node)}.{spoken(source.port)} -> {spoken(target.node)}.{spoken(target.port)}"


def feed_place(name: str) -> str:
    return f"input {spoken(name)}"


def outlet_place(name: str) -> str:
    return f"output {spoken(name)}"
