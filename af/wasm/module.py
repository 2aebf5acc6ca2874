"""From a network to a WebAssembly module: the text first, then the binary with its weights."""

from dataclasses import dataclass
from math import prod

from af.errors import AfRefused, refused
from af.limits import BATCH_ROWS_MAX
from af.network import Network
from af.wasm.assembly import Precision
from af.wasm.binary import with_data
from af.wasm.dense import dense_text
from af.wasm.layered import assemble
from af.wasm.layout import BASE_ADDRESS, F32_BYTES, Rows, pack_weights, plan_memory
from af.wasm.training import Learning, TrainingPlan, learning_problems, plan_training

_BATCH_BYTES = 65_536  # of rows
_BATCH_ROWS_MIN = 8


@dataclass(frozen=True, slots=True)
class Module:
    """A generated module: text, weights, and what its host must know of its memory."""

    text: str
    weights: bytes
    input: Rows
    output: Rows
    weights_end: int
    pages: int
    batch_max: int
    weights_start: int = BASE_ADDRESS
    precision: Precision = "f32"
    training: TrainingPlan | None = None

    def binary(self) -> bytes:
        import wasmtime  # noqa: PLC0415 - it cannot be loaded in every cell that imports this package

        code = bytes(wasmtime.wat2wasm(self.text))
        return with_data(code, self.weights_start, self.weights)


def generate(
    network: Network,
    batch_max: int | None = None,
    precision: Precision = "f32",
    learning: Learning | None = None,
) -> Module:
    """The module of a network; AfRefused if it would be larger than one may be, or is to learn and cannot."""
    rows = batch_max or _batch_rows(network)
    if learning is not None:
        _check_learning(network, precision)
    if not network.feedforward or precision != "f32":
        return _layered(network, rows, precision)
    plan = plan_memory(network.input_size, network.dense_specs, rows, streams=learning is None)
    training = None if learning is None else plan_training(plan, learning)
    return Module(
        text=dense_text(plan, training),
        weights=pack_weights(network, plan),
        input=plan.input,
        output=plan.output,
        weights_end=plan.weights_end,
        pages=training.pages if training else plan.pages,
        batch_max=rows,
        training=training,
    )


def _check_learning(network: Network, precision: Precision) -> None:
    problems = list(learning_problems(network.specs))
    if problems:
        raise AfRefused(problems)
    if precision != "f32":
        message = "weights of eight bits do not learn."
        raise refused("header: neural_config.learns", message, "leave `learns` or --int8 out.")


def _batch_rows(network: Network) -> int:
    """As many rows as fit some memory: a fresh instance pays for every byte, a long batch for a call more."""
    values = network.shapes if network.feedforward else (network.shapes[0], network.shapes[-1])
    row_bytes = F32_BYTES * sum(map(prod, values))
    return max(_BATCH_ROWS_MIN, min(BATCH_ROWS_MAX, _BATCH_BYTES // row_bytes))


def _layered(network: Network, batch_max: int, precision: Precision) -> Module:
    parts = assemble(network, batch_max, precision)
    source, target = parts.input, parts.output
    lines = [
        "(module",
        f'(memory (export "memory") {parts.pages} {parts.pages})',
        *parts.functions.values(),
        "(func $forward (param $x i32) (param $y i32) (local $r i32) (local $c i32)",
        *parts.lines,
        ")",
        '(func (export "infer1")',
        f"  (call $forward (i32.const {source.address}) (i32.const {target.address})))",
        '(func (export "infer") (param $n i32) (local $x i32) (local $y i32)',
        f"  (if (i32.gt_u (local.get $n) (i32.const {batch_max})) (then (unreachable)))",
        f"  (local.set $x (i32.const {source.address}))",
        f"  (local.set $y (i32.const {target.address}))",
        "  (block $done (loop $rows",
        "    (br_if $done (i32.eqz (local.get $n)))",
        "    (call $forward (local.get $x) (local.get $y))",
        f"    (local.set $x (i32.add (local.get $x) (i32.const {source.stride_bytes})))",
        f"    (local.set $y (i32.add (local.get $y) (i32.const {target.stride_bytes})))",
        "    (local.set $n (i32.sub (local.get $n) (i32.const 1)))",
        "    (br $rows))))",
        ")",
    ]
    text = "\n".join(lines) + "\n"
    return Module(
        text, parts.weights, source, target, parts.weights_end, parts.pages, batch_max, precision=precision
    )
