"""The demo's task as a graph: cut the images apart, classify each by itself, find the doubtful, report.

images -> split -+-> classify-000 -+-> doubtful -> report -> report
                 +-> classify-001 -+       |          ^
                 +-> ...           -+------|----------+
labels ------------------------------------|----------+
                                           +-> doubtful
"""

from __future__ import annotations

from swarm.graph import Edge, Endpoint, Feed, Graph, Node, NodeName, Outlet, Payload, PortName
from swarm.ids import CapabilityName

NAME = "digits"


def digits_graph(parts: int) -> Graph:
    """A graph of `parts` classifications and three steps around them."""
    classify = [f"classify-{number:03d}" for number in range(parts)]
    split = Node(
        NodeName("split"),
        CapabilityName("data:split"),
        literals=((PortName("parts_count"), Payload("json", str(parts).encode())),),
    )
    nodes = [
        split,
        *(Node(NodeName(name), CapabilityName("vision:digit")) for name in classify),
        Node(NodeName("doubtful"), CapabilityName("vision:doubtful")),
        Node(NodeName("report"), CapabilityName("report:per-digit")),
    ]
    edges = [
        *(_edge("split", "parts", name, "image") for name in classify),
        *(_edge(name, "scores", "doubtful", "scores") for name in classify),
        *(_edge(name, "scores", "report", "scores") for name in classify),
        _edge("doubtful", "doubtful", "report", "doubtful"),
    ]
    return Graph(
        name=NAME,
        nodes=tuple(nodes),
        edges=tuple(edges),
        feeds=(Feed("images", _port("split", "images")), Feed("labels", _port("report", "labels"))),
        outlets=(
            Outlet("report", _port("report", "report")),
            Outlet("doubtful", _port("doubtful", "doubtful")),
        ),
    )


def _edge(source: str, out: str, target: str, into: str) -> Edge:
    return Edge(_port(source, out), _port(target, into))


def _port(node: str, port: str) -> Endpoint:
    return Endpoint(NodeName(node), PortName(port))
