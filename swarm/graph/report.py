"""Collects problems, and says where each is in words that the doors use too."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias, assert_never

from swarm.errors import Problem
from swarm.graph.model import Edge, Endpoint, Feed, Node, Outlet
from swarm.graph.names import Suggester, shown, spoken

Place: TypeAlias = str | Node | Edge | Endpoint | Feed | Outlet
"""A part of a graph; it is put into words only if there is a problem to tell."""


class Report:
    """Every problem found so far, in the order the graph is read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._suggester = Suggester()

    def add(self, code: str, place: Place, message: str, remedy: str = "") -> None:
        self.problems.append(Problem(code, place_of(place), message, remedy))

    def add_unknown(
        self, code: str, place: Place, message: str, word: str, known: Iterable[str], remedy: str
    ) -> None:
        """A word that names nothing: the closest one that does comes first in the remedy."""
        guess = self._suggester.did_you_mean(word, known)
        self.add(code, place, message, f"{guess} Otherwise {remedy}" if guess else remedy)

    def add_out_of_bounds(self, place: Place, what: str, value: float, low: float, high: float) -> None:
        most = f" to {high}" if high < math.inf else " or more"
        self.add("out_of_bounds", place, f"{what} is {shown(value)}", f"use {low}{most}")


def place_of(thing: Place) -> str:
    """How a part of a graph is called in a problem."""
    match thing:
        case str():
            return thing
        case Node():
            return f"node {spoken(thing.name)}"
        case Edge():
            return f"edge {_dotted(thing.source)} -> {_dotted(thing.target)}"
        case Endpoint():
            return f"port {_dotted(thing)}"
        case Feed():
            return f"input {spoken(thing.name)}"
        case Outlet():
            return f"output {spoken(thing.name)}"
        case _:
            assert_never(thing)


def _dotted(end: Endpoint) -> str:
    return f"{spoken(end.node)}.{spoken(end.port)}"
