"""Graphs for property tests: `wild_graphs` may be nonsense, `sound_graphs` have no structural problem."""

import dataclasses
import json

from hypothesis import strategies as st

from swarm import limits
from swarm.graph import (
    Bond,
    Context,
    Edge,
    Endpoint,
    Feed,
    Firing,
    Graph,
    Node,
    OnFailure,
    Outlet,
    Payload,
    Resources,
    Retry,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,11}", fullmatch=True)
capabilities = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,5}:[a-z0-9][a-z0-9._-]{0,5}", fullmatch=True)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
json_payloads = json_values.map(lambda value: Payload("json", json.dumps(value).encode()))
payloads = json_payloads | st.builds(
    Payload, st.sampled_from(["json", "bytes", "tensor"]), st.binary(max_size=20)
)


def nodes(name, capability, port):
    return st.builds(
        Node,
        name=name,
        capability=capability,
        literals=st.lists(st.tuples(port, payloads), max_size=3, unique_by=lambda pair: pair[0]).map(tuple),
        firing=st.just(Firing.ONCE) if name is not texts else st.sampled_from(Firing),
        resources=st.builds(
            Resources, memory_mb=st.integers(0, 4096), cpu_cores=st.floats(0, 64) | st.integers(0, 4)
        ),
        context=st.builds(
            Context,
            level=st.integers(0, 9),
            domain=name | st.just(""),
            tenant=name | st.just(""),
            permissions=st.frozensets(name, max_size=2),
        ),
        retry=st.builds(
            Retry,
            attempts_max=st.integers(1, limits.ATTEMPTS_MAX),
            backoff_ms=st.integers(0, limits.BACKOFF_MS_MAX),
        ),
        timeout_ms=st.just(limits.STEP_TIMEOUT_MS_DEFAULT) | st.integers(1, limits.STEP_TIMEOUT_MS_MAX),
        layers=st.frozensets(names, max_size=3),
    )


_wild_ends = st.builds(Endpoint, texts, texts)
wild_graphs = st.builds(
    Graph,
    name=texts,
    nodes=st.lists(nodes(texts, texts, texts), max_size=4).map(tuple),
    edges=st.lists(
        st.builds(Edge, _wild_ends, _wild_ends, st.sampled_from(Bond), st.integers(-3, 1 << 70)), max_size=4
    ).map(tuple),
    feeds=st.lists(st.builds(Feed, texts, _wild_ends), max_size=3).map(tuple),
    outlets=st.lists(st.builds(Outlet, texts, _wild_ends), max_size=3).map(tuple),
    on_failure=st.sampled_from(OnFailure),
    annotations=st.dictionaries(texts, texts, max_size=3),
)


@st.composite
def sound_graphs(draw):
    """A DAG of single steps in which every edge and input has a port of its own."""
    found = draw(
        st.lists(nodes(names, capabilities, names), min_size=1, max_size=6, unique_by=lambda node: node.name)
    )
    levels = sorted(
        node.context.level for node in found
    )  # edges lead to later nodes: data only flows upwards
    contexts = [dataclasses.replace(found[0].context, level=level) for level in levels]
    found = [dataclasses.replace(node, context=one) for node, one in zip(found, contexts, strict=True)]
    taken = {Endpoint(node.name, port) for node in found for port, _ in node.literals}

    def fresh(name):
        end = draw(st.builds(Endpoint, st.just(name), names).filter(lambda end: end not in taken))
        taken.add(end)
        return end

    edges = []
    for at, node in enumerate(found):
        for source in draw(st.lists(st.sampled_from(found[:at]), max_size=3)) if at else []:
            out = Endpoint(source.name, draw(names))
            edges.append(Edge(out, fresh(node.name), draw(st.sampled_from(Bond)), draw(st.integers(1, 9))))
    feeds = [
        Feed(draw(st.sampled_from(["x", "y"]) | names), fresh(draw(st.sampled_from(found)).name))
        for _ in range(draw(st.integers(0, 4)))
    ]
    outlets = [
        Outlet(name, Endpoint(draw(st.sampled_from(found)).name, draw(names)))
        for name in draw(st.lists(names, max_size=3, unique=True))
    ]
    return Graph(
        name=draw(names),
        nodes=tuple(found),
        edges=tuple(draw(st.permutations(edges))),
        feeds=tuple(feeds),
        outlets=tuple(outlets),
        on_failure=draw(st.sampled_from(OnFailure)),
        annotations=draw(st.dictionaries(texts, texts, max_size=3)),
    )
