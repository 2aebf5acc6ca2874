"""Cells as a daemon uses them: real processes, real lockdown, real agents."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest
import wasmtime

from sandbox import (
    AgentFailed,
    AgentImage,
    Broken,
    Cell,
    CellLimits,
    CellSpec,
    Exceeded,
    Payload,
    Warden,
    tensors,
)
from tests.security.support import House, children, open_house

MIB = 1 << 20

PYTHON = b"""
import os, time, sys
import numpy as np

class Agent:
    def __init__(self):
        self.count = 0

    def process_input(self, capability, inputs):
        return getattr(self, capability)(**inputs)

    def twice(self, x):
        assert not x.flags.writeable
        return {"y": x * 2, "note": {"shape": list(x.shape), "mean": x.mean()}, "raw": b"\\x00\\xff"}

    def several(self, parts):
        return {"sums": tuple(float(p.sum()) for p in parts), "rows": [p + 1 for p in parts], "list": [1, 2]}

    def count_up(self):
        self.count += 1
        return {"count": self.count}

    def fail(self, text):
        raise ValueError(text)

    def nan(self):
        return {"x": float("nan")}

    def sleep(self, seconds):
        time.sleep(seconds)
        return {"slept": True}

    def leave(self, code):
        os._exit(code)

    def checkpoint(self):
        return str(self.count).encode()

    def restore(self, data):
        self.count = int(data)
"""

# Adds the two numbers of a row; rows of the input are 2 items apart, those of the output 4.
ADDER_TEXT = """
(module
  (memory (export "memory") 1 1)
  (data (i32.const 4096) "\\01\\02\\03\\04\\05\\06\\07\\08")
  (func $row (param $i i32)
    (f32.store (i32.add (i32.const 1024) (i32.mul (local.get $i) (i32.const 16)))
      (f32.add
        (f32.load (i32.mul (local.get $i) (i32.const 8)))
        (f32.load offset=4 (i32.mul (local.get $i) (i32.const 8))))))
  (func (export "infer1") (call $row (i32.const 0)))
  (func (export "infer") (param $n i32) (local $i i32)
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
      (call $row (local.get $i))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))))
"""
ADDER_MANIFEST = {
    "abi": "af-wasm-1",
    "capability": "math:add",
    "input": {"port": "x", "offset": 0, "size": 2, "stride": 2},
    "output": {"port": "y", "offset": 1024, "size": 1, "stride": 4},
    "batch_max": 8,
    "pages": 1,
    "weights": {"start": 4096, "end": 4104},
}


def tensor(array: np.ndarray) -> Payload:
    return "tensor", tensors.encode(array)


def value(payload: Payload) -> object:
    kind, data = payload
    return tensors.decode(data) if kind == "tensor" else json.loads(data) if kind == "json" else data


def python(**limits: float) -> CellSpec:
    return CellSpec(AgentImage("subject", "python", PYTHON), CellLimits(**limits))


def adder() -> CellSpec:
    return CellSpec(AgentImage("adder", "wasm", bytes(wasmtime.wat2wasm(ADDER_TEXT)), ADDER_MANIFEST))


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with open_house() as opened:
        yield opened


def test_a_python_agent_gets_values_and_gives_values(house: House) -> None:
    async def body(cell: Cell) -> None:
        answer = await cell.process_input("twice", {"x": tensor(np.arange(6.0).reshape(2, 3))})
        assert value(answer["y"]).tolist() == [[0, 2, 4], [6, 8, 10]]
        assert value(answer["note"]) == {"shape": [2, 3], "mean": 2.5}
        assert answer["raw"] == ("bytes", b"\x00\xff")

    house.with_cell(python(), body)


def test_a_many_port_is_a_list_on_both_sides(house: House) -> None:
    async def body(cell: Cell) -> None:
        parts = [tensor(np.ones(n, np.float32)) for n in (1, 2, 3)]
        answer = await cell.process_input("several", {"parts": parts})
        assert [value(item) for item in answer["sums"]] == [1.0, 2.0, 3.0]
        assert [value(item).tolist() for item in answer["rows"]] == [[2.0], [2.0, 2.0], [2.0, 2.0, 2.0]]
        assert answer["list"] == ("json", b"[1,2]")

    house.with_cell(python(), body)


def test_an_agent_that_raises_fails_its_call_and_lives_on(house: House) -> None:
    async def body(cell: Cell) -> None:
        with pytest.raises(AgentFailed) as caught:
            await cell.process_input("fail", {"text": ("json", b'"no\\u001b[31m\\nforged line"')})
        assert "ValueError: no" in str(caught.value)
        assert "\x1b" not in str(caught.value)
        assert "\n" not in str(caught.value)
        with pytest.raises(AgentFailed, match="port 'x' cannot be sent"):
            await cell.process_input("nan", {})
        assert value((await cell.process_input("count_up", {}))["count"]) == 1

    house.with_cell(python(), body)


def test_calls_are_pipelined_and_answered_in_order(house: House) -> None:
    async def body(cell: Cell) -> None:
        answers = await asyncio.gather(*(cell.process_input("count_up", {}) for _ in range(100)))
        assert [value(answer["count"]) for answer in answers] == list(range(1, 101))

    house.with_cell(python(), body)


def test_a_batch_has_a_result_or_an_error_for_each_item(house: House) -> None:
    async def body(cell: Cell) -> None:
        good, bad = {"x": tensor(np.ones(2))}, {"x": tensor(np.ones(2)), "z": ("json", b"1")}
        results = await cell.process_batch("twice", [good, bad, good])
        assert isinstance(results[1], AgentFailed)
        assert [value(results[i]["y"]).tolist() for i in (0, 2)] == [[2, 2], [2, 2]]

    house.with_cell(python(), body)


KEEPER = b"""
import time
import numpy as np

