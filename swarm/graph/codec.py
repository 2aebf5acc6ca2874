"""The one encoding of a graph: canonical JSON, and the digest that names it.

Canonical means: equal graphs have equal bytes. Keys are sorted, nothing is padded, and usual
values are left out, so a field added to the model later leaves old encodings, and so old digests,
as they are. Which values those are belongs to the format (`reading`), not to the model.

    {"annotations": {key: text},
     "edges": [[node, port, node, port], [node, port, node, port, {"bond": "loose", "items_max": 4}]],
     "feeds": [[name, node, port]], "format": 1, "name": text,
     "nodes": [{"capability": text, "name": text, "literals": [[port, kind, base64]], ...}],
     "on_failure": "continue", "outlets": [[name, node, port]]}

Annotations travel with a graph but are no part of its digest: they may not change results.
Decoding trusts nothing: size first, then the number of brackets (a bracket is two bytes that
cost sixty), then every type and key. Whether the graph makes *sense* is `check`'s business.

Graphs never change, so equal bytes give the same object for as long as it is kept, with everything that
was worked out for it: a graph that is submitted again and again is read, checked and planned once.
"""

from __future__ import annotations

import gc
import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from swarm import limits
from swarm.errors import TooLarge
from swarm.graph.model import Bond, Edge, Firing, Graph, Node, OnFailure
from swarm.graph.reading import (
    CONTEXT,
    FORMAT,
    ITEMS_MAX,
    RESOURCES,
    RETRY,
    TIMEOUT_MS,
    Broken,
    parse,
    read_graph,
)
from swarm.graph.sources import literals_bytes
from swarm.ids import Digest

_Json = dict[str, object]


def encode(graph: Graph) -> bytes:
    """The canonical bytes of `graph`; raises TooLarge above GRAPH_BYTES_MAX."""
    data: bytes | None = graph.derived.get("bytes")
    if data is None:
        data = graph.derived["bytes"] = _canonical(graph, annotations=dict(graph.annotations))
    return data


def digest(graph: Graph) -> Digest:
    """The graph's name: sha256 of its canonical bytes, annotations left out."""
    name: Digest | None = graph.derived.get("digest")
    if name is None:
        data = _canonical(graph, annotations={}) if graph.annotations else encode(graph)
        name = graph.derived["digest"] = Digest(hashlib.sha256(data).hexdigest())
    return name


def decode(data: bytes) -> Graph:
    """The graph that `data` encodes, in any order of keys; raises TooLarge or GraphRefused."""
    _bounded(len(data))
    return _read_once(data) if len(data) <= limits.GRAPH_KEPT_BYTES_MAX else _read(data)


def _read(data: bytes) -> Graph:
    try:
        with _no_collection():
            return read_graph(parse(data))
    except Broken as broken:
        raise broken.refusal() from None


_read_once = lru_cache(limits.GRAPHS_KEPT_MAX)(_read)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Holds the cycle collector off: a million small records and no cycle among them, so that
    looking through them again and again more than doubles the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# -- writing ----------------------------------------------------------------------------------


def _canonical(graph: Graph, *, annotations: dict[str, str]) -> bytes:
    _bounded(literals_bytes(graph))  # first: nodes may share a literal that would be written for each
    try:
        text = json.dumps(
            _document(graph, annotations),
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
            allow_nan=False,
            check_circular=False,
        )
        data = text.encode()
    except (ValueError, OverflowError) as error:  # a number that is not finite, a name that is not Unicode
        raise Broken(f"has no encoding: {error}").refusal() from None
    _bounded(len(data))
    return data


def _document(graph: Graph, annotations: dict[str, str]) -> _Json:
    document: _Json = {
        "format": FORMAT,
        "name": graph.name,
        "nodes": [_node_document(node) for node in graph.nodes],
        "edges": [_edge_document(edge) for edge in graph.edges],
    }
    if annotations:
        document["annotations"] = annotations
    if graph.feeds:
        document["feeds"] = [(feed.name, *feed.target) for feed in graph.feeds]
    if graph.outlets:
        document["outlets"] = [(outlet.name, *outlet.source) for outlet in graph.outlets]
    if graph.on_failure is not OnFailure.STOP:
        document["on_failure"] = graph.on_failure.value
    return document


def _node_document(node: Node) -> _Json:
    document: _Json = {"name": node.name, "capability": node.capability}
    if node.literals:
        document["literals"] = [
            (port, payload.kind, b64encode(payload.data).decode()) for port, payload in node.literals
        ]
    if node.firing is not Firing.ONCE:
        document["firing"] = node.firing.value
    # int() and float(): True equals 1 and 1 equals 1.0, so they must not be written differently.
    if node.resources != RESOURCES:
        document["resources"] = _changed(
            memory_mb=(int(node.resources.memory_mb), RESOURCES.memory_mb),
            cpu_cores=(float(node.resources.cpu_cores), RESOURCES.cpu_cores),
        )
    if node.context != CONTEXT:
        document["context"] = _changed(
            level=(int(node.context.level), CONTEXT.level),
            domain=(node.context.domain, CONTEXT.domain),
            tenant=(node.context.tenant, CONTEXT.tenant),
            permissions=(sorted(node.context.permissions), []),
        )
    if node.retry != RETRY:
        document["retry"] = _changed(
            attempts_max=(int(node.retry.attempts_max), RETRY.attempts_max),
            backoff_ms=(int(node.retry.backoff_ms), RETRY.backoff_ms),
        )
    if node.timeout_ms != TIMEOUT_MS:
        document["timeout_ms"] = int(node.timeout_ms)
    if node.layers:
        document["layers"] = sorted(node.layers)
    return document


def _edge_document(edge: Edge) -> tuple[object, ...]:
    ends = (*edge.source, *edge.target)
    if edge.bond is Bond.STRICT and edge.items_max == ITEMS_MAX:
        return ends
    options = _changed(bond=(edge.bond.value, Bond.STRICT.value), items_max=(int(edge.items_max), ITEMS_MAX))
    return (*ends, options)


def _changed(**fields: tuple[object, object]) -> _Json:
    """The fields whose value is not their default, each given as (value, default)."""
    return {name: value for name, (value, default) in fields.items() if value != default}


def _bounded(size: int) -> None:
    if size > limits.GRAPH_BYTES_MAX:
        raise TooLarge(
            f"{size} bytes, at most {limits.GRAPH_BYTES_MAX}",
            place="graph",
            remedy="pass large data as inputs, or split the work over several graphs",
        )
