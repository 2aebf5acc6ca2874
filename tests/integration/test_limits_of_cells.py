"""Limits of cells as their agents meet them: told by name, and what met them is replaced."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from sandbox import AgentImage, Cell, CellError, CellLimits, CellSpec, Exceeded, Payload, State, Warden
from tests.security.support import MIB, House, open_house

PYTHON = b"""
import sys, threading, time

class Agent:
    def __init__(self):
        self.count = 0

    def process_input(self, capability, inputs):
        return getattr(self, capability)(**inputs)

    def count_up(self):
        self.count += 1
        return {"count": self.count}

    def sleep(self, seconds):
        time.sleep(seconds)
        return {"slept": True}

    def hoard(self, mib):
        return {"size": len(bytearray(int(mib) << 20))}

    def flood(self, mib):
        return {"blob": bytes(int(mib) << 20)}

    def talk(self, mib):
        for _ in range(int(mib)):
            sys.stdout.write("x" * (1 << 20))
        return {}

    def fill(self, mib):
        with open("full", "ab") as file:
            for _ in range(int(mib)):
                file.write(bytes(1 << 20))
        return {}

    def hold(self, files):
        self.files = [open("one", "w") for _ in range(int(files))]
        return {}

    def split(self, threads):
        for _ in range(int(threads)):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        return {}
"""


def value(payload: Payload) -> object:
    return json.loads(payload[1])


def python(**limits: float) -> CellSpec:
    return CellSpec(AgentImage("subject", "python", PYTHON), CellLimits(**limits))


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with open_house() as opened:
        yield opened


@pytest.mark.parametrize(
    ("capability", "inputs", "limits", "limit"),
    [
        ("sleep", {"seconds": 30}, {"wall_ms": 100}, "wall_ms"),
        ("hoard", {"mib": 200}, {"memory_bytes": 64 * MIB}, "memory_bytes"),
        ("flood", {"mib": 2}, {"output_bytes": MIB}, "output_bytes"),
        ("talk", {"mib": 2}, {"output_bytes": MIB}, "output_bytes"),
        ("fill", {"mib": 3}, {"disk_bytes": 2 * MIB}, "disk_bytes"),
        ("hold", {"files": 40}, {"open_files": 32}, "open_files"),
        ("split", {"threads": 20}, {"threads": 8}, "threads"),
    ],
)
def test_a_limit_that_is_hit_is_named_with_its_value(
    house: House, capability: str, inputs: dict[str, int], limits: dict[str, int], limit: str
) -> None:
    async def body(cell: Cell) -> None:
        with pytest.raises(Exceeded) as caught:
            await cell.process_input(
                capability, {k: ("json", json.dumps(v).encode()) for k, v in inputs.items()}
            )
        assert caught.value.limit == limit
        assert caught.value.value == limits[limit]

    house.with_cell(python(**limits), body)


@pytest.mark.parametrize(
    ("capability", "inputs", "limits"),
    [
        ("hoard", {"mib": 200}, {"memory_bytes": 64 * MIB}),
        ("fill", {"mib": 3}, {"disk_bytes": 2 * MIB}),
        ("split", {"threads": 20}, {"threads": 8}),
    ],
)
def test_a_cell_that_met_a_limit_answers_what_it_was_asked_and_makes_room_for_a_fresh_one(
    house: House, capability: str, inputs: dict[str, int], limits: dict[str, int]
) -> None:
    async def body(warden: Warden) -> None:
        pool = warden.pool(python(**limits), spares=1)
        cell, other = await pool.lease(), await pool.lease()
        given = {k: ("json", json.dumps(v).encode()) for k, v in inputs.items()}
        met = asyncio.ensure_future(cell.process_input(capability, given))
        behind = [asyncio.ensure_future(cell.process_input("count_up", {})) for _ in range(3)]
        with pytest.raises(Exceeded):
            await met
        assert [value((await each)["count"]) for each in behind] == [1, 2, 3]
        assert cell.state is not State.READY
        assert (await cell.closed).code == "cell.closed"
        with pytest.raises(CellError):
            await cell.process_input("count_up", {})
        fresh = await pool.lease()
        for alive in (other, fresh):
            assert value((await alive.process_input("count_up", {}))["count"]) == 1
            await alive.close()
        await pool.close()

    house.run(body)


def test_a_limit_met_in_one_row_of_a_batch_costs_the_other_rows_nothing(house: House) -> None:
    async def body(cell: Cell) -> None:
        rows = [{"mib": ("json", b"1")}, {"mib": ("json", b"9")}, {"mib": ("json", b"0")}]
        first, second, third = await cell.process_batch("fill", rows)
        assert first == third == {}
        assert isinstance(second, Exceeded)
        assert second.limit == "disk_bytes"
        await cell.closed

    house.with_cell(python(disk_bytes=2 * MIB), body)
