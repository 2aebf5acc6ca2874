"""The functions of a training step in WebAssembly text; `af.wasm.training` says in which order they run.

Three kernels work on the panels of a layer (see `af.wasm.layout`): `add_back` carries deltas from a layer's
outputs to its inputs, `add_update` moves the weights, and with momentum their velocities. The others run over
one row of numbers. Padding is never summed up: deltas of padded outputs are zero, and so are their weights.
"""

from af.layers import Dense
from af.wasm.activations import across, constant, function_name
from af.wasm.kernels import Functions

BACK_INPUTS = 4  # inputs whose sums are turned into one vector together
UPDATE_UNROLL = 8
_ZERO = constant(0)
_ONE = constant(1)

LEARNING_ACTIVATIONS = ("linear", "relu", "leaky_relu", "sigmoid", "tanh")


def add_back(functions: Functions, vectors: int, *, first: bool) -> str:
    """dx[i] (+)= sum over v of w[i][v] * d[v] for i < n; the `first` panel of a layer writes, others add."""
    name = f"$back_{vectors}{'_first' if first else ''}"
    if name in functions:
        return name
    sums = [f"s{number}" for number in range(BACK_INPUTS)]
    lines = [
        f"(func {name} (param $w i32) (param $d i32) (param $dx i32) (param $n i32) (local $end i32)",
        "  " + "".join(f"(local $d{v} v128) " for v in range(vectors)),
        "  " + "".join(f"(local ${each} v128) " for each in sums) + "(local $a v128) (local $b v128)",
        *(f"  (local.set $d{v} (v128.load offset={16 * v} (local.get $d)))" for v in range(vectors)),
    ]
    block = []
    for number in range(BACK_INPUTS):
        block.append(f"    (local.set $s{number} {_weighted(vectors, 16 * vectors * number)})")
        # The barrier of af.wasm.kernels: $end lies behind the row, it is never zero.
        kept = " ".join(f"(local.set ${each} (local.get $d0))" for each in sums[: number + 1])
        block.append(f"    (if (i32.eqz (local.get $end)) (then {kept}))")
    block += [
        f"    (local.set $a (f32x4.add {_low('s0', 's1')} {_high('s0', 's1')}))",
        f"    (local.set $b (f32x4.add {_low('s2', 's3')} {_high('s2', 's3')}))",
        f"    (local.set $a (f32x4.add {_low_pairs('a', 'b')} {_high_pairs('a', 'b')}))",
        f"    (v128.store (local.get $dx) {_joined('(local.get $a)', 'v128.load', 'f32x4.add', first)})",
    ]
    total = _joined("(f32x4.extract_lane 0 (local.get $a))", "f32.load", "f32.add", first)
    rest = [
        f"    (local.set $a {_weighted(vectors, 0)})",
        f"    {across('f32x4.add', 'a')}",
        f"    (f32.store (local.get $dx) {total})",
    ]
    steps = {"dx": 4, "w": 16 * vectors}
    lines += _rounds(BACK_INPUTS, block, rest, "dx", steps)
    functions[name] = "\n".join([*lines, ")"])
    return name


def add_update(functions: Functions, vectors: int, velocity_offset: int | None) -> str:
    """w[i][v] -= rate * x[i] * d[v] for i < n.

    With velocities, which lie `velocity_offset` bytes behind the weights: they become momentum times
    themselves plus x[i] * d[v], and w[i][v] moves by -rate times the velocity.
    """
    name = f"$update_{vectors}"
    if name in functions:
        return name
    lines = [
        f"(func {name} (param $x i32) (param $w i32) (param $d i32) (param $n i32)",
        "  (param $rate f32) (param $momentum f32) (local $end i32) (local $s v128)",
        "  " + "".join(f"(local $d{v} v128) " for v in range(vectors)),
        "  (local $r v128) (local $m v128) (local $u v128)",
        "  (local.set $r (f32x4.splat (f32.neg (local.get $rate))))",
        "  (local.set $m (f32x4.splat (local.get $momentum)))",
    ]
    for v in range(vectors):
        delta = f"(v128.load offset={16 * v} (local.get $d))"
        scaled = delta if velocity_offset is not None else f"(f32x4.mul (local.get $r) {delta})"
        lines.append(f"  (local.set $d{v} {scaled})")
    block = [
        line for number in range(UPDATE_UNROLL) for line in _update_step(vectors, number, velocity_offset)
    ]
    rest = _update_step(vectors, 0, velocity_offset)
    lines += _rounds(UPDATE_UNROLL, block, rest, "x", {"x": 4, "w": 16 * vectors})
    functions[name] = "\n".join([*lines, ")"])
    return name


