"""One step of online learning as part of a compiled network: the export `train1`.

The step takes the row of the input and the row of the target: it computes the answer as `infer1` does, the
deltas of every layer from the last to the first, and then moves all weights by stochastic gradient descent,
with momentum if the network has it. The loss is cross entropy behind a softmax, else the mean of squares.

No weight moves before all deltas are known and the largest step any weight could take has been bounded: the
largest |input| times the largest |delta| of each layer, with momentum added up like a velocity. A step that
is not finite, or longer than STEP_MAX, is refused as a whole. Weights therefore stay finite for ever: adding
up to STEP_MAX to the largest float32 does not change it.

Behind the rows of the network lie

    settings    learning rate, momentum (f32); status (i32, 0: learned, 1: refused); the constant 1 (f32)
    target      one row
    deltas      one row per layer
    state       only with momentum: the bound of all velocities, then a velocity for every weight, arranged
                like the weights
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from af.errors import Problem, refused
from af.layers import Dense, LayerSpec
from af.limits import WASM_PAGE_BYTES, WASM_PAGES_MAX
from af.wasm import trainkernels
from af.wasm.kernels import Functions
from af.wasm.layout import (
    ALIGNMENT_BYTES,
    BASE_ADDRESS,
    F32_BYTES,
    LANES,
    VECTOR_BYTES,
    LayerPlan,
    Plan,
    Rows,
    round_up,
)

Loss = Literal["cross_entropy", "mean_squares"]

LEARNING_RATE = 0.01
STEP_MAX = 1e6  # of one weight in one step
VELOCITY_MAX = 1e30
_PLACE = "header: neural_config.learns"

_RATE, _MOMENTUM, _STATUS, _UNIT = 0, 4, 8, 12  # bytes into the settings


@dataclass(frozen=True, slots=True)
class Learning:
    """How a network learns unless it is told otherwise."""

    rate: float = LEARNING_RATE
    momentum: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What `train1` adds to the memory."""

    learning: Learning
    loss: Loss
    settings: int
    target: Rows
    deltas: tuple[Rows, ...]
    state_start: int
    state_end: int
    velocity_offset: int | None
    pages: int

    @property
    def status(self) -> int:
        return self.settings + _STATUS


def learning_problems(specs: Sequence[LayerSpec]) -> Iterator[Problem]:
    """Why a network with these layers has no training step; nothing if it has one."""
    known = ", ".join(trainkernels.LEARNING_ACTIVATIONS)
    remedy = f"take dense layers with {known} (softmax at the end), or leave `learns` out and use af-train."
    for number, spec in enumerate(specs):
        last = number == len(specs) - 1
        if not isinstance(spec, Dense):
            yield Problem(_PLACE, f"layer {number + 1}, {spec.type}, does not learn in the sandbox.", remedy)
        elif spec.activation not in trainkernels.LEARNING_ACTIVATIONS and not (
            last and spec.activation == "softmax"
        ):
            message = f"layer {number + 1}, dense with {spec.activation}, does not learn in the sandbox."
            yield Problem(_PLACE, message, remedy)
        elif spec.activation == "leaky_relu" and spec.slope < 0:
            message = f"the slope {spec.slope} of layer {number + 1} is negative: y does not tell x's sign."
            yield Problem(_PLACE, message, remedy)


def plan_training(plan: Plan, learning: Learning) -> TrainingPlan:
    """The memory of a training step behind a network's; AfRefused if a module cannot be that large."""
    output = plan.output
    address = round_up(output.address + plan.batch_max * output.stride_bytes, ALIGNMENT_BYTES)
    settings = address
    address += ALIGNMENT_BYTES
    rows = []
    for width in (output.size, *(layer.target.size for layer in plan.layers)):
        rows.append(Rows(address, width, round_up(width, LANES)))
        address = round_up(address + rows[-1].stride_bytes, ALIGNMENT_BYTES)
    state_start, velocity_offset = address, None
    if learning.momentum:
        velocities = round_up(address + F32_BYTES, BASE_ADDRESS)
        state_start = velocities - ALIGNMENT_BYTES
        velocity_offset = velocities - plan.weights_start
        address = velocities + plan.weights_end - plan.weights_start
    pages = round_up(address, WASM_PAGE_BYTES) // WASM_PAGE_BYTES
    if pages > WASM_PAGES_MAX:
        message = f"with its training it needs {pages} memory pages, the most is {WASM_PAGES_MAX}."
        raise refused(_PLACE, message, "make the layers narrower, or leave `learns` out.")
    state_end = address if learning.momentum else state_start
    return TrainingPlan(
        learning=learning,
        loss="cross_entropy" if plan.layers[-1].spec.activation == "softmax" else "mean_squares",
        settings=settings,
        target=rows[0],
        deltas=tuple(rows[1:]),
        state_start=state_start,
        state_end=state_end,
        velocity_offset=velocity_offset,
        pages=pages,
    )


