"""Graphs for tests: small ones spelled out, and random ones of every kind the scheduler must survive.

All of them speak to one sort of agent, `model_agent`: whatever arrives is gathered by its port `all`,
its port `out` gives one value to every edge, its port `parts` gives one value to each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import TypeAlias

from swarm.graph import (
    Bond,
    Edge,
    Endpoint,
    Graph,
    Items,
    Node,
    NodeName,
    OnFailure,
    Outlet,
    Payload,
    Port,
    PortName,
    Retry,
    Signature,
)
from swarm.ids import AgentName, CapabilityName, Digest
from swarm.scheduler.events import AgentRecord

OUT, PARTS, ALL = PortName("out"), PortName("parts"), PortName("all")
CAPABILITIES = (CapabilityName("model:a"), CapabilityName("model:b"), CapabilityName("model:c"))

EdgeText: TypeAlias = tuple[str, str] | tuple[str, str, Bond]
"""From which step to which, and by what bond; strict where none is given."""


def model_agent(*capabilities: CapabilityName, name: str = "", layers: Collection[str] = ()) -> AgentRecord:
    """An agent that offers capabilities with the ports named at the head of this module."""
    name = name or "-".join(capability.partition(":")[2] for capability in capabilities)
    return AgentRecord(
        name=AgentName(name),
        version="1",
        digest=Digest(hashlib.sha256(name.encode()).hexdigest()),
        kind="python",
        size_bytes=1,
        capabilities=tuple(
            Signature(
                capability,
                (Port(ALL, many=True, optional=True),),
                (Port(OUT), Port(PARTS, many=True)),
            )
            for capability in capabilities
        ),
        memory_mb=1,
        cpu_cores=0.1,
        layers=frozenset(layers),
    )


def model_reply(
    name: str, inputs: Mapping[str, Items], scatter: Collection[tuple[str, int]]
) -> dict[str, Items]:
    """What a model agent answers: one short line that depends on everything it was given."""
    given = inputs.get(ALL, ())
    parts = [given] if isinstance(given, Payload) else list(given)
    said = hashlib.sha256(b"|".join(part.data for part in parts)).hexdigest()[:8]
    count = dict(scatter).get(PARTS, 0)
    return {
        OUT: Payload("bytes", f"{name}:{said}".encode()),
        PARTS: tuple(Payload("bytes", f"{name}[{i}]:{said}".encode()) for i in range(count)),
    }


def small_graph(
    steps: str | Collection[Node],
    *edges: EdgeText,
    on_failure: OnFailure = OnFailure.STOP,
    outlets: str = "",
) -> Graph:
    """A graph spelled out: `small_graph("a b c", ("a", "b"), ("b", "c", Bond.LOOSE))`."""
    nodes = (
        tuple(Node(NodeName(step), CAPABILITIES[0]) for step in steps.split())
        if isinstance(steps, str)
        else tuple(steps)
    )
    return Graph(
        "small",
        nodes,
        tuple(_edge(edge[0], edge[1], edge[2] if len(edge) == 3 else Bond.STRICT, OUT) for edge in edges),
        outlets=tuple(Outlet(step, Endpoint(NodeName(step), OUT)) for step in outlets.split()),
        on_failure=on_failure,
    )


def wide_graph(size: int, capability: CapabilityName = CAPABILITIES[0]) -> Graph:
    """Steps that know nothing of each other."""
    return Graph("wide", tuple(Node(NodeName(f"s{i}"), capability) for i in range(size)))


def chain_graph(size: int) -> Graph:
    """Steps one after the other."""
    names = [f"s{i}" for i in range(size)]
    return small_graph(" ".join(names), *pairwise(names))


def random_graph(
    dice: Random,
    steps_max: int,
    timeouts_ms: Sequence[int] = (500, 5_000),
    bonds: Sequence[Bond] = tuple(Bond),
) -> Graph:
    """Any graph without a loop: bonds, scattering, gathering, capabilities and policies by dice."""
    size = dice.randint(1, steps_max)
    names = [NodeName(f"s{i}") for i in range(size)]
    nodes = [
        Node(
            name,
            dice.choice(CAPABILITIES),
            retry=Retry(attempts_max=dice.randint(1, 3), backoff_ms=dice.choice((0, 50))),
            timeout_ms=dice.choice(timeouts_ms),
        )
        for name in names
    ]
    edges = []
    for target in range(1, size):
        for source in dice.sample(range(target), dice.randint(0, min(target, 3))):
            port = dice.choice((OUT, PARTS))
            edges.append(_edge(names[source], names[target], dice.choice(bonds), port))
    dice.shuffle(nodes)  # the order they are written in must not matter
    outlets = tuple(Outlet(name, Endpoint(name, OUT)) for name in names if dice.random() < 0.2)
    return Graph(
        "random", tuple(nodes), tuple(edges), outlets=outlets, on_failure=dice.choice(tuple(OnFailure))
    )


def _edge(source: str, target: str, bond: Bond, port: PortName) -> Edge:
    return Edge(Endpoint(NodeName(source), port), Endpoint(NodeName(target), ALL), bond)
