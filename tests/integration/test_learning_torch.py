"""A network that is not dense learns in a real cell through PyTorch, and says where that is missing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import af
from sandbox import tensors
from sandbox.cell import Cell
from sandbox.errors import AgentFailed
from sandbox.spec import AgentImage, CellLimits, CellSpec
from tests.security.support import House, open_house
from tests.unit.af.layernets import rows_for
from tests.unit.af.test_torchagent import agent_file

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with open_house() as opened:
        yield opened


def tensor(values: np.ndarray) -> tuple[str, bytes]:
    return "tensor", tensors.encode(values)


def spec_of(code: bytes, run: af.Executable) -> CellSpec:
    image = AgentImage(run.name, "python", code, run.manifest)
    limits = CellLimits(memory_bytes=run.resources.limits.memory_mb << 20, wall_ms=60_000)
    return CellSpec(image, limits, profile="native")


def test_a_convolution_learns_in_its_cell_and_a_checkpoint_carries_what_it_has_learned(house: House) -> None:
    net, compiled = agent_file("conv2d", momentum=0.5)
    run = af.executable(compiled)
    rows, wanted = rows_for(net, 2), np.zeros((2, net.output_size), "f4")

    async def answers(cell: Cell) -> bytes:
        given = await cell.process_input("test:sample", {"x": tensor(rows)})
        return bytes(given["y"][1])

    async def body(cell: Cell) -> None:
        before, start = await answers(cell), await cell.checkpoint()
        assert (await cell.get_metadata())["agent"]["learns"] is True
        await cell.update_weights([tensor(rows), tensor(wanted)])
        after, kept = await answers(cell), await cell.checkpoint()
        assert np.square(tensors.decode(after)).sum() < np.square(tensors.decode(before)).sum()
        with pytest.raises(AgentFailed, match="row 0 was not learned"):
            await cell.update_weights([tensor(np.full_like(rows, np.nan)), tensor(wanted)])
        assert (await answers(cell), await cell.checkpoint()) == (after, kept)
        for state, expected in ((start, before), (kept, after)):
            await cell.restore(state)
            assert await answers(cell) == expected

    house.with_cell(spec_of(run.code, run), body)


def test_where_pytorch_is_missing_loading_says_what_to_install(house: House) -> None:
    _, compiled = agent_file("gru")
    run = af.executable(compiled)
    without = b"import sys\nsys.modules['torch'] = None\n" + run.code

    async def body(cell: Cell) -> None:
        raise AssertionError(cell)

    with pytest.raises(AgentFailed, match=r"AfNotReady.*pip install 'neural-swarm\[torch\]'"):
        house.with_cell(spec_of(without, run), body)
