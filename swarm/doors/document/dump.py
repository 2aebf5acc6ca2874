"""Writes a graph as a document: `load(dump(graph)) == graph`."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import yaml

from swarm.doors.document.ends import ARROW, splits
from swarm.doors.document.literals import written_literals
from swarm.doors.document.text import PLAIN
from swarm.errors import GraphRefused
from swarm.graph import Bond, Edge, Endpoint, Feed, Firing, Graph, Node, NodeName, OnFailure, problems
from swarm.ids import CapabilityName

_WIDTH_CHARS: Final = 110
_USUAL = Node(NodeName(""), CapabilityName(""))


class _Dumper(yaml.CSafeDumper):
    """Quotes what the reader would not take for text; never writes an alias."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the base class has it

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


class _Lines(list[Any]):
    """A list with a line for each item."""


_Dumper.add_representer(
    _Lines, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=False)
)
for _tag, _words, _starts in PLAIN:
    _Dumper.add_implicit_resolver(_tag, _words, list(_starts))


def dump(graph: Graph) -> str:
    """The document of a graph that has no structural problems; GraphRefused with them otherwise."""
    if found := problems(graph, None):
        raise GraphRefused("only a sound graph can be written as a document", problems=found)
    names = frozenset(node.name for node in graph.nodes)
    document: dict[str, Any] = {"graph": graph.name}
    if graph.on_failure is not OnFailure.STOP:
        document["on_failure"] = graph.on_failure.value
    if graph.annotations:
        document["annotations"] = dict(graph.annotations)
    if graph.feeds:
        document["inputs"] = _inputs(graph.feeds, names)
    document["nodes"] = {str(node.name): _node(node) for node in graph.nodes}
    if graph.edges:
        document["edges"] = _Lines(_edge(edge, names) for edge in graph.edges)
    if graph.outlets:
        document["outputs"] = {outlet.name: _end(outlet.source, names) for outlet in graph.outlets}
    text: str = yaml.dump(
        document,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=_WIDTH_CHARS,
    )
    return text


def _inputs(feeds: tuple[Feed, ...], names: frozenset[NodeName]) -> dict[str, Any] | list[dict[str, Any]]:
    """A mapping if it keeps the order, a list otherwise."""
    grouped: dict[str, list[Any]] = {}
    for feed in feeds:
        grouped.setdefault(feed.name, []).append(_end(feed.target, names))
    if [name for name, ends in grouped.items() for _ in ends] == [feed.name for feed in feeds]:
        return {name: ends[0] if len(ends) == 1 else ends for name, ends in grouped.items()}
    return _Lines({"name": feed.name, "to": _end(feed.target, names)} for feed in feeds)


def _node(node: Node) -> dict[str, Any]:
    written: dict[str, Any] = {"capability": str(node.capability)}
    if node.literals:
        written["with"] = written_literals(node.literals)
    if node.firing is not Firing.ONCE:
        written["firing"] = node.firing.value
    for key in ("retry", "resources", "context"):
        if changed := _changed(getattr(node, key), getattr(_USUAL, key)):
            written[key] = changed
    if node.timeout_ms != _USUAL.timeout_ms:
        written["timeout_ms"] = node.timeout_ms
    if node.layers:
        written["layers"] = sorted(node.layers)
    return written


def _changed(record: Any, usual: Any) -> dict[str, Any]:
    fields = ((field.name, getattr(record, field.name)) for field in dataclasses.fields(record))
    return {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in fields
        if value != getattr(usual, name)
    }


def _edge(edge: Edge, names: frozenset[NodeName]) -> str | dict[str, Any]:
    source, target = _end(edge.source, names), _end(edge.target, names)
    if (
        isinstance(source, str)
        and isinstance(target, str)
        and edge.bond is Bond.STRICT
        and edge.items_max == 1
    ):
        return f"{source} {ARROW} {target}"
    written: dict[str, Any] = {"from": source, "to": target}
    if edge.bond is not Bond.STRICT:
        written["bond"] = edge.bond.value
    if edge.items_max != 1:
        written["items_max"] = edge.items_max
    return written


def _end(end: Endpoint, names: frozenset[NodeName]) -> str | dict[str, str]:
    """`node.port`, unless that could be read as something else."""
    text = str(end)
    if len(splits(text, names)) == 1:
        return text
    return {"node": str(end.node), "port": str(end.port)}
