"""`af-compile`: make an agent file runnable, or say what is wrong with it."""

import enum
from pathlib import Path
from typing import Annotated, assert_never

import typer

from af.accuracy import int8_accuracy
from af.agentfile import AgentFile, parse, write
from af.check import check
from af.compiler import compile_agent, executable, network_text
from af.errors import AfError, AfRefused
from af.interchange import export_network, import_agent
from af.tools.console import fail, print_json, read_agent, write_file

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Emit(enum.StrEnum):
    """What --emit can give instead of a compiled file."""

    WAT = "wat"
    FANN = "fann"
    ONNX = "onnx"


@app.command(no_args_is_help=True)
def compile_file(
    file: Annotated[Path | None, typer.Argument(help="An .af file, or the YAML source of a new one.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write the result.")] = None,
    check_only: Annotated[bool, typer.Option("--check", help="Only check the file; write nothing.")] = False,
    foreign: Annotated[
        Path | None,
        typer.Option("--from", help="Import: FANN .net, ONNX, safetensors, torch state_dict, Letta .af."),
    ] = None,
    emit: Annotated[
        Emit | None, typer.Option(help="The network as WebAssembly text, FANN .net or ONNX instead.")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Dense weights in eight bits; reports how far the answers move.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compile an agent file.

    A neural agent becomes a WebAssembly module without imports, a Python agent is checked and marked as
    runnable. The result is an .af file again, with everything the first one had.

    \b
    af-compile digits.af -o digits.compiled.af     compile
    af-compile split.yaml -o split.af              build from a YAML source (see af/SPEC.md) and compile
    af-compile digits.af --int8 -o small.af        a quarter of the size, a report of the accuracy
    af-compile digits.af --check                   report every problem, write nothing
    af-compile digits.af --emit wat                show the generated code
    af-compile digits.af --emit onnx -o digits.onnx     export (or --emit fann)
    af-compile --from xor.net -o xor.af            import and compile; the format is told by the content
    af-compile mnist.yaml --from mnist.pt -o mnist.af   weights only: the source lists the layers

    With --from, the file is a YAML source whose keys win over what the import would make up. Weights without
    layers (safetensors, state_dict) need one: its neural_config says what is computed with them, and its
    `tensors: [conv1, fc1]` which weights are whose, where the file's order does not say.

    Exit codes: 0 done, 1 the file is refused, 2 wrong usage, 3 a package that is needed is not installed.
    """  # noqa: D301 - \b keeps the help text's lines apart
    _check_usage(file, out, foreign, emit, check_only=check_only)
    subject = foreign or file
    assert subject is not None
    try:
        agent = read_agent(subject) if foreign is None else import_agent(foreign, file)
        if emit is not None:
            _emit(agent, emit, out)
        elif out is None:
            _check(subject, agent, as_json=as_json)
        else:
            _compile(subject, agent, out, int8=int8, as_json=as_json)
    except AfError as error:
        fail(subject, error, as_json=as_json)


def _check_usage(
    file: Path | None, out: Path | None, foreign: Path | None, emit: Emit | None, *, check_only: bool
) -> None:
    if file is None and foreign is None:
        message = "name a file to compile, or one to import with --from"
        raise typer.BadParameter(message)
    if check_only + (emit is not None) + (out is not None and emit is None) != 1:
        message = "say one of: -o OUT.af to compile, --check, --emit wat"
        raise typer.BadParameter(message)
    if emit is Emit.ONNX and out is None:
        message = "an ONNX model is no text: say where to write it with -o"
        raise typer.BadParameter(message)


def _emit(agent: AgentFile, emit: Emit, out: Path | None) -> None:
    match emit:
        case Emit.WAT:
            data = network_text(agent).encode()
        case Emit.FANN:
            data = export_network(agent, "fann")
        case Emit.ONNX:
            data = export_network(agent, "onnx")
        case _:
            assert_never(emit)
    if out is None:
        typer.echo(data.decode("ascii"), nl=False)
    else:
        write_file(out, data)


def _check(file: Path, agent: AgentFile, *, as_json: bool) -> None:
    problems = check(agent)
    if problems:
        raise AfRefused(problems)
    if as_json:
        print_json({"file": str(file), "ok": True, "problems": [], **_facts(agent)})
    else:
        typer.echo(f"{file}: {agent.header.name} is in order ({agent.header.kind}).")


def _compile(file: Path, agent: AgentFile, out: Path, *, int8: bool, as_json: bool) -> None:
    accuracy = int8_accuracy(agent) if int8 else None
    data = write(compile_agent(agent, "int8" if int8 else "f32"))
    write_file(out, data)
    run = executable(parse(data))
    if as_json:
        facts: dict[str, object] = {
            "out": str(out),
            "bytes": len(data),
            "code_bytes": len(run.code),
            "sha256": run.sha256,
        }
        if accuracy is not None:
            facts["int8"] = accuracy.to_json()
        print_json({"file": str(file), "ok": True, "problems": [], **_facts(agent), **facts})
    else:
        typer.echo(
            f"{out}: {run.name} {run.version}, {len(data)} bytes, {len(run.code)} of them {run.kind} code."
        )
        if accuracy is not None:
            typer.echo(f"{out}: {accuracy}.")


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
