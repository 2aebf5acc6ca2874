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
from tests.unit.sandbox.test_wasmcomponent import CODE as COMPONENT
from tests.unit.sandbox.test_wasmcomponent import MANIFEST as COMPONENT_MANIFEST
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


@pytest.mark.parametrize("instance", ["kept", "per_request"])
def test_a_trap_costs_one_request_and_not_the_cell(house: House, instance: str) -> None:
    code = bytes(wasmtime.wat2wasm(TEXT))
    spec = CellSpec(AgentImage("count", "wasm", code, MANIFEST | {"instance": instance}))

    async def body(cell: Cell) -> None:
        for _ in range(2):
            with pytest.raises(AgentFailed, match="trap: wasm `unreachable` instruction executed"):
                await cell.process_input("math:count", {"x": payload(-1)})
        assert answer(await cell.process_input("math:count", {"x": payload(1)})) == [2]

    house.with_cell(spec, body)


def test_a_component_from_a_file_answers_in_a_cell(house: House) -> None:
    ports = {
        "inputs": [{"name": "x", "kind": "tensor", "dtype": "f32", "shape": [None, 2]}],
        "outputs": [{"name": "y", "kind": "tensor", "dtype": "f32", "shape": [None, 2]}],
    }
    header = {
        "version": "1.0",
        "name": "double",
        "kind": "wasm",
        "capabilities": [{"name": "math:double", **ports}],
        "manifest": COMPONENT_MANIFEST,
    }
    section = af.encode_section("wasm_module", COMPONENT)
    agent = af.parse(af.write(af.AgentFile(af.Header.model_validate(header), (section,))))
    run = af.executable(af.compile_agent(agent))

    async def body(cell: Cell) -> None:
        for calls in range(2):
            assert answer(await cell.process_input("math:double", {"x": payload(1, 2)})) == [
                2 + calls,
                4 + calls,
            ]
        with pytest.raises(AgentFailed, match="trap"):
            await cell.process_input("math:double", {"x": payload(-1, 0)})
        assert answer(await cell.process_input("math:double", {"x": payload(1, 2)})) == [2, 4]

    house.with_cell(CellSpec(AgentImage(run.name, "wasm", run.code, run.manifest)), body)


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
