"""The two matrix kernels in WebAssembly text, shaped for the code Cranelift makes of them.

`panel` computes one panel of outputs for one row, `tile` a small block of outputs for several rows. What the
shape follows from, measured on generated code:

* Cranelift moves arithmetic to the end of its block but leaves loads where they stand. Unrolled naively, all
  loads of a block are live at once and spill. The *phi barrier* prevents it: after each step stands an `if`
  that is never taken and assigns every accumulator. Control flow must join there, so the step's arithmetic
  happens before the next loads.
* With the barrier a loop can be unrolled sixteen times, and the deadline check at its back edge costs a few
  percent instead of more than the work itself.
* The input is splat last, so it need not stay in a register while the weights load.

Additions happen in one fixed order per output, the same in both kernels, with no fused multiply-add: a row's
result has the same bits alone, in any batch, and on any machine. Panels of three vectors or fewer use several
sets of accumulators to hide the latency of addition; `tile` has only the plain order, so they always run by
`panel`.
"""

PANEL_UNROLL = 16  # inputs per loop round
TILE_UNROLL = 8
TILE_ROWS = 4
TILE_VECTORS = 2
TILED_PANEL_VECTORS_MIN = 4  # narrower panels run row by row, see above

_SETS = {1: 4, 2: 2, 3: 2}  # accumulator sets by panel width; one otherwise

assert all(PANEL_UNROLL % sets == 0 for sets in _SETS.values())


def panel_name(vectors: int, relu: bool) -> str:
    return f"$panel_{vectors}{'_relu' if relu else ''}"


def tile_name(panel_vectors: int, vectors: int, relu: bool) -> str:
    return f"$tile_{TILE_ROWS}x{vectors}_of_{panel_vectors}{'_relu' if relu else ''}"


def panel_function(vectors: int, relu: bool) -> str:
    """y[0 : 4*vectors] = activation(b + sum over i < n of x[i] * w[i][0 : 4*vectors])."""
    sets = _SETS.get(vectors, 1)
    row_bytes = 16 * vectors
    lines = [
        f"(func {panel_name(vectors, relu)} (param $x i32) (param $w i32) (param $b i32)",
        "  (param $y i32) (param $n i32) (local $end i32)",
        "  " + _locals("x", sets) + _locals("w", vectors * sets) + _locals("sum", vectors * sets),
    ]
    lines += [f"  (local.set $sum{v} (v128.load offset={16 * v} (local.get $b)))" for v in range(vectors)]
    main = []
    for first_input in range(0, PANEL_UNROLL, sets):
        main += _panel_step(vectors, sets, first_input)
        main.append(_barrier([f"sum{number}" for number in range(vectors * sets)], "x0"))
    lines += _loops(PANEL_UNROLL, main, _panel_step(vectors, 1, 0), row_bytes, ("x",))
    for v in range(vectors):
        total = f"(local.get $sum{v})"
        for number in range(1, sets):
            total = f"(f32x4.add {total} (local.get $sum{v + vectors * number}))"
        lines.append(f"  (v128.store offset={16 * v} (local.get $y) {_activated(total, relu)})")
    return "\n".join([*lines, ")"])


def tile_function(panel_vectors: int, vectors: int, relu: bool) -> str:
    """The same for TILE_ROWS rows, `xs` and `ys` bytes apart, for some vectors of a panel."""
    row_bytes = 16 * panel_vectors
    sums = [f"sum{r}_{v}" for r in range(TILE_ROWS) for v in range(vectors)]
    lines = [
        f"(func {tile_name(panel_vectors, vectors, relu)} (param $x0 i32) (param $xs i32) (param $w i32)",
        "  (param $b i32) (param $y i32) (param $ys i32) (param $n i32) (local $end i32)",
        "  " + " ".join(f"(local $x{r} i32)" for r in range(1, TILE_ROWS)),
        "  "
        + _locals("s", TILE_ROWS)
        + _locals("w", vectors)
        + " ".join(f"(local ${name} v128)" for name in sums),
    ]
    lines += [
        f"  (local.set $x{r} (i32.add (local.get $x{r - 1}) (local.get $xs)))" for r in range(1, TILE_ROWS)
    ]
    lines += [
        f"  (local.set $sum{r}_{v} (v128.load offset={16 * v} (local.get $b)))"
        for r in range(TILE_ROWS)
        for v in range(vectors)
    ]
    main = []
    for step in range(TILE_UNROLL):
        main += _tile_step(vectors, step, row_bytes)
        main.append(_barrier(sums, "s0"))
    pointers = tuple(f"x{r}" for r in range(TILE_ROWS))
    lines += _loops(TILE_UNROLL, main, _tile_step(vectors, 0, row_bytes), row_bytes, pointers)
    for r in range(TILE_ROWS):
        for v in range(vectors):
            value = _activated(f"(local.get $sum{r}_{v})", relu)
            lines.append(f"  (v128.store offset={16 * v} (local.get $y) {value})")
        if r < TILE_ROWS - 1:
            lines.append("  (local.set $y (i32.add (local.get $y) (local.get $ys)))")
    return "\n".join([*lines, ")"])


