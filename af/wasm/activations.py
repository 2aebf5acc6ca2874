"""Activation functions in WebAssembly text, four lanes at a time, accurate to a few units in 1e-7.

`$exp` is the classic single-precision scheme: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial for e^r, and
n put into the exponent bits; ln 2 is split in two so that r is exact. Below -87.3 the result is 0 (it would
be denormal). Everything else is written with exponentials of negative numbers only, so nothing overflows; a
NaN stays a NaN. Sine and cosine take multiples of a quarter turn off first, in three parts for the same
reason.

Every function exists as `$name_lanes` (one vector to one vector) and as `$name`, which runs it over the
vectors from $y to $end in place. Parameters are part of the name, so a module holds each function once.
"""

import struct
from collections.abc import Iterable

from af.layers import Activated
from af.layers.fann import FANN_CLIP, STEPWISE

IN_KERNEL = frozenset({"relu", "linear"})  # what the matrix kernels do themselves
BY_ROW = frozenset({"softmax"})

_X = "(local.get $x)"


def constant(value: str | float) -> str:
    return f"(v128.const f32x4 {value} {value} {value} {value})"


def function_name(by: Activated) -> str:
    """`$name`: activation and, where it heeds one, its parameter's bits."""
    match by.activation:
        case "leaky_relu":
            return f"$leaky_relu_{_bits(by.slope)}"
        case name if name.startswith("fann_"):
            return f"${name}_{_bits(by.steepness)}"
        case name:
            return f"${name}"


def functions_for(needed: Iterable[Activated]) -> dict[str, str]:
    """The functions for these activations and all they call, by name, in an order that is always the same."""
    found: dict[str, str] = {}
    for by in needed:
        if by.activation not in IN_KERNEL:
            _add(by, found)
    return found


def _add(by: Activated, found: dict[str, str]) -> None:
    name = function_name(by)
    if name in found:
        return
    for helper in _CALLS.get(by.activation, ()):
        found.setdefault(helper, _HELPERS[helper])
    if by.activation == "softmax":
        found[name] = _SOFTMAX
        return
    body = _leaky_relu(by.slope) if by.activation == "leaky_relu" else _LANES[by.activation]
    if by.activation.startswith("fann_"):
        body = _fann_clipped(by.steepness) + body
    found[f"{name}_lanes"] = _lanes_function(f"{name}_lanes", body)
    found[name] = _in_place(name)


def _bits(value: float) -> str:
    return struct.pack(">f", value).hex()


def _f32(value: float) -> float:
    """Rounded as the engines round it, so that all of them multiply by the same number."""
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def _polynomial(variable: str, coefficients: tuple[str, ...]) -> str:
    """Horner's rule; the highest power comes first."""
    text = constant(coefficients[0])
    for coefficient in coefficients[1:]:
        text = f"(f32x4.add (f32x4.mul {text} {variable}) {constant(coefficient)})"
    return text


def _lanes_function(name: str, body: str) -> str:
    local_names = " ".join(f"(local ${letter} v128)" for letter in "aezt")
    return f"(func {name} (param $x v128) (result v128) {local_names}\n{body})"


def _in_place(name: str) -> str:
    return f"""(func {name} (param $y i32) (param $end i32)
  (loop $next
    (v128.store (local.get $y) (call {name}_lanes (v128.load (local.get $y))))
    (local.set $y (i32.add (local.get $y) (i32.const 16)))
    (br_if $next (i32.lt_u (local.get $y) (local.get $end)))))"""


_R = "(local.get $r)"
_EXP_TAIL = (
    "1.9875691500e-4",
    "1.3981999507e-3",
    "8.3334519073e-3",
    "4.1665795894e-2",
    "1.6666665459e-1",
    "0.5",
)
_EXP = f"""(func $exp (param $x v128) (result v128) (local $n v128) (local $r v128)
  (local.set $r (f32x4.pmin (f32x4.pmax {_X} {constant("-87.3")}) {constant("88")}))
  (local.set $n (f32x4.nearest (f32x4.mul (local.get $r) {constant("1.44269504088896341")})))
  (local.set $r (f32x4.sub (local.get $r) (f32x4.mul (local.get $n) {constant("0.693359375")})))
  (local.set $r (f32x4.sub (local.get $r) (f32x4.mul (local.get $n) {constant("-2.12194440e-4")})))
  (v128.andnot
    (f32x4.mul
      (i32x4.shl (i32x4.add (i32x4.trunc_sat_f32x4_s (local.get $n)) (v128.const i32x4 127 127 127 127))
        (i32.const 23))
      (f32x4.add {constant("1")} (f32x4.add {_R}
        (f32x4.mul (f32x4.mul {_R} {_R}) {_polynomial(_R, _EXP_TAIL)}))))
    (f32x4.lt {_X} {constant("-87.3")})))"""

