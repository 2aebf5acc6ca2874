"""`swarm policy`: who may do what, in whose name, and with how much of the cluster."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from swarm.adapters.settings import load_settings
from swarm.cli.options import Cluster, Json
from swarm.cli.output import Output
from swarm.client import Swarm
from swarm.trust.policyfile import PolicyFile

EXAMPLES: Final = """\
  swarm policy check policy.yaml          every problem with its line; asks no cluster
  swarm policy apply policy.yaml          it holds on every coordinator from then on
  swarm policy show > policy.json         the one that holds; JSON is YAML: edit it and apply it again
"""

app = typer.Typer(
    help="Tenants, capabilities and clearances: `swarm policy check|apply|show`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A policy as YAML; docs/policy.md explains it.")]


@app.command("check")
def check(file: File, as_json: Json = False) -> None:
    """Say everything that is wrong with a policy file. Nothing is applied, and no cluster is asked."""
    found = _read(file)
    counts = {
        "tenants": len(found.tenants),
        "principals": len(found.principals),
        "agents": len(found.agents),
        "nodes": len(found.nodes),
        "contexts": len(found.contexts),
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items())
    Output(as_json=as_json).give({"valid": True, **counts}, text=f"{file} is a policy: {said}")


@app.command("apply")
def apply(file: File, cluster: Cluster = None, as_json: Json = False) -> None:
    """Let a policy hold from now on, instead of the one before it. A majority has it when this returns.

    Runs that go on go on; what they may use is asked again for every step.
    """
    found = _read(file)
    with Swarm.open(cluster) as swarm:
        index = swarm.apply_policy(found.document())
    Output(as_json=as_json).give({"applied": True, "index": index}, text=f"{file} holds since entry {index}")


@app.command("show")
def show(cluster: Cluster = None, as_json: Json = False) -> None:
    """The policy that holds, who applied it and when."""
    out = Output(as_json=as_json)
    with Swarm.open(cluster) as swarm:
        found = swarm.policy()
    if found is None:
        out.give({"policy": None}, text="no policy was applied: roles alone decide")
        return
    document = json.loads(found.document)
    at = f"{datetime.fromtimestamp(found.applied_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"
    text = f"# applied by {found.principal} at {at}\n{json.dumps(document, indent=2)}"
    facts = {"policy": document, "applied_ms": found.applied_ms, "principal": found.principal}
    out.give(facts, text=text)


def _read(file: Path) -> PolicyFile:
    return load_settings(file, PolicyFile, "policy file")
