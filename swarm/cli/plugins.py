"""`swarm plugins`: engines and encoders that other packages offer."""

from __future__ import annotations

from typing import Final

import typer

from swarm.cli.options import Json
from swarm.cli.output import Output, table
from swarm.plugins import API, list_plugins

EXAMPLES: Final = """\
  swarm plugins list
  swarm plugins list --json | jq '.[] | select(.status != "usable")'
  swarm plan "Split the text" --model plugin:verbs        understand it with a plugin
"""

app = typer.Typer(help="Plugins: `swarm plugins list`.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def main() -> None:
    """Engines and encoders that installed packages offer."""


@app.command("list")
def list_all(as_json: Json = False) -> None:
    """Every plugin that is installed, what it can do, and why it cannot be used if so.

    Each is loaded in a process of its own, so that a broken one harms nothing.
    """
    found = list_plugins()
    rows = [
        (each.name, each.kind, each.version, each.api, each.distribution, each.status,
         ", ".join(each.provides), each.reason)
        for each in found
    ]  # fmt: skip
    columns = ("plugin", "kind", "version", "contract", "package", "status", "provides", "reason")
    out = Output(as_json=as_json)
    out.give(found, table=table(*columns, rows=rows))
    if not found:
        out.say(f"no plugin is installed; they are written for version {API[0]}.{API[1]} of the contract")
