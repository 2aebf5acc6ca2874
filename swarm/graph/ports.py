"""Do the ports fit together? Kinds, dtypes, shapes, and what a port must be given.

Ports are declared once, in the signature of a capability, so all of this needs the catalogue. A
capability nobody offers is reported once, and nothing is said about its ports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from swarm.graph.model import (
    Bond,
    Catalogue,
    Edge,
    Endpoint,
    Firing,
    Graph,
    Node,
    NodeName,
    Payload,
    Port,
    PortName,
)
from swarm.graph.names import PAYLOAD_KINDS, listed, shown, spoken
from swarm.graph.reference import REF, read_ref
from swarm.graph.report import Place, Report, place_of
from swarm.graph.sources import SourcesByPort
from swarm.graph.tensor import tensor_head
from swarm.ids import CapabilityName

Nodes: TypeAlias = Mapping[NodeName, Node]
_Ports: TypeAlias = dict[CapabilityName, dict[PortName, Port]]
_Shape: TypeAlias = tuple[int | None, ...]
_NOBODY = CapabilityName("")


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a payload or another port does not fit a port."""

    code: str
    message: str
    remedy: str = ""


def check_ports(
    graph: Graph, nodes: Nodes, catalogue: Catalogue, sources: SourcesByPort, report: Report
) -> None:
    """Everything that only the capabilities' signatures can tell."""
    _check_capabilities(graph, catalogue, report)
    board = _Board(nodes, catalogue, report)
    for edge in graph.edges:
        _check_edge(edge, nodes, board, report)
    for feed in graph.feeds:
        board.input(feed.target, feed)
    for outlet in graph.outlets:
        board.output(outlet.source, outlet)
    for node in nodes.values():
        for name, payload in node.literals:
            place = Endpoint(node.name, name)
            port = board.input(place, place)
            if port is None or payload.kind not in PAYLOAD_KINDS:
                continue  # reported where names and literals are checked
            if misfit := payload_misfit(payload, port):
                report.add(misfit.code, place, f"its literal {misfit.message}", misfit.remedy)
        for name in board.required(node):
            if (node.name, name) not in sources:  # an endpoint is a tuple; most need not be made
                message = "it must be given a value, and nothing leads to it"
                report.add(
                    "missing_input",
                    Endpoint(node.name, name),
                    message,
                    "connect an edge, an input of the graph or a literal to it",
                )


def payload_misfit(payload: Payload, port: Port) -> Misfit | None:
    """Why `payload` cannot go into `port`, as far as its kind and its head can tell."""
    kind, data, size_bytes = payload.kind, payload.data, None
    if kind == REF:
        ref = read_ref(data)
        kind, data, size_bytes = ref.kind, ref.head, ref.size_bytes
    if kind not in PAYLOAD_KINDS:
        return Misfit("wrong_kind", f"is of kind {shown(kind)}", "use json, tensor or bytes")
    if port.kind not in ("any", kind):
        return Misfit("wrong_kind", f"is {kind}, the port takes {port.kind}", f"pass {port.kind}")
    if kind != "tensor":
        return None
    head = tensor_head(data, size_bytes)
    if isinstance(head, str):
        return Misfit("bad_tensor", f"is no tensor: {head}", "encode it with sandbox.tensors.encode")
    if port.dtype not in (None, head.dtype) or not _shapes_fit(head.shape, port.shape):
        is_, wants = _described(head.dtype, head.shape), _described(port.dtype, port.shape)
        return Misfit("wrong_size", f"is {is_}, the port takes {wants}", f"pass {wants}")
    return None


def _check_capabilities(graph: Graph, catalogue: Catalogue, report: Report) -> None:
    first: dict[CapabilityName, Node] = {}
    needed = Counter(node.capability for node in graph.nodes if node.capability not in catalogue)
    for node in graph.nodes:
        first.setdefault(node.capability, node)
    for name, count in needed.items():
        place = place_of(first[name]) + (f" and {count - 1} more" if count > 1 else "")
        remedy = "deploy an agent that offers it"
        report.add_unknown(
            "unknown_capability", place, f"nobody offers {spoken(name)}", name, catalogue, remedy
        )


def _check_edge(edge: Edge, nodes: Nodes, board: _Board, report: Report) -> None:
    out, into = board.output(edge.source, edge), board.input(edge.target, edge)
    if into is None:
        return
    merges = nodes[edge.target.node].firing is Firing.MERGE
    if edge.bond is not Bond.STRICT and not (into.optional or into.many or merges):
        message = (
            f"its bond is {edge.bond.value}, so the value may be missing, but the port must be given one"
        )
        report.add("weak_bond", edge, message, "use bond strict, or an optional or `many` port")
    if out is not None and not _ports_fit(out, into):
        message = f"it carries {_spoken_port(out)}, the port takes {_spoken_port(into)}"
        remedy = "connect ports of one kind, or put a node between them that converts"
        report.add("wrong_kind", edge, message, remedy)


class _Board:
    """Finds ports by their endpoints, and reports those that are not there."""

    def __init__(self, nodes: Nodes, catalogue: Catalogue, report: Report) -> None:
        self._report = report
        self._capability = {name: node.capability for name, node in nodes.items()}
        used = set(self._capability.values()) & catalogue.keys()
        self._inputs = {name: {port.name: port for port in catalogue[name].inputs} for name in used}
        self._outputs = {name: {port.name: port for port in catalogue[name].outputs} for name in used}
        self._required = {
            name: tuple(port.name for port in ports.values() if not port.optional)
            for name, ports in self._inputs.items()
        }

    def input(self, end: Endpoint, place: Place) -> Port | None:
        return self._find(self._inputs, "input", end, place)

    def output(self, end: Endpoint, place: Place) -> Port | None:
        return self._find(self._outputs, "output", end, place)

    def required(self, node: Node) -> tuple[PortName, ...]:
        """The inputs of a node that must be given a value."""
        return self._required.get(node.capability, ())

    def _find(self, ports: _Ports, what: str, end: Endpoint, place: Place) -> Port | None:
        known = ports.get(self._capability.get(end.node, _NOBODY))
        if known is None:
            return None  # an unknown node or capability, which is reported as such
        if (port := known.get(end.port)) is None:
            message = f"{self._capability[end.node]} has no {what} {spoken(end.port)}"
            remedy = f"its {what}s are: {listed(known)}"
            self._report.add_unknown("unknown_port", place, message, end.port, known, remedy)
        return port


def _ports_fit(out: Port, into: Port) -> bool:
    if "any" in (out.kind, into.kind):
        return True
    return (
        out.kind == into.kind
        and (None in (out.dtype, into.dtype) or out.dtype == into.dtype)
        and (out.shape is None or _shapes_fit(out.shape, into.shape))
    )


def _shapes_fit(shape: _Shape, wanted: _Shape | None) -> bool:
    if wanted is None:
        return True
    return len(shape) == len(wanted) and all(
        None in (size, want) or size == want for size, want in zip(shape, wanted, strict=True)
    )


def _spoken_port(port: Port) -> str:
    return port.kind if port.kind != "tensor" else f"tensor {_described(port.dtype, port.shape)}"


def _described(dtype: str | None, shape: _Shape | None) -> str:
    sizes = (
        "any shape"
        if shape is None
        else f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
    )
    return f"{dtype or 'any dtype'} {sizes}"
