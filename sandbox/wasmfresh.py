"""An agent that keeps nothing: every row of its input meets the state that its module describes.

The state of an instance is its memory, its globals, its tables and the segments it has not dropped yet. A
module without mutable state but memory, which is what the compiler generates, needs no new instance: what it
may have written is put back when it has answered, and the pages of its weights, which are most of it, cannot
be written at all. The kernel holds them read-only; a module that writes there ends its call with a trap. Any
other module gets a new instance for every row, at ten times the cost.

Whether a module is of the first kind is read off its bytes (sandbox.wasmcode).
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Mapping
from typing import Any, Final

import wasmtime

from sandbox import tensors
from sandbox.errors import AgentFailed, CellError, Refused
from sandbox.payload import Items
from sandbox.wasm import Compile, WasmAgent
from sandbox.wasmcode import memory_is_its_state
from sandbox.wasmlayout import PER_REQUEST, Layout
from sandbox.wasmlearning import Lesson

_PROT_READ: Final = mmap.PROT_READ

_libc: Final = ctypes.CDLL(None, use_errno=True)


def wasm_agent(
    name: str,
    code: bytes,
    manifest: Mapping[str, Any],
    *,
    deadline_ms: int,
    compiler: Compile = wasmtime.Module,
) -> WasmAgent:
    """An agent as its manifest wants it: one instance for its life, or a fresh state for every request."""
    kind = FreshWasmAgent if Layout.check(name, manifest).fresh else WasmAgent
    return kind(name, code, manifest, deadline_ms=deadline_ms, compiler=compiler)


class FreshWasmAgent(WasmAgent):
    """A wasm agent every row of whose input meets a state that has seen no other."""

    def __init__(
        self,
        name: str,
        code: bytes,
        manifest: Mapping[str, Any],
        *,
        deadline_ms: int,
        compiler: Compile = wasmtime.Module,
    ) -> None:
        super().__init__(name, code, manifest, deadline_ms=deadline_ms, compiler=compiler)
        self._written: list[tuple[tensors.Array, tensors.Array]] | None = None
        if memory_is_its_state(code):
            guarded = _guarded_pages(self._layout, self._module.bytes)
            _make_read_only(self._module.bytes[guarded])
            writable = (self._module.bytes[: guarded.start], self._module.bytes[guarded.stop :])
            self._written = [(part, part.copy()) for part in writable if part.size]

    def infer(self, row: tensors.Array) -> tensors.Array:
        """One row; the answer is the caller's own."""
        try:
            return super().infer(row).copy()
        finally:
            self._renew()

    def _renew(self) -> None:
        """Back to what the module says, whatever has happened."""
        if self._written is None:
            self._open()
            return
        for part, original in self._written:
            part[:] = original

    def _infer_rows(self, rows: tensors.Array, results: tensors.Array) -> None:
        for row, result in zip(rows, results, strict=True):
            result[:] = self.infer(row)

    def _infer_many(self, arrays: list[tensors.Array]) -> list[tuple[str, bytes]]:
        return [self._infer_one(array) for array in arrays]

    def learn(self, lesson: Lesson) -> None:
        del lesson
        raise self._keeps_nothing("learns nothing")

    def update_weights(self, feedback: Items) -> None:
        del feedback
        raise self._keeps_nothing("learns nothing")

    def checkpoint(self) -> bytes:
        return b""

    def restore(self, data: bytes) -> None:
        if data:
            raise self._keeps_nothing("keeps nothing, so nothing is restored")

    def _keeps_nothing(self, what: str) -> CellError:
        return AgentFailed(
            f"an agent with `instance: {PER_REQUEST}` {what}",
            place=self._name,
            remedy="leave `instance` out of its header, and compile it again",
        )


def _guarded_pages(layout: Layout, memory: tensors.Array) -> slice:
    """The whole pages of the weights; none where the host itself writes, or where the weights are few."""
    page = mmap.PAGESIZE
    start = -(-layout.weights[0] // page) * page
    end = layout.weights[1] // page * page
    for rows in (layout.input, layout.output):
        rows_end = rows.offset + _bytes_of(layout, rows.stride)
        if start < rows_end and rows.offset < end:
            return slice(0, 0)
    return slice(start, end) if start < end <= memory.size else slice(0, 0)


def _bytes_of(layout: Layout, stride: int) -> int:
    return 4 * stride * layout.batch_max


def _make_read_only(pages: tensors.Array) -> None:
    if not pages.size:
        return
    address, size = ctypes.c_void_p(pages.ctypes.data), ctypes.c_size_t(pages.size)
    if _libc.mprotect(address, size, ctypes.c_int(_PROT_READ)) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise Refused(f"the pages of the weights cannot be made read-only ({reason})", place="memory")
