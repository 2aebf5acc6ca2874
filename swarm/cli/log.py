"""`swarm log`: the replicated log as a thing to be moved."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer

from swarm.cli.options import Json
from swarm.cli.output import Output
from swarm.daemons.config import NodeConfig
from swarm.daemons.moving import move_log

EXAMPLES: Final = """\
  Stop every coordinator. Write `log: {kind: etcd, etcd: {...}}` into each node.yaml. Then, on one machine,
  with the log directories of a majority of the coordinators (of all of them, if they can be had):

  swarm log migrate --config n1/node.yaml --log n1/data/log --log n2/data/log

  Start the coordinators again. The directories are left as they are, and are of no use any more.
"""

app = typer.Typer(
    help="The replicated log: `swarm log migrate`.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("migrate")
def migrate(
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="A coordinator's node.yaml that names the etcd.")
    ],
    log: Annotated[
        list[Path] | None,
        typer.Option(
            "--log", metavar="DIR", help="A stopped coordinator's log directory; default: this node's own."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Move a stopped cluster's embedded log into an etcd that holds none, and check that all of it arrived.

    Nothing acknowledged is lost, nothing in the directories is changed, and a move that was interrupted
    can be repeated. It is refused while a coordinator runs, and where etcd holds a log of this cluster.
    """
    moved = asyncio.run(move_log(NodeConfig.load(config), log or ()))
    text = (
        f"{moved.entries} entries up to {moved.last_index}, and a snapshot of {moved.snapshot_bytes} bytes "
        f"after {moved.snapshot_index}, are in etcd; sha256 {moved.sha256}"
    )
    Output(as_json=as_json).give(moved, text=text)
