import numpy as np
import pytest
import wasmtime

from sandbox import tensors, wasm
from sandbox.errors import AgentFailed, Exceeded
from sandbox.wasm import WasmAgent

MANIFEST = {
    "abi": "af-wasm-1",
    "capability": "math:double",
    "input": {"port": "x", "offset": 0, "size": 1, "stride": 1},
    "output": {"port": "y", "offset": 64, "size": 1, "stride": 1},
    "batch_max": 4,
    "pages": 1,
    "weights": {"start": 128, "end": 132},
}
# Answers x * weight; a negative x traps, a zero loops for ever.
TEXT = """
(module
  (memory (export "memory") 1 1)
  (data (i32.const 128) "\\00\\00\\00\\40")
  (func $row (param $at i32) (local $x f32)
    (local.set $x (f32.load (local.get $at)))
    (if (f32.lt (local.get $x) (f32.const 0)) (then unreachable))
    (loop $again (br_if $again (f32.eq (local.get $x) (f32.const 0))))
    (f32.store offset=64 (local.get $at) (f32.mul (local.get $x) (f32.load (i32.const 128)))))
  (func (export "infer1") (call $row (i32.const 0)))
  (func (export "infer") (param $n i32)
    (loop $next
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (call $row (i32.mul (local.get $n) (i32.const 4)))
      (br_if $next (local.get $n)))))
"""
CODE = bytes(wasmtime.wat2wasm(TEXT))


def agent(deadline_ms: int = 5000) -> WasmAgent:
    return WasmAgent("double", CODE, MANIFEST, deadline_ms=deadline_ms)


def row(value: float) -> tuple[str, bytes]:
    return "tensor", tensors.encode(np.array([value], np.float32))


def numbers(payload: object) -> list:
    return tensors.decode(payload[1]).tolist()


def test_one_row_a_block_and_a_list_are_answered_alike() -> None:
    subject = agent()
    assert numbers(subject.process_input("math:double", {"x": row(3)})["y"]) == [6]
    block = "tensor", tensors.encode(np.arange(1, 8, dtype=np.uint8).reshape(7, 1))
    assert numbers(subject.process_input("math:double", {"x": block})["y"]) == [
        [2.0 * n] for n in range(1, 8)
    ]
    many = subject.process_input("math:double", {"x": [row(1), block, row(2)]})["y"]
    assert [numbers(item) for item in many] == [[2], [[2.0 * n] for n in range(1, 8)], [4]]
    empty = "tensor", tensors.encode(np.zeros((0, 1), np.float32))
    assert numbers(subject.process_input("math:double", {"x": empty})["y"]) == []


def test_a_trap_costs_only_its_own_place_in_a_batch() -> None:
    results = agent().process_batch("math:double", [{"x": row(1)}, {"x": row(-1)}, {"x": row(2)}])
    assert numbers(results[0]["y"]) == [2]
    assert isinstance(results[1], AgentFailed)
    assert "trap" in str(results[1])
    assert numbers(results[2]["y"]) == [4]


def test_an_endless_loop_ends_at_the_deadline_and_the_agent_goes_on() -> None:
    subject = agent(deadline_ms=500)
    with pytest.raises(Exceeded) as caught:
        subject.process_input("math:double", {"x": row(0)})
    assert (caught.value.limit, caught.value.value) == ("wall_ms", 500)
    assert numbers(subject.process_input("math:double", {"x": row(5)})["y"]) == [10]


@pytest.mark.parametrize(
    ("capability", "inputs", "reason"),
    [
        ("math:other", {"x": row(1)}, "capability 'math:other'"),
        ("math:double", {"z": row(1)}, "exactly 'x'"),
        ("math:double", {"x": row(1), "z": row(1)}, "exactly 'x'"),
        ("math:double", {"x": ("json", b"[1]")}, "takes a tensor, got json"),
        ("math:double", {"x": ("tensor", b"junk")}, "port 'x'"),
        (
            "math:double",
            {"x": ("tensor", tensors.encode(np.zeros(2)))},
            r"takes \[1\] or \[n, 1\], got \[2\]",
        ),
        ("math:double", {"x": ("tensor", tensors.encode(np.zeros((1, 1, 1))))}, r"got \[1, 1, 1\]"),
    ],
)
def test_an_input_that_does_not_fit_says_what_would(capability: str, inputs: dict, reason: str) -> None:
    with pytest.raises(AgentFailed, match=reason):
        agent().process_input(capability, inputs)


def test_an_agent_without_a_training_step_says_which_ones_learn() -> None:
    with pytest.raises(AgentFailed, match=r"does not learn.*`learns: true`"):
        agent().update_weights([row(1), row(1)])


def test_without_the_private_entry_point_the_public_one_gives_the_same_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(wasmtime._ffi, "wasmtime_val_raw_t")
    subject = agent()
    assert numbers(subject.process_input("math:double", {"x": row(3)})["y"]) == [6]
    results = subject.process_batch("math:double", [{"x": row(1)}, {"x": row(-1)}])
    assert numbers(results[0]["y"]) == [2]
    assert "trap" in str(results[1])


def test_a_memory_that_grows_is_refused_even_before_it_does() -> None:
    text = TEXT.replace('"memory") 1 1', '"memory") 1 9')
    with pytest.raises(AgentFailed, match="1 to 9 pages"):
        WasmAgent("double", bytes(wasmtime.wat2wasm(text)), MANIFEST, deadline_ms=1000)


@pytest.mark.parametrize("code", [b"", b"(module)", b"\0asm", b"\0asm\x01\0\0\0garbage"])
def test_code_that_is_no_module_is_refused(code: bytes) -> None:
    with pytest.raises(AgentFailed):
        WasmAgent("double", code, MANIFEST, deadline_ms=1000)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pages": 0}, "pages"),
        ({"pages": True}, "pages"),
        ({"batch_max": "4"}, "batch_max"),
        ({"input": {"port": "x", "offset": 2, "size": 1, "stride": 1}}, "multiple of 4"),
        ({"input": {"port": "x", "offset": 0, "size": 2, "stride": 1}}, "stride"),
        ({"input": {"port": "x", "offset": -4, "size": 1, "stride": 1}}, "offset"),
        ({"output": {"port": "y", "offset": 0, "size": 1}}, "stride.* is missing"),
        ({"weights": {"start": 9, "end": 8}}, "weights.end"),
        ({"weights": None}, "refused"),
    ],
)
def test_a_manifest_that_lies_is_refused(change: dict, reason: str) -> None:
    with pytest.raises(AgentFailed, match=reason):
        WasmAgent("double", CODE, {**MANIFEST, **change}, deadline_ms=1000)


def test_the_answer_does_not_change_when_the_next_call_overwrites_the_memory() -> None:
    subject = agent()
    first = subject.process_input("math:double", {"x": row(1)})["y"]
    subject.process_input("math:double", {"x": row(9)})
    assert numbers(first) == [2]


RELAXED = """
(module (func (result v128)
  (f32x4.relaxed_madd (v128.const i64x2 0 0) (v128.const i64x2 0 0) (v128.const i64x2 0 0))))
"""


@pytest.mark.parametrize("text", ['(module (memory (export "memory") 1 1 shared))', RELAXED])
def test_what_could_differ_between_nodes_is_switched_off(text: str) -> None:
    with pytest.raises(wasmtime.WasmtimeError):
        wasmtime.Module(wasm.engine(), bytes(wasmtime.wat2wasm(text)))
