"""Options that many commands share, so that they mean the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from swarm.client.profile import PROFILE_DEFAULT, PROFILE_VARIABLE

JSON_FLAG: Final = "--json"

Json = Annotated[bool, typer.Option(JSON_FLAG, help="One JSON document on stdout, nothing else there.")]

Cluster = Annotated[
    Path | None,
    typer.Option(
        "--cluster",
        envvar=PROFILE_VARIABLE,
        metavar="FILE",
        help=f"Profile of the cluster.  [default: {PROFILE_DEFAULT}]",
        show_default=False,
    ),
]


def examples(text: str) -> str:
    """An epilog that shows how a command is used, line by line as written."""
    return f"\b\nExamples:\n{text}"


RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, e.g. run-01j9...")]
