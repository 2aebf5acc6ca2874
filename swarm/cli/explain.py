"""`swarm explain`: why a step of a run is where it is."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from swarm.cli.options import Cluster, Json, RunId
from swarm.cli.output import Output, table
from swarm.client import PlacingInfo, Swarm

EXAMPLES: Final = """\
  swarm explain run-01j9... classify
  swarm explain run-01j9... classify --json | jq '.candidates[] | {node, why_not}'
"""


def explain(
    run_id: RunId,
    step: Annotated[
        str, typer.Argument(metavar="STEP", help="A step of the run; `swarm runs show` has them.")
    ],
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Why a step went to its node: each term of each node's score, the runner-up, and why not the others."""
    with Swarm.open(cluster) as swarm:
        found = swarm.attach(run_id).explain(step)
    names = list(dict.fromkeys(name for each in found.candidates for name in each.terms))
    rows = [
        (each.node, *(f"{each.terms[name]:.3f}" for name in names), f"{each.score:.3f}", each.why_not)
        if not each.why_not
        else (each.node, *("" for _ in names), "", each.why_not)
        for each in found.candidates
    ]
    columns = ("node", *(f"{name}#" for name in names), "score#", "why not")
    Output(as_json=as_json).give(found, table=table(*columns, rows=rows), text=_verdict(found))


def _verdict(found: PlacingInfo) -> str:
    head = f"{found.step} ({found.capability}) is {found.status}"
    if found.note:
        head += f": {found.note}"
    if found.node is None:
        return f"{head}\nno node can take it" if found.candidates else head
    verb = "went to" if found.placed else "would go to"
    second = f"the runner-up is {found.runner_up}" if found.runner_up else "no other node could take it"
    how = "" if found.how in {"", "greedy"} else f", chosen for several steps together ({found.how})"
    return f"{head}\nit {verb} {found.node}{how}; {second}"
