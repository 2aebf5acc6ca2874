"""DAGBuilder: a decomposition and what is deployed, as a graph that the scheduler accepts.

Every dependency becomes an edge between two ports that fit each other; an input that nothing feeds
becomes an input of the whole graph; what nobody takes becomes its result. A dependency whose two
ends share no kind of data is left out and told, as is every clause that no capability offers: the
person who agrees to the graph must see what it does not do.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from swarm.decompose.lexicon import KIND_OF_WORD
from swarm.decompose.parse.steps import constant
from swarm.decompose.records import Capability, Decomposition, SubTask
from swarm.errors import NotFound
from swarm.graph import (
    Catalogue,
    Edge,
    Endpoint,
    Feed,
    Graph,
    Node,
    NodeName,
    Outlet,
    Payload,
    Port,
    PortName,
    Signature,
)
from swarm.ids import CapabilityName

INSTRUCTION: Final = PortName("instruction")  # an input of this name is given the words that ask for the step
NAME_CHARS: Final = 40  # of a node, before what tells it from others of that name
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Built:
    """A graph, and in plain words what of the request it leaves out."""

    graph: Graph
    left_out: tuple[str, ...]
    origins: Mapping[NodeName, SubTask]  # what each node is there for


def capabilities_of(catalogue: Catalogue) -> list[Capability]:
    """What is deployed, as engines know it: the kinds of data are told by the names of the ports."""
    return [
        Capability(
            name,
            f"{signature.description} {_described(signature)}".strip(),
            tuple(_kind(port) for port in signature.inputs if not port.optional and port.name != INSTRUCTION),
            tuple(_kind(port) for port in signature.outputs),
        )
        for name, signature in sorted(catalogue.items())
    ]


def build_graph(found: Decomposition, catalogue: Catalogue, title: str = "request") -> Built:
    """The graph of a decomposition; raises NotFound if nothing of the request could be mapped."""
    left_out = [f"no capability for: {clause}" for clause in found.unmapped]
    steps = _steps(found.subtasks, catalogue, left_out)
    if not steps:
        raise nothing_fits(catalogue)
    edges = _edges(found, steps, left_out)
    words = {subtask.capability: subtask for subtask in found.subtasks}
    nodes = [
        told(Node(name, signature.name), signature, words[capability].words)
        for capability, (name, signature) in steps.items()
    ]
    origins = {name: words[capability] for capability, (name, _) in steps.items()}
    return Built(closed(title, nodes, edges, catalogue), tuple(left_out), origins)


def nothing_fits(catalogue: Catalogue) -> NotFound:
    """Nothing of a request could be mapped; says what there is."""
    offered = ", ".join(sorted(catalogue)) or "nothing"
    return NotFound(
        "nothing that is deployed does what this asks for",
        place="request",
        remedy=f"say it in other words, or deploy an agent for it; offered are: {offered}",
    )


def told(node: Node, signature: Signature, words: str) -> Node:
    """The node, told in the request's own words what is wanted of it, where its agent asks for that."""
    port = signature.input(INSTRUCTION)
    if port is None or port.kind not in {"json", "any"} or port.many:
        return node
    value = Payload("json", constant(words).encode())
    return replace(node, literals=(*node.literals, (INSTRUCTION, value)))


def closed(title: str, nodes: Sequence[Node], edges: Sequence[Edge], catalogue: Catalogue) -> Graph:
    """These nodes and edges as a graph: what nothing feeds is its input, what nobody takes its result."""
    fed = {edge.target for edge in edges}
    fed |= {Endpoint(node.name, port) for node in nodes for port, _ in node.literals}
    steps = [(node.name, catalogue[node.capability]) for node in nodes]
    feeds = [
        Feed(port.name, Endpoint(name, port.name))
        for name, signature in steps
        for port in signature.inputs
        if not port.optional and Endpoint(name, port.name) not in fed
    ]
    return Graph(title, tuple(nodes), tuple(edges), tuple(feeds), tuple(_outlets(steps, edges)))