def train_lines(plan: Plan, training: TrainingPlan, functions: Functions) -> list[str]:
    """The function `train1`; `$one` is the network's own single row."""
    settings = training.settings
    lines = [
        ";; one step of learning from the target's row",
        '(func (export "train1") (local $largest f32) (local $rate f32) (local $momentum f32)',
        f"  (i32.store {_const(training.status)} (i32.const 1))",
        f"  (f32.store {_const(settings + _UNIT)} (f32.const 1))",
        f"  (local.set $rate (f32.load {_const(settings + _RATE)}))",
        f"  (local.set $momentum (f32.load {_const(settings + _MOMENTUM)}))",
        "  (call $one)",
        *_error(plan.layers[-1], training, functions),
    ]
    for number in range(len(plan.layers) - 1, 0, -1):
        above, below = training.deltas[number], training.deltas[number - 1]
        lines += _back(plan.layers[number], above, below, functions)
        lines += _slope(plan.layers[number - 1], below, functions)
    lines += _bound(plan, training, functions)
    for layer, delta in zip(plan.layers, training.deltas, strict=True):
        lines += _update(layer, delta, training, functions)
    return [*lines, f"  (i32.store {_const(training.status)} (i32.const 0)))"]


def _error(last: LayerPlan, training: TrainingPlan, functions: Functions) -> list[str]:
    """The deltas of the last layer."""
    target, delta = training.target, training.deltas[-1]
    end = _const(target.address + target.stride_bytes)
    rows = f"{_const(last.target.address)} {_const(target.address)} {_const(delta.address)} {end}"
    if training.loss == "cross_entropy":
        return [f"  (call {trainkernels.add_shares_error(functions)} {rows})"]
    lines = [f"  (call {trainkernels.add_squares_error(functions)} {rows} (f32.const {2 / target.size}))"]
    padding = delta.stride - delta.size
    if padding:
        mask = " ".join(["-1"] * (LANES - padding) + ["0"] * padding)
        place = _last_vector(delta)
        lines.append(f"  (v128.store {place} (v128.and (v128.load {place}) (v128.const i32x4 {mask})))")
    return lines + _slope(last, delta, functions)


def _back(layer: LayerPlan, above: Rows, below: Rows, functions: Functions) -> list[str]:
    """What the layer's deltas mean for its inputs. The padding is cleared: it may hold what was refused."""
    lines = [f"  (v128.store {_last_vector(below)} (v128.const i32x4 0 0 0 0))"]
    for panel in layer.panels:
        name = trainkernels.add_back(functions, panel.vectors, first=panel.first_vector == 0)
        delta = _const(above.address + VECTOR_BYTES * panel.first_vector)
        lines.append(
            f"  (call {name} {_const(panel.weights_address)} {delta}"
            f" {_const(below.address)} {_const(below.size)})"
        )
    return lines


def _slope(layer: LayerPlan, delta: Rows, functions: Functions) -> list[str]:
    name = trainkernels.add_slope(functions, layer.spec)
    if name is None:
        return []
    end = _const(delta.address + delta.stride_bytes)
    return [f"  (call {name} {_const(delta.address)} {_const(layer.target.address)} {end})"]


def _bound(plan: Plan, training: TrainingPlan, functions: Functions) -> list[str]:
    """Leave before any weight has moved if one of them might move too far; a NaN compares false."""
    magnitude = trainkernels.add_magnitude(functions)
    lines = []
    for layer, delta in zip(plan.layers, training.deltas, strict=True):
        inputs = f"(call {magnitude} {_const(layer.source.address)} {_const(layer.source.size)})"
        deltas = f"(call {magnitude} {_const(delta.address)} {_const(delta.stride)})"
        step = f"(f32.mul (f32.max (f32.const 1) {inputs}) {deltas})"
        lines.append(f"  (local.set $largest (f32.max (local.get $largest) {step}))")
    kept = []
    if training.velocity_offset is not None:
        bound = _const(training.state_start)
        carried = f"(f32.mul (local.get $momentum) (f32.load {bound}))"
        lines.append(f"  (local.set $largest (f32.add (local.get $largest) {carried}))")
        kept = [f"  (f32.store {bound} (local.get $largest))"]
    short = f"(f32.le (f32.mul (local.get $rate) (local.get $largest)) (f32.const {STEP_MAX}))"
    slow = f"(f32.le (local.get $largest) (f32.const {VELOCITY_MAX}))"
    return [*lines, f"  (if (i32.eqz (i32.and {short} {slow})) (then (return)))", *kept]


def _update(layer: LayerPlan, delta: Rows, training: TrainingPlan, functions: Functions) -> list[str]:
    """Weights, and biases as the weights of an input that is always 1."""
    lines = []
    for panel in layer.panels:
        name = trainkernels.add_update(functions, panel.vectors, training.velocity_offset)
        offset = VECTOR_BYTES * panel.first_vector
        for source, weights, count in (
            (layer.source.address, panel.weights_address, layer.source.size),
            (training.settings + _UNIT, layer.bias_address + offset, 1),
        ):
            lines.append(
                f"  (call {name} {_const(source)} {_const(weights)} {_const(delta.address + offset)}"
                f" {_const(count)} (local.get $rate) (local.get $momentum))"
            )
    return lines


def _last_vector(rows: Rows) -> str:
    return _const(rows.address + rows.stride_bytes - VECTOR_BYTES)


def _const(number: int) -> str:
    return f"(i32.const {number})"
