"""A wide layer behind a relu, for one row: weights are read only where the input is not zero.

About half of what a relu gives is zero, and a product with zero changes no sum. So the inputs that are not
zero are listed first, each with the address of its weights; then the layer's outputs are summed up in memory,
a few inputs at a time, over whole rows of weights. A row is one stretch of memory, as wide as the layer: what
is skipped is never fetched, which no layout in panels can offer, and a wide layer costs what its weights cost
to fetch.

The additions of an output happen in the order of the inputs, as everywhere else (af.wasm.kernels), and adding
a zero to a finite sum or to infinity leaves its bits as they are, unless the sum is -0: biases are never -0.
The result has the same bits as if nothing had been skipped.
"""

from af.wasm.kernels import Functions

TOGETHER = 5  # inputs at a time: so many, their weights and a sum fit the vector registers
ENTRY_BYTES = 8  # of the list: an input (f32) and the address of its weights
_UNROLL = 8  # vectors per loop round

_LISTED = "$listed"


def list_bytes(inputs: int) -> int:
    """Room for the list of so many inputs, and for what fills up its last round."""
    return ENTRY_BYTES * (inputs + TOGETHER)


def add_streamed(functions: Functions, relu: bool) -> str:
    """y[0 : bytes] = activation(b + the sum of x[i] * w[i] over i < n with x[i] not zero); its name.

    $w holds rows of $bytes, one per input; $list is scratch of `list_bytes(n)`.
    """
    name = f"$streamed{'_relu' if relu else ''}"
    if name in functions:
        return name
    functions.setdefault(_LISTED, _listed())
    locals_ = " ".join(f"(local $w{number} i32) (local $x{number} v128)" for number in range(TOGETHER))
    lines = [
        f"(func {name} (param $x i32) (param $w i32) (param $b i32) (param $y i32) (param $n i32)",
        "  (param $bytes i32) (param $list i32) (local $p i32) (local $unrolled i32) (local $end i32)",
        f"  (local $listed i32) {locals_}",
        f"  (local.set $listed (call {_LISTED} (local.get $x) (local.get $n) (local.get $w)",
        "    (local.get $bytes) (local.get $list)))",
        "  (local.set $end (i32.add (local.get $y) (local.get $bytes)))",
        f"  (local.set $unrolled (i32.sub (local.get $end) (i32.const {16 * (_UNROLL - 1)})))",
        *_each_vector("bias", "(v128.load (local.get $b))", ("b",)),
        "  (if (i32.lt_u (local.get $list) (local.get $listed)) (then (loop $inputs",
    ]
    for number in range(TOGETHER):
        at = ENTRY_BYTES * number
        lines += [
            f"    (local.set $x{number} (f32x4.splat (f32.load offset={at} (local.get $list))))",
            f"    (local.set $w{number} (i32.load offset={at + 4} (local.get $list)))",
        ]
    lines += [
        "    (local.set $p (local.get $y))",
        "    (if (i32.lt_s (local.get $p) (local.get $unrolled)) (then (loop $vectors",
        *(f"      {_summed(vector)}" for vector in range(_UNROLL)),
        *_advance(16 * _UNROLL),
        "      (br_if $vectors (i32.lt_s (local.get $p) (local.get $unrolled))))))",
        "    (if (i32.lt_u (local.get $p) (local.get $end)) (then (loop $rest",
        f"      {_summed(0)}",
        *_advance(16),
        "      (br_if $rest (i32.lt_u (local.get $p) (local.get $end))))))",
        f"    (local.set $list (i32.add (local.get $list) (i32.const {ENTRY_BYTES * TOGETHER})))",
        "    (br_if $inputs (i32.lt_u (local.get $list) (local.get $listed))))))",
    ]
    if relu:
        # pmax returns its first operand unless the comparison holds: a NaN stays a NaN.
        value = "(f32x4.pmax (v128.load (local.get $p)) (v128.const f32x4 0 0 0 0))"
        lines += _each_vector("relu", value, ())
    functions[name] = "\n".join([*lines, ")"])
    return name


def _listed() -> str:
    """The inputs that are not zero and their weights' addresses, and zeros to the end of a round; its end.

    Every input is written, and one that is not zero is kept: there is no branch to guess.
    """
    zeros = [
        line
        for number in range(TOGETHER)
        for line in (
            f"  (f32.store offset={ENTRY_BYTES * number} (local.get $list) (f32.const 0))",
            f"  (i32.store offset={ENTRY_BYTES * number + 4} (local.get $list) (local.get $first))",
        )
    ]
    return "\n".join(
        [
            f"(func {_LISTED} (param $x i32) (param $n i32) (param $w i32) (param $bytes i32)",
            "  (param $list i32) (result i32) (local $end i32) (local $value f32) (local $first i32)",
            "  (local.set $first (local.get $w))",
            "  (local.set $end (i32.add (local.get $x) (i32.shl (local.get $n) (i32.const 2))))",
            "  (loop $inputs",
            "    (local.set $value (f32.load (local.get $x)))",
            "    (f32.store (local.get $list) (local.get $value))",
            "    (i32.store offset=4 (local.get $list) (local.get $w))",
            "    (local.set $list (i32.add (local.get $list)",
            "      (i32.shl (f32.ne (local.get $value) (f32.const 0)) (i32.const 3))))",
            "    (local.set $w (i32.add (local.get $w) (local.get $bytes)))",
            "    (local.set $x (i32.add (local.get $x) (i32.const 4)))",
            "    (br_if $inputs (i32.lt_u (local.get $x) (local.get $end))))",
            *zeros,
            "  (local.get $list))",
        ]
    )


def _summed(vector: int) -> str:
    """One vector of outputs and its share of the inputs at hand."""
    at = 16 * vector
    total = f"(v128.load offset={at} (local.get $p))"
    for number in range(TOGETHER):
        weights = f"(v128.load offset={at} (local.get $w{number}))"
        total = f"(f32x4.add (f32x4.mul (local.get $x{number}) {weights}) {total})"
    return f"(v128.store offset={at} (local.get $p) {total})"


def _advance(size_bytes: int) -> list[str]:
    return [
        f"      (local.set ${name} (i32.add (local.get ${name}) (i32.const {size_bytes})))"
        for name in ("p", *(f"w{number}" for number in range(TOGETHER)))
    ]


def _each_vector(label: str, value: str, pointers: tuple[str, ...]) -> list[str]:
    """Every vector of the outputs becomes `value`."""
    return [
        "  (local.set $p (local.get $y))",
        f"  (loop ${label}",
        f"    (v128.store (local.get $p) {value})",
        *(
            f"    (local.set ${name} (i32.add (local.get ${name}) (i32.const 16)))"
            for name in ("p", *pointers)
        ),
        f"    (br_if ${label} (i32.lt_u (local.get $p) (local.get $end))))",
    ]


assert ENTRY_BYTES == 1 << 3
