"""`swarm runs`: what was submitted and how it went."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from swarm import limits
from swarm.cli.options import Cluster, Json, RunId
from swarm.cli.output import EXIT_FAILED, Output, leave, table
from swarm.client import RunDetails, RunEnded, RunInfo, StepDone, Swarm
from swarm.errors import Conflict

PATH_STEPS_SHOWN = 6

app = typer.Typer(
    help="Runs: `swarm runs`, `swarm runs show RUN`, `swarm runs logs RUN`, `swarm runs cancel RUN`.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


class StatusName(StrEnum):
    """How a run may stand."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@app.callback()
def default(context: typer.Context, cluster: Cluster = None, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        list_runs(cluster=cluster, as_json=as_json)


@app.command("list")
def list_runs(
    status: Annotated[StatusName | None, typer.Option(help="Only runs that stand so.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=limits.LIST_ITEMS_MAX, help="The latest so many.")] = 50,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """The runs the cluster remembers, latest first."""
    with Swarm.open(cluster) as swarm:
        runs = swarm.runs(status.value if status else "", limit)
    rows = [
        (run.id, run.graph, run.status, _steps(run), _moment(run.submitted_ms), run.principal, run.reason)
        for run in runs
    ]
    columns = ("run", "graph", "status", "steps#", "submitted", "by", "reason")
    Output(as_json=as_json).give(runs, table=table(*columns, rows=rows))


@app.command("show")
def show(
    run_id: RunId,
    outputs: Annotated[bool, typer.Option("--outputs", help="The values it gave, too.")] = False,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """One run: its steps, where they ran, what failed; with --outputs what it gave."""
    out = Output(as_json=as_json)
    with Swarm.open(cluster) as swarm:
        run = swarm.attach(run_id)
        details = run.show()
        if outputs and not details.run.over:
            raise Conflict(
                f"{run_id} is not over, it has no outputs yet",
                place=run_id,
                remedy=f"wait for it with `swarm runs logs {run_id} --follow`",
            )
        values = run.result() if outputs else None
    out.give(
        {
            "run": details.run,
            "progress": details.progress,
            "steps": details.steps,
            **({} if values is None else {"outputs": values}),
        },
        table=_steps_table(details),
        text=_headline(details.run) + _outlook(details),
    )
    if values is not None and not as_json:
        for name, value in values.items():
            out.say(f"{name} = {value}")


@app.command("logs")
def logs(
    run_id: RunId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the run ends.")] = False,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Its recorded steps in the order of the log, a line each."""
    out = Output(as_json=as_json)
    events: list[StepDone] = []
    with Swarm.open(cluster) as swarm:
        run = swarm.attach(run_id)
        for event in run.progress() if follow else run.logs():
            match event:
                case StepDone():
                    events.append(event)
                    if not as_json:
                        out.say(_line(event), "" if event.ok else "red")
                case RunEnded():
                    out.say(_headline(event.run))
    if as_json:
        out.give(events)


@app.command("cancel")
def cancel(
    run_id: RunId,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the run.")] = "",
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """End a run. One that is over stays as it ended."""
    with Swarm.open(cluster) as swarm:
        run = swarm.attach(run_id).cancel(reason)
    Output(as_json=as_json).give(run, text=_headline(run))


@app.command("verify")
def verify(run_id: RunId, cluster: Cluster = None, as_json: Json = False) -> None:
    """Hold every recorded result against its node's signature, and against the inputs that are recorded.

    It is worked out here. For runs submitted with --sign. Exit code 1 when a step does not hold.
    """
    out = Output(as_json=as_json)
    with Swarm.open(cluster) as swarm:
        steps = swarm.attach(run_id).verify()
    wrong = [step for step in steps if step.fault]
    said = f"{run_id}: {len(steps) - len(wrong)} of {len(steps)} results hold"
    lines = [f"{step.step} on {step.node}: {step.fault}" for step in wrong]
    document = {"holds": not wrong, "results": len(steps), "faults": [step._asdict() for step in wrong]}
    out.give(document, text="\n".join([said, *lines]))
    if wrong:
        leave(EXIT_FAILED)


def _steps(run: RunInfo) -> str:
    return f"{run.steps_ended}/{run.steps_total}"


def _moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"


def _headline(run: RunInfo) -> str:
    took = f" after {(run.ended_ms - run.submitted_ms) / 1000:.3f} s" if run.over else ""
    reason = f": {run.reason}" if run.reason else ""
    return f"{run.id} {run.status}{took}, {_steps(run)} steps{reason}"


def _outlook(details: RunDetails) -> str:
    """How far a run is that goes on, how long it may take, and what holds it up."""
    if details.run.over:
        return ""
    now = details.progress
    left = "nothing to estimate by yet" if now.left_ms is None else f"about {now.left_ms / 1000:.1f} s left"
    path = " > ".join(now.critical_path[:PATH_STEPS_SHOWN])
    path += " > ..." if len(now.critical_path) > PATH_STEPS_SHOWN else ""
    return f"\n{now.running} running, {now.ready} ready, {now.waiting} waiting; {left}; it hangs on {path}"


def _steps_table(details: RunDetails) -> Table:
    rows = [
        (
            step.step,
            step.capability,
            f"{step.status} (cached)" if step.cached else step.status,
            step.node or "",
            step.attempt,
            f"{step.wall_ms:.2f}",
            f"{step.error.code}: {step.error.message}" if step.error else "",
        )
        for step in details.steps
    ]
    return table("step", "capability", "status", "node", "attempt#", "ms#", "error", rows=rows)


def _line(event: StepDone) -> str:
    error = f"  {event.error.code}: {event.error.message}" if event.error else ""
    state = ("ok, cached" if event.cached else "ok") if event.ok else "failed"
    head = f"{_moment(event.started_ms)}  {event.step}  {event.capability}  {event.node}"
    return f"{head}  try {event.attempt}  {event.wall_ms:.2f} ms  {state}{error}"
