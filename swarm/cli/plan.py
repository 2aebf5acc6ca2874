"""`swarm plan`: what would run, without running it."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from swarm.cli.options import Cluster, Json
from swarm.cli.output import Output
from swarm.cli.understanding import ModelFile, catalogue_of, document_of, show, understand
from swarm.client import Swarm

EXAMPLES: Final = """\
  swarm plan "Split the text, then write a report"
  swarm plan "Recognise the digit" --json
"""


def plan(
    task: Annotated[str, typer.Argument(metavar="TASK", help="What should be done, in a sentence.")],
    model: ModelFile = None,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Show the graph that a sentence means over the agents deployed, and what of it could not be mapped."""
    with Swarm.open(cluster) as swarm:
        found = understand(task, catalogue_of(swarm.agents()), model)
    out = Output(as_json=as_json)
    if as_json:
        out.give(document_of(found))
    else:
        show(out, found)
