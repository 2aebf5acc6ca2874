"""`af-run`: ask an agent something, in the same cell a node would use."""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from af.compiler import compile_agent
from af.engines import ENGINES
from af.errors import AfError
from af.tools.console import (
    EXIT_FAILED,
    as_facts,
    choose_capability,
    fail,
    print_json,
    print_problems,
    read_agent,
)
from af.tools.hosts import Answer, Values
from af.tools.inputs import BATCH_MAX, Input, in_batches, read_inputs
from af.tools.life import Life
from af.tools.values import jsonable

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_ROWS_SHOWN_MAX = 20


@app.command(no_args_is_help=True)
def run_file(  # noqa: PLR0913, PLR0917 - one parameter per option
    file: Annotated[Path, typer.Argument(help="An .af file, or the YAML source of one.")],
    sources: Annotated[
        list[str],
        typer.Option(
            "--input", "-i", help="A .json, .csv, .npy or picture; - for lines of JSON. Repeatable."
        ),
    ],
    capability: Annotated[
        str | None, typer.Option(help="Which one to ask for, if the agent offers several.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help=f"For neural agents: {', '.join(ENGINES)}; default: the cell (wasm).")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, max=BATCH_MAX, help="Rows of .csv and .npy, or lines, to ask at a time."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="A file with the agent's memory: read before, written after.")
    ] = None,
    white: Annotated[float, typer.Option(help="The number that white becomes in pictures.")] = 1.0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the workflows' steps.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per input.")] = False,
) -> None:
    """Run an agent on an input.

    The agent runs in a locked-down process, as on a node; a file that is not compiled yet is compiled in
    memory first. An input file holds {"port": value, ...}, or the value of the only port that must be given.
    Tensors are nested lists, bytes are {"base64": "..."}. With --input - every line of standard input is one
    input, and the answers come line by line; a line that cannot be used is reported and the next one read.

    \b
    af-run digits.af --input image.csv
    af-run digits.af --input seven.png --white 16
    af-run digits.af --input many.npy --batch 64 --json     a long file, 64 rows at a time
    af-run split.af --input images-and-count.json --json
    af-run digits.af --input - --json < images.jsonl
    af-run digits.af --input image.csv --engine numpy       the bare network, without a sandbox

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 this machine has no sandbox, or no such engine.
    """  # noqa: D301 - \b keeps the help text's lines apart
    if engine is not None and engine not in ENGINES:
        message = f"{engine!r} is not one of {', '.join(ENGINES)}"
        raise typer.BadParameter(message, param_hint="--engine")
    printer = _Printer(as_json=as_json)
    try:
        agent = read_agent(file)
        if agent.header.manifest is None:
            agent = compile_agent(agent)
        chosen = choose_capability(agent, capability)
        printer.capability = chosen.name
        inputs = read_inputs(sources, chosen, sys.stdin, rows=batch, white=white)
        batches = _batches(inputs, batch or 1, printer)
        first = list(itertools.islice(batches, 1))  # a bad file is refused before anything is started
        life = Life(agent, engine, state, _say if verbose else _say_nothing)
        asyncio.run(life.run(chosen, itertools.chain(first, batches), printer.show))
    except AfError as error:
        fail(file, error, as_json=as_json)
    if printer.failures:
        raise typer.Exit(EXIT_FAILED)


def _batches(inputs: Iterator[Input], size: int, printer: "_Printer") -> Iterator[Sequence[Values]]:
    """What can be asked; what cannot is reported in its turn. Nothing is started for a bad first file."""
    for batch in in_batches(inputs, size):
        good: list[Values] = []
        for item in batch:
            if isinstance(item.values, AfError):
                printer.show([item.values])
            else:
                good.append(item.values)
        if good:
            printer.asked()
            yield good


class _Printer:
    """Answers as they come: for people, or one JSON object per line."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._asked_s = time.perf_counter()
        self.capability = ""
        self.failures = 0

    def asked(self) -> None:
        self._asked_s = time.perf_counter()

    def show(self, answers: Sequence[Answer]) -> None:
        elapsed_ms = round(1000 * (time.perf_counter() - self._asked_s), 3)
        for answer in answers:
            failed = isinstance(answer, AfError)
            self.failures += failed
            if self._as_json:
                facts: dict[str, object] = {"capability": self.capability, "ok": not failed, "ms": elapsed_ms}
                if isinstance(answer, AfError):
                    print_json({**facts, "problems": as_facts(answer.problems)})
                else:
                    print_json({**facts, "outputs": jsonable(answer)})
            elif isinstance(answer, AfError):
                print_problems("input", answer.problems)
            else:
                _show(answer)
        sys.stdout.flush()


def _show(outputs: dict[str, object]) -> None:
    for name, value in outputs.items():
        for item in (
            value if isinstance(value, list) and value and isinstance(value[0], np.ndarray) else [value]
        ):
            if isinstance(item, np.ndarray):
                typer.echo(f"{name}: {item.dtype} {list(item.shape)}")
                typer.echo(
                    np.array2string(
                        item[:_ROWS_SHOWN_MAX], precision=4, suppress_small=True, max_line_width=110
                    )
                )
                if len(item) > _ROWS_SHOWN_MAX:
                    typer.echo(f"... and {len(item) - _ROWS_SHOWN_MAX} more rows")
            else:
                typer.echo(f"{name}: {json.dumps(jsonable(item), ensure_ascii=False)}")


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _say_nothing(text: str) -> None:
    del text


def main() -> None:
    app()


if __name__ == "__main__":
    main()
