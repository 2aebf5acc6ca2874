"""`swarm nodes`: the daemons."""

from __future__ import annotations

from typing import Final

from swarm.cli.options import Cluster, Json
from swarm.cli.output import Output, table
from swarm.client import Swarm

EXAMPLES: Final = """\
  swarm nodes
  swarm nodes --json | jq '.[] | select(.state != "attached")'
"""


def nodes(cluster: Cluster = None, as_json: Json = False) -> None:
    """Every daemon: its role, how busy it is, which sandbox layers really hold there."""
    with Swarm.open(cluster) as swarm:
        found = swarm.nodes()
    rows = [
        (
            node.node,
            node.address,
            node.role,
            node.state,
            f"{node.in_flight}/{node.slots}",
            node.steps_done,
            f"{node.load:.2f}",
            node.tier,
            ", ".join(node.agents),
        )
        for node in found
    ]
    columns = ("node", "address", "role", "state", "in flight#", "done#", "load#", "sandbox", "agents")
    Output(as_json=as_json).give(found, table=table(*columns, rows=rows))
