"""`swarm call`: one question to one agent, with nothing written down."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from swarm import limits
from swarm.cli.inputs import INPUT_HELP, read_inputs
from swarm.cli.options import Cluster, Json
from swarm.cli.output import Output
from swarm.client import Swarm

EXAMPLES: Final = """\
  swarm call vision:digit --input image=seven.npy
  swarm call text:count --input 'words:=["a", "b"]' --json
"""


def call(
    capability: Annotated[str, typer.Argument(metavar="CAPABILITY", help="As `swarm agents` lists it.")],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", metavar="NAME=...", help=INPUT_HELP)
    ] = None,
    timeout_ms: Annotated[
        int, typer.Option(min=1, max=limits.STEP_TIMEOUT_MS_MAX, help="How long the agent may take.")
    ] = limits.STEP_TIMEOUT_MS_DEFAULT,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Ask a deployed agent directly and show what it gives.

    No run is made and nothing of it is in the log: fast, and gone when it fails. Inputs are named by the
    ports of the capability. What must not be lost, or not run twice, is for `swarm submit`.
    """
    out = Output(as_json=as_json)
    with Swarm.open(cluster) as swarm:
        outputs = swarm.call(capability, read_inputs(inputs or ()), timeout_ms=timeout_ms)
    out.give({"outputs": outputs})
    for name, value in outputs.items():
        out.say(f"{name} = {value}") if not as_json else None
