import threading

import numpy as np
import pytest
import wasmtime

from sandbox import tensors
from sandbox.errors import AgentFailed, Exceeded
from sandbox.wasm import WasmAgent
from sandbox.wasmcode import memory_is_its_state
from sandbox.wasmfresh import FreshWasmAgent, wasm_agent

# y = x + the number of calls this memory has seen; a negative x traps, x = 7 never ends.
TEXT = """(module (memory (export "memory") 1 1) (data (i32.const 64) "\\00\\00\\00\\00")
  (func $one (param $x i32) (param $y i32)
    (if (f32.lt (f32.load (local.get $x)) (f32.const 0)) (then (unreachable)))
    (loop $ever (br_if $ever (f32.eq (f32.load (local.get $x)) (f32.const 7))))
    (f32.store (i32.const 64) (f32.add (f32.load (i32.const 64)) (f32.const 1)))
    (f32.store (local.get $y) (f32.add (f32.load (local.get $x)) (f32.load (i32.const 64)))))
  (func (export "infer1") (call $one (i32.const 128) (i32.const 256)))
  (func (export "infer") (param $n i32) (local $i i32)
    (loop $next
      (call $one (i32.add (i32.const 128) (i32.shl (local.get $i) (i32.const 2)))
        (i32.add (i32.const 256) (i32.shl (local.get $i) (i32.const 2))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (local.get $n))))))"""
MANIFEST = {
    "abi": "af-wasm-1",
    "capability": "math:count",
    "input": {"port": "x", "offset": 128, "size": 1, "stride": 1},
    "output": {"port": "y", "offset": 256, "size": 1, "stride": 1},
    "batch_max": 4,
    "pages": 1,
    "weights": {"start": 64, "end": 68},
}


# The same count, but in a global: an instance has state that is not in its memory.
GLOBAL = (
    TEXT.replace('(data (i32.const 64) "\\00\\00\\00\\00")', "(global $count (mut f32) (f32.const 0))")
    .replace(
        "(f32.store (i32.const 64) (f32.add (f32.load (i32.const 64)) (f32.const 1)))",
        "(global.set $count (f32.add (global.get $count) (f32.const 1)))",
    )
    .replace("(f32.load (i32.const 64)))", "(global.get $count))")
)
KINDS = pytest.mark.parametrize("text", [TEXT, GLOBAL], ids=["memory", "global"])


def agent(text: str = TEXT, deadline_ms: int = 5000) -> FreshWasmAgent:
    return FreshWasmAgent("count", bytes(wasmtime.wat2wasm(text)), MANIFEST, deadline_ms=deadline_ms)


def payload(*values: float) -> tuple[str, bytes]:
    return "tensor", tensors.encode(np.array(values, np.float32))


def answer(outputs: dict) -> list[float]:
    return tensors.decode(outputs["y"][1]).ravel().tolist()


@KINDS
def test_no_request_sees_what_another_has_written(text: str) -> None:
    subject = agent(text)
    for _ in range(20):
        assert answer(subject.process_input("math:count", {"x": payload(3)})) == [4]


@KINDS
def test_every_row_of_a_batch_has_an_instance_of_its_own(text: str) -> None:
    subject = agent(text)
    rows = ("tensor", tensors.encode(np.arange(6, dtype=np.float32).reshape(6, 1)))
    assert answer(subject.process_input("math:count", {"x": rows})) == [1, 2, 3, 4, 5, 6]
    outputs = subject.process_batch("math:count", [{"x": payload(1)}, {"x": payload(-1)}, {"x": payload(2)}])
    assert answer(outputs[0]) == [2]
    assert isinstance(outputs[1], AgentFailed)
    assert answer(outputs[2]) == [3]


@KINDS
def test_a_trap_is_reported_and_the_next_request_is_answered(text: str) -> None:
    subject = agent(text)
    with pytest.raises(AgentFailed, match="trap"):
        subject.process_input("math:count", {"x": payload(-1)})
    assert answer(subject.process_input("math:count", {"x": payload(1)})) == [2]


@KINDS
def test_a_request_without_end_is_ended(text: str) -> None:
    subject = agent(text, deadline_ms=500)
    with pytest.raises(Exceeded, match="wall_ms"):
        subject.process_input("math:count", {"x": payload(7)})
    assert answer(subject.process_input("math:count", {"x": payload(1)})) == [2]


