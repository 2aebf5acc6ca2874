"""Reads a graph document: text in, `Graph` out, every problem told at once with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import repeat
from typing import Final, Literal, TypeAlias

from swarm import limits
from swarm.doors.document.ends import ARROW, Ends
from swarm.doors.document.fields import Complaints, Section
from swarm.doors.document.nodes import Nodes
from swarm.doors.document.text import Found, parse
from swarm.errors import GraphRefused, Problem
from swarm.graph import Bond, Edge, Endpoint, Feed, Graph, OnFailure, Outlet, problems
from swarm.graph.report import place_of

Form: TypeAlias = Literal["yaml", "json"]

GRAPH_KEYS: Final = ("graph", "on_failure", "annotations", "inputs", "nodes", "edges", "outputs")
EDGE_KEYS: Final = ("from", "to", "bond", "items_max")

_BONDS = {bond.value: bond for bond in Bond}
_ON_FAILURES = {policy.value: policy for policy in OnFailure}

# What may look wrong only because something it belongs to could not be read.
_FOLLOWS = frozenset({"empty_graph", "no_inputs", "unreachable"})


def load(text: str, *, form: Form | None = None) -> Graph:
    """The graph a document describes; without a form, a text that starts with `{` is JSON.

    Raises GraphRefused with every problem, or TooLarge.
    """
    root, found = parse(text, form or ("json" if text.lstrip()[:1] == "{" else "yaml"))
    draft = _Draft(Section(root, "", Complaints(found), GRAPH_KEYS))
    unsound = [one for one in problems(draft.graph, None) if not (found and one.code in _FOLLOWS)]
    if found or unsound:
        told = [*found, *_with_lines(unsound, draft.lines())]
        raise GraphRefused(
            f"the graph document has {len(told)} problem{'s' * (len(told) > 1)}", problems=told
        )
    return draft.graph


def _with_lines(unsound: list[Problem], lines: Mapping[str, int]) -> Iterator[Problem]:
    for problem in unsound:
        line = lines.get(problem.place, 0)
        yield replace(problem, place=f"line {line}, {problem.place}") if line else problem


class _Draft:
    """The graph a document's top mapping means, as far as it can be read, and where its parts came from."""

    def __init__(self, top: Section) -> None:
        self._complaints = top.complaints
        top.require("graph", "graph: its name")
        top.require("nodes", "nodes: {name: {capability: group:element}}")
        self._nodes = Nodes(top.section("nodes"))
        self._ends = Ends(self._nodes.by_name, self._nodes.multiplied, top.complaints)
        self._edges = list(self._read_edges(top))
        self._feeds = list(self._read_inputs(top))
        self._outlets = list(self._read_outputs(top))
        notes = top.section("annotations")
        self.graph = Graph(
            name=top.text("graph", "unnamed"),
            nodes=tuple(node for node, _ in self._nodes.read),
            edges=tuple(edge for edge, _ in self._edges),
            feeds=tuple(feed for feed, _ in self._feeds),
            outlets=tuple(outlet for outlet, _ in self._outlets),
            on_failure=top.choice("on_failure", _ON_FAILURES, OnFailure.STOP),
            annotations={key: notes.text(key) for key, _, _ in notes.items()},
        )

    def lines(self) -> dict[str, int]:
        """The line of every place a problem of the graph may name."""
        found: dict[str, int] = {}
        for node, line in self._nodes.read:
            found[place_of(node)] = line
            found |= {place_of(Endpoint(node.name, port)): line for port, _ in node.literals}
        for edge, line in self._edges:
            found[place_of(edge)] = found[place_of(edge.target)] = line
        for feed, line in self._feeds:
            found[place_of(feed)] = found[place_of(feed.target)] = line
        for outlet, line in self._outlets:
            found[place_of(outlet)] = line
        return found

    def _read_edges(self, top: Section) -> Iterator[tuple[Edge, int]]:
        count = 0
        for found, path in top.each("edges"):
            for edge in self._edges_of(found, path):
                count += 1
                if count > limits.GRAPH_EDGES_MAX:
                    self._too_many(found, path)
                    return
                yield edge, found.line

    def _edges_of(self, found: Found, path: str) -> list[Edge]:
        """What one entry of `edges` means: one edge, or one for each node behind a star."""
        section = Section(_spelled_out(found), path, self._complaints, EDGE_KEYS)
        bond, items_max = section.choice("bond", _BONDS, Bond.STRICT), section.whole("items_max", 1)
        for key in ("from", "to"):
            section.require(key, "from.port -> to.port, or {from: node.port, to: node.port}")
        if "from" not in section or "to" not in section:
            return []
        sources = self._ends.all(section["from"], section.at("from"))
        targets = self._ends.all(section["to"], section.at("to"))
        if not sources or not targets:
            return []
        if len(sources) > 1 and len(targets) > 1 and len(sources) != len(targets):
            message = f"{len(sources)} nodes on the left, {len(targets)} on the right"
            self._complaints.add(found, path, message, "use stars of equal `times`, or write the edges out")
            return []
        return [Edge(source, target, bond, items_max) for source, target in _paired(sources, targets)]

    def _read_inputs(self, top: Section) -> Iterator[tuple[Feed, int]]:
        count = 0
        for name, found, path in self._named_ends(top):
            for end in self._ends.all(found, path):
                count += 1
                if count > limits.GRAPH_EDGES_MAX:
                    self._too_many(found, path)
                    return
                yield Feed(name, end), found.line

    def _named_ends(self, top: Section) -> Iterator[tuple[str, Found, str]]:
        """`{name: end}`, `{name: [end, end]}`, or `[{name, to}]` where the order across names matters."""
        if "inputs" in top and isinstance(top["inputs"].value, list):
            for found, path in top.each("inputs"):
                one = Section(found, path, self._complaints, ("name", "to"))
                one.require("name", "{name: ..., to: node.port}")
                one.require("to", "{name: ..., to: node.port}")
                if "name" in one and "to" in one:
                    yield one.text("name"), one["to"], one.at("to")
            return
        for name, found, path in top.section("inputs").items():
            ends = found.value if isinstance(found.value, list) else [found]
            for end in ends:
                yield name, end, path

    def _read_outputs(self, top: Section) -> Iterator[tuple[Outlet, int]]:
        for name, found, path in top.section("outputs").items():
            if (end := self._ends.one(found, path)) is not None:
                yield Outlet(name, end), found.line

    def _too_many(self, found: Found, path: str) -> None:
        message = f"over {limits.GRAPH_EDGES_MAX} with this one, stars written out"
        self._complaints.add(
            found, path, message, "split the work over several graphs", code="too_many_edges"
        )


def _spelled_out(found: Found) -> Found:
    """`a.x -> b.y` as the mapping it is short for."""
    if not isinstance(found.value, str):
        return found
    ends = zip(("from", "to"), found.value.split(ARROW, 1), strict=False)
    return Found({key: Found(end.strip(), found.line) for key, end in ends}, found.line)


def _paired(sources: list[Endpoint], targets: list[Endpoint]) -> Iterator[tuple[Endpoint, Endpoint]]:
    """One to each, each to one, or the first to the first and so on."""
    if len(sources) == 1:
        return zip(repeat(sources[0]), targets, strict=False)
    if len(targets) == 1:
        return zip(sources, repeat(targets[0]), strict=False)
    return zip(sources, targets, strict=True)
