"""From a planned network to a WebAssembly module: the text first, then the binary with its weights."""

import wasmtime

from af.network import Network
from af.wasm import kernels, maths
from af.wasm.binary import with_data
from af.wasm.layout import VECTOR_BYTES, LayerPlan, Panel, Plan, Rows, pack_weights


def module_text(plan: Plan) -> str:
    """The module without its weights, as WebAssembly text."""
    functions: dict[str, str] = {}  # by name, in order of first use
    one = [line for layer in plan.layers for line in _one_row(layer, functions)]
    many = [line for layer in plan.layers for line in _many_rows(layer, functions)]
    lines = [
        "(module",
        f'(memory (export "memory") {plan.pages} {plan.pages})',
        *maths.activation_functions({layer.activation for layer in plan.layers}),
        *functions.values(),
        ";; one row",
        '(func (export "infer1")',
        *one,
        ")",
        f";; rows 0 to $n - 1; more than {plan.batch_max} would run over the rows of the next layer",
        '(func (export "infer") (param $n i32) (local $r i32)',
        f"  (if (i32.gt_u (local.get $n) (i32.const {plan.batch_max})) (then (unreachable)))",
        "  (if (i32.eqz (local.get $n)) (then (return)))",
        *many,
        "))",
    ]
    return "\n".join(lines) + "\n"


def module_binary(network: Network, plan: Plan) -> bytes:
    """The finished module."""
    code = bytes(wasmtime.wat2wasm(module_text(plan)))
    return with_data(code, plan.weights_start, pack_weights(network, plan))


def _one_row(layer: LayerPlan, functions: dict[str, str]) -> list[str]:
    lines = [
        _panel_call(layer, panel, functions, _const(layer.source.address), _const(layer.target.address))
        for panel in layer.panels
    ]
    if layer.activation not in maths.IN_KERNEL:
        end = layer.target.address + layer.target.stride_bytes
        lines.append(f"  (call ${layer.activation} {_const(layer.target.address)} {_const(end)})")
    return lines


def _many_rows(layer: LayerPlan, functions: dict[str, str]) -> list[str]:
    lines = []
    for panel in layer.panels:
        lines.append("  (local.set $r (i32.const 0))")
        if panel.vectors >= kernels.TILED_PANEL_VECTORS_MIN:
            lines += _tiled_rows(layer, panel, functions)
        by_row = _panel_call(layer, panel, functions, _row(layer.source), _row(layer.target))
        lines += _while_rows(1, [by_row])
    if layer.activation in maths.BY_ROW:
        end = f"(i32.add {_row(layer.target)} {_const(layer.target.stride_bytes)})"
        lines.append("  (local.set $r (i32.const 0))")
        lines += _while_rows(1, [f"  (call ${layer.activation} {_row(layer.target)} {end})"])
    elif layer.activation not in maths.IN_KERNEL:
        lines.append("  (local.set $r (local.get $n))")
        lines.append(f"  (call ${layer.activation} {_const(layer.target.address)} {_row(layer.target)})")
    return lines


def _tiled_rows(layer: LayerPlan, panel: Panel, functions: dict[str, str]) -> list[str]:
    """The panel for as many whole blocks of rows as there are; $r ends at the first row left over."""
    relu = layer.activation == "relu"
    calls = []
    for first in range(0, panel.vectors, kernels.TILE_VECTORS):
        vectors = min(kernels.TILE_VECTORS, panel.vectors - first)
        name = kernels.tile_name(panel.vectors, vectors, relu)
        if name not in functions:
            functions[name] = kernels.tile_function(panel.vectors, vectors, relu)
        offset = VECTOR_BYTES * (panel.first_vector + first)
        calls.append(
            f"  (call {name} {_row(layer.source)} {_const(layer.source.stride_bytes)}"
            f" {_const(panel.weights_address + VECTOR_BYTES * first)} {_const(layer.bias_address + offset)}"
            f" (i32.add {_row(layer.target)} {_const(offset)}) {_const(layer.target.stride_bytes)}"
            f" {_const(layer.source.size)})"
        )
    return _while_rows(kernels.TILE_ROWS, calls)


def _panel_call(layer: LayerPlan, panel: Panel, functions: dict[str, str], source: str, target: str) -> str:
    relu = layer.activation == "relu"
    name = kernels.panel_name(panel.vectors, relu)
    if name not in functions:
        functions[name] = kernels.panel_function(panel.vectors, relu)
    offset = VECTOR_BYTES * panel.first_vector
    return (
        f"  (call {name} {source} {_const(panel.weights_address)} {_const(layer.bias_address + offset)}"
        f" (i32.add {target} {_const(offset)}) {_const(layer.source.size)})"
    )


def _while_rows(rows: int, body: list[str]) -> list[str]:
    """Repeat `body` for blocks of `rows` from $r on, while a whole block is left."""
    return [
        "  (block $done (loop $rows",
        f"  (br_if $done (i32.gt_u (i32.add (local.get $r) {_const(rows)}) (local.get $n)))",
        *body,
        f"  (local.set $r (i32.add (local.get $r) {_const(rows)}))",
        "  (br $rows)))",
    ]


def _row(rows: Rows) -> str:
    return f"(i32.add {_const(rows.address)} (i32.mul (local.get $r) {_const(rows.stride_bytes)}))"


def _const(number: int) -> str:
    return f"(i32.const {number})"