class Agent:
    kept = None

    def process_input(self, capability, inputs):
        return getattr(self, capability)(inputs)

    def echo(self, inputs):
        return inputs

    def grow(self, inputs):
        time.sleep(0.1)  # the next call and its memory come meanwhile
        return {"x": np.full(3 << 18, 7, np.float32)}

    def keep(self, inputs):
        self.kept = inputs["x"]
        return {}

    def give(self, inputs):
        return {"first": float(self.kept[0]), "same": bool((self.kept == self.kept[0]).all())}

    def fail(self, inputs):
        raise ValueError("not with me")
"""


def large(number: float) -> Payload:
    return tensor(np.full(3 * MIB // 4, number, np.float32))


def keeper(**limits: float) -> CellSpec:
    return CellSpec(AgentImage("keeper", "python", KEEPER), CellLimits(**limits))


def test_large_payloads_travel_in_shared_memory_and_come_back_whole(house: House) -> None:
    async def body(cell: Cell) -> None:
        rows = [{"x": large(n), "note": ("json", b"1"), "raw": ("bytes", bytes(2 * MIB))} for n in range(3)]
        assert await cell.process_input("echo", rows[0]) == rows[0]
        assert await cell.process_batch("echo", rows) == rows
        answers = await asyncio.gather(*(cell.process_input("echo", row) for row in rows * 3))
        assert answers == rows * 3
        many = {"x": [large(n) for n in range(4)]}
        assert await cell.process_input("echo", many) == many
        assert not cell._channel.lender._lent

    house.with_cell(keeper(memory_bytes=256 * MIB), body)


def test_memory_that_comes_for_a_later_call_is_not_taken_for_room_for_an_answer(house: House) -> None:
    async def body(cell: Cell) -> None:
        grown, echoed = await asyncio.gather(
            cell.process_input("grow", {}), cell.process_input("echo", {"x": large(5)})
        )
        assert grown == {"x": large(7)}
        assert echoed == {"x": large(5)}

    house.with_cell(keeper(memory_bytes=256 * MIB), body)


def test_an_array_an_agent_keeps_does_not_change_under_it(house: House) -> None:
    async def body(cell: Cell) -> None:
        await cell.process_input("keep", {"x": large(1)})
        for n in range(2, 5):
            await cell.process_input("echo", {"x": large(n)})
        kept = await cell.process_input("give", {})
        assert (value(kept["first"]), value(kept["same"])) == (1.0, True)

    house.with_cell(keeper(memory_bytes=256 * MIB), body)


def test_what_agents_keep_is_bounded_by_their_memory(house: House) -> None:
    async def body(cell: Cell) -> None:
        for n in range(30):
            with pytest.raises(AgentFailed, match="not with me"):
                await cell.process_input("fail", {"x": large(n)})
            await cell.process_input("keep", {"x": large(n)})
        assert cell._channel.lender._kept_bytes_left >= 0
        assert value((await cell.process_input("give", {}))["first"]) == 29.0

    house.with_cell(keeper(memory_bytes=64 * MIB), body)


def test_an_answer_over_the_limit_is_refused_whichever_way_it_goes(house: House) -> None:
    async def body(cell: Cell) -> None:
        for _ in range(2):
            with pytest.raises(Exceeded) as caught:
                await cell.process_input("echo", {"x": large(1)})
            assert caught.value.limit == "output_bytes"

    house.with_cell(keeper(output_bytes=2 * MIB), body)


def test_state_leaves_by_checkpoint_and_comes_back_by_restore(house: House) -> None:
    async def body(warden: Warden) -> None:
        async with await warden.spawn(python()) as first, await warden.spawn(python()) as second:
            for _ in range(3):
                await first.process_input("count_up", {})
            await second.restore(await first.checkpoint())
            assert value((await second.process_input("count_up", {}))["count"]) == 4
            with pytest.raises(AgentFailed, match="does not learn"):
                await first.update_weights(("json", b"1"))
            assert (await first.get_metadata())["kind"] == "python"

    house.run(body)


def test_a_wasm_agent_answers_rows_batches_and_blocks(house: House) -> None:
    async def body(cell: Cell) -> None:
        row = await cell.process_input("math:add", {"x": tensor(np.array([3, 4], np.int64))})
        assert value(row["y"]).tolist() == [7.0]
        assert value(row["y"]).dtype == np.float32
        block = np.arange(40, dtype=np.float64).reshape(20, 2)  # more rows than batch_max
        answer = await cell.process_input("math:add", {"x": tensor(block)})
        assert value(answer["y"]).tolist() == block.sum(axis=1, keepdims=True).tolist()
        batch = [{"x": tensor(np.array([i, 1], np.float32))} for i in range(20)]
        results = await cell.process_batch("math:add", [*batch, {"x": tensor(np.ones(3))}])
        assert [value(result["y"]).tolist() for result in results[:-1]] == [[i + 1.0] for i in range(20)]
        assert isinstance(results[-1], AgentFailed)
        assert "'x' takes [2] or [n, 2], got [3]" in str(results[-1])

    house.with_cell(adder(), body)


def test_weights_of_a_wasm_agent_are_its_checkpoint(house: House) -> None:
    async def body(cell: Cell) -> None:
        kept = await cell.checkpoint()
        assert kept.endswith(bytes(range(1, 9)))
        await cell.restore(kept)
        assert await cell.checkpoint() == kept
        with pytest.raises(AgentFailed, match="it was changed"):
            await cell.restore(kept[:-1] + b"x")

    house.with_cell(adder(), body)


def test_a_late_call_takes_the_calls_behind_it_along_and_no_other_cell(house: House) -> None:
    async def body(warden: Warden) -> None:
        async with await warden.spawn(python()) as slow, await warden.spawn(python()) as other:
            late = slow.process_input("sleep", {"seconds": ("json", b"30")}, wall_ms=100)
            behind = slow.process_input("count_up", {})
            outcomes = await asyncio.gather(late, behind, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [Exceeded, Exceeded]
            assert isinstance(await slow.closed, Exceeded)
            assert value((await other.process_input("count_up", {}))["count"]) == 1

    house.run(body)


def test_waiting_behind_others_does_not_use_up_a_calls_own_time(house: House) -> None:
    async def body(cell: Cell) -> None:
        nap = {"seconds": ("json", b"0.7")}
        answers = await asyncio.gather(*(cell.process_input("sleep", nap, wall_ms=3000) for _ in range(5)))
        assert len(answers) == 5  # the last of them begins almost when its time would be up

    house.with_cell(python(), body)


LIFE = b"""
class Agent:
    said = []

    def process_input(self, capability, inputs):
        self.said.append(capability)
        if capability == "fail":
            raise ValueError("not again")
        return {"said": self.said}
