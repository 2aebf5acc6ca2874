"""What the tests of hostile cells share."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from sandbox import AgentImage, Cell, CellLimits, CellSpec, Items, Warden

TEST_S = 60
MIB = 1 << 20


def spec(source: str, **limits: float) -> CellSpec:
    """A cell of a Python agent whose source is given."""
    return CellSpec(AgentImage("hostile", "python", source.encode()), CellLimits(**limits))  # type: ignore[arg-type]


def text(items: Items) -> object:
    """The value of a JSON payload."""
    assert isinstance(items, tuple)
    return json.loads(items[1])


def children() -> set[str]:
    """Process ids of this process's children."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def with_warden(body: Callable[[Warden], Awaitable[None]]) -> None:
    """Run a test body with a warden that has not attested itself, and see that nothing is left of it."""

    async def main() -> None:
        before = children()
        async with await Warden.open() as warden:
            await body(warden)
        assert children() == before

    asyncio.run(asyncio.wait_for(main(), TEST_S))


def with_cell(source: str, body: Callable[[Cell], Awaitable[None]], **limits: float) -> None:
    """Run a test body with one cell."""

    async def use(warden: Warden) -> None:
        cell = await warden.spawn(spec(source, **limits))
        try:
            await body(cell)
        finally:
            await cell.close(grace_ms=0)

    with_warden(use)
