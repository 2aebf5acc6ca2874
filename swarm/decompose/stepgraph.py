"""The graph of a program or of a document of steps: one node per step that a deployed capability can do.

A step's arguments become constants of its node, or edges from the ports they name; a need that names no port
becomes an edge between the ports that fit best. A step nothing can do is passed over: what it needed is given
to the steps that need it, and all of this is told, because such a graph does less than what was written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from swarm.decompose.building import (
    Built,
    best_ports,
    capabilities_of,
    closed,
    fits,
    node_name,
    nothing_fits,
    told,
)
from swarm.decompose.naming import Names
from swarm.decompose.parse.steps import Given, Step, StepList
from swarm.decompose.records import SubTask
from swarm.graph import Catalogue, Edge, Endpoint, Node, NodeName, Payload, Port, PortName, Signature
from swarm.ids import CapabilityName

WORDS_CHARS_MAX: Final = 80  # of an action, where it is shown
UNTOLD: Final = frozenset({"print", "console.log", "fmt.Println", "len", "str", "int", "open", "range"})
"""Glue that programs are full of; that no capability does it is nothing to tell."""


@dataclass(slots=True)
class _Plan:
    """A graph as it grows, and what is told of it."""

    catalogue: Catalogue
    nodes: dict[str, Node] = field(default_factory=dict)  # by the name of the step
    edges: list[Edge] = field(default_factory=list)
    fed: set[Endpoint] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)

    def signature(self, step: str) -> Signature:
        return self.catalogue[self.nodes[step].capability]


def build_steps(found: StepList, catalogue: Catalogue, title: str = "request") -> Built:
    """The graph of these steps over what is deployed; raises NotFound if nothing of it can be mapped."""
    names = Names(capabilities_of(catalogue))
    plan = _Plan(catalogue)
    origins: dict[NodeName, SubTask] = {}
    for step in found.steps:
        meaning = names.meaning(step.action)
        if meaning is None:
            if step.action not in UNTOLD:
                plan.left_out.append(f"no capability for: {_words(step)} ({step.place})")
            continue
        name = node_name(step.name, (node.name for node in plan.nodes.values()))
        node = Node(name, CapabilityName(meaning.capability))
        by_words = meaning.confidence < 1.0  # a name alone tells an agent nothing it does not know
        signature = catalogue[node.capability]
        plan.nodes[step.name] = told(node, signature, step.action) if by_words else node
        origins[name] = SubTask(meaning.capability, f"{_words(step)} ({step.place})", meaning.confidence)
    if not plan.nodes:
        raise nothing_fits(catalogue)
    steps = {step.name: step for step in found.steps}
    for done in plan.nodes:
        _connect(plan, steps[done], steps)
    return Built(
        closed(title, list(plan.nodes.values()), plan.edges, catalogue), tuple(plan.left_out), origins
    )


def _words(step: Step) -> str:
    return " ".join(step.action.split())[:WORDS_CHARS_MAX]


def _connect(plan: _Plan, step: Step, steps: Mapping[str, Step]) -> None:
    """Gives one node what its step is given: named arguments first, then by place, then its other needs."""
    inputs = plan.signature(step.name).inputs
    done: set[str] = set()
    loose: list[Given] = []
    for given in step.given:
        port = next((each for each in inputs if each.name == given.port), None)
        if port is None:
            loose.append(given)
        else:
            _feed(plan, step, given, port, steps, done)
    for given in loose:
        _feed_by_place(plan, step, given, steps, done)
    for need in step.needs:
        if need in done:
            continue
        for source in _sources(plan, need, steps):
            _join(plan, source, step, None, "")


def _feed_by_place(plan: _Plan, step: Step, given: Given, steps: Mapping[str, Step], done: set[str]) -> None:
    """An argument whose name no port has: a result goes where it fits, a constant into the next open port."""
    if given.source:
        return  # its need is still there, and is joined where it fits best
    node = plan.nodes[step.name]
    taken = {port for port, _ in node.literals} | {end.port for end in plan.fed if end.node == node.name}
    count = len([each for each in step.given if not each.port])
    free = [port for port in plan.signature(step.name).inputs if port.name not in taken]
    if given.port or count == 0 or not free:
        plan.left_out.append(f"{node.name} takes no {given.port or 'further argument'} ({step.place})")
        return
    place = [each for each in step.given if not each.port].index(given)
    inputs = plan.signature(step.name).inputs
    port = inputs[place] if place < len(inputs) and inputs[place] in free else free[-1]
    _feed(plan, step, given, port, steps, done)


def _feed(
    plan: _Plan, step: Step, given: Given, port: Port, steps: Mapping[str, Step], done: set[str]
) -> None:
    node = plan.nodes[step.name]
    if given.source:
        done.add(given.source)
        for source in _sources(plan, given.source, steps):
            _join(plan, source, step, port, given.field)
    elif port.kind in ("json", "any") and not port.many:
        value = Payload("json", given.json.encode())
        plan.nodes[step.name] = replace(node, literals=(*node.literals, (PortName(port.name), value)))
    else:
        plan.left_out.append(f"{node.name}.{port.name} takes {port.kind}, not {given.json} ({step.place})")


def _sources(plan: _Plan, need: str, steps: Mapping[str, Step]) -> Sequence[str]:
    """The step itself if a node does it; else, through steps nothing can do, those it needs in turn."""
    found: list[str] = []
    waiting, seen = [need], {need}
    while waiting:
        name = waiting.pop(0)
        if name in plan.nodes:
            found.append(name)
            continue
        for each in steps[name].needs:
            if each not in seen:
                seen.add(each)
                waiting.append(each)
    return found


def _join(plan: _Plan, source: str, target: Step, port: Port | None, part: str) -> None:
    gives, takes = plan.signature(source), plan.signature(target.name)
    one, two = plan.nodes[source].name, plan.nodes[target.name].name
    closed_ports = plan.fed | {Endpoint(two, name) for name, _ in plan.nodes[target.name].literals}
    pair: tuple[Port, Port] | None
    if port is None:
        pair = best_ports(gives, takes, two, closed_ports)
    else:
        named = next((each for each in gives.outputs if each.name == part.partition(".")[0]), None)
        fitting = [each for each in ([named] if named else gives.outputs) if fits(each, port)]
        free = port.many or Endpoint(two, port.name) not in closed_ports
        pair = (fitting[0], port) if fitting and free else None
    if pair is None:
        plan.left_out.append(f"{one} gives nothing that {two} still takes ({target.place})")
        return
    plan.edges.append(Edge(Endpoint(one, pair[0].name), Endpoint(two, pair[1].name)))
    plan.fed.add(plan.edges[-1].target)
