"""`swarm deploy`: offer agents to the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from swarm.cli.options import Cluster, Json
from swarm.cli.output import EXIT_FAILED, Output, leave
from swarm.client import AgentInfo, Swarm

EXAMPLES: Final = """\
  swarm deploy agents/digits/digits.af
  swarm deploy agents/*/*.af
"""


def deploy(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.af...", help="Agent files.")],
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Deploy agents to every node. A file that is not compiled yet is compiled first.

    An agent of the same name is replaced. Succeeds when at least one node hosts each agent.
    """
    out = Output(as_json=as_json)
    deployed: list[AgentInfo] = []
    with Swarm.open(cluster) as swarm:
        for file in files:
            agent = swarm.deploy(file)
            deployed.append(agent)
            hosts = ", ".join(agent.nodes) or "no node"
            out.say(f"{agent.name} {agent.version} ({agent.kind}, {agent.size_bytes} bytes) on {hosts}")
    if as_json:
        out.give(deployed)
    if not all(agent.nodes for agent in deployed):
        out.say("`swarm agents show NAME` says why nodes refused", "yellow")
        leave(EXIT_FAILED)
