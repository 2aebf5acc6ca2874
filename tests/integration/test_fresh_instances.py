"""An agent with `instance: per_request` in a real cell: its requests do not know of each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import wasmtime

import af
from sandbox import tensors
from sandbox.cell import Cell
from sandbox.errors import AgentFailed
from sandbox.spec import AgentImage, CellSpec
from tests.security.support import House, open_house
from tests.unit.af.samples import neural_agent
from tests.unit.sandbox.test_wasmfresh import GLOBAL, MANIFEST, TEXT, answer, payload


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with open_house() as opened:
        yield opened


@pytest.mark.parametrize("text", [TEXT, GLOBAL], ids=["memory", "global"])
@pytest.mark.parametrize(("instance", "expected"), [("kept", [2, 3, 4, 5]), ("per_request", [2, 2, 2, 2])])
def test_requests_meet_what_the_header_says(
    house: House, text: str, instance: str, expected: list[float]
) -> None:
    code = bytes(wasmtime.wat2wasm(text))
    spec = CellSpec(AgentImage("count", "wasm", code, MANIFEST | {"instance": instance}))

    async def body(cell: Cell) -> None:
        seen = [answer(await cell.process_input("math:count", {"x": payload(1)})) for _ in range(2)]
        batch = await cell.process_batch("math:count", [{"x": payload(1)}] * 2)
        assert [value for values in (*seen, *map(answer, batch)) for value in values] == expected

    house.with_cell(spec, body)


def test_a_compiled_network_answers_the_same_and_keeps_nothing(house: House) -> None:
    rows = np.random.default_rng(0).standard_normal((5, 3)).astype("f4")

    def spec(**header: str) -> CellSpec:
        run = af.executable(af.compile_agent(neural_agent(**header)))
        return CellSpec(AgentImage(run.name, "wasm", run.code, run.manifest))

    async def answers(cell: Cell) -> bytes:
        given = await cell.process_input("test:sample", {"x": ("tensor", tensors.encode(rows))})
        return bytes(given["y"][1])

    found: list[bytes] = []

    async def kept(cell: Cell) -> None:
        found.append(await answers(cell))

    async def fresh(cell: Cell) -> None:
        found.append(await answers(cell))
        assert await cell.checkpoint() == b""
        with pytest.raises(AgentFailed, match="learns nothing"):
            await cell.update_weights([])

    house.with_cell(spec(), kept)
    house.with_cell(spec(instance="per_request"), fresh)
    assert found[0] == found[1]
