"""Dense layers with weights of eight bits: a quarter of the memory to read, and twice the products at once.

Each output has a scale of its own, so that its largest weight is 127. The activations of a row get theirs
when they are there: the largest becomes as many steps of 16 bits as keep any sum of products below 2^31. Sums
are whole numbers and exact; only then comes `b + sum * (row scale * output scale)` in float32. All of it is
plain SIMD, and a row has the same bits alone, in any batch, and on any machine.
"""

import numpy as np
from numpy.typing import NDArray

from af.network import Floats
from af.wasm.activations import constant
from af.wasm.assembly import Assembly, Value
from af.wasm.kernels import Functions
from af.wasm.layout import F32_BYTES, LANES, round_up, split_panels

WEIGHT_MAX = 127
_PAIR = 2  # inputs per step: i32x4.dot_i16x8_s adds two products per lane
_PAIR_BYTES = 4
_WEIGHT_BYTES = 8  # of one vector of outputs and a pair of inputs
_ROW_STEPS_MAX = 32_767
_SUM_MAX = 2**31 - 1
_UNROLL = 16  # pairs per loop round
_LEAST = "0x1p-100"  # below the largest activation that matters; keeps the division finite


def dense_int8(
    value: Value,
    weight: Floats,
    bias: Floats,
    target: Value,
    assembly: Assembly,
    *,
    relu: bool,
    padding: float,
) -> None:
    """Every row of the value through the quantised matrix into a row of the target."""
    units, inputs = weight.shape
    panels = split_panels(target.stride // LANES)
    items, scales = quantised(weight)
    addresses = [
        assembly.data(_panel_bytes(items, panels, target.stride)),
        assembly.constant(_padded(bias, target.stride, padding)),
        assembly.constant(_padded(scales, target.stride, 0.0)),
    ]
    steps = assembly.scratch(_PAIR * round_up(inputs, 2 * LANES))
    name = _add_rows(assembly.functions, inputs, units, panels, relu=relu)
    strides = (value.stride_bytes, target.stride_bytes)
    assembly.call(
        name, value.address, strides[0], steps, *addresses, target.address, strides[1], value.positions
    )


def quantised(weight: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Whole numbers up to 127 in size, and for each output what one of them is worth."""
    scales = np.abs(weight).max(axis=1) / np.float32(WEIGHT_MAX)
    scales[scales == 0] = 1
    items = np.rint(weight / scales[:, np.newaxis]).astype(np.int8)
    return items, scales


def _padded(values: Floats, size: int, filling: float) -> Floats:
    padded = np.full(size, filling, np.float32)
    padded[: len(values)] = values
    return padded


def _panel_bytes(items: NDArray[np.int8], panels: tuple[int, ...], stride: int) -> bytes:
    """Per panel and pair of inputs: each output's two weights side by side."""
    outputs, inputs = items.shape
    wide = np.zeros((stride, round_up(inputs, _PAIR)), np.int8)
    wide[:outputs, :inputs] = items
    borders = np.cumsum(panels)[:-1] * LANES
    blocks = np.split(wide.reshape(stride, -1, _PAIR), borders)
    return b"".join(block.transpose(1, 0, 2).tobytes() for block in blocks)


def _add_rows(functions: Functions, inputs: int, units: int, panels: tuple[int, ...], *, relu: bool) -> str:
    """`count` rows, one at a time: quantise, then panel by panel."""
    name = f"$int8_{inputs}_{units}{'_relu' if relu else ''}"
    if name in functions:
        return name
    quantise = _add_quantise(functions, inputs)
    pairs = round_up(inputs, _PAIR) // _PAIR
    calls, first = [], 0
    for vectors in panels:
        panel = _add_panel(functions, vectors, relu=relu)
        offset = f"(i32.const {4 * LANES * first})"
        weights = f"(i32.add (local.get $w) (i32.const {_WEIGHT_BYTES * pairs * first}))"
        calls.append(
            f"    (call {panel} (local.get $q) {weights} (i32.add (local.get $b) {offset})"
            f" (i32.add (local.get $s) {offset}) (i32.add (local.get $y) {offset})"
            f" (i32.const {pairs}) (local.get $worth))"
        )
        first += vectors
    functions[name] = "\n".join(
        [
            f"(func {name} (param $x i32) (param $xs i32) (param $q i32) (param $w i32) (param $b i32)",
            "  (param $s i32) (param $y i32) (param $ys i32) (param $count i32) (local $worth f32)",
            "  (loop $row",
            f"    (local.set $worth (call {quantise} (local.get $x) (local.get $q)))",
            *calls,
            "    (local.set $x (i32.add (local.get $x) (local.get $xs)))",
            "    (local.set $y (i32.add (local.get $y) (local.get $ys)))",
            "    (local.set $count (i32.sub (local.get $count) (i32.const 1)))",
            "    (br_if $row (local.get $count))))",
        ]
    )
    return name


def _add_quantise(functions: Functions, inputs: int) -> str:
    """A row as 16-bit steps at $q; what a step is worth. What is not a number makes the row not a number."""
    name = f"$quantise_{inputs}"
    if name in functions:
        return name
    whole = inputs // (2 * LANES) * 2 * LANES
    steps = min(_ROW_STEPS_MAX, _SUM_MAX // (WEIGHT_MAX * round_up(inputs, _PAIR)))
    end = f"(i32.add (local.get $x) (i32.const {F32_BYTES * whole}))"
    lanes = "\n".join(
        f"  (local.set $top (f32.max (local.get $top) (f32x4.extract_lane {lane} (local.get $tops))))"
        for lane in range(LANES)
    )
    rest_top = "\n".join(
        "  (local.set $top (f32.max (local.get $top)"
        f" (f32.abs (f32.load offset={F32_BYTES * i} (local.get $x)))))"
        for i in range(whole, inputs)
    )
    rest = "\n".join(
        f"  (i32.store16 offset={_PAIR * i} (local.get $q) (i32.trunc_sat_f32_s (f32.nearest"
        f" (f32.mul (local.get $scale) (f32.load offset={F32_BYTES * i} (local.get $x))))))"
        for i in range(whole, inputs)
    )
    largest = f"""  (local.set $p (local.get $x))
  (loop $largest
    (local.set $tops (f32x4.max (local.get $tops) (f32x4.abs (v128.load (local.get $p)))))
    (local.set $others (f32x4.max (local.get $others) (f32x4.abs (v128.load offset=16 (local.get $p)))))
    (local.set $p (i32.add (local.get $p) (i32.const 32)))
    (br_if $largest (i32.lt_u (local.get $p) {end})))
  (local.set $tops (f32x4.max (local.get $tops) (local.get $others)))
{lanes}"""
    convert = f"""  (local.set $scales (f32x4.splat (local.get $scale)))
  (local.set $p (local.get $x))
  (local.set $r (local.get $q))
  (loop $convert
    (v128.store (local.get $r) (i16x8.narrow_i32x4_s {_rounded(0)} {_rounded(16)}))
    (local.set $p (i32.add (local.get $p) (i32.const 32)))
    (local.set $r (i32.add (local.get $r) (i32.const 16)))
    (br_if $convert (i32.lt_u (local.get $p) {end})))"""
    functions[
        name
    ] = f"""(func {name} (param $x i32) (param $q i32) (result f32) (local $p i32) (local $r i32)
  (local $tops v128) (local $others v128) (local $scales v128) (local $top f32) (local $scale f32)
{largest if whole else ""}
{rest_top}
  (local.set $top (f32.max (local.get $top) (f32.const {_LEAST})))
  (local.set $scale (f32.div (f32.const {steps}) (local.get $top)))
{convert if whole else ""}
{rest}
  (f32.div (local.get $top) (f32.const {steps})))"""
    return name


def _rounded(offset: int) -> str:
    scaled = f"(f32x4.mul (local.get $scales) (v128.load offset={offset} (local.get $p)))"
    return f"(i32x4.trunc_sat_f32x4_s (f32x4.nearest {scaled}))"


def _add_panel(functions: Functions, vectors: int, *, relu: bool) -> str:
    """One panel of outputs. The never-taken `if` between steps is the phi barrier of af.wasm.kernels."""
    name = f"$int8_panel_{vectors}{'_relu' if relu else ''}"
    if name in functions:
        return name
    sums = range(vectors)
    lines = [
        f"(func {name} (param $x i32) (param $w i32) (param $b i32) (param $s i32) (param $y i32)",
        "  (param $n i32) (param $worth f32) (local $end i32) (local $v v128) (local $worths v128)",
        "  " + "".join(f"(local $sum{v} v128) (local $w{v} v128) " for v in sums),
    ]
    barrier = " ".join(f"(local.set $sum{v} (local.get $v))" for v in sums)
    main = []
    for step in range(_UNROLL):
        main += _panel_step(vectors, step)
        main.append(f"    (if (i32.eqz (local.get $end)) (then {barrier}))")
    pair_bytes = f"(i32.mul (local.get $n) (i32.const {_PAIR_BYTES}))"
    whole = f"(i32.and {pair_bytes} (i32.const {-_PAIR_BYTES * _UNROLL}))"
    left = f"(i32.and {pair_bytes} (i32.const {_PAIR_BYTES * _UNROLL - 1}))"
    lines += [
        f"  (local.set $end (i32.add (local.get $x) {whole}))",
        *_loop("main", _UNROLL, main, vectors),
        f"  (local.set $end (i32.add (local.get $end) {left}))",
        *_loop("rest", 1, _panel_step(vectors, 0), vectors),
        "  (local.set $worths (f32x4.splat (local.get $worth)))",
    ]
    for v in sums:
        worth = f"(f32x4.mul (local.get $worths) (v128.load offset={16 * v} (local.get $s)))"
        total = f"(f32x4.mul (f32x4.convert_i32x4_s (local.get $sum{v})) {worth})"
        total = f"(f32x4.add (v128.load offset={16 * v} (local.get $b)) {total})"
        total = f"(f32x4.pmax {total} {constant(0)})" if relu else total
        lines.append(f"  (v128.store offset={16 * v} (local.get $y) {total})")
    functions[name] = "\n".join([*lines, ")"])
    return name


def _panel_step(vectors: int, step: int) -> list[str]:
    lines = [f"    (local.set $v (v128.load32_splat offset={_PAIR_BYTES * step} (local.get $x)))"]
    for v in range(vectors):
        offset = _WEIGHT_BYTES * (vectors * step + v)
        lines.append(f"    (local.set $w{v} (v128.load8x8_s offset={offset} (local.get $w)))")
    for v in range(vectors):
        product = f"(i32x4.dot_i16x8_s (local.get $w{v}) (local.get $v))"
        lines.append(f"    (local.set $sum{v} (i32x4.add (local.get $sum{v}) {product}))")
    return lines


def _loop(label: str, pairs: int, body: list[str], vectors: int) -> list[str]:
    more = "(i32.lt_u (local.get $x) (local.get $end))"
    return [
        f"  (if {more} (then (loop ${label}",
        *body,
        f"    (local.set $w (i32.add (local.get $w) (i32.const {_WEIGHT_BYTES * vectors * pairs})))",
        f"    (local.set $x (i32.add (local.get $x) (i32.const {_PAIR_BYTES * pairs})))",
        f"    (br_if ${label} {more}))))",
    ]