def add_magnitude(functions: Functions) -> str:
    """The largest |p[i]| for i < n, or NaN if one of them is."""
    functions["$magnitude"] = f"""(func $magnitude (param $p i32) (param $n i32) (result f32)
  (local $end i32) (local $top v128)
  (local.set $end (i32.add (local.get $p) (i32.and (i32.shl (local.get $n) (i32.const 2)) (i32.const -16))))
  (if (i32.lt_u (local.get $p) (local.get $end)) (then (loop $vectors
    (local.set $top (f32x4.max (local.get $top) (f32x4.abs (v128.load (local.get $p)))))
    (local.set $p (i32.add (local.get $p) (i32.const 16)))
    (br_if $vectors (i32.lt_u (local.get $p) (local.get $end))))))
  (local.set $end (i32.add (local.get $end) (i32.shl (i32.and (local.get $n) (i32.const 3)) (i32.const 2))))
  (if (i32.lt_u (local.get $p) (local.get $end)) (then (loop $rest
    (local.set $top (f32x4.max (local.get $top) (f32x4.abs (v128.load32_splat (local.get $p)))))
    (local.set $p (i32.add (local.get $p) (i32.const 4)))
    (br_if $rest (i32.lt_u (local.get $p) (local.get $end))))))
  {across("f32x4.max", "top")}
  (f32x4.extract_lane 0 (local.get $top)))"""
    return "$magnitude"


def add_shares_error(functions: Functions) -> str:
    """The gradient of cross entropy before a softmax, y * (sum of t) - t, over whole vectors up to $end."""
    functions["$shares_error"] = f"""(func $shares_error (param $y i32) (param $t i32) (param $d i32)
  (param $end i32) (local $p i32) (local $sum v128)
  (local.set $p (local.get $t))
  (loop $total
    (local.set $sum (f32x4.add (local.get $sum) (v128.load (local.get $p))))
    (local.set $p (i32.add (local.get $p) (i32.const 16)))
    (br_if $total (i32.lt_u (local.get $p) (local.get $end))))
  {across("f32x4.add", "sum")}
  (loop $each
    (v128.store (local.get $d) (f32x4.sub
      (f32x4.mul (v128.load (local.get $y)) (local.get $sum)) (v128.load (local.get $t))))
    (local.set $y (i32.add (local.get $y) (i32.const 16)))
    (local.set $t (i32.add (local.get $t) (i32.const 16)))
    (local.set $d (i32.add (local.get $d) (i32.const 16)))
    (br_if $each (i32.lt_u (local.get $t) (local.get $end)))))"""
    return "$shares_error"


def add_squares_error(functions: Functions) -> str:
    """The gradient of the mean of squares: d = (y - t) * scale, over whole vectors of $t up to $end."""
    functions["$squares_error"] = """(func $squares_error (param $y i32) (param $t i32) (param $d i32)
  (param $end i32) (param $scale f32)
  (loop $each
    (v128.store (local.get $d) (f32x4.mul (f32x4.splat (local.get $scale))
      (f32x4.sub (v128.load (local.get $y)) (v128.load (local.get $t)))))
    (local.set $y (i32.add (local.get $y) (i32.const 16)))
    (local.set $t (i32.add (local.get $t) (i32.const 16)))
    (local.set $d (i32.add (local.get $d) (i32.const 16)))
    (br_if $each (i32.lt_u (local.get $t) (local.get $end)))))"""
    return "$squares_error"


