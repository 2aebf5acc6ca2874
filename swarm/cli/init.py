"""`swarm init`: found a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from swarm.adapters.audit import read_public_key
from swarm.adapters.secrets import SecretReference
from swarm.cli.options import Json
from swarm.cli.output import Output
from swarm.daemons.founding import ADMIN, found_cluster
from swarm.daemons.passphrase import PASSPHRASE_VARIABLE, read_passphrase
from swarm.errors import Mistake

LISTEN_DEFAULT: Final = "127.0.0.1:7101"
JOIN_DEFAULT: Final = "127.0.0.1:7102"

EXAMPLES: Final = """\
  swarm init /etc/swarm --name demo --node n1=10.0.0.5:7101 --join 10.0.0.5:7102
  swarm node --config /etc/swarm/n1/node.yaml
  swarm token create --role worker --cluster /etc/swarm/admin.yaml
"""


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where everything is written.")],
    name: Annotated[str, typer.Option("--name", help="The cluster's name.")] = "swarm",
    node: Annotated[
        list[str] | None,
        typer.Option(
            "--node",
            metavar="NAME=HOST:PORT",
            help=f"A coordinator: 1, 3 or 5.  [default: n1={LISTEN_DEFAULT}]",
        ),
    ] = None,
    join: Annotated[
        str, typer.Option("--join", metavar="HOST:PORT", help="Where the first coordinator lets others join.")
    ] = JOIN_DEFAULT,
    passphrase: Annotated[
        str | None,
        typer.Option(
            metavar="REFERENCE",
            help="Where it is: file:PATH, env:NAME, systemd:NAME or kubernetes:NAME/KEY;"
            f" else ${PASSPHRASE_VARIABLE}, else it is asked for.",
        ),
    ] = None,
    author: Annotated[
        list[str] | None,
        typer.Option(
            "--author", metavar="NAME=KEY", help="Whose agents may run: a public key or its .pub file."
        ),
    ] = None,
    relaxed: Annotated[
        bool,
        typer.Option(
            "--relaxed",
            help="Acknowledge before the disk has synced: faster, and a power cut of a majority"
            " may cost the last moments.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Found a cluster: its authority, the settings and certificates of its coordinators, an administrator.

    The authority's key is encrypted with a passphrase. The first coordinator needs it to let others join;
    without that section in its settings the folder `authority` can be taken offline.
    """
    coordinators = dict(_named(text) for text in node or [f"n1={LISTEN_DEFAULT}"])
    reference = SecretReference.parse(passphrase) if passphrase else None
    secret = read_passphrase(reference, _ask)
    written = found_cluster(
        directory,
        name,
        coordinators,
        secret,
        join_listen=join,
        passphrase_reference=reference,
        authors={one: read_public_key(key) for one, key in map(_named, author or ())},
        relaxed=relaxed,
    )
    out = Output(as_json=as_json)
    profile = directory / f"{ADMIN}.yaml"
    lines = [f"cluster {name} is founded under {directory}", ""]
    lines += [f"  swarm node --config {path}" for path in written]
    if not author:
        lines += [
            "",
            "no agent may run yet: name authors under `trust:` in node.yaml, see `af-sign --new-key`",
        ]
    lines += ["", f"  swarm status --cluster {profile}"]
    lines += [f"  swarm token create --role worker --cluster {profile}    for each machine that is to join"]
    out.give({"cluster": name, "settings": written, "profile": profile}, text="\n".join(lines))


def _named(text: str) -> tuple[str, str]:
    name, separator, address = text.partition("=")
    if not separator:
        raise Mistake(
            f"{text!r} names nothing", place="command line", remedy="write NAME=HOST:PORT or NAME=KEY"
        )
    return name, address


def _ask() -> str:
    return str(typer.prompt("Passphrase for the authority's key", hide_input=True, confirmation_prompt=True))
