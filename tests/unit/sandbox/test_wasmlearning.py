import numpy as np
import pytest
import wasmtime

from sandbox import tensors
from sandbox.errors import AgentFailed, Exceeded
from sandbox.wasm import WasmAgent
from sandbox.wasmfresh import FreshWasmAgent

# y = w x, and train1: w += rate * target * x. A target of 7 is refused, 8 traps and 9 loops, each after the
# weight has moved.
TEXT = """
(module
  (memory (export "memory") 1 1)
  (data (i32.const 128) "\\00\\00\\00\\40")
  (func (export "infer1")
    (f32.store (i32.const 64) (f32.mul (f32.load (i32.const 0)) (f32.load (i32.const 128)))))
  (func (export "infer") (param i32))
  (func (export "train1") (local $t f32)
    (local.set $t (f32.load (i32.const 192)))
    (f32.store (i32.const 128) (f32.add (f32.load (i32.const 128))
      (f32.mul (f32.load (i32.const 256)) (f32.mul (local.get $t) (f32.load (i32.const 0))))))
    (f32.store (i32.const 320) (f32.add (f32.load (i32.const 320)) (f32.const 1)))
    (i32.store (i32.const 264) (f32.eq (local.get $t) (f32.const 7)))
    (if (f32.eq (local.get $t) (f32.const 8)) (then unreachable))
    (loop $again (br_if $again (f32.eq (local.get $t) (f32.const 9))))))
"""
CODE = bytes(wasmtime.wat2wasm(TEXT))
TRAIN = {
    "target": {"port": "target", "offset": 192, "size": 1, "stride": 1},
    "settings": 256,
    "state": {"start": 320, "end": 324},
    "learning_rate": 0.5,
}
MANIFEST = {
    "abi": "af-wasm-1",
    "capability": "math:scale",
    "input": {"port": "x", "offset": 0, "size": 1, "stride": 1},
    "output": {"port": "y", "offset": 64, "size": 1, "stride": 1},
    "batch_max": 1,
    "pages": 1,
    "weights": {"start": 128, "end": 132},
    "train": TRAIN,
}


def agent(kind=WasmAgent, deadline_ms=5000, **changes):
    return kind("scale", CODE, {**MANIFEST, **changes}, deadline_ms=deadline_ms)


def tensor(values, dtype=np.float32):
    return "tensor", tensors.encode(np.array(values, dtype))


def weight(subject):
    return float(subject.infer(np.array([1], np.float32))[0])


def test_feedback_moves_the_weight_at_the_files_rate_or_at_its_own():
    subject = agent()
    subject.update_weights([tensor([3]), tensor([2])])
    assert weight(subject) == 2 + 0.5 * 2 * 3
    subject.update_weights([tensor([3]), tensor([2]), ("json", b"2")])
    assert weight(subject) == 5 + 2 * 2 * 3
    assert subject.get_metadata()["learns"] is True


def test_a_block_is_learned_row_by_row():
    subject = agent()
    subject.update_weights([tensor([[1], [2], [3]]), tensor([[1], [1], [2]], np.float64)])
    assert weight(subject) == 2 + 0.5 * (1 + 2 + 6)


@pytest.mark.parametrize("target", [7, 8, 9])
def test_whatever_fails_the_weights_and_the_state_are_those_of_before(target):
    subject = agent(deadline_ms=500)
    subject.update_weights([tensor([1]), tensor([1])])
    before = subject.checkpoint()
    with pytest.raises((AgentFailed, Exceeded)):
        subject.update_weights([tensor([[1], [1]]), tensor([[1], [target]])])
    assert subject.checkpoint() == before
    subject.update_weights([tensor([1]), tensor([1])])
    assert weight(subject) == 3


@pytest.mark.parametrize(
    ("feedback", "reason"),
    [
        (tensor([1]), "feedback is .inputs, targets"),
        ([tensor([1])], "feedback is .inputs, targets"),
        ([tensor([1]), tensor([1]), ("json", b"1"), ("json", b"1")], "feedback is .inputs, targets"),
        ([tensor([1, 2]), tensor([1])], r"inputs are \[1\] or \[rows, 1\], got \[2\]"),
        ([tensor([1]), tensor([1, 2])], r"targets are \[1\].*got \[2\]"),
        ([tensor([[1], [2]]), tensor([1])], r"targets are \[2, 1\]"),
        ([tensor([1]), ("json", b"1")], "targets are a tensor, got json"),
        ([("tensor", b"junk"), tensor([1])], "inputs: a tensor has at least"),
        ([tensor([1]), tensor([1]), ("json", b"0")], "learning rate is 0"),
        ([tensor([1]), tensor([1]), ("json", b"NaN")], "NaN is not JSON"),
        ([tensor([1]), tensor([1]), ("json", b"true")], "learning rate is True"),
        ([tensor([1]), tensor([1]), tensor([1])], "learning rate is JSON, got tensor"),
    ],
)
def test_feedback_that_does_not_fit_says_what_would(feedback, reason):
    subject = agent()
    with pytest.raises(AgentFailed, match=reason):
        subject.update_weights(feedback)
    assert weight(subject) == 2


def test_state_and_weights_go_round_and_an_agent_without_train1_is_refused():
    subject, other = agent(), agent()
    subject.update_weights([tensor([1]), tensor([1])])
    other.restore(subject.checkpoint())
    assert other.checkpoint() == subject.checkpoint() != agent().checkpoint()
    code = bytes(wasmtime.wat2wasm(TEXT.replace('"train1"', '"train2"')))
    with pytest.raises(AgentFailed, match="no function train1"):
        WasmAgent("scale", code, MANIFEST, deadline_ms=1000)


def test_an_agent_with_a_fresh_instance_per_request_refuses_to_learn():
    with pytest.raises(AgentFailed, match="learns nothing"):
        agent(FreshWasmAgent).update_weights([tensor([1]), tensor([1])])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"settings": 2}, "train.settings 2 is no multiple"),
        ({"settings": 65536 - 8}, "end of train.settings"),
        ({"target": {**TRAIN["target"], "offset": 65536}}, "end of train.target"),
        ({"target": {**TRAIN["target"], "size": 2, "stride": 2}}, "train.target.size"),
        ({"state": {"start": 0, "end": 65537}}, "train.state.end"),
        ({"learning_rate": 0}, "train.learning_rate"),
        ({"momentum": 1}, "train.momentum"),
        ({"learning_rate": float("nan")}, "train.learning_rate"),
    ],
)
def test_a_manifest_that_lies_about_training_is_refused(change, reason):
    with pytest.raises(AgentFailed, match=reason):
        agent(train=TRAIN | change)
