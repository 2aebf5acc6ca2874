"""`swarm status`: one look at the cluster."""

from __future__ import annotations

from swarm.cli.options import Cluster, Json
from swarm.cli.output import EXIT_NOT_READY, Output, leave
from swarm.client import Swarm
from swarm.client.records import ClusterStatus


def status(cluster: Cluster = None, as_json: Json = False) -> None:
    """Who leads, what is attached, what runs. Exit code 3 while there is no leader."""
    out = Output(as_json=as_json)
    with Swarm.open(cluster) as swarm:
        found = swarm.status()
    out.give(
        found,
        text=f"cluster {found.cluster}: {found.leader or 'nobody'} leads (term {found.term})\n"
        f"  {found.nodes_attached} nodes attached, voters: {', '.join(found.voters)}\n"
        f"  {found.agents} agents, {found.runs_active} active runs, "
        f"{found.steps_ready} steps ready, {found.steps_in_flight} in flight\n"
        f"  answered by {found.node} (version {found.version}, up {found.uptime_ms / 1000:.0f} s, "
        f"log at {found.applied_index}{', draining' if found.draining else ''})"
        + _payloads(found)
        + ("\n  relaxed: acknowledged before the disk has synced" if found.relaxed else ""),
    )
    if not found.leader:
        leave(EXIT_NOT_READY)


def _payloads(found: ClusterStatus) -> str:
    """Large payloads with which something is wrong, if there are any."""
    if not found.payloads_short + found.payloads_lost + found.copies_in_flight:
        return ""
    return (
        f"\n  large payloads: {found.payloads_short} short of a copy, {found.copies_in_flight} being copied, "
        f"{found.payloads_lost} on no attached node"
    )