_Step = tuple[NodeName, Signature]


def _steps(subtasks: Sequence[SubTask], catalogue: Catalogue, left_out: list[str]) -> dict[str, _Step]:
    steps: dict[str, _Step] = {}
    for subtask in subtasks:
        signature = catalogue.get(CapabilityName(subtask.capability))
        if signature is None:
            left_out.append(f"{subtask.capability} is not deployed: {subtask.words}")
            continue
        taken = {name for name, _ in steps.values()}
        steps.setdefault(subtask.capability, (node_name(signature.name.partition(":")[2], taken), signature))
    return steps


def node_name(wanted: str, taken: Iterable[str]) -> NodeName:
    """A name for a node, as near to the wanted one as may be."""
    base = _NOT_A_NAME.sub("_", wanted).strip("_")[:NAME_CHARS] or "step"
    used = set(taken)
    name, count = base, 1
    while name in used:
        count += 1
        name = f"{base}_{count}"
    return NodeName(name)


def _edges(found: Decomposition, steps: Mapping[str, _Step], left_out: list[str]) -> list[Edge]:
    edges: list[Edge] = []
    fed: set[Endpoint] = set()
    for link in found.dependencies:
        if link.source not in steps or link.target not in steps:
            continue
        (source, gives), (target, takes) = steps[link.source], steps[link.target]
        pair = best_ports(gives, takes, target, fed)
        if pair is None:
            left_out.append(f"{source} gives nothing that {target} still takes")
            continue
        edges.append(Edge(Endpoint(source, pair[0].name), Endpoint(target, pair[1].name)))
        fed.add(edges[-1].target)
    return edges


def best_ports(
    gives: Signature, takes: Signature, target: NodeName, fed: Collection[Endpoint]
) -> tuple[Port, Port] | None:
    """The two ports that fit best: of one name, then of one kind; a single input takes one edge."""
    free = [
        port
        for port in takes.inputs
        if (port.many or Endpoint(target, port.name) not in fed) and port.name != INSTRUCTION
    ]
    pairs = [(one, two) for one in gives.outputs for two in free if fits(one, two)]
    return max(pairs, key=lambda pair: _closeness(*pair), default=None)


def _closeness(one: Port, two: Port) -> tuple[bool, bool, bool]:
    return one.name == two.name or _kind(one) == _kind(two), one.kind == two.kind, not two.optional


def fits(one: Port, two: Port) -> bool:
    """Whether what leaves the first port may enter the second."""
    if one.many:  # a list is scattered over as many edges as it has items; a sentence does not say how many
        return False
    if "any" not in (one.kind, two.kind) and one.kind != two.kind:
        return False
    if None not in (one.dtype, two.dtype) and one.dtype != two.dtype:
        return False
    if one.shape is None or two.shape is None:
        return True
    return len(one.shape) == len(two.shape) and all(
        a is None or b is None or a == b for a, b in zip(one.shape, two.shape, strict=True)
    )


def _outlets(steps: Iterable[_Step], edges: Sequence[Edge]) -> Iterable[Outlet]:
    """Every output nobody takes of the steps that nobody follows."""
    followed = {edge.source.node for edge in edges}
    last = [(name, port) for name, signature in steps if name not in followed for port in signature.outputs]
    names = [port.name for _, port in last]
    for node, port in last:
        single = names.count(port.name) == 1
        yield Outlet(port.name if single else f"{node}.{port.name}", Endpoint(node, port.name))


def _described(signature: Signature) -> str:
    words = [
        signature.name.replace(":", " "),
        *(port.name for port in (*signature.inputs, *signature.outputs)),
    ]
    return " ".join(_NOT_A_NAME.sub(" ", word) for word in words).replace("_", " ")


def _kind(port: Port) -> str:
    for word in _NOT_A_NAME.sub(" ", port.name).replace("_", " ").lower().split():
        kind = KIND_OF_WORD.get(word) or KIND_OF_WORD.get(word.removesuffix("s"))
        if kind:
            return kind
    return port.name
