"""`swarm plan`: what would run, without running it."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from swarm.cli.options import Cluster, Json
from swarm.cli.output import Output
from swarm.cli.understanding import ModelFile, TaskText, catalogue_of, document_of, show, understand
from swarm.client import Swarm

EXAMPLES: Final = """\
  swarm plan "Split the text, then write a report"
  swarm plan "Recognise the digit" --json
  swarm plan pipeline.py --explain
  swarm plan .github/workflows/ci.yaml
"""


def plan(
    task: TaskText,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="And what the request means, its intent, and how much work it is."),
    ] = False,
    model: ModelFile = None,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Show the graph that a task means over the agents deployed, and what of it could not be mapped."""
    with Swarm.open(cluster) as swarm:
        found = understand(task, catalogue_of(swarm.agents()), model)
    out = Output(as_json=as_json)
    if as_json:
        out.give(document_of(found, explained=explain))
    else:
        show(out, found, explained=explain)
