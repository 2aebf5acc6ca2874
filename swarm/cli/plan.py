"""`swarm plan`: what would run, without running it."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from swarm.cli.engines import EngineChoice, EngineName, LlmKey, LlmUrl, ModelFile, Parts, Wanted
from swarm.cli.options import Cluster, Json
from swarm.cli.output import Output
from swarm.cli.understanding import TaskText, catalogue_of, document_of, show, understand
from swarm.client import Swarm
from swarm.client.profile import profile_path

EXAMPLES: Final = """\
  swarm plan "Split the text, then write a report"
  swarm plan "Recognise the digit" --json
  swarm plan pipeline.py --explain
  swarm plan .github/workflows/ci.yaml
"""


def plan(  # noqa: PLR0913, PLR0917 - an argument per option of the command
    task: TaskText,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="And what the request means, its intent, and how much work it is."),
    ] = False,
    engine: EngineChoice = EngineName.AUTO,
    model: ModelFile = None,
    llm: LlmUrl = "",
    llm_key: LlmKey = "",
    parts: Parts = 1,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Show the graph that a task means over the agents deployed, and what of it could not be mapped."""
    wanted = Wanted(engine, model, llm, llm_key, profile_path(cluster), parts)
    with Swarm.open(cluster) as swarm:
        agents = swarm.agents()
        found = understand(task, catalogue_of(agents), wanted)
        found = found.foreseen(swarm, agents) if explain else found
    out = Output(as_json=as_json)
    if as_json:
        out.give(document_of(found, explained=explain))
    else:
        show(out, found, explained=explain)
