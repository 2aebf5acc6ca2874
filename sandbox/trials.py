"""Do not assume, try: hostile acts in throw-away cells, before any agent is let in.

A warden makes these trials when it starts. A layer counts as held only when every attempt on it failed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from sandbox.attempts import ATTEMPTS, Attempt, Table
from sandbox.cell import Cell
from sandbox.errors import Broken, CellError, Exceeded
from sandbox.payload import Items, json_payload, parse_json
from sandbox.spec import AgentImage, CellLimits, CellSpec, Profile, Tier

Spawn: TypeAlias = Callable[[CellSpec], Awaitable[Cell]]

# Inside the cell, the same module makes the attempts.
IMAGE: Final = AgentImage("self-test", "python", b"from sandbox.attempts import Agent")
LIMITS: Final = CellLimits(
    memory_bytes=48 << 20, disk_bytes=1 << 20, wall_ms=30_000, output_bytes=1 << 20, open_files=32, threads=8
)
TOGETHER_MAX: Final = 4  # cells of lethal attempts at once
_ENVIRONMENT_NAMES_MAX: Final = 100
_HELD: Final = ("denied", "contained")


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt that was made, and how it went."""

    profile: Profile
    attempt: str
    layer: str
    held: bool
    outcome: str


def targets() -> dict[str, Any]:
    """What the attempts aim at: harmless things of this very daemon."""
    inherited = ("PATH", "HOME", "LANG", "TMPDIR")  # names a cell has with values of its own
    return {
        "pid": os.getpid(),
        "file": str(Path(sys.executable).resolve()),
        "host": socket.gethostname(),
        "environment": [name for name in os.environ if name not in inherited][:_ENVIRONMENT_NAMES_MAX],
        "memory_bytes": LIMITS.memory_bytes,
        "disk_bytes": LIMITS.disk_bytes,
        "threads": LIMITS.threads,
        "open_files": LIMITS.open_files,
    }


async def run(
    spawn: Spawn,
    profile: Profile,
    tier: Tier,
    table: Table = ATTEMPTS,
    image: AgentImage = IMAGE,
    aims: dict[str, Any] | None = None,
) -> list[Trial]:
    """Make every attempt that must fail in this tier."""
    chosen = [attempt for attempt in table.values() if tier in attempt.tiers]
    bench = Bench(spawn, profile, image, aims or targets())
    turns = asyncio.Semaphore(TOGETHER_MAX)

    async def alone(attempt: Attempt) -> Trial:
        async with turns:
            return await bench.make_alone(attempt)

    lethal = asyncio.gather(*(alone(attempt) for attempt in chosen if attempt.lethal))
    try:
        trials = await bench.make_in_turn([attempt for attempt in chosen if not attempt.lethal])
    finally:
        deaths = await lethal
    return [*trials, *deaths]


class Bench:
    """Makes attempts in cells of one profile."""

    def __init__(self, spawn: Spawn, profile: Profile, image: AgentImage, targets: dict[str, Any]) -> None:
        self._spawn = spawn
        self._profile = profile
        self._spec = CellSpec(image, LIMITS, profile)
        self._inputs = {"targets": json_payload(targets)}

    async def make_alone(self, attempt: Attempt) -> Trial:
        """Make one attempt in a cell of its own."""
        cell = await self._spawn(self._spec)
        try:
            return await self._make(cell, attempt)
        finally:
            cell.kill()
            await cell.closed

    async def make_in_turn(self, chosen: list[Attempt]) -> list[Trial]:
        """Make attempts in one cell, and in a new one whenever an attempt has cost the last."""
        trials: list[Trial] = []
        cell: Cell | None = None
        try:
            for attempt in chosen:
                if cell is None or cell.closed.done():
                    cell = await self._spawn(self._spec)
                trials.append(await self._make(cell, attempt))
        finally:
            if cell is not None:
                cell.kill()
                await cell.closed
        return trials

    async def _make(self, cell: Cell, attempt: Attempt) -> Trial:
        try:
            answer = await cell.process_input(attempt.name, self._inputs)
            outcome = _text(answer.get("outcome"))
            held = outcome.startswith(_HELD) and not attempt.lethal
        except Exceeded as error:
            outcome, held = f"contained {error.limit}", not attempt.lethal
        except Broken as error:
            outcome, held = f"killed {error.message}", error.code == "cell.violation"
        except CellError as error:
            outcome, held = f"failed {error.message}", False
        return Trial(self._profile, attempt.name, attempt.layer, held, outcome)


def _text(payload: Items | None) -> str:
    return str(parse_json(payload[1])) if isinstance(payload, tuple) else "no outcome"


def held_layers(trials: list[Trial]) -> tuple[str, ...]:
    """The layers of which every attempt failed."""
    broken = {trial.layer for trial in trials if not trial.held}
    return tuple(dict.fromkeys(trial.layer for trial in trials if trial.layer not in broken))
