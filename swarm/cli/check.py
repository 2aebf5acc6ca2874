"""`swarm check`: is this graph runnable?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from swarm import limits
from swarm.cli.options import Cluster, Json
from swarm.cli.output import Output
from swarm.client import Swarm
from swarm.doors import document
from swarm.errors import ConfigRefused, GraphRefused, TooLarge
from swarm.graph import Graph, digest, problems, unsupported

GraphFile = Annotated[Path, typer.Argument(metavar="GRAPH", help="A task document: YAML or JSON.")]

EXAMPLES: Final = """\
  swarm check graph.yaml              against the capabilities the cluster offers
  swarm check graph.yaml --offline    its shape alone
"""


def check(
    graph: GraphFile,
    offline: Annotated[
        bool, typer.Option("--offline", help="Without asking a cluster what it offers.")
    ] = False,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Say everything that is wrong with a graph, each problem with its place and remedy."""
    found = read_graph(graph)
    catalogue = None
    if not offline:
        with Swarm.open(cluster) as swarm:
            catalogue = {
                capability.name: capability for agent in swarm.agents() for capability in agent.capabilities
            }
    wrong = [*problems(found, catalogue), *unsupported(found)]
    if wrong:
        raise GraphRefused(
            f"graph {found.name!r} cannot run", place=str(graph), remedy=wrong[0].remedy, problems=wrong
        )
    takes = sorted({feed.name for feed in found.feeds})
    gives = [outlet.name for outlet in found.outlets]
    facts = {
        "graph": found.name,
        "digest": digest(found),
        "steps": len(found.nodes),
        "edges": len(found.edges),
        "inputs": takes,
        "outputs": gives,
        "checked_against_cluster": catalogue is not None,
    }
    Output(as_json=as_json).give(
        facts,
        text=f"{found.name} can run: {len(found.nodes)} steps, {len(found.edges)} edges\n"
        f"  takes {', '.join(takes) or 'nothing'}; gives {', '.join(gives) or 'nothing'}"
        + ("" if catalogue is not None else "\n  (capabilities were not looked at: --offline)"),
    )


def read_graph(path: Path) -> Graph:
    """The graph in a task document; raises `GraphRefused` with line and remedy of every problem."""
    try:
        with path.open("rb") as file:
            data = file.read(limits.GRAPH_BYTES_MAX + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise ConfigRefused(
            f"the graph cannot be read: {error.strerror or error}", place=str(path), remedy="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise GraphRefused(
            f"byte {error.start} is not UTF-8 text", place=str(path), remedy="save it as UTF-8"
        ) from error
    if len(data) > limits.GRAPH_BYTES_MAX:
        raise TooLarge(f"more than {limits.GRAPH_BYTES_MAX} bytes", place=str(path), remedy="split the work")
    try:
        return document.load(text, form="json" if path.suffix == ".json" else None)
    except GraphRefused as error:
        error.place = str(path)
        raise
