from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from swarm.errors import AgentFailed, AgentRefused, CellLost, OutOfTime
from swarm.graph import Payload, Port, PortName, Signature
from swarm.ids import CapabilityName, Digest
from swarm.testing.cells import Fate, MemoryAgents, MemoryCell, MemoryCells
from swarm.testing.clock import FakeClock, run_virtually

UPPER = Signature(CapabilityName("text:upper"), (Port(PortName("in")),), (Port(PortName("out")),))
WORD = {"in": Payload("bytes", b"word")}


def upper(inputs):
    return {"out": Payload("bytes", inputs["in"].data.upper())}


def with_cell(act: Callable[[MemoryCells, MemoryCell, FakeClock], Awaitable[None]]) -> None:
    async def main() -> None:
        agents, clock = MemoryAgents(), FakeClock()
        data = agents.add("upper", {UPPER: upper})
        cells = MemoryCells(agents, clock, call_ms=5, spawn_ms=50)
        await act(cells, await cells.spawn(agents.open(data)), clock)
        await cells.close()

    run_virtually(main())


def test_a_cell_calls_the_function_and_takes_its_time():
    async def act(cells, cell, clock):
        assert clock.monotonic_ms() == 50
        assert await cell.process_input(UPPER.name, WORD, 1_000) == {"out": Payload("bytes", b"WORD")}
        assert clock.monotonic_ms() == 55

    with_cell(act)


def test_an_agent_that_raises_leaves_its_cell_alive():
    async def act(cells, cell, clock):
        with pytest.raises(AgentFailed, match="KeyError"):
            await cell.process_input(UPPER.name, {}, 1_000)
        cells.fate = lambda _: Fate.FAIL
        with pytest.raises(AgentFailed, match="as it was told"):
            await cell.process_input(UPPER.name, WORD, 1_000)
        cells.fate = lambda _: Fate.WELL
        with pytest.raises(AgentFailed, match="has no text:lower"):
            await cell.process_input(CapabilityName("text:lower"), WORD, 1_000)
        assert cell.alive

    with_cell(act)


def test_a_call_that_hangs_ends_with_its_time_and_its_cell():
    async def act(cells, cell, clock):
        cells.fate = lambda _: Fate.HANG
        with pytest.raises(OutOfTime, match="700 ms"):
            await cell.process_input(UPPER.name, WORD, 700)
        assert clock.monotonic_ms() == 750
        assert not cell.alive

    with_cell(act)


def test_a_cell_that_dies_takes_its_other_calls_with_it():
    async def act(cells, cell, clock):
        other = asyncio.create_task(cell.process_input(UPPER.name, WORD, 1_000))
        await clock.sleep_ms(1)
        cells.fate = lambda _: Fate.DIE
        for call in (cell.process_input(UPPER.name, WORD, 1_000), other):
            with pytest.raises(CellLost):
                await call
        assert not cell.alive
        with pytest.raises(CellLost):
            await cell.get_metadata()

    with_cell(act)


def test_closing_a_cell_ends_a_call_that_hangs():
    async def act(cells, cell, clock):
        cells.fate = lambda _: Fate.HANG
        call = asyncio.create_task(cell.process_input(UPPER.name, WORD, 10**9))
        await clock.sleep_ms(10)
        await cell.close()
        with pytest.raises(CellLost):
            await call
        assert clock.monotonic_ms() == 60

    with_cell(act)


def test_the_other_calls_of_the_contract_answer():
    async def act(cells, cell, clock):
        assert (await cell.get_metadata())["name"] == "upper"
        await cell.restore(b"state")
        assert await cell.checkpoint() == b"state"
        with pytest.raises(AgentFailed, match="cannot learn"):
            await cell.update_weights(Payload("json", b"1"))

    with_cell(act)


def test_an_agent_that_cannot_be_spawned_says_so():
    async def act(cells, cell, clock):
        image = cells.cells[0].agent
        cells.refuses.add(image)
        with pytest.raises(CellLost):
            await cells.spawn(MemoryAgents.open(cells._agents, b"memory agent upper"))

    with_cell(act)


def test_files_are_inspected_like_real_ones():
    agents = MemoryAgents()
    data = agents.add("upper", {UPPER: upper}, kind="wasm")
    record = agents.inspect(data)
    assert (record.name, record.kind, record.capabilities) == ("upper", "wasm", (UPPER,))
    assert len(Digest(record.digest)) == 64
    for stranger in (b"", b"memory agent lower", b"upper"):
        with pytest.raises(AgentRefused):
            agents.inspect(stranger)