# 1 / (1 + e^-x) for x >= 0, e^x / (1 + e^x) for x < 0.
_SIGMOID = f"""  (local.set $e (call $exp (f32x4.neg (f32x4.abs {_X}))))
  (f32x4.div
    (v128.bitselect (local.get $e) {constant("1")} (f32x4.lt {_X} {constant("0")}))
    (f32x4.add {constant("1")} (local.get $e)))"""

# (1 - e) / (1 + e) with e = e^(-2|x|) loses digits near zero; there a polynomial in x^2 takes over.
_Z = "(local.get $z)"
_TANH_TAIL = (
    "-5.70498872745e-3",
    "2.06390887954e-2",
    "-5.37397155531e-2",
    "1.33314422036e-1",
    "-3.33332819422e-1",
)
_SIGN = "(v128.const i32x4 0x80000000 0x80000000 0x80000000 0x80000000)"
_TANH = f"""  (local.set $a (f32x4.abs {_X}))
  (local.set $e (call $exp (f32x4.mul (local.get $a) {constant("-2")})))
  (local.set $e
    (f32x4.div (f32x4.sub {constant("1")} (local.get $e)) (f32x4.add {constant("1")} (local.get $e))))
  (local.set $z (f32x4.mul (local.get $a) (local.get $a)))
  (local.set $z
    (f32x4.add (local.get $a) (f32x4.mul (f32x4.mul (local.get $a) {_Z}) {_polynomial(_Z, _TANH_TAIL)})))
  (local.set $e
    (v128.bitselect (local.get $z) (local.get $e) (f32x4.lt (local.get $a) {constant("0.625")})))
  (v128.bitselect {_X} (local.get $e) {_SIGN})"""

# With z = |x| / sqrt 2: erfc z = t e^(-z^2 + P(t)), t = 1 / (1 + z / 2), a Chebyshev fit good to 1.2e-7
# relative. Then gelu is x erfc(z) / 2 below zero, and x minus that above.
_T = "(local.get $t)"
_ERFC = (
    "0.17087277",
    "-0.82215223",
    "1.48851587",
    "-1.13520398",
    "0.27886807",
    "-0.18628806",
    "0.09678418",
    "0.37409196",
    "1.00002368",
    "-1.26551223",
)
_GELU = f"""  (local.set $z (f32x4.mul (f32x4.abs {_X}) {constant("0.70710678118654752")}))
  (local.set $t
    (f32x4.div {constant("1")} (f32x4.add {constant("1")} (f32x4.mul {_Z} {constant("0.5")}))))
  (local.set $e (call $exp (f32x4.sub {_polynomial(_T, _ERFC)} (f32x4.mul {_Z} {_Z}))))
  (local.set $e (f32x4.mul {_X} (f32x4.mul {constant("0.5")} (f32x4.mul {_T} (local.get $e)))))
  (v128.bitselect (local.get $e) (f32x4.sub {_X} (local.get $e)) (f32x4.lt {_X} {constant("0")}))"""

# (1 + tanh z) / 2 is the sigmoid of 2 z; 2 sqrt(2 / pi) = 1.59577...
_GELU_TANH = f"""  (local.set $z (f32x4.mul {constant("1.5957691216057308")} (f32x4.add {_X}
    (f32x4.mul {constant("0.044715")} (f32x4.mul (f32x4.mul {_X} {_X}) {_X})))))
  (f32x4.mul {_X} (call $sigmoid_lanes {_Z}))"""


