"""`af-profile`: where an agent's time, memory and fuel go."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from af.agentfile import AgentFile
from af.errors import AfError, refused
from af.network import Floats, Network
from af.tools.console import fail, print_json, read_agent, write_file
from af.tools.facts import needed_network
from af.tools.profiling import Profile, profile
from af.tools.reports import chrome_trace, picture, speedscope
from af.tools.tracing import as_rows
from af.tools.values import read_values

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_BATCH = 64
_BATCH_MAX = 4096
_SECONDS = 3.0
_SECONDS_MAX = 600.0


@app.command(no_args_is_help=True)
def profile_file(
    file: Annotated[Path, typer.Argument(help="An .af file, or the YAML source of one.")],
    source: Annotated[
        Path | None, typer.Option("--input", "-i", help="A row to ask; default: random numbers, or token 0.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=_BATCH_MAX, help="The batch engines get.")] = _BATCH,
    seconds: Annotated[float, typer.Option(min=0.01, max=_SECONDS_MAX, help="Time to measure.")] = _SECONDS,
    speedscope_out: Annotated[
        Path | None, typer.Option("--speedscope", help="Write a profile for speedscope.")
    ] = None,
    chrome_out: Annotated[Path | None, typer.Option("--chrome", help="Write a Chrome trace.")] = None,
    plot_out: Annotated[Path | None, typer.Option("--plot", help="Write the bars as an SVG picture.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure a neural agent: by layer, by kind of instance, by engine.

    Times are medians of interleaved turns on this machine, input written and output read. Fuel is wasmtime's
    count of instructions for one row, the same on every machine.

    \b
    af-profile digits.af                           a table
    af-profile digits.af --batch 256 --seconds 10
    af-profile digits.af --plot digits.svg --speedscope digits.json

    Exit codes: 0 done, 1 the file is refused, 2 wrong usage.
    """  # noqa: D301 - \b keeps the help text's lines apart
    try:
        agent = read_agent(file)
        network = needed_network(agent)
        row = _row(agent, network, source)
        measured = profile(agent.header.name, network, row, batch, seconds)
        if speedscope_out is not None:
            write_file(speedscope_out, json.dumps(speedscope(measured)).encode())
        if chrome_out is not None:
            write_file(chrome_out, json.dumps(chrome_trace(measured)).encode())
        if plot_out is not None:
            write_file(plot_out, picture(measured).encode())
    except AfError as error:
        fail(file, error, as_json=as_json)
    if as_json:
        print_json({"file": str(file), "ok": True, **asdict(measured)})
    else:
        _show(measured)


def _row(agent: AgentFile, network: Network, source: Path | None) -> Floats:
    if source is not None:
        (capability,) = agent.header.capabilities
        rows = as_rows(next(iter(read_values(source, capability).values())), network)
        if not len(rows):
            raise refused("input", "it has no rows.", "give at least one.")
        first: Floats = rows[0]
        return first
    if network.layers[0].spec.type.startswith("embedding"):
        return np.zeros(network.input_size, np.float32)
    return np.random.default_rng(0).standard_normal(network.input_size).astype(np.float32)


def _show(measured: Profile) -> None:
    total_us = measured.call_us + sum(cost.time_us for cost in measured.layers)
    typer.echo(
        f"{measured.name}: module {measured.module_bytes:,} bytes, memory {measured.memory_bytes:,} bytes"
    )
    typer.echo("\none row, by layer              time us   share        fuel   weights B    output B")
    typer.echo(f"{'call, input and output':<28} {measured.call_us:>9.2f} {measured.call_us / total_us:>7.0%}")
    for cost in measured.layers:
        typer.echo(
            f"{f'{cost.layer}: {cost.title}'[:28]:<28} {cost.time_us:>9.2f} {cost.time_us / total_us:>7.0%} "
            f"{cost.fuel:>11,} {cost.weights_bytes:>11,} {cost.output_bytes:>11,}"
        )
    costs = measured.instances
    typer.echo(f"\nby kind of instance: one row costs {costs.fuel:,} fuel")
    pooled = "not available" if costs.pooled_us is None else f"{costs.pooled_us:.1f} us"
    typer.echo(f"  warm {costs.warm_us:.1f} us, with a fresh state {costs.renewed_us:.1f} us")
    typer.echo(f"  in a fresh instance {costs.fresh_us:.1f} us, in one out of a pool {pooled}")
    typer.echo(f"  first call {costs.first_us:.1f} us after compiling for {costs.compile_us / 1000:.1f} ms,")
    typer.echo(f"  or loading machine code that a node has kept, {costs.cached_us / 1000:.2f} ms")
    typer.echo("\nengines                        batch   median us      p99 us")
    for engine in measured.engines:
        if engine.timing is None:
            typer.echo(f"  {engine.engine}: {engine.reason}")
        else:
            typer.echo(
                f"  {engine.engine:<28} {engine.batch:>5} {engine.timing.median_us:>11.2f} "
                f"{engine.timing.p99_us:>11.2f}"
            )


def main() -> None:
    app()


if __name__ == "__main__":
    main()
