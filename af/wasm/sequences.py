"""Sequences: tokens to rows, gated recurrence, and self-attention."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from af import layers as kinds
from af.network import Floats
from af.wasm import activations
from af.wasm.assembly import Assembly, Value, call_text, plus
from af.wasm.kernels import add_rows
from af.wasm.layout import F32_BYTES, LANES, round_up, split_panels

_NO_TOKEN = -1
_GATES = 3


def embedded(spec: kinds.Embedding, value: Value, table: Floats, assembly: Assembly) -> Value:
    """A row per token."""
    target = assembly.fresh((value.channels, spec.width), value.channels, spec.width, channels_first=False)
    address = assembly.constant(_padded_rows(table))
    arguments = (target.address, address, target.stride_bytes, spec.vocabulary)
    assembly.helper("$embed", value.address, value.channels, *arguments)
    return target


def embedded_mean(spec: kinds.EmbeddingMean, value: Value, table: Floats, assembly: Assembly) -> Value:
    """The mean of the tokens' rows."""
    target = assembly.fresh((spec.width,), 1, spec.width, channels_first=False)
    address = assembly.constant(_padded_rows(table))
    padding = _NO_TOKEN if spec.padding is None else spec.padding
    arguments = (target.address, address, target.stride_bytes, spec.vocabulary, padding)
    assembly.helper("$embed_mean", value.address, value.channels, *arguments)
    return target


def gru_states(spec: kinds.Gru, value: Value, weights: Mapping[str, Floats], assembly: Assembly) -> Value:
    """The state after every step, or after the last. Row 0 of the states is the first one, zero for ever."""
    _add_activations(assembly, "sigmoid", "tanh")
    stride = round_up(spec.units, LANES)
    from_input = assembly.matrix(*_spread_gates(weights["weight_ih"], weights["bias_ih"], stride))
    from_state = assembly.matrix(*_spread_gates(weights["weight_hh"], weights["bias_hh"], stride))
    steps = value.positions
    given = assembly.fresh((steps, _GATES * stride), steps, _GATES * stride, channels_first=False)
    known = assembly.fresh((_GATES * stride,), 1, _GATES * stride, channels_first=False)
    states = assembly.fresh((steps + 1, spec.units), steps + 1, spec.units, channels_first=False)
    assembly.rows(value, from_input, given)
    rows = add_rows(assembly.functions, from_state.panels, relu=False)
    state = _row(states)
    following = plus(state, states.stride_bytes)
    recall = (state, 0, from_state.weights, from_state.bias, 0, known.address, 0, from_state.inputs, 1)
    step = (_row(given), known.address, state, following, states.stride_bytes)
    body = ["  " + call_text(rows, *recall), "  " + call_text(assembly.need("$gru_step"), *step)]
    assembly.repeat("r", steps, body)
    if spec.every_step:
        address = plus(states.address, states.stride_bytes)
        return replace(states, address=address, shape=(steps, spec.units), positions=steps)
    address = plus(states.address, steps * states.stride_bytes)
    return replace(states, address=address, shape=(spec.units,), positions=1)


def attended(value: Value, weights: Mapping[str, Floats], heads: int, assembly: Assembly) -> Value:
    """Multi-head self-attention with its output projection.

    Per head the queries meet the keys, turned into a matrix, and the shares meet the values where they lie.
    A head's last vector may reach into the next head's numbers, which are written after it.
    """
    steps, width = value.positions, value.channels
    size = width // heads
    joined_weight, joined_bias = weights["self_attn.in_proj_weight"], weights["self_attn.in_proj_bias"]
    scale = np.ones((_GATES * width, 1), np.float64)
    scale[:width] /= np.sqrt(size)
    matrix = assembly.matrix(joined_weight * scale, joined_bias * scale[:, 0])
    joined = assembly.fresh((steps, _GATES * width), steps, _GATES * width, channels_first=False)
    assembly.rows(value, matrix, joined)
    keys = assembly.fresh((size, steps), size, steps, channels_first=False)
    scores = assembly.fresh((steps, steps), steps, steps, channels_first=False)
    zeros = assembly.scratch(F32_BYTES * max(scores.stride, round_up(size, LANES)))
    mixed = assembly.fresh((steps, width + LANES), steps, width + LANES, channels_first=False)
    _add_activations(assembly, "softmax")
    score = add_rows(assembly.functions, split_panels(keys.stride // LANES), False, keys.stride // LANES)
    mix_panels = split_panels(round_up(size, LANES) // LANES)
    mix = add_rows(assembly.functions, mix_panels, False, joined.stride // LANES)
    for head in range(heads):
        query, key, own = (
            plus(joined.address, F32_BYTES * (part * width + head * size)) for part in range(_GATES)
        )
        turned = (keys.address, keys.stride_bytes, steps, size)
        assembly.helper("$transpose", key, joined.stride_bytes, *turned)
        target = (scores.address, scores.stride_bytes)
        assembly.call(score, query, joined.stride_bytes, keys.address, zeros, 0, *target, size, steps)
        assembly.helper("$pad_rows", *target, F32_BYTES * steps, steps)
        assembly.helper("$softmax_rows", *target, steps)
        written = (plus(mixed.address, F32_BYTES * head * size), mixed.stride_bytes)
        assembly.call(mix, *target, own, zeros, 0, *written, steps, steps)
    output = assembly.matrix(weights["self_attn.out_proj.weight"], weights["self_attn.out_proj.bias"])
    projected = assembly.fresh(value.shape, steps, width, channels_first=False)
    assembly.rows(replace(mixed, channels=width), output, projected)
    return projected


def _add_activations(assembly: Assembly, *names: kinds.Activation) -> None:
    needed = activations.functions_for([kinds.Activate(activation=name) for name in names])
    for name, text in needed.items():
        assembly.functions.setdefault(name, text)


def _padded_rows(table: Floats) -> Floats:
    padded = np.zeros((len(table), round_up(table.shape[1], LANES)), np.float32)
    padded[:, : table.shape[1]] = table
    return padded


def _spread_gates(weight: Floats, bias: Floats, stride: int) -> tuple[Floats, Floats]:
    """Each gate's outputs from a whole vector on."""
    units = len(bias) // _GATES
    wide = np.zeros((_GATES, stride, weight.shape[1]), np.float32)
    wide[:, :units] = weight.reshape(_GATES, units, -1)
    offsets = np.zeros((_GATES, stride), np.float32)
    offsets[:, :units] = bias.reshape(_GATES, units)
    return wide.reshape(_GATES * stride, -1), offsets.ravel()


def _row(value: Value) -> str:
    return f"(i32.add {value.address} (i32.mul (local.get $r) (i32.const {value.stride_bytes})))"
