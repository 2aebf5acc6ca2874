"""`af-compile`: make an agent file runnable, or say what is wrong with it."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from af.agentfile import AgentFile, parse, write
from af.check import check
from af.compiler import compile_agent, executable, network_text
from af.errors import AfError, AfRefused
from af.tools.console import fail, print_json, read_agent, write_file

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Emit(enum.StrEnum):
    """What --emit can print."""

    WAT = "wat"


@app.command(no_args_is_help=True)
def compile_file(
    file: Annotated[Path, typer.Argument(help="An .af file, or the YAML source of a new one.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write the compiled file.")] = None,
    check_only: Annotated[bool, typer.Option("--check", help="Only check the file; write nothing.")] = False,
    emit: Annotated[
        Emit | None, typer.Option(help="Print the network's WebAssembly text instead of compiling.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compile an agent file.

    A neural agent becomes a WebAssembly module without imports, a Python agent is checked and marked as
    runnable. The result is an .af file again, with everything the first one had.

    \b
    af-compile digits.af -o digits.compiled.af     compile
    af-compile split.yaml -o split.af              build from a YAML source (see af/SPEC.md) and compile
    af-compile digits.af --check                   report every problem, write nothing
    af-compile digits.af --emit wat                show the generated code

    Exit codes: 0 done, 1 the file is refused, 2 wrong usage.
    """  # noqa: D301 - \b keeps the help text's lines apart
    if (out is not None) + check_only + (emit is not None) != 1:
        message = "say one of: -o OUT.af to compile, --check, --emit wat"
        raise typer.BadParameter(message)
    try:
        agent = read_agent(file)
        if emit is not None:
            typer.echo(network_text(agent), nl=False)
        elif out is None:
            _check(file, agent, as_json=as_json)
        else:
            _compile(file, agent, out, as_json=as_json)
    except AfError as error:
        fail(file, error, as_json=as_json)


def _check(file: Path, agent: AgentFile, *, as_json: bool) -> None:
    problems = check(agent)
    if problems:
        raise AfRefused(problems)
    if as_json:
        print_json({"file": str(file), "ok": True, "problems": [], **_facts(agent)})
    else:
        typer.echo(f"{file}: {agent.header.name} is in order ({agent.header.kind}).")


def _compile(file: Path, agent: AgentFile, out: Path, *, as_json: bool) -> None:
    data = write(compile_agent(agent))
    write_file(out, data)
    run = executable(parse(data))
    if as_json:
        facts = {"out": str(out), "bytes": len(data), "code_bytes": len(run.code), "sha256": run.sha256}
        print_json({"file": str(file), "ok": True, "problems": [], **_facts(agent), **facts})
    else:
        typer.echo(
            f"{out}: {run.name} {run.version}, {len(data)} bytes, {len(run.code)} of them {run.kind} code."
        )


def _facts(agent: AgentFile) -> dict[str, object]:
    return {
        "name": agent.header.name,
        "kind": agent.header.kind,
        "capabilities": [capability.name for capability in agent.header.capabilities],
    }


def main() -> None:
    app()


if __name__ == "__main__":
    main()