"""


def test_an_agent_is_asked_what_comes_first_and_what_comes_last(house: House) -> None:
    async def body(warden: Warden) -> None:
        image = AgentImage("life", "python", LIFE)
        cell = await warden.spawn(CellSpec(image, first=("wake", "wash"), last=("fail",)))
        assert value((await cell.process_input("work", {}))["said"]) == ["wake", "wash", "work"]
        await cell.close()
        assert "not again" in str(cell.farewell)
        with pytest.raises(AgentFailed, match="not again"):
            await warden.spawn(CellSpec(image, first=("fail",)))
        killed = await warden.spawn(CellSpec(image, last=("fail",)))
        killed.kill()
        await killed.closed
        assert killed.farewell is None

    house.run(body)


def test_a_process_that_ends_itself_is_reported_with_its_code(house: House) -> None:
    async def body(cell: Cell) -> None:
        with pytest.raises(Broken, match="with code 7"):
            await cell.process_input("leave", {"code": ("json", b"7")})

    house.with_cell(python(), body)


def test_a_cell_killed_from_outside_fails_its_calls_and_the_warden_makes_another(house: House) -> None:
    async def body(warden: Warden) -> None:
        async with await warden.spawn(python()) as cell:
            call = asyncio.ensure_future(cell.process_input("sleep", {"seconds": ("json", b"30")}))
            os.kill(cell.pid, signal.SIGKILL)
            with pytest.raises(Broken, match="SIGKILL"):
                await call
        async with await warden.spawn(python()) as cell:
            await cell.process_input("count_up", {})

    house.run(body)


def test_an_agent_that_cannot_be_loaded_says_why_and_leaves_no_cell(house: House) -> None:
    async def body(warden: Warden) -> None:
        for source, reason in (
            (b"import no_such_module", "ModuleNotFoundError"),
            (b"def broken(:", "SyntaxError"),
            (b"x = 1", "no class Agent"),
            (b"\xff\xfe", "not UTF-8"),
        ):
            with pytest.raises(AgentFailed, match=reason):
                await warden.spawn(CellSpec(AgentImage("bad", "python", source)))

    house.run(body)


@pytest.mark.parametrize(
    ("text", "manifest", "reason"),
    [
        ('(module (import "a" "b" (func)))', {}, "imports a.b"),
        ('(module (memory (export "memory") 1 1))', {}, "no function infer1"),
        ('(module (func (export "infer1")))', {}, "no memory"),
        ('(module (memory (export "memory") 1 2))', {}, "1 to 2 pages"),
        ('(module (memory (export "memory") 2 2))', {"pages": 1}, "refused"),
        ("(module)", {"abi": "other"}, "abi is 'other'"),
        ("(module)", {"batch_max": 100_000_000}, "batch_max"),
        ("(module)", {"input": {"port": "x", "offset": 65532, "size": 2, "stride": 2}}, "end of x"),
        ("(module)", {"weights": {"start": 0, "end": 65537}}, "weights.end"),
    ],
)
def test_a_module_that_breaks_the_contract_is_refused_at_the_door(
    house: House, text: str, manifest: dict[str, object], reason: str
) -> None:
    async def body(warden: Warden) -> None:
        image = AgentImage("bad", "wasm", bytes(wasmtime.wat2wasm(text)), {**ADDER_MANIFEST, **manifest})
        with pytest.raises(AgentFailed, match=reason):
            await warden.spawn(CellSpec(image))

    house.run(body)


def test_closing_a_cell_lets_it_finish_and_names_the_reason(house: House) -> None:
    async def body(warden: Warden) -> None:
        cell = await warden.spawn(python())
        call = asyncio.ensure_future(cell.process_input("sleep", {"seconds": ("json", b"0.05")}))
        await asyncio.sleep(0)
        await cell.close(grace_ms=5000)
        assert value((await call)["slept"]) is True
        assert (await cell.closed).code == "cell.closed"
        assert cell.usage().cpu_ms is not None
        with pytest.raises(Broken):
            await cell.process_input("count_up", {})

    house.run(body)


def test_a_warden_starts_only_after_its_cells_have_held_and_leaves_nothing() -> None:
    async def main() -> None:
        before = children()
        async with await Warden.start() as warden:
            assert {"network", "filesystem", "processes", "syscalls", "memory"} <= set(
                warden.attestation.held
            )
            async with await warden.spawn(python()) as cell:
                await cell.process_input("count_up", {})
        assert children() == before

    asyncio.run(main())
