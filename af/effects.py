"""Capabilities that tell what became of an attempt at another one, which must not run twice."""

from collections.abc import Iterator
from typing import Final

from af.errors import Problem
from af.header import Header
from af.records import Capability

INTENT: Final = "intent"  # the port on which an attempt gets its identity
OUTCOME: Final = "outcome"  # the port on which the agent says what became of it


def reconcile_problems(header: Header) -> Iterator[Problem]:
    """Everything that is wrong with the `reconcile` of a file's capabilities."""
    offered = {capability.name: capability for capability in header.capabilities}
    for number, capability in enumerate(header.capabilities):
        if capability.reconcile is None:
            continue
        place = f"header: capabilities[{number}].reconcile"
        if header.kind != "python":
            message = f"an agent of kind {header.kind} has no effects to look up."
            yield Problem(place, message, "remove it; it is for Python agents.")
        elif capability.effects != "once":
            message = "what may run twice is run again."
            yield Problem(place, message, "remove it, or say `effects: once`.")
        elif (asked := offered.get(capability.reconcile)) is None:
            message = f"{capability.reconcile} is not among the file's capabilities."
            yield Problem(place, message, "add it to them.")
        else:
            yield from _port_problems(place, capability, asked)


def _port_problems(place: str, capability: Capability, asked: Capability) -> Iterator[Problem]:
    if asked.effects != "none" or asked.deterministic:
        message = f"{asked.name} only looks, and what it sees may change."
        yield Problem(place, message, "leave `effects` and `deterministic` out of it.")
    if asked.inputs != capability.inputs:
        message = f"{asked.name} is given what {capability.name} is given."
        yield Problem(place, message, "give both the same inputs.")
    given = tuple(port for port in asked.outputs if port.name != OUTCOME)
    outcome = [port for port in asked.outputs if port.name == OUTCOME]
    if given != capability.outputs or [port.kind for port in outcome] != ["json"]:
        message = f"{asked.name} gives {OUTCOME} and all that {capability.name} gives."
        remedy = f"give it the same outputs and {{name: {OUTCOME}, kind: json}}."
        yield Problem(place, message, remedy)
    taken = {port.name for port in capability.inputs} & {INTENT}
    taken |= {port.name for port in capability.outputs} & {OUTCOME}
    for name in sorted(taken):
        yield Problem(place, f"the port {name} is the swarm's own here.", "call yours something else.")
