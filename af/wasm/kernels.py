"""The matrix kernels in WebAssembly text, shaped for the code Cranelift makes of them.

`panel` computes one panel of outputs for one row, `tile` a small block of outputs for several rows, and
`rows` a whole matrix for any number of rows by means of the two. What the shape follows from, measured on
generated code:

* Cranelift moves arithmetic to the end of its block but leaves loads where they stand. Unrolled naively, all
  loads of a block are live at once and spill. The *phi barrier* prevents it: after each step stands an `if`
  that is never taken and assigns every accumulator. Control flow must join there, so the step's arithmetic
  happens before the next loads.
* With the barrier a loop can be unrolled sixteen times, and the deadline check at its back edge costs a few
  percent instead of more than the work itself.
* The input is splat first: then the last weight's load needs no register of its own.

Additions happen in one fixed order per output, the same in both kernels, with no fused multiply-add: a row's
result has the same bits alone, in any batch, and on any machine. Panels of three vectors or fewer use several
sets of accumulators to hide the latency of addition; `tile` has only the plain order, so they always run by
`panel`.
"""

Functions = dict[str, str]  # a module's functions by name, in order of first use

PANEL_UNROLL = 16  # inputs per loop round
TILE_UNROLL = 8
TILE_ROWS = 4
TILE_VECTORS = 2
TILED_PANEL_VECTORS_MIN = 4  # narrower panels run row by row, see above

_SETS = {1: 4, 2: 2, 3: 2}  # accumulator sets by panel width; one otherwise

assert all(PANEL_UNROLL % sets == 0 for sets in _SETS.values())


def add_panel(functions: Functions, vectors: int, relu: bool, row_vectors: int | None = None) -> str:
    """y[0 : 4*vectors] = activation(b + sum over i < n of x[i] * w[i][0 : 4*vectors]); its name.

    Consecutive w[i] lie `row_vectors` vectors apart: as many as the panel has, unless it is cut out of a
    wider matrix.
    """
    stride_vectors = row_vectors or vectors
    name = f"$panel_{vectors}_of_{stride_vectors}{_suffix(relu)}"
    if name in functions:
        return name
    sets = _SETS.get(vectors, 1)
    lines = [
        f"(func {name} (param $x i32) (param $w i32) (param $b i32) (param $y i32) (param $n i32)",
        "  (local $end i32)",
        "  " + _locals("x", sets) + _locals("w", vectors * sets) + _locals("sum", vectors * sets),
    ]
    lines += [f"  (local.set $sum{v} (v128.load offset={16 * v} (local.get $b)))" for v in range(vectors)]
    main = []
    for first_input in range(0, PANEL_UNROLL, sets):
        main += _panel_step(vectors, stride_vectors, sets, first_input)
        main.append(_barrier([f"sum{number}" for number in range(vectors * sets)], "x0"))
    rest = _panel_step(vectors, stride_vectors, 1, 0)
    lines += _loops(PANEL_UNROLL, main, rest, 16 * stride_vectors, ("x",))
    for v in range(vectors):
        total = f"(local.get $sum{v})"
        for number in range(1, sets):
            total = f"(f32x4.add {total} (local.get $sum{v + vectors * number}))"
        lines.append(f"  (v128.store offset={16 * v} (local.get $y) {_activated(total, relu)})")
    functions[name] = "\n".join([*lines, ")"])
    return name


def add_tile(functions: Functions, vectors: int, relu: bool, row_vectors: int) -> str:
    """The same for TILE_ROWS rows whose x, b and y lie `xs`, `bs` and `ys` bytes apart; its name."""
    name = f"$tile_{TILE_ROWS}x{vectors}_of_{row_vectors}{_suffix(relu)}"
    if name in functions:
        return name
    row_bytes = 16 * row_vectors
    sums = [f"sum{r}_{v}" for r in range(TILE_ROWS) for v in range(vectors)]
    lines = [
        f"(func {name} (param $x0 i32) (param $xs i32) (param $w i32) (param $b i32) (param $bs i32)",
        "  (param $y i32) (param $ys i32) (param $n i32) (local $end i32)",
        "  " + " ".join(f"(local $x{r} i32)" for r in range(1, TILE_ROWS)),
        "  "
        + _locals("s", TILE_ROWS)
        + _locals("w", vectors)
        + " ".join(f"(local ${name} v128)" for name in sums),
    ]
    lines += [
        f"  (local.set $x{r} (i32.add (local.get $x{r - 1}) (local.get $xs)))" for r in range(1, TILE_ROWS)
    ]
    for r in range(TILE_ROWS):
        lines += [
            f"  (local.set $sum{r}_{v} (v128.load offset={16 * v} (local.get $b)))" for v in range(vectors)
        ]
        if r < TILE_ROWS - 1:
            lines.append("  (local.set $b (i32.add (local.get $b) (local.get $bs)))")
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
    functions[name] = "\n".join([*lines, ")"])
    return name


