"""`swarm coordinators`: who keeps the log, and how that is changed while the cluster runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from swarm.adapters.secrets import SecretReference
from swarm.cli.options import Cluster, Json
from swarm.cli.output import Output, table
from swarm.client import CoordinatorInfo, Swarm
from swarm.daemons.founding import prepare_coordinator
from swarm.daemons.passphrase import load_authority
from swarm.errors import Conflict, OutOfTime

LOOK_S: Final = 0.2
SETTLE_S_DEFAULT: Final = 120

EXAMPLES: Final = """\
  swarm coordinators list
  swarm coordinators prepare n4 10.0.0.8:7101 --authority demo/authority --into n4     then, on 10.0.0.8:
  swarm node --config n4/node.yaml
  swarm coordinators add n4 10.0.0.8:7101          it catches up, then it votes
  swarm coordinators remove n2                     its machine may be gone already

  One at a time; from 1 to 3, or from 3 to 5, is two additions. To replace a machine, add the new one first.
"""

app = typer.Typer(
    help="Who keeps the log: `swarm coordinators list|prepare|add|remove`",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Node = Annotated[str, typer.Argument(metavar="NODE", help="Its name, the one in its certificate.")]
Address = Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where the others reach it.")]
Patience = Annotated[float, typer.Option("--timeout", metavar="S", help="How long to wait until it is done.")]


@app.command("list")
def list_coordinators(cluster: Cluster = None, as_json: Json = False) -> None:
    """The coordinators, which of them leads, and who only catches up so far."""
    with Swarm.open(cluster) as swarm:
        _show(Output(as_json=as_json), swarm.coordinators())


@app.command("prepare")
def prepare(
    node: Node,
    address: Address,
    authority: Annotated[Path, typer.Option(metavar="DIR", help="The cluster's authority, with its key.")],
    into: Annotated[Path, typer.Option(metavar="DIR", help="A folder to make for the new machine.")],
    passphrase: Annotated[
        str | None,
        typer.Option(metavar="REFERENCE", help="Where the passphrase is, e.g. file:/run/passphrase."),
    ] = None,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Write what a new coordinator needs: its certificate, and settings that know the present ones."""
    with Swarm.open(cluster) as swarm:
        present = {str(one.node): one.address for one in swarm.coordinators()}
    if node in present:
        raise Conflict(f"{node} is a coordinator already", place="NODE", remedy="choose another name")
    reference = SecretReference.parse(passphrase) if passphrase else None
    issuer = load_authority(authority, reference, _ask)
    settings = prepare_coordinator(into, node, address, present, issuer)
    text = f"copy {into} to its machine, and there: swarm node --config {settings}"
    Output(as_json=as_json).give({"node": node, "settings": settings}, text=text)


@app.command("add")
def add(
    node: Node,
    address: Address,
    timeout: Patience = SETTLE_S_DEFAULT,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Let a node keep the log too. It is sent what there is, and votes once it has caught up.

    Until then it counts for nothing, and the command waits. A change that has not ended goes on without it.
    """
    with Swarm.open(cluster) as swarm:
        found = swarm.add_coordinator(node, address)
        until = time.monotonic() + timeout
        while not any(one.node == node and one.state != "learner" for one in found):
            if time.monotonic() > until:
                raise OutOfTime(
                    f"{node} has not caught up within {timeout:.0f} s",
                    place=node,
                    remedy="is it running there, with `joins: true`? If it is elsewhere: add it there",
                )
            time.sleep(LOOK_S)
            found = swarm.coordinators()
        _show(Output(as_json=as_json), found)


@app.command("remove")
def remove(node: Node, cluster: Cluster = None, as_json: Json = False) -> None:
    """Let a node keep the log no more. One that leads hands over first.

    Refused where too few of the others answer: that would leave the cluster without a majority. Afterwards
    its daemon can be stopped. The name is used up: its machine comes back under another one, with an empty
    data directory.
    """
    with Swarm.open(cluster) as swarm:
        _show(Output(as_json=as_json), swarm.remove_coordinator(node))


def _show(out: Output, found: list[CoordinatorInfo]) -> None:
    rows = [(one.node, one.address, one.state) for one in found]
    out.give(found, table=table("node", "address", "state", rows=rows))


def _ask() -> str:
    return str(typer.prompt("Passphrase for the authority's key", hide_input=True))
