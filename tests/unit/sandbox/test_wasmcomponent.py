import numpy as np
import pytest
import wasmtime

from sandbox import edge, tensors
from sandbox.errors import AgentFailed, Exceeded, Refused
from sandbox.spec import AgentImage, CellSpec
from sandbox.wasmcomponent import ComponentAgent

# y = 2 x + the number of calls this instance has seen before; a first -1 traps, a first 7 never ends.
TEXT = """(component
  (core module $m
    (memory (export "memory") 2 4)
    (global $next (mut i32) (i32.const 1024))
    (global $calls (mut f32) (f32.const 0))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at))
    (func (export "process") (param $p i32) (param $n i32) (result i32) (local $i i32) (local $at i32)
      (if (f32.eq (f32.load (local.get $p)) (f32.const -1)) (then (unreachable)))
      (loop $ever (br_if $ever (f32.eq (f32.load (local.get $p)) (f32.const 7))))
      (loop $each
        (local.set $at (i32.add (local.get $p) (i32.shl (local.get $i) (i32.const 2))))
        (f32.store (local.get $at)
          (f32.add (f32.mul (f32.const 2) (f32.load (local.get $at))) (global.get $calls)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $each (i32.lt_u (local.get $i) (local.get $n))))
      (global.set $calls (f32.add (global.get $calls) (f32.const 1)))
      (global.set $next (i32.const 1024))
      (i32.store (i32.const 16) (local.get $p))
      (i32.store (i32.const 20) (local.get $n))
      (i32.const 16)))
  (core instance $i (instantiate $m))
  (func (export "process-input") (param "input" (list f32)) (result (list f32))
    (canon lift (core func $i "process") (memory (core memory $i "memory"))
      (realloc (core func $i "realloc")))))"""
CODE = bytes(wasmtime.wat2wasm(TEXT))
MANIFEST = {
    "abi": "af-component-1",
    "capability": "math:double",
    "input": {"port": "x", "size": 2},
    "output": {"port": "y", "size": 2},
    "pages": 4,
}


def agent(code: bytes = CODE, deadline_ms: int = 5000, **more: object) -> ComponentAgent:
    return ComponentAgent("double", code, MANIFEST | more, deadline_ms=deadline_ms)


def payload(*values: object) -> tuple[str, bytes]:
    return "tensor", tensors.encode(np.array(values, np.float32))


def ask(subject: ComponentAgent, *values: object) -> list:
    return tensors.decode(subject.process_input("math:double", {"x": payload(*values)})["y"][1]).tolist()


def test_a_component_answers_rows_and_keeps_its_instance() -> None:
    subject = agent()
    assert ask(subject, 1, 2) == [2, 4]
    assert ask(subject, [1, 2], [3, 4]) == [[3, 5], [8, 10]]
    assert subject.get_metadata()["abi"] == "af-component-1"


def test_with_an_instance_per_request_every_row_meets_a_new_one() -> None:
    subject = agent(instance="per_request")
    assert ask(subject, [1, 2], [1, 2]) == [[2, 4], [2, 4]]
    assert ask(subject, 1, 2) == [2, 4]


def test_a_trap_costs_one_request_and_the_next_meets_a_new_instance() -> None:
    subject = agent()
    assert ask(subject, 1, 2) == [2, 4]
    first, second = subject.process_batch("math:double", [{"x": payload(-1, 0)}, {"x": payload(1, 2)}])
    assert isinstance(first, AgentFailed)
    assert "trap" in first.message
    assert tensors.decode(second["y"][1]).tolist() == [2, 4]


def test_a_component_without_end_is_ended() -> None:
    subject = agent(deadline_ms=500)
    with pytest.raises(Exceeded, match="wall_ms"):
        ask(subject, 7, 0)
    assert ask(subject, 1, 2) == [2, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("(list f32)", "(list f64)"), "must take list<f32>|is refused"),
        (('"process-input"', '"other"'), "exports no function process-input"),
        (("(component", '(component (import "clock" (func))'), "imports clock"),
        (("2 4", "5 9"), "is refused"),
    ],
)
def test_another_component_is_refused(change: tuple[str, str], message: str) -> None:
    with pytest.raises(AgentFailed, match=message):
        agent(bytes(wasmtime.wat2wasm(TEXT.replace(*change))))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"pages": 0}, "pages is 0"),
        ({"instance": "each"}, "instance is 'each'"),
        ({"input": {"port": "x"}}, "size"),
    ],
)
def test_a_manifest_that_says_nothing_sensible_is_refused(more: dict, message: str) -> None:
    with pytest.raises(AgentFailed, match=message):
        agent(**more)


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    subject = agent(output={"port": "y", "size": 3})
    with pytest.raises(AgentFailed, match=r"takes \[2\] or \[n, 2\], got \[3\]"):
        ask(subject, 1, 2, 3)
    with pytest.raises(AgentFailed, match="gave 2 numbers, the manifest says 3"):
        ask(subject, 1, 2)
    with pytest.raises(AgentFailed, match="this agent has 'math:double'"):
        subject.process_input("math:other", {"x": payload(1, 2)})
    with pytest.raises(AgentFailed, match="does not learn"):
        subject.update_weights([])
    assert subject.checkpoint() == b""
    with pytest.raises(AgentFailed, match="no state"):
        subject.restore(b"a")


def test_the_wasm_only_tier_runs_no_components() -> None:
    with pytest.raises(Refused, match="is a component"):
        edge.load(CellSpec(AgentImage("double", "wasm", CODE, MANIFEST)))
