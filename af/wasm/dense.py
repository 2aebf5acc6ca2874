"""Feed-forward networks: the entry points call the matrix kernels layer by layer, a whole batch at a time."""

from af.wasm import activations, kernels
from af.wasm.layout import VECTOR_BYTES, LayerPlan, Plan, Rows
from af.wasm.streamed import add_streamed
from af.wasm.training import TrainingPlan, train_lines


def dense_text(plan: Plan, training: TrainingPlan | None = None) -> str:
    """The module without its weights, as WebAssembly text; with a plan for it, it learns."""
    functions: kernels.Functions = {}
    one = [line for layer in plan.layers for line in _one_row(layer, functions, plan.list_address)]
    many = [line for layer in plan.layers for line in _many_rows(layer, functions, plan.list_address)]
    learn = train_lines(plan, training, functions) if training else []
    pages = training.pages if training else plan.pages
    lines = [
        "(module",
        f'(memory (export "memory") {pages} {pages})',
        *activations.functions_for(layer.spec for layer in plan.layers).values(),
        *functions.values(),
        ";; one row",
        '(func $one (export "infer1")',
        *one,
        ")",
        f";; rows 0 to $n - 1; more than {plan.batch_max} would run over the rows of the next layer",
        '(func (export "infer") (param $n i32) (local $r i32)',
        f"  (if (i32.gt_u (local.get $n) (i32.const {plan.batch_max})) (then (unreachable)))",
        "  (if (i32.eqz (local.get $n)) (then (return)))",
        *many,
        ")",
        *learn,
        ")",
    ]
    return "\n".join(lines) + "\n"


def _one_row(layer: LayerPlan, functions: kernels.Functions, list_address: int) -> list[str]:
    relu = layer.spec.activation == "relu"
    lines = []
    if layer.streamed:
        source, target = _const(layer.source.address), _const(layer.target.address)
        lines.append(_streamed(layer, functions, list_address, source, target))
    for panel in () if layer.streamed else layer.panels:
        offset = VECTOR_BYTES * panel.first_vector
        lines.append(
            f"  (call {kernels.add_panel(functions, panel.vectors, relu)} {_const(layer.source.address)}"
            f" {_const(panel.weights_address)} {_const(layer.bias_address + offset)}"
            f" {_const(layer.target.address + offset)} {_const(layer.source.size)})"
        )
    if layer.spec.activation not in activations.IN_KERNEL:
        end = layer.target.address + layer.target.stride_bytes
        name = activations.function_name(layer.spec)
        lines.append(f"  (call {name} {_const(layer.target.address)} {_const(end)})")
    return lines


def _many_rows(layer: LayerPlan, functions: kernels.Functions, list_address: int) -> list[str]:
    source, target = layer.source, layer.target
    if layer.streamed:
        lines = _each_row(_streamed(layer, functions, list_address, _row(source), _row(target)))
    else:
        panels = tuple(panel.vectors for panel in layer.panels)
        rows = kernels.add_rows(functions, panels, layer.spec.activation == "relu")
        lines = [
            (
                f"  (call {rows} {_const(source.address)} {_const(source.stride_bytes)}"
                f" {_const(layer.panels[0].weights_address)} {_const(layer.bias_address)} {_const(0)}"
                f" {_const(target.address)} {_const(target.stride_bytes)} {_const(source.size)}"
                " (local.get $n))"
            )
        ]
    name = activations.function_name(layer.spec)
    if layer.spec.activation in activations.BY_ROW:
        lines += _each_row(
            f"(call {name} {_row(target)} (i32.add {_row(target)} {_const(target.stride_bytes)}))"
        )
    elif layer.spec.activation not in activations.IN_KERNEL:
        lines.append("  (local.set $r (local.get $n))")
        lines.append(f"  (call {name} {_const(target.address)} {_row(target)})")
    return lines


def _streamed(layer: LayerPlan, functions: kernels.Functions, listed: int, source: str, target: str) -> str:
    """The call for one row of a wide layer behind a relu."""
    name = add_streamed(functions, layer.spec.activation == "relu")
    weights, bias = _const(layer.panels[0].weights_address), _const(layer.bias_address)
    sizes = f"{_const(layer.source.size)} {_const(layer.target.stride_bytes)}"
    return f"  (call {name} {source} {weights} {bias} {target} {sizes} {_const(listed)})"


def _each_row(line: str) -> list[str]:
    """The line for $r = 0 to $n - 1."""
    return [
        "  (local.set $r (i32.const 0))",
        "  (loop $rows",
        f"    {line.strip()}",
        f"    (local.set $r (i32.add (local.get $r) {_const(1)}))",
        "    (br_if $rows (i32.lt_u (local.get $r) (local.get $n))))",
    ]


def _row(rows: Rows) -> str:
    return f"(i32.add {_const(rows.address)} (i32.mul (local.get $r) {_const(rows.stride_bytes)}))"


def _const(number: int) -> str:
    return f"(i32.const {number})"