def add_rows(
    functions: Functions, panels: tuple[int, ...], relu: bool, row_vectors: int | None = None
) -> str:
    """A matrix over `count` rows, tiled where whole blocks of rows are left; its name.

    $w is the matrix: panel after panel, or with `row_vectors` one matrix with rows of so many vectors.
    """
    name = f"$rows_{'_'.join(map(str, panels))}{f'_of_{row_vectors}' if row_vectors else ''}{_suffix(relu)}"
    if name in functions:
        return name
    lines = [
        f"(func {name} (param $x i32) (param $xs i32) (param $w i32) (param $b i32) (param $bs i32)",
        "  (param $y i32) (param $ys i32) (param $n i32) (param $count i32) (local $r i32)",
    ]
    for number, vectors in enumerate(panels):
        stride_vectors = row_vectors or vectors
        lines.append("  (local.set $r (i32.const 0))")
        if vectors >= TILED_PANEL_VECTORS_MIN:
            calls = []
            for first in range(0, vectors, TILE_VECTORS):
                tile = add_tile(functions, min(TILE_VECTORS, vectors - first), relu, stride_vectors)
                calls.append(
                    f"    (call {tile} {_row('x')} (local.get $xs) {_shifted('(local.get $w)', 16 * first)}"
                    f" {_shifted(_row('b'), 16 * first)} (local.get $bs)"
                    f" {_shifted(_row('y'), 16 * first)} (local.get $ys) (local.get $n))"
                )
            lines += _while_rows(TILE_ROWS, calls)
        panel = add_panel(functions, vectors, relu, row_vectors)
        call = f"    (call {panel} {_row('x')} (local.get $w) {_row('b')} {_row('y')} (local.get $n))"
        lines += _while_rows(1, [call])
        if number < len(panels) - 1:
            panel_bytes = "(i32.const 16)" if row_vectors else "(i32.shl (local.get $n) (i32.const 4))"
            step = f"(i32.mul {panel_bytes} (i32.const {vectors}))"
            lines.append(f"  (local.set $w (i32.add (local.get $w) {step}))")
            lines += [f"  {_advance(pointer, 16 * vectors)}" for pointer in ("b", "y")]
    functions[name] = "\n".join([*lines, ")"])
    return name


def _suffix(relu: bool) -> str:
    return "_relu" if relu else ""


def _row(pointer: str) -> str:
    return f"(i32.add (local.get ${pointer}) (i32.mul (local.get $r) (local.get ${pointer}s)))"


def _shifted(address: str, offset_bytes: int) -> str:
    return f"(i32.add {address} (i32.const {offset_bytes}))" if offset_bytes else address


def _while_rows(rows: int, body: list[str]) -> list[str]:
    """Repeat `body` for blocks of `rows` from $r on, while a whole block is left."""
    return [
        "  (block $done (loop $rows",
        f"    (br_if $done (i32.gt_u (i32.add (local.get $r) (i32.const {rows})) (local.get $count)))",
        *body,
        f"    {_advance('r', rows)}",
        "    (br $rows)))",
    ]


def _panel_step(vectors: int, row_vectors: int, sets: int, first_input: int) -> list[str]:
    """`sets` inputs, each into its own set of accumulators."""
    lines = []
    for number in range(sets):
        offset = 4 * (first_input + number)
        lines.append(f"    (local.set $x{number} (f32x4.splat (f32.load offset={offset} (local.get $x))))")
    for number in range(sets):
        for v in range(vectors):
            offset = 16 * (row_vectors * (first_input + number) + v)
            lines.append(
                f"    (local.set $w{v + vectors * number} (v128.load offset={offset} (local.get $w)))"
            )
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
        f"    (local.set $s{r} (f32x4.splat (f32.load offset={4 * step} (local.get $x{r}))))"
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