def _turned(quarters: int) -> str:
    """Sine of x + quarters * pi / 2: n quarter turns off, then sine or cosine of the rest, by n's parity."""
    sine = ("-1.9515295891e-4", "8.3321608736e-3", "-1.6666654611e-1")
    cosine = ("2.443315711809948e-5", "-1.388731625493765e-3", "4.166664568298827e-2")
    pieces = ("1.5703125", "4.837512969970703125e-4", "7.54978995489188216e-8")
    one = "(v128.const i32x4 1 1 1 1)"
    lines = [f"  (local.set $t (f32x4.nearest (f32x4.mul {_X} {constant('0.63661977236758134')})))"]
    lines += [
        f"  (local.set $x (f32x4.sub {_X} (f32x4.mul (local.get $t) {constant(piece)})))" for piece in pieces
    ]
    lines += [
        "  (local.set $t (i32x4.add (i32x4.trunc_sat_f32x4_s (local.get $t))",
        f"    (v128.const i32x4 {' '.join([str(quarters)] * 4)})))",
        f"  (local.set $z (f32x4.mul {_X} {_X}))",
        f"  (local.set $a (f32x4.add {_X} (f32x4.mul (f32x4.mul {_X} {_Z}) {_polynomial(_Z, sine)})))",
        f"  (local.set $e (f32x4.add (f32x4.sub {constant('1')} (f32x4.mul {_Z} {constant('0.5')}))",
        f"    (f32x4.mul (f32x4.mul {_Z} {_Z}) {_polynomial(_Z, cosine)})))",
        "  (v128.xor",
        "    (v128.bitselect (local.get $e) (local.get $a)",
        f"      (i32x4.eq (v128.and (local.get $t) {one}) {one}))",
        "    (i32x4.shl (i32x4.shr_u (local.get $t) (i32.const 1)) (i32.const 31)))",
    ]
    return "\n".join(lines)


def _leaky_relu(slope: float) -> str:
    steep = f"(f32x4.mul {_X} {constant(_f32(slope))})"
    return f"  (v128.bitselect {steep} {_X} (f32x4.lt {_X} {constant(0)}))"


def _fann_clipped(steepness: float) -> str:
    limit = _f32(FANN_CLIP / steepness)
    scaled = f"(f32x4.mul {_X} {constant(_f32(steepness))})"
    return f"  (local.set $x (f32x4.pmin (f32x4.pmax {scaled} {constant(-limit)}) {constant(limit)}))\n"


def _threshold(below: int) -> str:
    return f"  (v128.bitselect {constant(below)} {constant(1)} (f32x4.lt {_X} {constant(0)}))"


def _between(low: int) -> str:
    return f"  (f32x4.pmin (f32x4.pmax {_X} {constant(low)}) {constant(1)})"


def _stepwise(name: str) -> str:
    """From the left, each piece replaces the one before where x has come as far."""
    places, heights, (below, above) = STEPWISE[name]
    lines = [f"  (local.set $e {constant(below)})"]
    starts = zip(places, heights, places[1:], heights[1:], strict=False)
    for place, height, next_place, next_height in starts:
        rise = _f32((next_height - height) / (next_place - place))
        piece = f"(f32x4.mul (f32x4.sub {_X} {constant(_f32(place))}) {constant(rise)})"
        piece = f"(f32x4.add {constant(_f32(height))} {piece})"
        lines.append(f"  (local.set $e {_from(place, piece)})")
    lines.append("  " + _from(places[-1], constant(above)))
    return "\n".join(lines)


def _from(place: float, value: str) -> str:
    return f"(v128.bitselect {value} (local.get $e) (f32x4.ge {_X} {constant(_f32(place))}))"


def _half_and_half(text: str) -> str:
    """Half of it, plus a half."""
    return f"  (f32x4.add (f32x4.mul {text} {constant('0.5')}) {constant('0.5')})"


_ELLIOT = f"(f32x4.div {_X} (f32x4.add {constant('1')} (f32x4.abs {_X})))"
_GAUSSIAN = f"(call $exp (f32x4.neg (f32x4.mul {_X} {_X})))"

