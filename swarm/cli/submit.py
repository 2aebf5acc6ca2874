"""`swarm submit`: give the cluster work."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from swarm.cli.engines import EngineChoice, EngineName, LlmKey, LlmUrl, ModelFile, Parts, Wanted
from swarm.cli.inputs import INPUT_HELP, read_inputs
from swarm.cli.lessons import Lessons
from swarm.cli.options import Cluster, Json
from swarm.cli.output import Output
from swarm.cli.understanding import (
    TaskText,
    Understood,
    catalogue_of,
    native_graph,
    show,
    understand,
)
from swarm.client import Event, RunEnded, StepDone, Swarm
from swarm.client.profile import profile_path
from swarm.decompose.strategies.adaptive import AdaptiveEngine
from swarm.errors import Mistake
from swarm.graph import Graph, Priority


class PriorityName(StrEnum):
    """How urgent a run is."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


EXAMPLES: Final = """\
  swarm submit graph.yaml --input image=@seven.npy --wait
  swarm submit graph.yaml --input 'labels:=[7, 2]' --input photo=photo.png
  swarm submit graph.json --key nightly-2026-01-05       safe to repeat
  swarm submit pipeline.py --yes                         a program, as the graph of its calls
  swarm submit "Recognise the digit in the image" --input image=seven.npy --yes --wait
"""


def submit(  # noqa: PLR0913, PLR0917 - an argument per option of the command
    task: TaskText,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", metavar="NAME=...", help=INPUT_HELP)
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it ends; then show what it gave.")] = False,
    priority: Annotated[PriorityName, typer.Option(help="How urgent it is.")] = PriorityName.MEDIUM,
    key: Annotated[str, typer.Option(help="Two submissions with one key are one run.")] = "",
    sign: Annotated[
        bool, typer.Option("--sign", help="Nodes sign the results; `swarm runs verify RUN` checks them.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Run what was understood without asking whether it is right.")
    ] = False,
    engine: EngineChoice = EngineName.AUTO,
    model: ModelFile = None,
    llm: LlmUrl = "",
    llm_key: LlmKey = "",
    parts: Parts = 1,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Submit a graph. When this returns, a majority of the cluster will not forget it.

    A sentence, a program or a list of steps becomes a graph over the agents deployed, which is shown before
    anything runs.
    Without --wait the run's id is printed; `swarm runs show RUN` tells how it stands.
    """
    out = Output(as_json=as_json)
    graph, values = native_graph(task), read_inputs(inputs or ())
    profile = profile_path(cluster)
    wanted = Wanted(engine, model, llm, llm_key, profile, parts)
    with Swarm.open(cluster) as swarm:
        document = graph or _agreed(
            out,
            understand(task, catalogue_of(swarm.agents()), wanted),
            values,
            yes=yes,
            lessons=Lessons(profile, lambda text: out.say(text, "yellow")),
        )
        run = swarm.submit(document, values, priority=Priority[priority.name], key=key, sign=sign)
        if not wait:
            out.give({"run": run.id, "existed": run.existed}, text=run.id)
            return
        out.say(f"{run.id}{' (submitted before)' if run.existed else ''}")
        try:
            ended = follow(out, run.progress())
        except KeyboardInterrupt:
            out.say(f"the run goes on; `swarm runs cancel {run.id}` ends it", "yellow")
            raise
        outputs = run.result()
    out.give({"run": ended.run, "outputs": outputs})
    for name, value in outputs.items():
        out.say(f"{name} = {value}") if not as_json else None


def _agreed(
    out: Output, found: Understood, values: Mapping[str, object], *, yes: bool, lessons: Lessons
) -> Graph:
    """The graph of a task, once a person has seen it and said yes; what they say is learnt from."""
    show(out, found)
    missing = sorted({feed.name for feed in found.graph.feeds} - values.keys())
    if missing:
        raise Mistake(
            f"the graph takes {', '.join(missing)}, which no --input gives",
            place="request",
            remedy=f"add --input {missing[0]}=FILE, or {missing[0]}:=JSON",
        )
    if not yes:
        if out.as_json or not sys.stdin.isatty():
            raise Mistake("nobody is there to agree to it", place="request", remedy="add --yes to run it")
        meant = typer.confirm("run it?")
        if found.found.spoken is not None and isinstance(found.engine, AdaptiveEngine):
            (lessons.agreed if meant else lessons.refused)(found.engine, found.found.spoken)
        if not meant:
            raise typer.Abort
    return found.graph


def follow(out: Output, events: Iterable[Event]) -> RunEnded:
    """Show a run's progress until it ends."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=out.console, transient=True, disable=not out.console.is_terminal
    ) as progress:
        bar = progress.add_task("running", total=None)
        for event in events:
            match event:
                case StepDone():
                    progress.update(bar, total=event.run.steps_total, completed=event.offset + 1)
                case RunEnded():
                    return event
    raise AssertionError("a run's progress ends with RunEnded")
