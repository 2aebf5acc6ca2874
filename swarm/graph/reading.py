"""Strict readers: from parsed JSON to the records of a graph, every type and key checked.

The first thing wrong ends the reading: an encoding comes from a program, so there is nobody to
repair ten places at once. Each reader raises `Broken` with the path from where it stands; each
level outside adds its own part of the path.
"""

from __future__ import annotations

import binascii
import dataclasses
import json
import math
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

from swarm import limits
from swarm.errors import GraphRefused, Problem, TooLarge
from swarm.graph.contexts import PLAIN, Context
from swarm.graph.model import (
    Bond,
    Edge,
    Endpoint,
    Feed,
    Firing,
    Graph,
    Node,
    OnFailure,
    Outlet,
    Payload,
    PortName,
    Resources,
    Retry,
)
from swarm.graph.names import shown

FORMAT: Final = 1
BRACKETS_MAX: Final = (
    8 * limits.GRAPH_NODES_MAX + 2 * limits.GRAPH_EDGES_MAX
)  # objects and lists in one encoding

_Json: TypeAlias = dict[str, Any]
_Read = TypeVar("_Read")
_Record = TypeVar("_Record", Resources, Context, Retry)

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_REMEDY = "send what swarm.graph.encode gives"

# What format 1 leaves out. Not the model's defaults: those may change, an old encoding may not.
RETRY: Final = Retry(attempts_max=3, backoff_ms=50)
RESOURCES: Final = Resources(memory_mb=0, cpu_cores=0.0)
CONTEXT: Final = PLAIN  # what is below every context is so by definition
TIMEOUT_MS: Final = 60_000
ITEMS_MAX: Final = 1

_NODE_KEYS = frozenset(field.name for field in dataclasses.fields(Node))
_GRAPH_KEYS = frozenset(field.name for field in dataclasses.fields(Graph) if field.init) | {"format"}
_EDGE_KEYS = frozenset({"bond", "items_max"})
_FIRINGS = {firing.value: firing for firing in Firing}
_BONDS = {bond.value: bond for bond in Bond}
_ON_FAILURES = {policy.value: policy for policy in OnFailure}
_SPOKEN: dict[type, str] = {int: "a whole number", float: "a number", str: "text"}


def parse(data: bytes) -> object:
    """JSON as it stands in `data`, with no key twice, no number that is not finite, no broken text."""
    if data.count(b"[") + data.count(b"{") > BRACKETS_MAX:
        raise TooLarge(
            f"over {BRACKETS_MAX} objects and lists", place="graph", remedy="submit smaller graphs"
        )
    try:
        document: object = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
        )
        if _SURROGATE_ESCAPE.search(data):
            json.dumps(document, ensure_ascii=False).encode()  # half a pair would have no UTF-8
    except (ValueError, RecursionError) as error:
        raise Broken(f"not readable as JSON: {error}") from None
    return document


