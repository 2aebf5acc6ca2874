"""`swarm join`: become part of a cluster by a token."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import TypeAdapter, ValidationError

from swarm.adapters import join as joining
from swarm.adapters.settings import Address
from swarm.cli.options import Json
from swarm.cli.output import Output
from swarm.daemons.founding import keep_membership, own_addresses, refuse_overwriting
from swarm.daemons.layout import SETTINGS_FILE
from swarm.errors import Mistake
from swarm.trust import Kind
from swarm.trust.tokens import TOKEN_CHARS_MAX, JoinToken

STDIN: Final = "-"
LISTEN_DEFAULT: Final = "127.0.0.1:7101"

EXAMPLES: Final = """\
  swarm join swarm-join-AbC... 10.0.0.5:7102 --name n4 --listen 10.0.0.8:7101 --dir /etc/swarm
  swarm join - 10.0.0.5:7102 < token.txt           the token stays out of the list of processes
"""


def join(
    token: Annotated[
        str, typer.Argument(metavar="TOKEN", help="What `swarm token create` printed; - reads it.")
    ],
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="A coordinator's join listener.")],
    name: Annotated[str, typer.Option("--name", help="Your name there.  [default: this machine's]")] = "",
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where a node listens.")
    ] = LISTEN_DEFAULT,
    advertise: Annotated[
        str | None,
        typer.Option("--advertise", metavar="HOST:PORT", help="Where others reach it, if elsewhere."),
    ] = None,
    directory: Annotated[Path, typer.Option("--dir", metavar="DIR", help="Where the files go.")] = Path(),
    as_json: Json = False,
) -> None:
    """Join a cluster: recognise it by the token, get a certificate, write the settings to use it with.

    The private key is made here and never leaves this machine.
    """
    read = JoinToken.read(sys.stdin.read(TOKEN_CHARS_MAX + 2) if token == STDIN else token)
    for each in filter(None, [address, listen, advertise]):
        _check_address(each)
    refuse_overwriting(directory / SETTINGS_FILE)
    called = name or _machine()
    member = asyncio.run(joining.join(read, address, called, own_addresses(listen, advertise)))
    path = keep_membership(directory, member, listen, advertise)
    start = "swarm node --config" if member.identity.kind is Kind.NODE else "swarm status --cluster"
    out = Output(as_json=as_json)
    out.give(
        {"identity": member.identity.uri, "written": path},
        text=f"{member.identity.name} is a {member.identity.role.value} of {member.identity.cluster} now\n\n"
        f"  {start} {path}",
    )


def _machine() -> str:
    return re.sub(r"[^a-z0-9-]", "-", socket.gethostname().partition(".")[0].lower()).strip("-") or "node"


def _check_address(text: str) -> None:
    try:
        TypeAdapter(Address).validate_python(text)
    except ValidationError:
        raise Mistake(
            f"{text[:80]!r} is no address", place="command line", remedy="write HOST:PORT"
        ) from None