def _panel_step(vectors: int, sets: int, first_input: int) -> list[str]:
    """`sets` inputs, each into its own set of accumulators."""
    lines = []
    for number in range(sets):
        for v in range(vectors):
            offset = 16 * (vectors * (first_input + number) + v)
            lines.append(
                f"    (local.set $w{v + vectors * number} (v128.load offset={offset} (local.get $w)))"
            )
    for number in reversed(range(sets)):
        offset = 4 * (first_input + number)
        lines.append(f"    (local.set $x{number} (v128.load32_splat offset={offset} (local.get $x)))")
    for number in range(sets):
        places = range(vectors * number, vectors * (number + 1))
        lines += [_multiply_add(f"sum{place}", f"x{number}", f"w{place}") for place in places]
    return lines


def _tile_step(vectors: int, step: int, row_bytes: int) -> list[str]:
    lines = [
        f"    (local.set $w{v} (v128.load offset={row_bytes * step + 16 * v} (local.get $w)))"
        for v in range(vectors)
    ]
    lines += [
        f"    (local.set $s{r} (v128.load32_splat offset={4 * step} (local.get $x{r})))"
        for r in range(TILE_ROWS)
    ]
    lines += [
        _multiply_add(f"sum{r}_{v}", f"s{r}", f"w{v}") for r in range(TILE_ROWS) for v in range(vectors)
    ]
    return lines


def _loops(
    unroll: int, main: list[str], rest: list[str], row_bytes: int, pointers: tuple[str, ...]
) -> list[str]:
    """A loop over whole rounds of `unroll` inputs, then one over the inputs that are left."""
    first = pointers[0]
    input_bytes = "(i32.shl (local.get $n) (i32.const 2))"
    whole = f"(i32.and {input_bytes} (i32.const {-4 * unroll}))"
    left = f"(i32.and {input_bytes} (i32.const {4 * unroll - 1}))"
    return [
        f"  (local.set $end (i32.add (local.get ${first}) {whole}))",
        *_loop("main", unroll, main, row_bytes, pointers),
        f"  (local.set $end (i32.add (local.get $end) {left}))",
        *_loop("rest", 1, rest, row_bytes, pointers),
    ]


def _loop(label: str, inputs: int, body: list[str], row_bytes: int, pointers: tuple[str, ...]) -> list[str]:
    more = f"(i32.lt_u (local.get ${pointers[0]}) (local.get $end))"
    return [
        f"  (if {more} (then (loop ${label}",
        *body,
        f"    {_advance('w', inputs * row_bytes)}",
        *(f"    {_advance(pointer, 4 * inputs)}" for pointer in pointers),
        f"    (br_if ${label} {more}))))",
    ]


def _advance(pointer: str, step_bytes: int) -> str:
    return f"(local.set ${pointer} (i32.add (local.get ${pointer}) (i32.const {step_bytes})))"


def _multiply_add(total: str, factor: str, weight: str) -> str:
    product = f"(f32x4.mul (local.get ${factor}) (local.get ${weight}))"
    return f"    (local.set ${total} (f32x4.add {product} (local.get ${total})))"


def _barrier(sums: list[str], value: str) -> str:
    """The phi barrier: `$end` lies behind the input rows, so it is never zero."""
    assignments = " ".join(f"(local.set ${name} (local.get ${value}))" for name in sums)
    return f"    (if (i32.eqz (local.get $end)) (then {assignments}))"


def _activated(value: str, relu: bool) -> str:
    # pmin and pmax return their first operand unless the comparison holds: a NaN stays a NaN.
    return f"(f32x4.pmax {value} (v128.const f32x4 0 0 0 0))" if relu else value


def _locals(prefix: str, count: int) -> str:
    return "".join(f"(local ${prefix}{number} v128) " for number in range(count))
