"""`swarm agents`: what is deployed."""

from __future__ import annotations

from typing import Annotated

import typer

from swarm import limits
from swarm.cli.options import Cluster, Json
from swarm.cli.output import Output, table
from swarm.client import AgentInfo, Swarm
from swarm.client.records import AgentUsage
from swarm.errors import NotFound
from swarm.graph import Port
from swarm.ids import NodeId

app = typer.Typer(
    help="What is deployed: `swarm agents`, `swarm agents show digits`, `swarm agents remove digits`.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")]


@app.callback()
def default(context: typer.Context, cluster: Cluster = None, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        list_agents(cluster, as_json)


@app.command("list")
def list_agents(cluster: Cluster = None, as_json: Json = False) -> None:
    """Every agent, what it can do and who hosts it."""
    with Swarm.open(cluster) as swarm:
        agents = swarm.agents()
    rows = [
        (
            agent.name,
            agent.version,
            agent.kind,
            ", ".join(capability.name for capability in agent.capabilities),
            ", ".join(agent.nodes) or "nobody",
            ", ".join(node for node, _ in agent.refused),
        )
        for agent in agents
    ]
    found = table("agent", "version", "kind", "capabilities", "hosted by", "refused by", rows=rows)
    Output(as_json=as_json).give(agents, table=found)


@app.command("show")
def show(name: Name, cluster: Cluster = None, as_json: Json = False) -> None:
    """One agent: its ports, its needs, and why nodes refused it."""
    with Swarm.open(cluster) as swarm:
        agents, nodes = swarm.agents(), swarm.nodes()
    agent = next((agent for agent in agents if agent.name == name), None)
    if agent is None:
        known = ", ".join(agent.name for agent in agents) or "none"
        raise NotFound(f"no agent {name!r}", place="agents", remedy=f"deployed are: {known}")
    used = [(node.node, usage) for node in nodes for usage in node.usage if usage.agent == name]
    Output(as_json=as_json).give(agent, text="\n".join([_describe(agent), *map(_used, used)]))


@app.command("remove")
def remove(name: Name, cluster: Cluster = None, as_json: Json = False) -> None:
    """Offer an agent no longer; steps that have it finish."""
    with Swarm.open(cluster) as swarm:
        agent = swarm.remove_agent(name)
    Output(as_json=as_json).give(
        {"removed": agent}, text=f"{agent.name} {agent.version} is offered no longer"
    )


def _describe(agent: AgentInfo) -> str:
    lines = [
        f"{agent.name} {agent.version}, {agent.kind}, {agent.size_bytes} bytes",
        f"  sha256     {agent.digest}",
        f"  needs      {agent.memory_mb} MB, {agent.cpu_cores:g} cores, layers: {_listed(agent.layers)}",
        f"  hosted by  {_listed(agent.nodes)}",
        *(f"  refused by {node}: {error}" for node, error in agent.refused),
    ]
    for capability in agent.capabilities:
        traits = "deterministic" if capability.deterministic else "not deterministic"
        lines.append(f"  {capability.name} ({traits}, effects: {capability.effects})")
        lines += [f"    takes {_port(port)}" for port in capability.inputs]
        lines += [f"    gives {_port(port)}" for port in capability.outputs]
    return "\n".join(lines)


def _used(found: tuple[NodeId, AgentUsage]) -> str:
    node, usage = found
    time = "" if usage.cpu_ms is None else f"{usage.cpu_ms / 1000:.1f} s of processor, "
    return (
        f"  on {node}: {usage.cells} cells, {time}{usage.memory_peak_bytes / limits.MIB:.0f} MiB at most, "
        f"{usage.bytes_out:,} bytes told, {usage.bytes_in:,} said"
    )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"


def _port(port: Port) -> str:
    shape = "" if port.shape is None else str(["any" if size is None else size for size in port.shape])
    traits = [name for name, holds in (("many", port.many), ("optional", port.optional)) if holds]
    kind = f"{port.kind} {port.dtype or ''}{shape}".strip()
    return f"{port.name}: {kind}" + (f" ({', '.join(traits)})" if traits else "")
