"""`swarm doctor`: what this machine can lock agents into, and what would mend the rest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer

import sandbox
from sandbox import doctor as host
from sandbox.spec import PROFILES
from swarm.cli.options import Json
from swarm.cli.output import EXIT_FAILED, Output, leave, table
from swarm.daemons.config import NodeConfig

EXAMPLES: Final = """\
  swarm doctor                    attack throw-away cells, and say what held
  swarm doctor --tier user        in another tier than this user's own
  swarm doctor --config node.yaml in the tier of that node, and what else its settings risk
  swarm doctor --json             for a program
"""
TIERS: Final = ("auto", "root", "user", "reduced", "wasm-only")


RELAXED_REASON: Final = (
    "acknowledged before the disk has synced: a power cut of a majority may cost the last moments"
)
RELAXED_REMEDY: Final = "remove `relaxed: true` under `log:` on every coordinator, if that is not meant"


@dataclass(frozen=True, slots=True)
class Finding:
    """What stands in the way of a layer, and what an operator can do about it."""

    layer: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was found: a tier that serves or a refusal, layers that held, and what is missing."""

    serves: bool
    tier: str
    held: tuple[str, ...]
    missing: tuple[Finding, ...]
    causes: tuple[Finding, ...]


def doctor(
    tier: Annotated[str, typer.Option(help=f"One of {', '.join(TIERS)}.")] = "auto",
    config: Annotated[Path | None, typer.Option("--config", help="A node's settings file.")] = None,
    as_json: Json = False,
) -> None:
    """Say which layers of the sandbox hold on this machine, and why the others do not."""
    if tier not in TIERS:
        message = f"tier {tier!r} is none of {', '.join(TIERS)}"
        raise typer.BadParameter(message)
    settings = NodeConfig.load(config) if config is not None else None
    if settings is not None and tier == "auto":
        tier = settings.sandbox.tier
    report = asyncio.run(examine(tier))
    if settings is not None and settings.log.relaxed:
        risk = Finding("log", RELAXED_REASON, RELAXED_REMEDY)
        report = replace(report, causes=(*report.causes, risk))
    output = Output(as_json=as_json)
    rows = [("holds", layer, "", "") for layer in report.held]
    rows += [("lacks", found.layer, found.reason, found.remedy) for found in report.missing]
    rows += [("cause", found.layer, found.reason, found.remedy) for found in report.causes]
    output.give(report, table=table("", "layer", "reason", "remedy", rows=rows))
    if not as_json:
        serves = f"agents can be hosted here, tier {report.tier}"
        output.say(serves if report.serves else f"no agent is hosted here in tier {report.tier}")
    if not report.serves:
        leave(EXIT_FAILED)


async def examine(tier: str) -> Report:
    """Start a warden as a node would, and let it go again."""
    causes = tuple(Finding("host", cause, remedy) for cause, remedy in host.causes())
    try:
        async with await _start(tier) as warden:
            if isinstance(warden, sandbox.Warden):
                await warden.attest(PROFILES)  # a node does so before the first agent of each
            known = warden.attestation
    except sandbox.CellError as error:
        found = Finding(error.place, error.message, error.remedy)
        return Report(serves=False, tier=tier, held=(), missing=(found,), causes=causes)
    missing = tuple(Finding(item.layer, item.reason, item.remedy) for item in known.missing)
    return Report(serves=True, tier=known.tier, held=known.held, missing=missing, causes=causes)


async def _start(tier: str) -> sandbox.Warden | sandbox.EdgeWarden:
    match tier:
        case "wasm-only":
            return await sandbox.EdgeWarden.start()
        case "root" | "user" | "reduced":
            return await sandbox.Warden.start(tier)
        case _:
            return await sandbox.Warden.start()
