"""`af-run`: ask an agent something, in the same cell a node would use."""

import asyncio
import contextlib
import enum
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from af.agentfile import AgentFile
from af.compiler import compile_agent, executable
from af.errors import AfError, refused
from af.records import Capability
from af.tools.console import INPUT_BYTES_MAX, fail, print_json, read_agent
from af.tools.hosts import Host, NumpyHost, cell_host
from af.tools.values import json_values, jsonable, read_values

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_STDIN = "-"
_ROWS_SHOWN_MAX = 20


class EngineName(enum.StrEnum):
    """What --engine can name."""

    WASM = "wasm"
    NUMPY = "numpy"


@app.command(no_args_is_help=True)
def run_file(
    file: Annotated[Path, typer.Argument(help="An .af file, or the YAML source of one.")],
    source: Annotated[
        str, typer.Option("--input", "-i", help="A .json, .npy or .csv file, or - for lines of JSON.")
    ],
    capability: Annotated[
        str | None, typer.Option(help="Which one to ask for, if the agent offers several.")
    ] = None,
    engine: Annotated[
        EngineName | None, typer.Option(help="For neural agents: wasm (as a node) or numpy (reference).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per input.")] = False,
) -> None:
    """Run an agent on an input.

    The agent runs in a locked-down process, as on a node; a file that is not compiled yet is compiled in
    memory first. An input file holds {"port": value, ...}, or the value of the only port that must be given.
    Tensors are nested lists, bytes are {"base64": "..."}. With --input - every line of standard input is one
    input, and the answers come line by line.

    \b
    af-run digits.af --input image.csv
    af-run split.af --input images-and-count.json --json
    af-run digits.af --input - --json < images.jsonl

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 this machine has no sandbox.
    """  # noqa: D301 - \b keeps the help text's lines apart
    try:
        agent = read_agent(file)
        if agent.header.manifest is None:
            agent = compile_agent(agent)
        asyncio.run(_run(agent, _choose(agent, capability), source, engine, as_json=as_json))
    except AfError as error:
        fail(file, error, as_json=as_json)


def _choose(agent: AgentFile, name: str | None) -> Capability:
    offered = {capability.name: capability for capability in agent.header.capabilities}
    if name is None and len(offered) == 1:
        return next(iter(offered.values()))
    if name is None or name not in offered:
        message = "say which one." if name is None else f"{name} is not offered."
        raise refused("--capability", message, f"use one of {', '.join(offered)}.")
    return offered[name]


async def _run(
    agent: AgentFile, capability: Capability, source: str, engine: EngineName | None, *, as_json: bool
) -> None:
    all_inputs = _inputs(source, capability)  # a file is read, and refused, before anything is started
    async with _host(agent, engine) as host:
        for inputs in all_inputs:
            began_s = time.perf_counter()
            outputs = await host.process(capability, inputs)
            elapsed_ms = 1000 * (time.perf_counter() - began_s)
            if as_json:
                facts = {"capability": capability.name, "ok": True, "ms": round(elapsed_ms, 3)}
                print_json({**facts, "outputs": jsonable(outputs)})
            else:
                _show(outputs)
            sys.stdout.flush()


@contextlib.asynccontextmanager
async def _host(agent: AgentFile, engine: EngineName | None) -> AsyncIterator[Host]:
    if engine is EngineName.NUMPY:
        yield NumpyHost(agent)
        return
    run = executable(agent)
    if engine is EngineName.WASM and run.kind != "wasm":
        raise refused("--engine", f"this agent is {run.kind}.", "leave --engine out.")
    async with cell_host(run) as host:
        yield host


def _inputs(source: str, capability: Capability) -> Iterator[dict[str, object]]:
    return _lines(capability) if source == _STDIN else iter([read_values(Path(source), capability)])


def _lines(capability: Capability) -> Iterator[dict[str, object]]:
    number = 0
    while line := sys.stdin.readline(INPUT_BYTES_MAX):
        number += 1
        if line.strip():
            yield json_values(line, capability, f"standard input, line {number}")


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


def main() -> None:
    app()


if __name__ == "__main__":
    main()
