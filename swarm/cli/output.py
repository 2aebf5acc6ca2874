"""What the command line says, and where: facts on stdout, everything else on stderr under `--json`.

With `--json` stdout holds exactly one JSON document, whatever happens. Text that came from elsewhere (a name,
an agent's error message) is stripped of control characters: a terminal obeys those.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import typer
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from swarm.errors import Mistake, NotLeader, SwarmError, TooLarge, Unreachable

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOT_READY: Final = 3
EXIT_INTERRUPTED: Final = 130
PIPED_CHARS: Final = 10_000


class Output:
    """One command's way to speak: for people, or one JSON document for a program."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(stderr=as_json, highlight=False)
        if not self.console.is_terminal:
            self.console.width = PIPED_CHARS  # what reads a pipe wants whole lines

    def say(self, text: str, style: str = "") -> None:
        """A line for people."""
        self.console.print(Text(printable(text), style=style), soft_wrap=True)

    def give(self, document: object, *, table: Table | None = None, text: str = "") -> None:
        """The answer: the document under `--json`, else the table or the text."""
        if self.as_json:
            sys.stdout.write(json.dumps(plain(document), indent=2, allow_nan=False) + "\n")
            sys.stdout.flush()
            return
        if table is not None:
            self.console.print(table)
        if text:
            self.say(text)


def show_error(error: SwarmError, *, as_json: bool) -> None:
    """One clear block, or one JSON document."""
    if as_json:
        sys.stdout.write(json.dumps({"error": plain(error)}, indent=2) + "\n")
        sys.stdout.flush()
        return
    console = Console(stderr=True, highlight=False)
    block = Text("error ", style="bold red").append(error.code, style="bold")
    if error.place:
        block.append(f" at {printable(error.place)}")
    block.append(f": {printable(error.message)}")
    for problem in error.problems:
        block.append(f"\n  - {printable(str(problem))}")
    if error.remedy:
        block.append("\n  remedy: ", style="bold").append(printable(error.remedy))
    console.print(block, soft_wrap=True)


def exit_code(error: SwarmError) -> int:
    """What the shell is told."""
    match error:
        case Unreachable() | NotLeader():
            return EXIT_NOT_READY
        case Mistake() | TooLarge():
            return EXIT_USAGE
        case _:
            return EXIT_FAILED


def leave(code: int) -> NoReturn:
    """End the command with an exit code."""
    raise typer.Exit(code)


def table(*columns: str, rows: Iterable[Sequence[object]]) -> Table:
    """A plain table; columns whose name ends with `#` hold numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        justify: JustifyMethod = "right" if column.endswith("#") else "left"
        first = not made.columns  # what the row is about is never cut: people copy it
        made.add_column(column.rstrip("#"), justify=justify, no_wrap=first, overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(str(cell))) for cell in row))
    return made


def printable(text: str) -> str:
    """The text without what would move a terminal's cursor, clear its screen or worse."""
    return "".join(
        char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def plain(value: Any) -> Any:
    """A value as JSON has it: arrays as nested lists, bytes as base64, not-a-number as text."""
    value = _opened(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Path) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    return value


def _opened(value: Any) -> Any:
    """A record as the mapping, list or simple value inside it."""
    match value:
        case np.ndarray() | np.generic():
            return value.tolist()
        case bytes():
            return {"base64": base64.b64encode(value).decode()}
        case enum.Enum():
            return value.value
        case SwarmError():
            return {name: getattr(value, name) for name in ("code", "place", "message", "remedy", "problems")}
        case _ if dataclasses.is_dataclass(value):
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        case _:
            return value