def test_nothing_is_kept_so_nothing_is_restored() -> None:
    assert agent().checkpoint() == b""
    agent().restore(b"")
    with pytest.raises(AgentFailed, match="keeps nothing"):
        agent().restore(bytes(4))


def test_the_manifest_decides_and_an_instance_of_another_kind_is_refused() -> None:
    code = bytes(wasmtime.wat2wasm(TEXT))

    def opened(**more: str) -> WasmAgent:
        return wasm_agent("count", code, MANIFEST | more, deadline_ms=1000)

    assert type(opened()) is type(opened(instance="kept")) is WasmAgent
    assert type(opened(instance="per_request")) is FreshWasmAgent
    with pytest.raises(AgentFailed, match="instance is 'each'"):
        opened(instance="each")


def test_weights_cannot_be_written_and_the_attempt_ends_one_request_alone() -> None:
    """What is written lies in the middle of the weights when x is 7, behind them otherwise."""
    text = """(module (memory (export "memory") 1 1) (data (i32.const 4096) "\\00\\00\\80\\3f")
      (func $one
        (f32.store (i32.add (i32.const 8192) (i32.mul (i32.const 8192) (f32.ne (f32.load (i32.const 128))
          (f32.const 7)))) (f32.const 5))
        (f32.store (i32.const 256) (f32.add (f32.load (i32.const 16384)) (f32.load (i32.const 4096)))))
      (func (export "infer1") (call $one)) (func (export "infer") (param i32) (call $one)))"""
    manifest = MANIFEST | {"weights": {"start": 4096, "end": 16384}}
    subject = FreshWasmAgent("weights", bytes(wasmtime.wat2wasm(text)), manifest, deadline_ms=1000)
    for _ in range(2):
        assert answer(subject.process_input("math:count", {"x": payload(1)})) == [6]
        with pytest.raises(AgentFailed, match="trap"):
            subject.process_input("math:count", {"x": payload(7)})


def test_a_span_of_weights_that_hides_the_rows_is_put_back_by_copying() -> None:
    manifest = MANIFEST | {"weights": {"start": 0, "end": 65536}}
    subject = FreshWasmAgent("count", bytes(wasmtime.wat2wasm(TEXT)), manifest, deadline_ms=1000)
    for _ in range(3):
        assert answer(subject.process_input("math:count", {"x": payload(3)})) == [4]


BULK = "(module (memory 1 1) (func (memory.fill (i32.const 0) (i32.const 1) (i32.const 2))))"
LOOKS_LIKE_BULK = """(module (memory 1 1) (func (param i32 i64) (result i32) (local f32 v128)
  (local.set 2 (f32.const 1)) (drop (f64.const 2)) (drop (v128.const i32x4 0xfcfc 0x9fc 0x8fc 0xafc))
  (drop (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (local.get 3) (local.get 3)))
  (drop (v128.load8_lane offset=5 3 (i32.const 0) (local.get 3)))
  (drop (f32x4.extract_lane 2 (local.get 3))) (drop (v128.load32_zero offset=16380 (i32.const 1276)))
  (drop (i32.trunc_sat_f32_s (local.get 2))) (i64.store offset=1276 (i32.const 0) (i64.const 1404))
  (block (block (br_table 0 1 0 (i32.const 1276)))) (i32.const 1276)))"""


@pytest.mark.parametrize(
    ("text", "stateless"),
    [
        (BULK, False),
        (LOOKS_LIKE_BULK, True),
        (LOOKS_LIKE_BULK[:-1] + BULK[len("(module (memory 1 1)") :], False),
        ("(module (memory 1 1) (global i32 (i32.const 0)))", False),
        ("(module (memory 1 1) (table 1 1 funcref))", False),
        ("(module (memory 1 1) (func $f) (start $f))", False),
    ],
)
def test_a_module_with_state_beside_its_memory_is_recognised(text: str, stateless: bool) -> None:
    code = bytes(wasmtime.wat2wasm(text))
    wasmtime.Module.validate(wasmtime.Engine(), code)
    assert memory_is_its_state(code) is stateless


def test_agents_of_several_threads_do_not_meet() -> None:
    found: list[list[float]] = []

    def work() -> None:
        subject = agent()
        found.extend(answer(subject.process_input("math:count", {"x": payload(n)})) for n in range(10, 60))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found) == sorted([[n + 1.0] for n in range(10, 60)] * 3)
