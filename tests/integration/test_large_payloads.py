"""Payloads no process should hold: out of a file into a cell, and out of a cell into a file."""

import asyncio
import hashlib
import os
import resource
from pathlib import Path

import numpy as np
import pytest

from sandbox import AgentImage, CellLimits, CellSpec, Exceeded, Held, Stored, tensors
from sandbox.shared import HELD_BYTES
from swarm.adapters.blobs import FileBlobs
from tests.integration.test_cells import KEEPER
from tests.security.support import open_house

MIB = 1 << 20
LARGE = b"""
import numpy as np

class Agent:
    def process_input(self, capability, inputs):
        if capability == "make":
            return {"x": np.arange(inputs["n"], dtype=np.float32)}
        if capability == "echo":
            return inputs
        if capability == "same":
            return {"x": inputs["x"], "y": inputs["x"][:4], "z": inputs["x"]}
        return {"total": float(inputs["x"].sum(dtype=np.float64))}
"""


@pytest.fixture(scope="module")
def house():
    with open_house() as opened:
        yield opened


def spec(code=LARGE, **limits):
    return CellSpec(AgentImage("large", "python", code), CellLimits(**limits))


def stored(path, data):
    path.write_bytes(data)
    return Stored(os.open(path, os.O_RDONLY | os.O_CLOEXEC), len(data))


def test_a_large_input_comes_from_a_file_and_a_large_answer_goes_to_one(house, tmp_path):
    array = np.random.default_rng(1).random(HELD_BYTES // 4, np.float32)
    data = tensors.encode(array)
    payload = stored(tmp_path / "data", data)

    async def body(cell):
        blobs = FileBlobs(tmp_path / "blobs")
        for _ in range(3):  # pieces come and go, and small calls go on between them
            answers = await cell.process_large("same", [{"x": ("tensor", payload)}] * 2)
            for answer in answers:
                held = answer["x"][1]
                assert isinstance(held, Held)
                assert held.front(8) == data[:8]
                digest, front = await blobs.take(held.owner.descriptor, held.start, len(held))
                assert digest == hashlib.sha256(data).hexdigest()
                assert front == data[: len(front)]
                assert tensors.decode(answer["y"][1]).tolist() == array[:4].tolist()
            answers[0]["x"][1].close()
            (small,) = await cell.process_batch("sum", [{"x": ("tensor", tensors.encode(array[:8]))}])
            assert b"." in small["total"][1]
            (plain,) = await cell.process_batch("echo", [{"x": ("tensor", data)}])
            assert plain["x"][1] == data
        assert not cell._channel.lender._lent

    house.with_cell(spec(memory_bytes=1024 * MIB, output_bytes=512 * MIB), body)


def test_a_large_payload_costs_the_daemon_no_memory_and_the_cell_no_second_copy(house, tmp_path):
    count = 64 * MIB
    size = 4 * count

    async def body(cell):
        before = _resident()
        (made,) = await cell.process_large("make", [{"n": ("json", str(count).encode())}])
        blobs = FileBlobs(tmp_path)
        digest, _ = await blobs.take(made["x"][1].owner.descriptor, made["x"][1].start, len(made["x"][1]))
        made["x"][1].close()
        with await blobs.open(digest) as descriptor:
            given = {"x": ("tensor", Stored(descriptor, len(made["x"][1])))}
            (echoed,) = await cell.process_large("echo", [given])
            assert (await blobs.take(echoed["x"][1].owner.descriptor, 0, len(echoed["x"][1])))[0] == digest
            echoed["x"][1].close()
            (total,) = await cell.process_large("sum", [given])
        assert float(total["total"][1]) == count * (count - 1) / 2
        assert _resident() - before < size / 4
        assert _peak(cell.pid) < 1.5 * size

    house.with_cell(spec(memory_bytes=1024 * MIB, output_bytes=512 * MIB), body)


def test_an_input_larger_than_its_agent_may_have_is_refused_and_the_cell_lives(house, tmp_path):
    payload = stored(tmp_path / "data", tensors.encode(np.zeros(40 * MIB, np.uint8)))

    async def body(cell):
        with pytest.raises(Exceeded) as caught:
            await cell.process_large("sum", [{"x": ("tensor", payload)}])
        assert caught.value.limit == "memory_bytes"
        (small,) = await cell.process_large("sum", [{"x": ("tensor", tensors.encode(np.ones(3)))}])
        assert small["total"] == ("json", b"3.0")

    house.with_cell(spec(memory_bytes=36 * MIB), body)


def test_a_file_that_ends_before_it_should_fails_the_call_alone(house, tmp_path):
    payload = stored(tmp_path / "data", tensors.encode(np.zeros(2 * MIB, np.uint8)))
    os.truncate(tmp_path / "data", MIB)

    async def body(cell):
        with pytest.raises(Exception, match="ends at byte"):
            await cell.process_large("sum", [{"x": ("tensor", payload)}])
        (small,) = await cell.process_large("sum", [{"x": ("tensor", tensors.encode(np.ones(3)))}])
        assert small["total"] == ("json", b"3.0")
        assert not cell._channel.lender._lent

    house.with_cell(spec(), body)


def test_who_stops_waiting_for_a_large_answer_leaves_no_memory_behind(house):
    async def body(cell):
        open_before = _descriptors()
        call = asyncio.create_task(cell.process_large("make", [{"n": ("json", str(16 * MIB).encode())}]))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await cell.process_large("make", [{"n": ("json", b"4")}])
        assert _descriptors() <= open_before + 2

    house.with_cell(spec(memory_bytes=512 * MIB, output_bytes=256 * MIB), body)


def test_an_agent_that_keeps_a_large_input_pays_for_it(house, tmp_path):
    payload = stored(tmp_path / "data", tensors.encode(np.ones(40 * MIB, np.uint8)))

    async def body(cell):
        await cell.process_large("keep", [{"x": ("tensor", payload)}])
        with pytest.raises(Exceeded):
            await cell.process_large("keep", [{"x": ("tensor", payload)}])
        (kept,) = await cell.process_large("give", [{}])
        assert kept["first"] == ("json", b"1.0")

    house.with_cell(spec(KEEPER, memory_bytes=80 * MIB), body)


def _resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _peak(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def _descriptors():
    return len([*Path("/proc/self/fd").iterdir()])
