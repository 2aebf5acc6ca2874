"""Cells behind the port a node uses: its records, its errors, a warm cell when one was lost."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import EdgeWarden, Warden
from sandbox.pool import Phase
from swarm.adapters.blobs import FileBlobs
from swarm.adapters.cells import SPARES, SandboxCells
from swarm.errors import AgentFailed, AgentRefused, CellLost, Mistake, OverLimit
from swarm.graph import Payload
from swarm.ids import AgentName, CapabilityName
from swarm.ports import Image
from tests.security.support import House, open_house

CODE = b"""
class Agent:
    def process_input(self, capability, inputs):
        return {"y": inputs["x"], "many": tuple(inputs.get("all", ()))}
"""
ANY = CapabilityName("a:b")
ONE = Payload("json", b"1")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with open_house() as opened:
        yield opened


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path / "blobs")


def image(code: bytes = CODE, kind: str = "python", cpu_cores: float = 1.0) -> Image:
    return Image(AgentName("subject"), kind, code, {}, 16, cpu_cores, 1)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


def test_values_are_the_graphs_on_both_sides(house: House, blobs: FileBlobs) -> None:
    async def body(warden: Warden) -> None:
        cell = await SandboxCells(warden, blobs).spawn(image())
        (reply,) = await cell.process_batch(ANY, [{"x": ONE, "all": (ONE, ONE)}], 50_000)
        assert reply == {"y": ONE, "many": (ONE, ONE)}
        assert isinstance(reply["y"], Payload)
        (error,) = await cell.process_batch(ANY, [{}], 50_000)
        assert isinstance(error, AgentFailed)
        await cell.close()

    house.run(body)


def test_a_lost_cell_is_followed_by_a_warm_one_and_the_last_close_ends_the_spare(
    house: House, blobs: FileBlobs
) -> None:
    async def body(warden: Warden) -> None:
        cells = SandboxCells(warden, blobs)
        first = await cells.spawn(image())
        (pool,) = cells._pools.values()
        await until(lambda: pool.phase is Phase.FULL)
        assert pool.spares == 0  # nobody has asked anything of this agent yet
        assert (await first.process_batch(ANY, [{"x": ONE}], 50_000))[0]["y"] == ONE
        await until(lambda: pool.spares == SPARES)
        os.kill(first._cell.pid, signal.SIGKILL)
        await first._cell.closed
        assert not first.alive
        with pytest.raises(CellLost):
            await first.process_batch(ANY, [{"x": ONE}], 50_000)
        await first.close()
        made = {cell.pid for cell in warden._cells}
        second = await cells.spawn(image())
        assert second._cell.pid in made
        assert (await second.process_batch(ANY, [{"x": ONE}], 50_000))[0]["y"] == ONE
        await second.close()
        assert not cells._pools
        await until(lambda: not warden._cells)

    house.run(body)


FILLER = b"""
class Agent:
    def process_input(self, capability, inputs):
        with open("kept", "ab") as file:
            file.write(bytes(inputs["x"] << 20))
        return {"y": inputs["x"]}
"""


def test_a_cell_that_met_a_limit_is_asked_no_more_and_harms_nothing_that_was_asked(
    house: House, blobs: FileBlobs
) -> None:
    async def body(warden: Warden) -> None:
        cells = SandboxCells(warden, blobs)
        first = await cells.spawn(image(FILLER))
        small, large = {"x": Payload("json", b"0")}, {"x": Payload("json", b"2")}
        met = asyncio.ensure_future(first.process_batch(ANY, [large], 50_000))
        behind = asyncio.ensure_future(first.process_batch(ANY, [small], 50_000))
        (error,) = await met
        assert isinstance(error, OverLimit)
        assert "disk_bytes is 1.04858e+06" in str(error)
        assert not first.alive
        await first.close()
        assert (await behind)[0]["y"] == Payload("json", b"0")
        second = await cells.spawn(image(FILLER))
        assert (await second.process_batch(ANY, [small], 50_000))[0]["y"] == Payload("json", b"0")
        await second.close()
        await until(lambda: not warden._cells)

    house.run(body)


def test_what_can_never_run_here_is_refused_for_good(house: House, blobs: FileBlobs) -> None:
    async def body(warden: Warden) -> None:
        with pytest.raises(AgentRefused) as caught:
            await SandboxCells(warden, blobs).spawn(image(cpu_cores=0))
        assert caught.value.place == "limits.cpu_cores"
        assert isinstance(caught.value, Mistake)

    house.run(body)


def test_a_node_without_a_process_sandbox_refuses_python(house: House, blobs: FileBlobs) -> None:
    async def body(_: Warden) -> None:
        async with await EdgeWarden.start() as edge:
            cells = SandboxCells(edge, blobs)
            assert (cells.tier, cells.layers) == ("wasm-only", ("wasm",))
            with pytest.raises(AgentRefused, match="wasm-only"):
                await cells.spawn(image())

    house.run(body)
