"""The functions of layered networks that are no matrix products: copies, windows, normalisation, tokens.

Pointers and strides are in bytes. Functions that end at `$end` run over whole vectors and at least one.
"""

import struct

from af.wasm.activations import across, constant
from af.wasm.kernels import Functions


def add(functions: Functions, name: str) -> None:
    for needed in _NEEDS.get(name, ()):
        functions.setdefault(needed, _FUNCTIONS[needed])
    functions.setdefault(name, _FUNCTIONS[name])


def add_layer_norm(functions: Functions, size: int, epsilon: float) -> str:
    """`count` rows of `size` numbers, to mean 0 and variance 1, then weight and bias; its name."""
    name = f"$layer_norm_{size}_{struct.pack('>f', epsilon).hex()}"
    if name in functions:
        return name
    lanes = size % 4 or 4
    mask = " ".join("-1" if lane < lanes else "0" for lane in range(4))
    last = 16 * ((size + 3) // 4 - 1)
    keep = f"(v128.const i32x4 {mask})"
    centred = "(f32x4.sub (v128.load (local.get $p)) (local.get $mean))"
    functions[name] = f"""(func {name} (param $x i32) (param $xs i32) (param $y i32) (param $ys i32)
  (param $w i32) (param $b i32) (param $count i32)
  (local $p i32) (local $q i32) (local $i i32)
  (local $mean v128) (local $d v128) (local $sum v128)
  (loop $row
    (local.set $sum {constant(0)})
    (local.set $p (local.get $x))
    (block $whole (loop $add
      (br_if $whole (i32.ge_u (local.get $p) (i32.add (local.get $x) (i32.const {last}))))
      (local.set $sum (f32x4.add (local.get $sum) (v128.load (local.get $p))))
      (local.set $p (i32.add (local.get $p) (i32.const 16)))
      (br $add)))
    (local.set $sum (f32x4.add (local.get $sum) (v128.and {keep} (v128.load (local.get $p)))))
    {across("f32x4.add", "sum")}
    (local.set $mean (f32x4.div (local.get $sum) {constant(size)}))
    (local.set $sum {constant(0)})
    (local.set $p (local.get $x))
    (block $whole (loop $square
      (br_if $whole (i32.ge_u (local.get $p) (i32.add (local.get $x) (i32.const {last}))))
      (local.set $d {centred})
      (local.set $sum (f32x4.add (local.get $sum) (f32x4.mul (local.get $d) (local.get $d))))
      (local.set $p (i32.add (local.get $p) (i32.const 16)))
      (br $square)))
    (local.set $d (v128.and {keep} {centred}))
    (local.set $sum (f32x4.add (local.get $sum) (f32x4.mul (local.get $d) (local.get $d))))
    {across("f32x4.add", "sum")}
    (local.set $sum (f32x4.div (local.get $sum) {constant(size)}))
    (local.set $sum (f32x4.sqrt (f32x4.add (local.get $sum) {constant(epsilon)})))
    (local.set $p (local.get $x))
    (local.set $q (local.get $y))
    (local.set $i (i32.const 0))
    (loop $scale
      (v128.store (local.get $q) (f32x4.add (v128.load (i32.add (local.get $b) (local.get $i)))
        (f32x4.mul (v128.load (i32.add (local.get $w) (local.get $i)))
          (f32x4.div {centred} (local.get $sum)))))
      (local.set $p (i32.add (local.get $p) (i32.const 16)))
      (local.set $q (i32.add (local.get $q) (i32.const 16)))
      (local.set $i (i32.add (local.get $i) (i32.const 16)))
      (br_if $scale (i32.le_u (local.get $i) (i32.const {last}))))
    (local.set $x (i32.add (local.get $x) (local.get $xs)))
    (local.set $y (i32.add (local.get $y) (local.get $ys)))
    (local.set $count (i32.sub (local.get $count) (i32.const 1)))
    (br_if $row (local.get $count))))"""
    return name


def _counted(count: str, body: str) -> str:
    """Run body while $count, which is at least one, is not used up."""
    return f"""(loop $more
    {body}
    (local.set ${count} (i32.sub (local.get ${count}) (i32.const 1)))
    (br_if $more (local.get ${count})))"""


def _step(pointer: str, by: str = "(i32.const 16)") -> str:
    return f"(local.set ${pointer} (i32.add (local.get ${pointer}) {by}))"


_COPY_ROWS = f"""(func $copy_rows (param $x i32) (param $xs i32) (param $y i32) (param $ys i32)
  (param $bytes i32) (param $count i32)
  {
    _counted(
        "count",
        f'''(memory.copy (local.get $y) (local.get $x) (local.get $bytes))
    {_step("x", "(local.get $xs)")} {_step("y", "(local.get $ys)")}''',
    )
})"""

# y[j][i] = x[i][j] for i < rows, j < columns.
_TRANSPOSE = f"""(func $transpose (param $x i32) (param $xs i32) (param $y i32) (param $ys i32)
  (param $rows i32) (param $columns i32) (local $p i32) (local $q i32) (local $j i32)
  {
    _counted(
        "rows",
        f'''(local.set $p (local.get $x)) (local.set $q (local.get $y))
    (local.set $j (local.get $columns))
    (loop $column
      (f32.store (local.get $q) (f32.load (local.get $p)))
      {_step("p", "(i32.const 4)")} {_step("q", "(local.get $ys)")}
      (local.set $j (i32.sub (local.get $j) (i32.const 1)))
      (br_if $column (local.get $j)))
    {_step("x", "(local.get $xs)")} {_step("y", "(i32.const 4)")}''',
    )
})"""

_FILL = f"""(func $fill (param $y i32) (param $end i32) (param $value f32)
  (loop $next
    (v128.store (local.get $y) (f32x4.splat (local.get $value)))
    {_step("y")}
    (br_if $next (i32.lt_u (local.get $y) (local.get $end)))))"""

_RELU = f"""(func $relu (param $y i32) (param $end i32)
  (loop $next
    (v128.store (local.get $y) (f32x4.pmax (v128.load (local.get $y)) {constant(0)}))
    {_step("y")}
    (br_if $next (i32.lt_u (local.get $y) (local.get $end)))))"""

# The numbers behind each row of `size` numbers, up to its stride.
_PAD_ROWS = f"""(func $pad_rows (param $y i32) (param $ys i32) (param $size_bytes i32) (param $count i32)
  (local $p i32)
  {
    _counted(
        "count",
        f'''(local.set $p (i32.add (local.get $y) (local.get $size_bytes)))
    {_step("y", "(local.get $ys)")}
    (block $done (loop $lane
      (br_if $done (i32.ge_u (local.get $p) (local.get $y)))
      (f32.store (local.get $p) (f32.const -inf))
      {_step("p", "(i32.const 4)")}
      (br $lane)))''',
    )
})"""

_SOFTMAX_ROWS = f"""(func $softmax_rows (param $y i32) (param $ys i32) (param $count i32)
  {
    _counted(
        "count",
        f'''(call $softmax (local.get $y) (i32.add (local.get $y) (local.get $ys)))
    {_step("y", "(local.get $ys)")}''',
    )
})"""

_ADD = f"""(func $add (param $x i32) (param $z i32) (param $y i32) (param $end i32)
  (loop $next
    (v128.store (local.get $y) (f32x4.add (v128.load (local.get $x)) (v128.load (local.get $z))))
    {_step("x")} {_step("z")} {_step("y")}
    (br_if $next (i32.lt_u (local.get $y) (local.get $end)))))"""

# y = w x + b, the same w and b for every row.
_SCALE_ROWS = f"""(func $scale_rows (param $x i32) (param $xs i32) (param $y i32) (param $ys i32)
  (param $w i32) (param $b i32) (param $count i32) (local $i i32)
  {
    _counted(
        "count",
        f'''(local.set $i (i32.const 0))
    (loop $vector
      (v128.store (i32.add (local.get $y) (local.get $i))
        (f32x4.add (v128.load (i32.add (local.get $b) (local.get $i)))
          (f32x4.mul (v128.load (i32.add (local.get $w) (local.get $i)))
            (v128.load (i32.add (local.get $x) (local.get $i))))))
      {_step("i")}
      (br_if $vector (i32.lt_u (local.get $i) (local.get $ys))))
    {_step("x", "(local.get $xs)")} {_step("y", "(local.get $ys)")}''',
    )
})"""


def _pool(name: str, operation: str, first: str, result: str) -> str:
    """One window of `height` times `width` rows, channel by channel; $share is the address of 1 / count."""
    return f"""(func {name} (param $x i32) (param $line_bytes i32) (param $step_bytes i32)
  (param $height i32) (param $width i32) (param $y i32) (param $end i32) (param $share i32)
  (local $p i32) (local $q i32) (local $i i32) (local $j i32) (local $sum v128)
  (loop $vector
    (local.set $sum {constant(first)})
    (local.set $p (local.get $x))
    (local.set $i (local.get $height))
    (loop $line
      (local.set $q (local.get $p))
      (local.set $j (local.get $width))
      (loop $place
        (local.set $sum ({operation} (local.get $sum) (v128.load (local.get $q))))
        {_step("q", "(local.get $step_bytes)")}
        (local.set $j (i32.sub (local.get $j) (i32.const 1)))
        (br_if $place (local.get $j)))
      {_step("p", "(local.get $line_bytes)")}
      (local.set $i (i32.sub (local.get $i) (i32.const 1)))
      (br_if $line (local.get $i)))
    (v128.store (local.get $y) {result})
    {_step("x")} {_step("y")}
    (br_if $vector (i32.lt_u (local.get $y) (local.get $end)))))"""


_MEAN = "(f32x4.mul (local.get $sum) (v128.load32_splat (local.get $share)))"

# A token's place in the table; anything but a whole number below `vocabulary` ends the call.
_TABLE_PLACE = """(func $token (param $x i32) (param $vocabulary i32) (result i32) (local $value f32)
  (local.set $value (f32.load (local.get $x)))
  (if (i32.eqz (i32.and
      (i32.and (f32.ge (local.get $value) (f32.const 0))
        (f32.lt (local.get $value) (f32.convert_i32_u (local.get $vocabulary))))
      (f32.eq (local.get $value) (f32.floor (local.get $value)))))
    (then (unreachable)))
  (i32.trunc_f32_u (local.get $value)))"""

_EMBED = f"""(func $embed (param $x i32) (param $count i32) (param $y i32) (param $table i32)
  (param $row_bytes i32) (param $vocabulary i32)
  {
    _counted(
        "count",
        f'''(memory.copy (local.get $y) (i32.add (local.get $table)
      (i32.mul (call $token (local.get $x) (local.get $vocabulary)) (local.get $row_bytes)))
      (local.get $row_bytes))
    {_step("x", "(i32.const 4)")} {_step("y", "(local.get $row_bytes)")}''',
    )
})"""

# Tokens equal to $padding are left out; -1 is no token.
_EMBED_MEAN = f"""(func $embed_mean (param $x i32) (param $count i32) (param $y i32) (param $table i32)
  (param $row_bytes i32) (param $vocabulary i32) (param $padding i32)
  (local $token i32) (local $p i32) (local $i i32) (local $found i32)
  (memory.fill (local.get $y) (i32.const 0) (local.get $row_bytes))
  {
    _counted(
        "count",
        f'''(local.set $token (call $token (local.get $x) (local.get $vocabulary)))
    (if (i32.ne (local.get $token) (local.get $padding)) (then
      (local.set $found (i32.add (local.get $found) (i32.const 1)))
      (local.set $p (i32.add (local.get $table) (i32.mul (local.get $token) (local.get $row_bytes))))
      (local.set $i (i32.const 0))
      (loop $vector
        (v128.store (i32.add (local.get $y) (local.get $i))
          (f32x4.add (v128.load (i32.add (local.get $y) (local.get $i)))
            (v128.load (i32.add (local.get $p) (local.get $i)))))
        {_step("i")}
        (br_if $vector (i32.lt_u (local.get $i) (local.get $row_bytes))))))
    {_step("x", "(i32.const 4)")}''',
    )
}
  (if (local.get $found) (then
    (local.set $i (i32.const 0))
    (loop $vector
      (v128.store (i32.add (local.get $y) (local.get $i))
        (f32x4.div (v128.load (i32.add (local.get $y) (local.get $i)))
          (f32x4.splat (f32.convert_i32_u (local.get $found)))))
      {_step("i")}
      (br_if $vector (i32.lt_u (local.get $i) (local.get $row_bytes)))))))"""


def _gate(base: str, number: int) -> str:
    offset = f"(i32.mul (local.get $gate_bytes) (i32.const {number}))"
    return f"(v128.load (i32.add (i32.add (local.get ${base}) (local.get $i)) {offset}))"


# reset, update, new: the gates lie one after another in what the input and the last state give.
_GRU_STEP = f"""(func $gru_step (param $given i32) (param $known i32) (param $state i32) (param $y i32)
  (param $gate_bytes i32) (local $i i32) (local $reset v128) (local $update v128) (local $new v128)
  (loop $vector
    (local.set $reset (call $sigmoid_lanes (f32x4.add {_gate("given", 0)} {_gate("known", 0)})))
    (local.set $update (call $sigmoid_lanes (f32x4.add {_gate("given", 1)} {_gate("known", 1)})))
    (local.set $new (call $tanh_lanes
      (f32x4.add {_gate("given", 2)} (f32x4.mul (local.get $reset) {_gate("known", 2)}))))
    (v128.store (i32.add (local.get $y) (local.get $i))
      (f32x4.add (f32x4.mul (f32x4.sub {constant(1)} (local.get $update)) (local.get $new))
        (f32x4.mul (local.get $update) (v128.load (i32.add (local.get $state) (local.get $i))))))
    {_step("i")}
    (br_if $vector (i32.lt_u (local.get $i) (local.get $gate_bytes)))))"""

_FUNCTIONS = {
    "$copy_rows": _COPY_ROWS,
    "$transpose": _TRANSPOSE,
    "$fill": _FILL,
    "$relu": _RELU,
    "$pad_rows": _PAD_ROWS,
    "$softmax_rows": _SOFTMAX_ROWS,
    "$add": _ADD,
    "$scale_rows": _SCALE_ROWS,
    "$largest": _pool("$largest", "f32x4.max", "-inf", "(local.get $sum)"),
    "$mean": _pool("$mean", "f32x4.add", "0", _MEAN),
    "$token": _TABLE_PLACE,
    "$embed": _EMBED,
    "$embed_mean": _EMBED_MEAN,
    "$gru_step": _GRU_STEP,
}
_NEEDS = {"$embed": ("$token",), "$embed_mean": ("$token",)}
