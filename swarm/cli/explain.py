"""`swarm explain`: what a task means before it runs, and why a step of a run is where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from swarm.cli.engines import EngineChoice, EngineName, LlmKey, LlmUrl, ModelFile, Wanted
from swarm.cli.options import Cluster, Json
from swarm.cli.output import Output, table
from swarm.cli.understanding import catalogue_of, understand
from swarm.client import PlacingInfo, Swarm
from swarm.client.profile import profile_path

EXAMPLES: Final = """\
  swarm explain "Split the text, then write a report"       what it means, and how much work it is
  swarm explain run-01j9... classify                        why that step is where it is
  swarm explain run-01j9... classify --json | jq '.candidates[] | {node, why_not}'
"""


_HOW: Final = {
    "": "",
    "greedy": "",
    "home": ", whatever the scores: the leader's own node idled while the run was written down",
    "spare": ", as a second attempt beside one that is late",
}


def explain(
    subject: Annotated[
        str,
        typer.Argument(metavar="RUN|TASK", help="A run, with a step of it; or a task as of `swarm plan`."),
    ],
    step: Annotated[
        str, typer.Argument(metavar="[STEP]", help="A step of the run; `swarm runs show` has them.")
    ] = "",
    engine: EngineChoice = EngineName.AUTO,
    model: ModelFile = None,
    llm: LlmUrl = "",
    llm_key: LlmKey = "",
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """What a task means, wants and takes; or why a step went to its node.

    Of a task: its intent, what its clauses do to what, and the complexity of its graph. Of a step: each term
    of each node's score, the runner-up, and why not the others.
    """
    if not step:
        _explain_task(
            subject, Wanted(engine, model, llm, llm_key, profile_path(cluster)), cluster, as_json=as_json
        )
        return
    with Swarm.open(cluster) as swarm:
        found = swarm.attach(subject).explain(step)
    names = list(dict.fromkeys(name for each in found.candidates for name in each.terms))
    rows = [
        (each.node, *(f"{each.terms[name]:.3f}" for name in names), f"{each.score:.3f}", each.why_not)
        if not each.why_not
        else (each.node, *("" for _ in names), "", each.why_not)
        for each in found.candidates
    ]
    columns = ("node", *(f"{name}#" for name in names), "score#", "why not")
    Output(as_json=as_json).give(found, table=table(*columns, rows=rows), text=_verdict(found))


def _explain_task(task: str, wanted: Wanted, cluster: Path | None, *, as_json: bool) -> None:
    with Swarm.open(cluster) as swarm:
        agents = swarm.agents()
        found = understand(task, catalogue_of(agents), wanted).foreseen(swarm, agents)
    Output(as_json=as_json).give(found.explained(), text="\n".join(found.explanation()))


def _verdict(found: PlacingInfo) -> str:
    head = f"{found.step} ({found.capability}) is {found.status}"
    if found.note:
        head += f": {found.note}"
    if found.node is None:
        return f"{head}\nno node can take it" if found.candidates else head
    verb = "went to" if found.placed else "would go to"
    second = f"the runner-up is {found.runner_up}" if found.runner_up else "no other node could take it"
    how = _HOW.get(found.how, f", chosen for several steps together ({found.how})")
    return f"{head}\nit {verb} {found.node}{how}; {second}"
