"""Do the values given to a graph fit it? Names, kinds, sizes; every problem at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from swarm import limits
from swarm.errors import Problem
from swarm.graph.model import Catalogue, Graph, Items, Payload, Port
from swarm.graph.names import PAYLOAD_KINDS, listed, spoken
from swarm.graph.ports import payload_misfit
from swarm.graph.reference import REF
from swarm.graph.report import Report

_Feeds: TypeAlias = dict[str, dict[Port, str]]
"""The different ports each input goes to, each with one place where it is met."""


def input_problems(graph: Graph, catalogue: Catalogue, inputs: Mapping[str, Items]) -> list[Problem]:
    """Every reason why `inputs` cannot be fed to `graph`; missing ports are the business of `problems`."""
    report = Report()
    known: tuple[Catalogue, _Feeds] | None = graph.derived.get("feeds")
    if known is None or known[0] is not catalogue:
        known = graph.derived["feeds"] = catalogue, _ports_by_feed(graph, catalogue)
    ports = known[1]
    for name, targets in ports.items():
        if name not in inputs:
            report.add(
                "missing_input", f"input {spoken(name)}", "it has no value", "pass a value with this name"
            )
        else:
            _check_value(name, inputs[name], targets, report)
    for name in inputs:
        if name not in ports:
            message, remedy = "the graph has no such input", f"its inputs are: {listed(ports)}"
            report.add_unknown("unknown_input", f"input {spoken(name)}", message, name, ports, remedy)
    total = sum(len(payload.data) for items in inputs.values() for payload in _payloads(items))
    if total > limits.RUN_INPUT_BYTES_MAX:
        message = f"{total} bytes together, at most {limits.RUN_INPUT_BYTES_MAX}"
        report.add("too_large", "inputs", message, "split the work over several runs")
    return report.problems


def _ports_by_feed(graph: Graph, catalogue: Catalogue) -> _Feeds:
    capability = {node.name: node.capability for node in graph.nodes}
    found: _Feeds = {}
    for feed in graph.feeds:
        ports = found.setdefault(feed.name, {})
        node, name = feed.target
        signature = catalogue.get(capability[node]) if node in capability else None
        port = signature.input(name) if signature else None
        if port is not None and port not in ports:
            ports[port] = str(feed.target)
    return found


def _check_value(name: str, items: Items, ports: Mapping[Port, str], report: Report) -> None:
    if (
        isinstance(items, Payload)
        and len(items.data) <= limits.PAYLOAD_INLINE_BYTES_MAX
        and items.kind in PAYLOAD_KINDS
        and all(port.kind == "any" for port in ports)
    ):
        return  # nearly every value of a large run: nothing to say, hence nothing to put into words
    place = f"input {spoken(name)}"
    payloads = _payloads(items)
    for payload in payloads:
        if payload.kind != REF and (size := len(payload.data)) > limits.PAYLOAD_INLINE_BYTES_MAX:
            message = f"{size} bytes, at most {limits.PAYLOAD_INLINE_BYTES_MAX} travel inline"
            report.add("too_large", place, message, "upload it and pass a reference, as `Swarm.submit` does")
            return
    for port, target in ports.items():
        if not port.many and not isinstance(items, Payload):
            message = f"{len(payloads)} values, {target} takes one"
            report.add("wrong_kind", place, message, "pass one value")
            continue
        for misfit in dict.fromkeys(filter(None, (payload_misfit(payload, port) for payload in payloads))):
            report.add(misfit.code, place, f"its value for {target} {misfit.message}", misfit.remedy)


def _payloads(items: Items) -> tuple[Payload, ...]:
    return (items,) if isinstance(items, Payload) else items