def add_slope(functions: Functions, spec: Dense) -> str | None:
    """D *= the activation's derivative, which follows from its value y; None where it is 1 everywhere."""
    d, y = "(v128.load (local.get $d))", "(v128.load (local.get $y))"
    above = f"(f32x4.gt {y} {_ZERO})"
    match spec.activation:
        case "linear" | "softmax":  # a softmax's derivative is part of its error
            return None
        case "relu":
            value = f"(v128.and {d} {above})"
        case "leaky_relu":
            value = f"(v128.bitselect {d} (f32x4.mul {d} {constant(spec.slope)}) {above})"
        case "sigmoid":
            value = f"(f32x4.mul {d} (f32x4.mul {y} (f32x4.sub {_ONE} {y})))"
        case "tanh":
            value = f"(f32x4.mul {d} (f32x4.sub {_ONE} (f32x4.mul {y} {y})))"
        case other:
            message = f"{other} was refused before"
            raise AssertionError(message)
    name = f"$slope_of_{function_name(spec).removeprefix('$')}"
    functions[name] = f"""(func {name} (param $d i32) (param $y i32) (param $end i32)
  (loop $each
    (v128.store (local.get $d) {value})
    (local.set $y (i32.add (local.get $y) (i32.const 16)))
    (local.set $d (i32.add (local.get $d) (i32.const 16)))
    (br_if $each (i32.lt_u (local.get $d) (local.get $end)))))"""
    return name


def _update_step(vectors: int, number: int, velocity_offset: int | None) -> list[str]:
    lines = [f"    (local.set $s (v128.load32_splat offset={4 * number} (local.get $x)))"]
    for v in range(vectors):
        offset = 16 * (vectors * number + v)
        weight = f"(v128.load offset={offset} (local.get $w))"
        change = f"(f32x4.mul (local.get $s) (local.get $d{v}))"
        if velocity_offset is not None:
            place = f"offset={velocity_offset + offset} (local.get $w)"
            kept = f"(f32x4.mul (local.get $m) (v128.load {place}))"
            lines.append(f"    (local.set $u (f32x4.add {kept} {change}))")
            lines.append(f"    (v128.store {place} (local.get $u))")
            change = "(f32x4.mul (local.get $r) (local.get $u))"
        lines.append(f"    (v128.store offset={offset} (local.get $w) (f32x4.add {weight} {change}))")
    return lines


def _rounds(unroll: int, block: list[str], rest: list[str], counted: str, steps: dict[str, int]) -> list[str]:
    """`block` for every `unroll` of the $n numbers from $`counted` on, then `rest` for each that is left."""
    here = f"(local.get ${counted})"
    more = f"(i32.lt_u {here} (local.get $end))"
    row = "(i32.shl (local.get $n) (i32.const 2))"

    def loop(label: str, body: list[str], count: int) -> list[str]:
        moves = (
            f"    (local.set ${name} (i32.add (local.get ${name}) (i32.const {count * step})))"
            for name, step in steps.items()
        )
        return [f"  (if {more} (then (loop ${label}", *body, *moves, f"    (br_if ${label} {more}))))"]

    return [
        f"  (local.set $end (i32.add {here} (i32.and {row} (i32.const {-4 * unroll}))))",
        *loop("whole", block, unroll),
        f"  (local.set $end (i32.add (local.get $end) (i32.and {row} (i32.const {4 * unroll - 1}))))",
        *loop("left", rest, 1),
    ]


def _weighted(vectors: int, offset: int) -> str:
    """w[0] * d[0] + w[1] * d[1] + ..., lane by lane."""
    total = ""
    for v in range(vectors):
        product = f"(f32x4.mul (v128.load offset={offset + 16 * v} (local.get $w)) (local.get $d{v}))"
        total = f"(f32x4.add {total} {product})" if total else product
    return total


def _joined(value: str, load: str, add: str, first: bool) -> str:
    return value if first else f"({add} ({load} (local.get $dx)) {value})"


def _shuffled(lanes: tuple[int, ...], one: str, other: str) -> str:
    places = " ".join(str(4 * lane + byte) for lane in lanes for byte in range(4))
    return f"(i8x16.shuffle {places} (local.get ${one}) (local.get ${other}))"


def _low(one: str, other: str) -> str:
    return _shuffled((0, 4, 1, 5), one, other)


def _high(one: str, other: str) -> str:
    return _shuffled((2, 6, 3, 7), one, other)


def _low_pairs(one: str, other: str) -> str:
    return _shuffled((0, 1, 4, 5), one, other)


def _high_pairs(one: str, other: str) -> str:
    return _shuffled((2, 3, 6, 7), one, other)
