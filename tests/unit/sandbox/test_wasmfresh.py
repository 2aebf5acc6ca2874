import threading

import numpy as np
import pytest
import wasmtime

from sandbox import tensors
from sandbox.errors import AgentFailed, Exceeded
from sandbox.wasmfresh import FreshWasmAgent

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


def agent(deadline_ms: int = 1000) -> FreshWasmAgent:
    return FreshWasmAgent("count", bytes(wasmtime.wat2wasm(TEXT)), MANIFEST, deadline_ms=deadline_ms)


def payload(*values: float) -> tuple[str, bytes]:
    return "tensor", tensors.encode(np.array(values, np.float32))


def answer(outputs: dict) -> list[float]:
    return tensors.decode(outputs["y"][1]).ravel().tolist()


def test_no_request_sees_what_another_has_written() -> None:
    subject = agent()
    for _ in range(20):
        assert answer(subject.process_input("math:count", {"x": payload(3)})) == [4]


def test_every_row_of_a_batch_has_an_instance_of_its_own() -> None:
    subject = agent()
    rows = ("tensor", tensors.encode(np.arange(6, dtype=np.float32).reshape(6, 1)))
    assert answer(subject.process_input("math:count", {"x": rows})) == [1, 2, 3, 4, 5, 6]
    outputs = subject.process_batch("math:count", [{"x": payload(1)}, {"x": payload(-1)}, {"x": payload(2)}])
    assert answer(outputs[0]) == [2]
    assert isinstance(outputs[1], AgentFailed)
    assert answer(outputs[2]) == [3]


def test_a_trap_is_reported_and_the_next_request_is_answered() -> None:
    subject = agent()
    with pytest.raises(AgentFailed, match="trap"):
        subject.process_input("math:count", {"x": payload(-1)})
    assert answer(subject.process_input("math:count", {"x": payload(1)})) == [2]


def test_a_request_without_end_is_ended() -> None:
    subject = agent(deadline_ms=20)
    with pytest.raises(Exceeded, match="wall_ms"):
        subject.process_input("math:count", {"x": payload(7)})
    assert answer(subject.process_input("math:count", {"x": payload(1)})) == [2]


def test_nothing_is_kept_so_nothing_is_restored() -> None:
    with pytest.raises(AgentFailed, match="keeps nothing"):
        agent().restore(bytes(4))


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
