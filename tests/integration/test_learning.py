"""The digit agent with its last layer forgotten learns it again, row by row, in a real cell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import af
from af.trainingdata import training_from
from af.weights import network_from, weights_section
from sandbox import tensors
from sandbox.cell import Cell
from sandbox.errors import AgentFailed
from sandbox.spec import AgentImage, CellSpec
from tests.security.support import House, open_house

DIGITS = Path(__file__).resolve().parents[2] / "agents" / "digits" / "digits.af"


def forgetful() -> tuple[CellSpec, np.ndarray, np.ndarray]:
    agent = af.parse(DIGITS.read_bytes())
    data = training_from(agent.section("training_data"))
    config = agent.header.neural_config.model_copy(update={"learns": True, "learning_rate": 0.002})
    network = network_from(config, agent.section("neural_weights"))
    last = max(int(name.partition(".")[0]) for name, _ in network.tensors())
    tensors_now = {name: tensor * (not name.startswith(f"{last}.")) for name, tensor in network.tensors()}
    header = agent.header.model_copy(update={"neural_config": config})
    agent = agent.with_section(weights_section(network.with_tensors(tensors_now))).with_header(header)
    run = af.executable(af.compile_agent(agent))
    return CellSpec(AgentImage(run.name, "wasm", run.code, run.manifest)), data.inputs, data.targets[:, 0]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with open_house() as opened:
        yield opened


def test_an_agent_learns_in_its_cell_and_a_checkpoint_carries_what_it_has_learned(house: House) -> None:
    spec, inputs, labels = forgetful()
    rows = "tensor", tensors.encode(inputs.astype(np.float32))
    classes = "tensor", tensors.encode(labels.astype(np.int64))

    async def right(cell: Cell) -> tuple[float, bytes]:
        answer = await cell.process_input("vision:digit", {"image": rows})
        scores = tensors.decode(answer["scores"][1])
        return float((scores.argmax(axis=1) == labels).mean()), answer["scores"][1]

    async def body(cell: Cell) -> None:
        before, _ = await right(cell)
        assert before < 0.3
        await cell.update_weights([rows, classes])
        after, answers = await right(cell)
        assert after > 0.9
        kept = await cell.checkpoint()
        with pytest.raises(AgentFailed, match="was not learned"):
            await cell.update_weights([("tensor", tensors.encode(np.full(64, np.nan, "f4"))), _class(1)])
        assert (await right(cell))[1] == answers
        await cell.update_weights([("tensor", tensors.encode(np.ones(64, "f4"))), _class(1)])
        assert (await right(cell))[1] != answers
        await cell.restore(kept)
        assert (await right(cell))[1] == answers

    house.with_cell(spec, body)


def _class(number: int) -> tuple[str, bytes]:
    return "tensor", tensors.encode(np.array(number))