_LANES: dict[str, str] = {
    "linear": f"  {_X}",
    "relu": f"  (f32x4.pmax {_X} {constant('0')})",
    "sigmoid": _SIGMOID,
    "tanh": _TANH,
    "gelu": _GELU,
    "gelu_tanh": _GELU_TANH,
    "fann_linear": f"  {_X}",
    "fann_threshold": _threshold(0),
    "fann_threshold_symmetric": _threshold(-1),
    "fann_sigmoid": f"  (call $sigmoid_lanes (f32x4.add {_X} {_X}))",
    "fann_sigmoid_stepwise": _stepwise("fann_sigmoid_stepwise"),
    "fann_sigmoid_symmetric": f"  (call $tanh_lanes {_X})",
    "fann_sigmoid_symmetric_stepwise": _stepwise("fann_sigmoid_symmetric_stepwise"),
    "fann_gaussian": f"  {_GAUSSIAN}",
    "fann_gaussian_symmetric": f"  (f32x4.sub (f32x4.mul {_GAUSSIAN} {constant(2)}) {constant(1)})",
    "fann_elliot": _half_and_half(_ELLIOT),
    "fann_elliot_symmetric": f"  {_ELLIOT}",
    "fann_linear_piece": _between(0),
    "fann_linear_piece_symmetric": _between(-1),
    "fann_sin": _half_and_half(f"(call $sin {_X})"),
    "fann_sin_symmetric": f"  (call $sin {_X})",
    "fann_cos": _half_and_half(f"(call $cos {_X})"),
    "fann_cos_symmetric": f"  (call $cos {_X})",
}
_HELPERS = {
    "$exp": _EXP,
    "$sigmoid_lanes": _lanes_function("$sigmoid_lanes", _SIGMOID),
    "$tanh_lanes": _lanes_function("$tanh_lanes", _TANH),
    "$sin": _lanes_function("$sin", _turned(0)),
    "$cos": _lanes_function("$cos", _turned(1)),
}
_CALLS: dict[str, tuple[str, ...]] = {
    "sigmoid": ("$exp",),
    "tanh": ("$exp",),
    "softmax": ("$exp",),
    "gelu": ("$exp",),
    "gelu_tanh": ("$exp", "$sigmoid_lanes"),
    "fann_sigmoid": ("$exp", "$sigmoid_lanes"),
    "fann_sigmoid_symmetric": ("$exp", "$tanh_lanes"),
    "fann_gaussian": ("$exp",),
    "fann_gaussian_symmetric": ("$exp",),
    "fann_sin": ("$sin",),
    "fann_sin_symmetric": ("$sin",),
    "fann_cos": ("$cos",),
    "fann_cos_symmetric": ("$cos",),
}


def across(operation: str, name: str) -> str:
    """Combine the four lanes of a local; afterwards every lane holds the result."""
    value = f"(local.get ${name})"
    swap_pairs = f"(i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 {value} {value})"
    swap_neighbours = f"(i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11 {value} {value})"
    return (
        f"(local.set ${name} ({operation} {value} {swap_pairs}))\n"
        f"  (local.set ${name} ({operation} {value} {swap_neighbours}))"
    )


# One row at a time; the padding of a softmax row holds minus infinity, so it ends as zeros.
_SOFTMAX = f"""(func $softmax (param $y i32) (param $end i32)
  (local $p i32) (local $top v128) (local $sum v128) (local $e v128)
  (local.set $top (v128.load (local.get $y)))
  (local.set $p (local.get $y))
  (loop $largest
    (local.set $top (f32x4.max (local.get $top) (v128.load (local.get $p))))
    (local.set $p (i32.add (local.get $p) (i32.const 16)))
    (br_if $largest (i32.lt_u (local.get $p) (local.get $end))))
  {across("f32x4.max", "top")}
  (local.set $p (local.get $y))
  (loop $exponential
    (local.set $e (call $exp (f32x4.sub (v128.load (local.get $p)) (local.get $top))))
    (v128.store (local.get $p) (local.get $e))
    (local.set $sum (f32x4.add (local.get $sum) (local.get $e)))
    (local.set $p (i32.add (local.get $p) (i32.const 16)))
    (br_if $exponential (i32.lt_u (local.get $p) (local.get $end))))
  {across("f32x4.add", "sum")}
  (local.set $p (local.get $y))
  (loop $share
    (v128.store (local.get $p) (f32x4.div (v128.load (local.get $p)) (local.get $sum)))
    (local.set $p (i32.add (local.get $p) (i32.const 16)))
    (br_if $share (i32.lt_u (local.get $p) (local.get $end)))))"""
