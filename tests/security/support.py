"""What the tests of cells share."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox import AgentImage, Cell, CellLimits, CellSpec, Items, Warden

TEST_S = 110
MIB = 1 << 20


def spec(source: str, **limits: float) -> CellSpec:
    """A cell of a Python agent whose source is given."""
    return CellSpec(AgentImage("subject", "python", source.encode()), CellLimits(**limits))  # type: ignore[arg-type]


def value(items: Items) -> object:
    """The value of a JSON payload."""
    assert isinstance(items, tuple)
    return json.loads(items[1])


def children() -> set[str]:
    """Process ids of this process's children."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


class House:
    """A warden that serves many tests; it has not attested itself, which has tests of its own."""

    def __init__(self, runner: asyncio.Runner, warden: Warden) -> None:
        self._runner = runner
        self._warden = warden

    def run(self, body: Callable[[Warden], Awaitable[None]]) -> None:
        """Run a test's body; afterwards no cell may be left."""

        async def bounded() -> None:
            await asyncio.wait_for(body(self._warden), TEST_S)
            assert not self._warden._cells

        self._runner.run(bounded())

    def with_cell(self, given: CellSpec, body: Callable[[Cell], Awaitable[None]]) -> None:
        """Run a test's body with one cell."""

        async def use(warden: Warden) -> None:
            cell = await warden.spawn(given)
            try:
                await body(cell)
            finally:
                await cell.close(grace_ms=0)

        self.run(use)


@contextmanager
def open_house() -> Iterator[House]:
    """A house for the tests of one module; afterwards no process may be left."""
    before = children()
    with asyncio.Runner() as runner:
        warden = runner.run(Warden.open())
        try:
            yield House(runner, warden)
        finally:
            runner.run(warden.close())
    assert children() == before
