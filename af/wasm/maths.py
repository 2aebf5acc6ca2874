"""Activation functions in WebAssembly text, four lanes at a time, accurate to about one unit in 1e-7.

`$exp` is the classic single-precision scheme: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial for e^r, and
n put into the exponent bits; ln 2 is split in two so that r is exact. Below -87.3 the result is 0 (it would
be denormal). Everything else is written with exponentials of negative numbers only, so nothing overflows; a
NaN stays a NaN.
"""


def constant(value: str) -> str:
    return f"(v128.const f32x4 {value} {value} {value} {value})"


def _polynomial(variable: str, coefficients: tuple[str, ...]) -> str:
    """Horner's rule; the highest power comes first."""
    text = constant(coefficients[0])
    for coefficient in coefficients[1:]:
        text = f"(f32x4.add (f32x4.mul {text} {variable}) {constant(coefficient)})"
    return text


_R = "(local.get $r)"
_EXP_TAIL = (
    "1.9875691500e-4",
    "1.3981999507e-3",
    "8.3334519073e-3",
    "4.1665795894e-2",
    "1.6666665459e-1",
    "0.5",
)
_EXP = f"""
(func $exp (param $x v128) (result v128) (local $n v128) (local $r v128)
  (local.set $r (f32x4.pmin (f32x4.pmax (local.get $x) {constant("-87.3")}) {constant("88")}))
  (local.set $n (f32x4.nearest (f32x4.mul (local.get $r) {constant("1.44269504088896341")})))
  (local.set $r (f32x4.sub (local.get $r) (f32x4.mul (local.get $n) {constant("0.693359375")})))
  (local.set $r (f32x4.sub (local.get $r) (f32x4.mul (local.get $n) {constant("-2.12194440e-4")})))
  (v128.andnot
    (f32x4.mul
      (i32x4.shl (i32x4.add (i32x4.trunc_sat_f32x4_s (local.get $n)) (v128.const i32x4 127 127 127 127))
        (i32.const 23))
      (f32x4.add {constant("1")} (f32x4.add {_R}
        (f32x4.mul (f32x4.mul {_R} {_R}) {_polynomial(_R, _EXP_TAIL)}))))
    (f32x4.lt (local.get $x) {constant("-87.3")})))"""


def _each_vector(name: str, local_names: str, body: str) -> str:
    """A function that replaces every vector of [$y, $end) by what `body` leaves."""
    return f"""
(func ${name} (param $y i32) (param $end i32) {local_names}
  (loop $next
    {body}
    (local.set $y (i32.add (local.get $y) (i32.const 16)))
    (br_if $next (i32.lt_u (local.get $y) (local.get $end)))))"""


_LOAD = "(v128.load (local.get $y))"

# 1 / (1 + e^-x) for x >= 0, e^x / (1 + e^x) for x < 0.
_SIGMOID = _each_vector(
    "sigmoid",
    "(local $x v128) (local $e v128)",
    f"""(local.set $x {_LOAD})
    (local.set $e (call $exp (f32x4.neg (f32x4.abs (local.get $x)))))
    (v128.store (local.get $y) (f32x4.div
      (v128.bitselect (local.get $e) {constant("1")} (f32x4.lt (local.get $x) {constant("0")}))
      (f32x4.add {constant("1")} (local.get $e))))""",
)

# (1 - e) / (1 + e) with e = e^(-2|x|) loses digits near zero; there a polynomial in x^2 takes over.
_Z = "(local.get $z)"
_TANH_TAIL = (
    "-5.70498872745e-3",
    "2.06390887954e-2",
    "-5.37397155531e-2",
    "1.33314422036e-1",
    "-3.33332819422e-1",
)
_TANH = _each_vector(
    "tanh",
    "(local $x v128) (local $a v128) (local $e v128) (local $z v128)",
    f"""(local.set $x {_LOAD})
    (local.set $a (f32x4.abs (local.get $x)))
    (local.set $e (call $exp (f32x4.mul (local.get $a) {constant("-2")})))
    (local.set $e
      (f32x4.div (f32x4.sub {constant("1")} (local.get $e)) (f32x4.add {constant("1")} (local.get $e))))
    (local.set $z (f32x4.mul (local.get $a) (local.get $a)))
    (local.set $z
      (f32x4.add (local.get $a) (f32x4.mul (f32x4.mul (local.get $a) {_Z}) {_polynomial(_Z, _TANH_TAIL)})))
    (local.set $e
      (v128.bitselect (local.get $z) (local.get $e) (f32x4.lt (local.get $a) {constant("0.625")})))
    (v128.store (local.get $y) (v128.bitselect (local.get $x) (local.get $e)
      (v128.const i32x4 0x80000000 0x80000000 0x80000000 0x80000000)))""",
)


def _across(operation: str, name: str) -> str:
    """Combine the four lanes; afterwards every lane holds the result."""
    value = f"(local.get ${name})"
    swap_pairs = f"(i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 {value} {value})"
    swap_neighbours = f"(i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11 {value} {value})"
    return (
        f"(local.set ${name} ({operation} {value} {swap_pairs}))\n"
        f"  (local.set ${name} ({operation} {value} {swap_neighbours}))"
    )


# One row at a time; the padding of a softmax row holds minus infinity, so it ends as zeros.
_SOFTMAX = f"""
(func $softmax (param $y i32) (param $end i32)
  (local $p i32) (local $top v128) (local $sum v128) (local $e v128)
  (local.set $top (v128.load (local.get $y)))
  (local.set $p (local.get $y))
  (loop $largest
    (local.set $top (f32x4.max (local.get $top) (v128.load (local.get $p))))
    (local.set $p (i32.add (local.get $p) (i32.const 16)))
    (br_if $largest (i32.lt_u (local.get $p) (local.get $end))))
  {_across("f32x4.max", "top")}
  (local.set $p (local.get $y))
  (loop $exponential
    (local.set $e (call $exp (f32x4.sub (v128.load (local.get $p)) (local.get $top))))
    (v128.store (local.get $p) (local.get $e))
    (local.set $sum (f32x4.add (local.get $sum) (local.get $e)))
    (local.set $p (i32.add (local.get $p) (i32.const 16)))
    (br_if $exponential (i32.lt_u (local.get $p) (local.get $end))))
  {_across("f32x4.add", "sum")}
  (local.set $p (local.get $y))
  (loop $share
    (v128.store (local.get $p) (f32x4.div (v128.load (local.get $p)) (local.get $sum)))
    (local.set $p (i32.add (local.get $p) (i32.const 16)))
    (br_if $share (i32.lt_u (local.get $p) (local.get $end)))))"""

_FUNCTIONS = {"sigmoid": _SIGMOID, "tanh": _TANH, "softmax": _SOFTMAX}
BY_ROW = frozenset({"softmax"})
IN_KERNEL = frozenset({"relu", "linear"})


def activation_functions(activations: set[str]) -> list[str]:
    """The functions a module needs for these activations, `$exp` first."""
    needed = sorted(activations - IN_KERNEL)
    return [_EXP, *(_FUNCTIONS[name] for name in needed)] if needed else []
