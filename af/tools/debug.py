"""`af-debug`: look into an agent: its layers, a run again, another agent beside it, or why it is refused."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from af.agentfile import AgentFile, parse
from af.errors import AfError, refused
from af.limits import FILE_BYTES_MAX
from af.network import Floats, Network
from af.tools.answers import is_answer_recording, record_answer, replay_answer
from af.tools.console import (
    EXIT_FAILED,
    as_facts,
    choose_capability,
    fail,
    print_json,
    read_agent,
    read_bytes,
    write_file,
)
from af.tools.differences import Differences, checkpoint_differences, file_differences
from af.tools.explain import explain
from af.tools.facts import needed_network, network_of
from af.tools.recording import RECORDING_BYTES_MAX, from_bytes, record, replay, same_weights, to_bytes
from af.tools.tracing import (
    Breakpoint,
    LayerValues,
    as_rows,
    breakpoints,
    histogram,
    reason_to_stop,
    trace,
)
from af.tools.values import jsonable, read_values

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

_VALUES_SHOWN_MAX = 64
_COMMANDS = "n: next layer, c: to the next breakpoint, v: the values, q: quit"

File = Annotated[Path, typer.Argument(help="An .af file, or the YAML source of one.")]
InputFile = Annotated[Path, typer.Option("--input", "-i", help="A .json, .npy or .csv file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def debug() -> None:
    """Look into agents.

    \b
    af-debug step digits.af -i image.csv                what every layer makes of an input
    af-debug step digits.af -i image.csv --break nan    stop where the first NaN or infinity appears
    af-debug record digits.af -i image.csv -o run.json  keep an input and all activations, to the bit
    af-debug replay digits.af run.json                  and see whether they come out the same here
    af-debug diff before.af after.af                    what changed: header, sections, weights by layer
    af-debug why broken.af                              why a file is refused, with the lines in question

    Exit codes: 0 done (nothing differs), 1 failed or something differs, 2 wrong usage.
    """  # noqa: D301 - \b keeps the help text's lines apart


@app.command(no_args_is_help=True)
def step(
    file: File,
    source: InputFile,
    stops: Annotated[
        list[str] | None, typer.Option("--break", help="A layer's number or type, nan, or range:LOW:HIGH.")
    ] = None,
    row: Annotated[int | None, typer.Option(min=0, help="Only this row of the input.")] = None,
    interactive: Annotated[bool, typer.Option("--interactive", help="Ask after every layer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Go through the layers with an input, in the reference engine; stop at the first breakpoint.

    Each layer is shown with the shape, spread and histogram of what it gives; where it stops, with values.
    With --interactive, a prompt after every layer takes n, c, v or q.
    """
    try:
        agent = read_agent(file)
        network = needed_network(agent)
        rows = _rows(agent, network, source, row)
        layers = trace(network, rows)
        points = breakpoints(stops or [])
        if as_json:
            for layer in layers:
                reason = reason_to_stop(layer, points)
                print_json(
                    {"layer": layer.number, "title": layer.title, **asdict(layer.spread), "stop": reason}
                )
                if reason is not None:
                    print_json({"stopped": layer.number, "values": jsonable(layer.values)})
                    return
        elif interactive:
            _talk(layers, points)
        else:
            _show_until_stop(layers, points)
    except AfError as error:
        fail(file, error, as_json=as_json)


@app.command("record", no_args_is_help=True)
def record_run(
    file: File,
    source: InputFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the recording.")],
    row: Annotated[int | None, typer.Option(min=0, help="Only this row of a network's input.")] = None,
    capability: Annotated[str | None, typer.Option(help="Which one to ask, if there are several.")] = None,
    as_json: AsJson = False,
) -> None:
    """Keep an input and what becomes of it, to the bit.

    Of a network every layer of the compiled module is kept; any other agent is asked in a cell, and its
    answer is kept.
    """
    try:
        agent = read_agent(file)
        network = network_of(agent)
        if network is None:
            chosen = choose_capability(agent, capability)
            data = record_answer(agent, chosen, read_values(source, chosen))
        else:
            data = to_bytes(record(agent.header.name, network, _rows(agent, network, source, row)))
        write_file(out, data)
    except AfError as error:
        fail(file, error, as_json=as_json)
    if as_json:
        print_json({"file": str(file), "ok": True, "out": str(out), "bytes": len(data)})
    else:
        typer.echo(f"{out}: {len(data)} bytes.")


