"""`af-inspect`: what is in an agent file, for a person or a program."""

from math import prod
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from pydantic import JsonValue

from af.agentfile import AgentFile, parse
from af.check import check
from af.errors import AfError, AfRefused
from af.header import Resources
from af.limits import FILE_BYTES_MAX
from af.network import Network
from af.records import PortSpec
from af.tools.console import as_facts, fail, print_json, read_bytes
from af.tools.facts import layer_title, network_of, tensor_facts
from af.workflow import PHASES, WorkflowPlan, workflow_plan

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_F32_BYTES = 4


@app.command(no_args_is_help=True)
def inspect_file(
    file: Annotated[Path, typer.Argument(help="The .af file.")],
    weights: Annotated[
        bool, typer.Option("--weights", help="Also say what numbers the weights are made of.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what an agent file says and holds, without running any of it.

    \b
    af-inspect digits.af                           what it offers, its network, its sections, who signed it
    af-inspect digits.af --weights                 and the spread of the weights of every layer
    af-inspect digits.af --json | jq .header       all of it for a program

    A file that can be read but not run is shown with its problems.
    Exit codes: 0 shown, 1 not readable, 2 wrong usage.
    """  # noqa: D301 - \b keeps the help text's lines apart
    try:
        data = read_bytes(file, FILE_BYTES_MAX)
        agent = parse(data)
    except AfError as error:
        fail(file, error, as_json=as_json)
    try:
        network = network_of(agent)
    except AfRefused:  # shown among the problems
        network = None
    if as_json:
        print_json({"file": str(file), "ok": True, "bytes": len(data), **_facts(agent, network, weights)})
    else:
        typer.echo(f"{file}: {len(data):,} bytes, sha256 {agent.digest}")
        for line in _lines(agent, network, weights):
            typer.echo(line)


def _facts(agent: AgentFile, network: Network | None, weights: bool) -> dict[str, object]:
    plan = workflow_plan(agent)
    facts: dict[str, object] = {
        "sha256": agent.digest,
        "header": agent.header.to_mapping(),
        "sections": [section.entry.model_dump(mode="json") for section in agent.sections],
        "workflow": {
            phase: [{"step": step.name, "by": step.doer} for step in getattr(plan, phase)] for phase in PHASES
        },
        "compiled": agent.header.manifest is not None,
        "problems": as_facts(check(agent)),
    }
    if network is not None:
        facts["network"] = _network_facts(network, weights)
    return facts


def _network_facts(network: Network, weights: bool) -> dict[str, object]:
    layers: list[dict[str, object]] = []
    for layer, before, after in zip(network.layers, network.shapes, network.shapes[1:], strict=False):
        facts: dict[str, object] = {
            "layer": layer.spec.model_dump(mode="json", exclude_defaults=True),
            "takes": list(before),
            "gives": list(after),
            "weights": sum(tensor.size for tensor in layer.tensors.values()),
        }
        if weights:
            facts["tensors"] = {name: tensor_facts(tensor) for name, tensor in layer.tensors.items()}
        layers.append(facts)
    count = sum(tensor.size for _, tensor in network.tensors())
    return {
        "input_size": network.input_size,
        "output_size": network.output_size,
        "weights": count,
        "layers": layers,
    }


def _lines(agent: AgentFile, network: Network | None, weights: bool) -> list[str]:
    header = agent.header
    lines = [f"{header.name} {header.agent_version}, kind {header.kind}"]
    lines += [
        f"  {label}: {text}"
        for label, text in (
            ("about", header.description),
            ("author", header.author),
            ("created", header.created),
        )
        if text
    ]
    lines.append("offers")
    for capability in header.capabilities:
        inputs = ", ".join(map(_port_title, capability.inputs))
        outputs = ", ".join(map(_port_title, capability.outputs))
        lines.append(f"  {capability.name}: {inputs} -> {outputs}")
    if network is not None:
        lines += _network_lines(network, weights)
    lines += _resource_lines(header.resources)
    lines += _workflow_lines(workflow_plan(agent))
    lines.append("sections" if agent.sections else "sections: none")
    for section in agent.sections:
        entry = section.entry
        stored = f", {entry.stored_bytes:,} stored ({entry.codec})" if entry.codec != "none" else ""
        lines.append(f"  {entry.name}: {entry.raw_bytes:,} bytes{stored}, sha256 {entry.sha256[:12]}...")
    lines.append("compiled: " + ("yes" if header.manifest is not None else "no"))
    signature = header.signature
    lines.append(f"signed: by {signature.key} on {signature.created}" if signature else "signed: no")
    problems = check(agent)
    lines.append(f"problems: {len(problems) or 'none'}")
    lines += [f"  {problem}" for problem in problems]
    return lines


def _network_lines(network: Network, weights: bool) -> list[str]:
    count = sum(tensor.size for _, tensor in network.tensors())
    lines = [f"network: {count:,} weights ({count * _F32_BYTES:,} bytes)"]
    for number, layer in enumerate(network.layers):
        before, after = network.shapes[number], network.shapes[number + 1]
        own = sum(tensor.size for tensor in layer.tensors.values())
        lines.append(f"  {number}: {layer_title(layer.spec)}  {_shape(before)} -> {_shape(after)}, {own:,}")
        if weights:
            lines += [f"       {name}: {_spread(tensor)}" for name, tensor in layer.tensors.items()]
    return lines


def _resource_lines(resources: Resources) -> list[str]:
    limits, told = resources.limits, []
    for value, unit in (
        (limits.wall_ms, "ms a call"),
        (limits.output_mb, "MiB of output"),
        (limits.open_files, "open files"),
        (limits.threads, "threads"),
    ):
        told += [f", {value} {unit}"] if value is not None else []
    told.insert(0, f", {limits.disk_mb} MiB disk, {limits.network_bandwidth_mbps} Mbit/s")
    lines = [f"limits: {limits.memory_mb} MiB, {limits.cpu_cores:g} cores{''.join(told)}"]
    if layers := resources.requirements.sandbox_layers:
        lines.append(f"needs the sandbox layers {', '.join(layers)}")
    if resources.egress:
        lines.append(f"connects to {', '.join(resources.egress)}")
    if resources.native_libraries:
        lines.append("maps native libraries after it has been locked down")
    return lines


def _workflow_lines(plan: WorkflowPlan) -> list[str]:
    marks = {"host": "", "hook": " (hook)", "nobody": " (passed over)"}
    lines = []
    for phase in PHASES:
        steps = getattr(plan, phase)
        lines.append(f"{phase}: " + " > ".join(step.name + marks[step.doer] for step in steps))
    return lines


def _port_title(port: PortSpec) -> str:
    kind: str = port.dtype or port.kind
    if port.shape is not None:
        kind += f"[{', '.join('any' if extent is None else str(extent) for extent in port.shape)}]"
    marks = (" many" if port.many else "") + (" optional" if port.optional else "")
    return f"{port.name} ({kind}{marks})"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) if prod(shape) else "empty"


def _spread(tensor: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> str:
    facts: dict[str, JsonValue] = tensor_facts(tensor)
    return (
        f"{_shape(tensor.shape)}, {facts['min']:.4g} to {facts['max']:.4g}, mean {facts['mean']:.4g}, "
        f"deviation {facts['std']:.4g}, {facts['zeros']} zeros"
    )


def main() -> None:
    app()


if __name__ == "__main__":
    main()