class Broken(Exception):
    """What is wrong, and the path to it from where it was noticed."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place

    def inside(self, place: str) -> Broken:
        """The same, seen from one level further out."""
        joint = "." if self.place and not self.place.startswith("[") else ""
        return Broken(self.message, f"{place}{joint}{self.place}")

    def refusal(self) -> GraphRefused:
        problem = Problem("bad_encoding", self.place or "graph", self.message, _REMEDY)
        return GraphRefused("the encoding of a graph is broken", problems=(problem,))


def read_graph(document: object) -> Graph:
    fields = _object(document, _GRAPH_KEYS)
    if (form := fields.get("format")) != FORMAT or type(form) is not int:
        raise Broken(f"is {shown(form)}, this version reads {FORMAT}", "format")
    return Graph(
        name=_text(fields, "name"),
        nodes=tuple(_each(fields, "nodes", _node)),
        edges=tuple(_each(fields, "edges", _edge)),
        feeds=tuple(_each(fields, "feeds", _feed)),
        outlets=tuple(_each(fields, "outlets", _outlet)),
        on_failure=_choice(fields, "on_failure", _ON_FAILURES, OnFailure.STOP),
        annotations=_annotations(fields.get("annotations", {})),
    )


def _node(document: object) -> Node:
    fields = _object(document, _NODE_KEYS)
    if len(fields) == 2:  # nearly every node of a large graph
        name, capability = _text(fields, "name"), _text(fields, "capability")
        return Node(name, capability, (), Firing.ONCE, RESOURCES, CONTEXT, RETRY, TIMEOUT_MS)
    return Node(
        name=_text(fields, "name"),
        capability=_text(fields, "capability"),
        literals=tuple(_each(fields, "literals", _literal)),
        firing=_choice(fields, "firing", _FIRINGS, Firing.ONCE),
        resources=_record(fields, "resources", RESOURCES),
        context=_record(fields, "context", CONTEXT),
        retry=_record(fields, "retry", RETRY),
        timeout_ms=_like(fields.get("timeout_ms", TIMEOUT_MS), TIMEOUT_MS, "timeout_ms"),
        layers=frozenset(_each(fields, "layers", _layer)),
    )


def _edge(document: object) -> Edge:
    if type(document) is not list or not 4 <= len(document) <= 5:
        raise Broken("is not a list of node, port, node, port and perhaps options")
    source_node, source_port, target_node, target_port = _texts(document[:4])
    source, target = Endpoint(source_node, source_port), Endpoint(target_node, target_port)
    if len(document) == 4:
        return Edge(source, target, Bond.STRICT, ITEMS_MAX)
    options = _object(document[4], _EDGE_KEYS, "[4]")
    return Edge(
        source,
        target,
        _choice(options, "bond", _BONDS, Bond.STRICT),
        _like(options.get("items_max", ITEMS_MAX), ITEMS_MAX, "items_max"),
    )


def _feed(document: object) -> Feed:
    name, node, port = _three(document, "name, node, port")
    return Feed(name, Endpoint(node, port))


def _outlet(document: object) -> Outlet:
    name, node, port = _three(document, "name, node, port")
    return Outlet(name, Endpoint(node, port))


def _literal(document: object) -> tuple[PortName, Payload]:
    port, kind, text = _three(document, "port, kind, base64")
    try:
        return port, Payload(kind, b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise Broken(f"is not base64: {error}", "[2]") from None


def _words(document: object, place: str) -> frozenset[str]:
    if type(document) is not list:
        raise Broken("is not a list", place)
    try:
        return frozenset(_texts(document))
    except Broken as broken:
        raise broken.inside(place) from None


def _layer(document: object) -> str:
    layer: str = _texts([document])[0]
    return layer


def _annotations(document: object) -> dict[str, str]:
    if type(document) is not dict:
        raise Broken("is not an object", "annotations")
    for key, value in document.items():
        if type(value) is not str:
            raise Broken("is not text", f"annotations.{shown(key)}")
    return document


def _record(fields: _Json, key: str, default: _Record) -> _Record:
    """A small record all of whose fields may be left out."""
    if key not in fields:
        return default
    names = {field.name: getattr(default, field.name) for field in dataclasses.fields(default)}
    given = _object(fields[key], frozenset(names), key)
    try:
        values: dict[str, Any] = {
            name: _words(value, name)
            if isinstance(names[name], frozenset)
            else _like(value, names[name], name)
            for name, value in given.items()
        }
    except Broken as broken:
        raise broken.inside(key) from None
    return dataclasses.replace(default, **values)


def _each(fields: _Json, key: str, read: Callable[[object], _Read]) -> list[_Read]:
    documents = fields.get(key, [])
    if type(documents) is not list:
        raise Broken("is not a list", key)
    found: list[_Read] = []
    try:
        for document in documents:
            found.append(read(document))  # noqa: PERF401 - its length is the index an error needs
    except Broken as broken:
        raise broken.inside(f"{key}[{len(found)}]") from None
    return found


def _object(document: object, keys: frozenset[str], place: str = "") -> _Json:
    if type(document) is not dict:
        raise Broken("is not an object", place)
    if not document.keys() <= keys:
        unknown = min(document.keys() - keys)
        raise Broken(f"unknown key {shown(unknown)}; known are {', '.join(sorted(keys))}", place)
    return document


def _text(fields: _Json, key: str) -> Any:
    value = fields.get(key)
    if type(value) is not str:
        raise Broken("is missing" if key not in fields else "is not text", key)
    return value


def _three(document: object, meaning: str) -> list[Any]:
    if type(document) is not list or len(document) != 3:
        raise Broken(f"is not a list of {meaning}")
    return _texts(document)


def _texts(values: list[Any]) -> list[Any]:
    """`values`, all of them text; typed Any because which kind of name each is, the caller knows."""
    for index, value in enumerate(values):
        if type(value) is not str:
            raise Broken("is not text", f"[{index}]")
    return values


def _choice(fields: _Json, key: str, choices: Mapping[str, _Read], default: _Read) -> _Read:
    if key not in fields:
        return default
    value = fields[key]
    if type(value) is not str or value not in choices:
        raise Broken(f"is {shown(value)}, not one of {', '.join(sorted(choices))}", key)
    return choices[value]


def _like(value: object, default: _Read, place: str) -> _Read:
    """`value`, if it has the type of `default`; a whole number will do for a float."""
    kind = type(default)
    if kind is float and type(value) is int:
        value = _float(value, place)
    if type(value) is not kind:
        raise Broken(f"is not {_SPOKEN[kind]}", place)
    return value


def _float(value: int, place: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise Broken("is too large a number", place) from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Broken(f"the number {shown(text)} is too large")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise Broken(f"{text} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> _Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise Broken(f"key {shown(twice)} stands twice in one object")
    return found
