"""`swarm token`: who may join."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from swarm import limits
from swarm.adapters.settings import span
from swarm.cli.options import Cluster, Json
from swarm.cli.output import Output, table
from swarm.client import Swarm

app = typer.Typer(
    help="Join tokens: `swarm token create|list|revoke`.", no_args_is_help=True, rich_markup_mode=None
)


class RoleName(StrEnum):
    """As what somebody may join."""

    WORKER = "worker"
    CLIENT = "client"
    OBSERVER = "observer"
    ADMINISTRATOR = "administrator"


@app.command("create")
def create(
    role: Annotated[RoleName, typer.Option(help="As what its holder joins.")] = RoleName.WORKER,
    ttl: Annotated[
        str, typer.Option("--ttl", metavar="SPAN", help="How long it works: 90s, 30m, 1h, 7d.")
    ] = "1h",
    uses: Annotated[int, typer.Option(min=1, max=limits.TOKEN_USES_MAX, help="How often.")] = 1,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it. It is shown this once; the cluster remembers but a hash of it."""
    life_ms = int(span(ttl).total_seconds() * 1000)
    with Swarm.open(cluster) as swarm:
        token = swarm.create_token(role.value, life_ms, uses)
    Output(as_json=as_json).give({"token": token, "role": role, "ttl_ms": life_ms, "uses": uses}, text=token)


@app.command("list")
def list_tokens(cluster: Cluster = None, as_json: Json = False) -> None:
    """Tokens the cluster remembers, and who joined by them."""
    with Swarm.open(cluster) as swarm:
        tokens = swarm.tokens()
    rows = [
        (
            token.token,
            token.role,
            token.status,
            f"{len(token.names)}/{token.uses_max}",
            f"{datetime.fromtimestamp(token.expires_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}Z",
            token.principal,
            ", ".join(token.names),
        )
        for token in tokens
    ]
    columns = ("token", "role", "status", "uses#", "expires", "by", "joined")
    Output(as_json=as_json).give(tokens, table=table(*columns, rows=rows))


@app.command("revoke")
def revoke(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id, as `swarm token list` shows it.")],
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Let nobody in by a token any more. Who joined by it stays."""
    with Swarm.open(cluster) as swarm:
        found = swarm.revoke_token(token)
    Output(as_json=as_json).give(found, text=f"{found.token}: {found.status}")
