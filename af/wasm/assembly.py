"""A module under construction: its constants, its scratch memory, its functions, and one body, `$forward`.

`$forward(x, y)` takes a row at $x to a row at $y and calls functions with addresses that are mostly
constants. Scratch lies behind the constants, whose size is known only in the end, so scratch addresses are
written as `scratch+N` and become numbers when the text is finished. No scratch is used twice: what is zero at
the start and never written (borders, padding, first states) stays zero.

A value between two layers is a matrix in memory: `positions` rows of `channels` numbers, `stride` numbers
apart. An image [c, h, w] or signal [c, l] has a row per place and its channels in it (`channels_first` says
that its shape names them first); a sequence [steps, features] has a row per step. Numbers between `channels`
and `stride` are padding: finite, but of no meaning.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from af.errors import refused
from af.layers import Shape
from af.limits import WASM_PAGE_BYTES, WASM_PAGES_MAX
from af.wasm import rowkernels
from af.wasm.kernels import Functions, add_rows
from af.wasm.layout import (
    ALIGNMENT_BYTES,
    BASE_ADDRESS,
    F32_BYTES,
    LANES,
    VECTOR_BYTES,
    Rows,
    panel_blocks,
    round_up,
    split_panels,
)

Address = str | int
Precision = Literal["f32", "int8"]

_SCRATCH = re.compile(r"scratch\+(\d+)")
_SLACK_BYTES = 64  # vectors may be read a little behind the last row


@dataclass(frozen=True, slots=True)
class Value:
    """Where the result of a layer lies, and how."""

    address: Address
    shape: Shape
    positions: int
    channels: int
    stride: int
    channels_first: bool

    @property
    def stride_bytes(self) -> int:
        return F32_BYTES * self.stride

    @property
    def bytes(self) -> int:
        return self.positions * self.stride_bytes


@dataclass(frozen=True, slots=True)
class Matrix:
    """Constants for `rows`: weights panel by panel, and the bias."""

    weights: int
    bias: int
    inputs: int
    panels: tuple[int, ...]


def plus(address: Address, offset_bytes: int) -> Address:
    """The address so many bytes further on."""
    if isinstance(address, int):
        return address + offset_bytes
    if offset_bytes == 0:
        return address
    if match := re.fullmatch(r"\(i32\.const scratch\+(\d+)\)", address):
        return f"(i32.const scratch+{int(match[1]) + offset_bytes})"
    return f"(i32.add {address} (i32.const {offset_bytes}))"


class Assembly:
    """See above; `$r` and `$c` are locals of the body for lines and places."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self.functions: Functions = {}
        self.lines: list[str] = []
        self._constants: list[bytes] = []
        self._constants_end = BASE_ADDRESS
        self._scratch_bytes = 0
        self._labels = 0

    def call(self, name: str, *arguments: Address) -> None:
        self.lines.append("  " + call_text(name, *arguments))

    def need(self, name: str) -> str:
        """One of rowkernels' functions, which the module then holds."""
        rowkernels.add(self.functions, name)
        return name

    def helper(self, name: str, *arguments: Address) -> None:
        self.call(self.need(name), *arguments)

    def repeat(self, local: str, count: int, body: Sequence[str]) -> None:
        """Calls that run for $local = 0 to count - 1."""
        self.lines += self.repeated(local, count, body)

    def repeated(self, local: str, count: int, body: Sequence[str]) -> list[str]:
        self._labels += 1
        label = f"${local}_{self._labels}"
        return [
            f"  (local.set ${local} (i32.const 0))",
            f"  (loop {label}",
            *(f"  {line}" for line in body),
            f"    (local.set ${local} (i32.add (local.get ${local}) (i32.const 1)))",
            f"    (br_if {label} (i32.lt_u (local.get ${local}) (i32.const {count}))))",
        ]

    def constant(self, values: NDArray[np.floating]) -> int:
        """The address of some float32 numbers that are part of the module."""
        return self.data(values.astype("<f4", copy=False).tobytes())

    def data(self, values: bytes) -> int:
        """The address of some bytes that are part of the module."""
        address = self._constants_end
        self._constants += [values, bytes(-len(values) % ALIGNMENT_BYTES)]
        self._constants_end = round_up(address + len(values), ALIGNMENT_BYTES)
        return address

    def scratch(self, size_bytes: int) -> str:
        """The address of memory that is zero at first."""
        address = f"(i32.const scratch+{self._scratch_bytes})"
        self._scratch_bytes += round_up(size_bytes, ALIGNMENT_BYTES) + ALIGNMENT_BYTES
        return address

    def fresh(self, shape: Shape, positions: int, channels: int, *, channels_first: bool) -> Value:
        """Room for a result."""
        stride = round_up(channels, LANES)
        address = self.scratch(F32_BYTES * positions * stride)
        return Value(address, shape, positions, channels, stride, channels_first)

    def matrix(
        self, weight: NDArray[np.floating], bias: NDArray[np.floating], padding: float = 0.0
    ) -> Matrix:
        """W[outputs, inputs] and b[outputs]; `padding` is the bias of outputs that are none."""
        outputs, inputs = weight.shape
        stride = round_up(outputs, LANES)
        by_input = np.zeros((inputs, stride), np.float32)
        by_input[:, :outputs] = weight.T
        padded_bias = np.full(stride, padding, np.float32)
        padded_bias[:outputs] = bias
        panels = split_panels(stride // LANES)
        return Matrix(
            self.constant(panel_blocks(by_input, panels)), self.constant(padded_bias), inputs, panels
        )

    def rows(self, source: Value, matrix: Matrix, target: Value, *, relu: bool = False) -> None:
        """Every row of the source through the matrix into a row of the target."""
        name = add_rows(self.functions, matrix.panels, relu)
        self.call(
            name,
            source.address,
            source.stride_bytes,
            matrix.weights,
            matrix.bias,
            0,
            target.address,
            target.stride_bytes,
            matrix.inputs,
            source.positions,
        )

    def finished(self, input_size: int, output_size: int, batch_max: int) -> "Finished":
        """Place everything; AfRefused if the module would be larger than one may be."""
        scratch = round_up(self._constants_end, BASE_ADDRESS)
        address = scratch + self._scratch_bytes
        source = Rows(address, input_size, input_size)
        address = round_up(address + batch_max * source.stride_bytes, ALIGNMENT_BYTES)
        target = Rows(address, output_size, round_up(output_size, LANES))
        address += batch_max * target.stride_bytes + _SLACK_BYTES
        pages = round_up(address, WASM_PAGE_BYTES) // WASM_PAGE_BYTES
        if pages > WASM_PAGES_MAX:
            message = f"the network needs {pages} memory pages of 64 KiB, the most is {WASM_PAGES_MAX}."
            raise refused("header: neural_config", message, "make the layers narrower.")
        lines = [_SCRATCH.sub(lambda found: str(scratch + int(found[1])), line) for line in self.lines]
        weights = b"".join(self._constants)
        return Finished(tuple(lines), self.functions, weights, source, target, self._constants_end, pages)


@dataclass(frozen=True, slots=True)
class Finished:
    """The parts of a module, every address a number."""

    lines: tuple[str, ...]
    functions: Functions
    weights: bytes
    input: Rows
    output: Rows
    weights_end: int
    pages: int


def call_text(name: str, *arguments: Address) -> str:
    written = (item if isinstance(item, str) else f"(i32.const {item})" for item in arguments)
    return f"(call {name} {' '.join(written)})"


assert BASE_ADDRESS % VECTOR_BYTES == 0