@app.command("replay", no_args_is_help=True)
def replay_run(
    file: File,
    recording: Annotated[Path, typer.Argument(help="What `af-debug record` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Ask a recorded input again and compare what becomes of it bit by bit."""
    try:
        agent = read_agent(file)
        data = read_bytes(recording, RECORDING_BYTES_MAX)
        if is_answer_recording(data):
            ports, same = replay_answer(agent, data)
            lines = [f"the answer on port {port} differs" for port in ports]
            facts: dict[str, object] = {"same_code": same, "deviations": ports}
        else:
            network, kept = needed_network(agent), from_bytes(data)
            deviations, same = replay(kept, network), same_weights(kept, network)
            lines = [
                f"layer {deviation.layer} ({deviation.title}): {deviation.numbers} numbers differ, "
                f"by up to {deviation.max_difference:.3g}"
                for deviation in deviations
            ]
            facts = {"same_weights": same, "deviations": [asdict(deviation) for deviation in deviations]}
    except AfError as error:
        fail(file, error, as_json=as_json)
    if as_json:
        print_json({"file": str(file), "ok": not lines, **facts})
    else:
        if not same:
            typer.echo("The weights or the code are not those of the recording.")
        typer.echo("\n".join(lines) or "Everything came out as recorded, to the bit.")
    if lines:
        raise typer.Exit(EXIT_FAILED)


@app.command(no_args_is_help=True)
def diff(
    before: Annotated[Path, typer.Argument(help="An .af file, or a checkpoint.")],
    after: Annotated[Path, typer.Argument(help="Another one of the same kind.")],
    as_json: AsJson = False,
) -> None:
    """Show how two agent files differ, or two checkpoints of one network."""
    try:
        differences = _differences(before, after)
    except AfError as error:
        fail(before, error, as_json=as_json)
    if as_json:
        print_json({"same": not differences.any, **asdict(differences)})
    else:
        for change in (*differences.header, *differences.sections):
            typer.echo(f"{change.place}: {change.before} -> {change.after}")
        for tensor in differences.weights:
            typer.echo(
                f"weights {tensor.name}: {tensor.changed} of {tensor.count} numbers, by up to "
                f"{tensor.max_difference:.6g}, {tensor.mean_difference:.6g} on average"
            )
        if not differences.any:
            typer.echo("No difference.")
    if differences.any:
        raise typer.Exit(EXIT_FAILED)


@app.command(no_args_is_help=True)
def why(file: File, as_json: AsJson = False) -> None:
    """Explain why a file is refused, with the lines or bytes in question."""
    try:
        found = explain(read_bytes(file, FILE_BYTES_MAX))
    except AfError as error:
        fail(file, error, as_json=as_json)
    if as_json:
        pairs = zip(as_facts(item.problem for item in found), found, strict=True)
        problems = [{**fact, "excerpt": list(item.excerpt), "rule": item.rule} for fact, item in pairs]
        print_json({"file": str(file), "ok": not found, "problems": problems})
    else:
        for item in found:
            typer.echo(f"{item.problem.place}: {item.problem.message}")
            for line in item.excerpt:
                typer.echo(f"    {line}")
            typer.echo(f"    What to do: {item.problem.remedy}")
            typer.echo(f"    The rule: {item.rule!r} in af/SPEC.md\n")
        typer.echo(f"{len(found)} problems." if found else f"{file} is in order.")
    if found:
        raise typer.Exit(EXIT_FAILED)


def _rows(agent: AgentFile, network: Network, source: Path, row: int | None) -> Floats:
    (capability,) = agent.header.capabilities
    value = next(iter(read_values(source, capability).values()))
    rows = as_rows(value, network)
    if row is None:
        return rows
    if row >= len(rows):
        raise refused("--row", f"the input has {len(rows)} rows.", "count from 0.")
    return rows[row : row + 1]


def _show_until_stop(layers: Iterator[LayerValues], points: list[Breakpoint]) -> None:
    for layer in layers:
        _show(layer)
        reason = reason_to_stop(layer, points)
        if reason is not None:
            typer.echo(f"stopped: {reason}")
            _show_values(layer)
            return


def _talk(layers: Iterator[LayerValues], points: list[Breakpoint]) -> None:
    """A prompt after every layer, or after those at which to stop."""
    running = False
    for layer in layers:
        _show(layer)
        reason = reason_to_stop(layer, points)
        if reason is not None:
            typer.echo(f"stopped: {reason}")
        if running and reason is None:
            continue
        while True:
            command = typer.prompt("af-debug", default="n", show_default=False).strip()
            if command == "v":
                _show_values(layer)
            elif command in ("n", "c", "q"):
                break
            else:
                typer.echo(_COMMANDS)
        if command == "q":
            return
        running = command == "c"


def _show(layer: LayerValues) -> None:
    facts = layer.spread
    shape = "x".join(map(str, layer.values.shape))
    name = "input" if layer.number < 0 else f"{layer.number}: {layer.title}"
    line = f"{name}  [{shape}]"
    if facts.min is not None:
        line += f"  {facts.min:.4g} to {facts.max:.4g}, mean {facts.mean:.4g}, deviation {facts.std:.4g}"
    if facts.zeros:
        line += f", {facts.zeros} zeros"
    if facts.not_finite:
        line += f", {facts.not_finite} NOT FINITE"
    typer.echo(f"{line}\n    |{histogram(layer.values)}|")


def _show_values(layer: LayerValues) -> None:
    text = np.array2string(layer.values, precision=5, threshold=_VALUES_SHOWN_MAX, max_line_width=110)
    typer.echo(text)


def _differences(before: Path, after: Path) -> Differences:
    contents = [read_bytes(path, FILE_BYTES_MAX) for path in (before, after)]
    if all(path.suffix == ".af" for path in (before, after)):
        return file_differences(parse(contents[0]), parse(contents[1]))
    if any(path.suffix == ".af" for path in (before, after)):
        raise refused(str(after), "one is an .af file and the other is not.", "give two of a kind.")
    return checkpoint_differences(contents[0], contents[1])


def main() -> None:
    app()


if __name__ == "__main__":
    main()
