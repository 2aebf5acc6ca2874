"""Where everything lies in the linear memory of a compiled network.

    0 ............ 4096 ............................ page border .....................
    (never used)   weights and biases, panel by panel  input rows, then each layer's output rows

The outputs of a layer are cut into panels of at most seven 16-byte vectors (28 outputs): that many
accumulators, their weights and one input fit the sixteen vector registers of x86-64, one panel more spills
and costs twice the time. A panel holds its weights input by input, so the kernel reads memory front to back
and never adds across a vector. Widths that are not a multiple of four are padded: padded weights are zero,
and the padded biases of a softmax layer are minus infinity, so that their probability is zero. Rows of an
output are therefore `stride` items apart, not `size`.

A wide layer behind a relu is not cut: it is one panel over all its outputs, read row by row
(af.wasm.streamed), and behind the rows lies the list of its inputs that are not zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from af.errors import refused
from af.layers import Dense
from af.limits import WASM_PAGE_BYTES, WASM_PAGES_MAX
from af.network import Floats, Network
from af.wasm.streamed import list_bytes

BASE_ADDRESS = 4_096  # page 0 stays empty, so a zero address is never valid data
LANES = 4  # f32 per vector
F32_BYTES = 4
VECTOR_BYTES = 16
PANEL_VECTORS_MAX = 7
_SMALL_PANEL_VECTORS = 3
STREAMED_VECTORS_MIN = 64  # of a layer: narrower rows are too short a stretch to skip
ALIGNMENT_BYTES = 64  # one cache line
_NO_PROBABILITY = np.float32(-np.inf)  # e to the power of it is zero


@dataclass(frozen=True, slots=True)
class Panel:
    """Neighbouring outputs of a layer that one kernel call computes."""

    vectors: int
    first_vector: int
    weights_address: int


@dataclass(frozen=True, slots=True)
class Rows:
    """A block of rows in memory, one per item of the batch."""

    address: int
    size: int
    stride: int

    @property
    def stride_bytes(self) -> int:
        return self.stride * F32_BYTES


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One layer: where it reads, where it writes, and its panels."""

    spec: Dense
    source: Rows
    target: Rows
    bias_address: int
    panels: tuple[Panel, ...]
    streamed: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole memory; `weights_start` to `weights_end` is what the module's data segment fills."""

    layers: tuple[LayerPlan, ...]
    weights_start: int
    weights_end: int
    pages: int
    batch_max: int
    list_address: int  # of streamed layers

    @property
    def input(self) -> Rows:
        return self.layers[0].source

    @property
    def output(self) -> Rows:
        return self.layers[-1].target


def plan_memory(input_size: int, specs: Sequence[Dense], batch_max: int, *, streams: bool = True) -> Plan:
    """The layout for dense layers; AfRefused if it would be larger than a module may be.

    Without `streams` all layers are cut into panels, which is what a training step knows.
    """
    widths = (input_size, *(spec.units for spec in specs))
    streamed = [streams and streamed_layer(specs, number) for number in range(len(specs))]
    address = BASE_ADDRESS
    weights: list[tuple[int, tuple[Panel, ...]]] = []
    for (inputs, outputs), whole in zip(pairwise(widths), streamed, strict=True):
        panels = []
        first_vector = 0
        row_vectors = round_up(outputs, LANES) // LANES
        for vectors in (row_vectors,) if whole else split_panels(row_vectors):
            panels.append(Panel(vectors, first_vector, address))
            first_vector += vectors
            address += inputs * vectors * VECTOR_BYTES
        address = round_up(address, ALIGNMENT_BYTES)
        weights.append((address, tuple(panels)))
        address = round_up(address + first_vector * VECTOR_BYTES, ALIGNMENT_BYTES)
    weights_end = address
    # Rows begin on a page of their own: a fresh instance then copies only the pages it writes.
    address = round_up(address, BASE_ADDRESS)
    rows: list[Rows] = []
    for number, width in enumerate(widths):
        stride = width if number == 0 else round_up(width, LANES)
        rows.append(Rows(address, width, stride))
        address = round_up(address + batch_max * stride * F32_BYTES, ALIGNMENT_BYTES)
    list_address = address
    listed = [width for width, whole in zip(widths, streamed, strict=False) if whole]
    address += list_bytes(max(listed)) if listed else 0
    pages = round_up(address, WASM_PAGE_BYTES) // WASM_PAGE_BYTES
    if pages > WASM_PAGES_MAX:
        shape = "-".join(map(str, widths))
        message = f"the network {shape} needs {pages} memory pages of 64 KiB, the most is {WASM_PAGES_MAX}."
        raise refused("header: neural_config", message, "make the layers narrower.")
    layers = tuple(
        LayerPlan(spec, source, target, bias_address, panels, whole)
        for spec, source, target, (bias_address, panels), whole in zip(
            specs, rows, rows[1:], weights, streamed, strict=False
        )
    )
    return Plan(layers, BASE_ADDRESS, weights_end, pages, batch_max, list_address)


def streamed_layer(specs: Sequence[Dense], number: int) -> bool:
    """Whether a layer has zeros to skip, and rows that are worth skipping."""
    behind_relu = number > 0 and specs[number - 1].activation == "relu"
    return behind_relu and specs[number].units >= STREAMED_VECTORS_MIN * LANES


def split_panels(vectors: int) -> tuple[int, ...]:
    """Panel widths for so many output vectors: as few panels as possible, and as even as possible."""
    if vectors <= _SMALL_PANEL_VECTORS:
        return (vectors,)
    count = -(-vectors // PANEL_VECTORS_MAX)
    width, wider = divmod(vectors, count)
    return (width + 1,) * wider + (width,) * (count - wider)


def pack_weights(network: Network, plan: Plan) -> bytes:
    """The data segment: every panel and bias at its place."""
    image = np.zeros((plan.weights_end - plan.weights_start) // F32_BYTES, np.dtype("<f4"))
    for layer, place in zip(network.layers, plan.layers, strict=True):
        weight, bias = layer.tensors["weight"], layer.tensors["bias"]
        outputs, inputs = weight.shape
        by_input = np.zeros((inputs, place.target.stride), np.float32)
        by_input[:, :outputs] = weight.T
        start = (place.panels[0].weights_address - plan.weights_start) // F32_BYTES
        image[start : start + by_input.size] = panel_blocks(by_input, [item.vectors for item in place.panels])
        start = (place.bias_address - plan.weights_start) // F32_BYTES
        image[start : start + outputs] = bias + np.float32(0)  # 0 for -0, which streamed sums must not meet
        if place.spec.activation == "softmax":
            image[start + outputs : start + place.target.stride] = _NO_PROBABILITY
    return image.tobytes()


def panel_blocks(by_input: Floats, panels: Sequence[int]) -> Floats:
    """A matrix [inputs, outputs] of whole vectors, panel after panel."""
    borders = np.cumsum(panels)[:-1] * LANES
    return np.concatenate([block.ravel() for block in np.split(by_input, borders, axis=1)])


def round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
