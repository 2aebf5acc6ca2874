"""Agents compiled to WebAssembly: one module, one instance, two entry points, no imports.

The contract with the compiler is the manifest (`abi: af-wasm-1`): row i of the input is written at its
offset plus i strides, `infer1()` or `infer(n)` is called, row i of the output is read the same way.
Nothing in the module is believed: its exports, their types and every offset are checked once, when it
is loaded. After that a call costs what the network costs, because it goes straight to the C entry point
with arguments prepared beforehand, and data moves through numpy views of the module's memory, which
cannot grow, so the views cannot go stale.

Everything is bounded: memory, tables and instances by the store, time by an epoch that a thread
advances each millisecond while calls are being made.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import wasmtime

from sandbox import checkpoints, tensors
from sandbox.errors import AgentFailed, CellError, Exceeded
from sandbox.payload import Items, Payload, Ports
from sandbox.wasmcalls import TICK_S, engine, entry, reason
from sandbox.wasmcalls import ticker as epoch_ticker
from sandbox.wasmlayout import ABI, PAGE_BYTES, Layout, Rows
from sandbox.wasmlearning import Lesson, Trainer

_MODULES_MAX: Final = 8  # compiled modules kept for further agents of the same code
_TICKS_LOST_MAX: Final = 2  # a deadline may be that much older than the call it is for
_MAGIC: Final = b"\0asm"
_F32: Final = np.dtype("<f4")


Compile: TypeAlias = Callable[[wasmtime.Engine, bytes], wasmtime.Module]


@functools.lru_cache(maxsize=_MODULES_MAX)
def _compiled(code: bytes, compiler: Compile) -> wasmtime.Module:
    """Agents of the same code share its machine code and, until they write, its memory."""
    return compiler(engine(), code)


class _Module:
    """An instance whose exports, types and limits have been verified, and its two entry points."""

    def __init__(self, name: str, code: bytes, pages: int, compiler: Compile, *, learns: bool) -> None:
        if not code.startswith(_MAGIC):
            raise AgentFailed("the code is not a WebAssembly module", place=name)
        try:
            module = _compiled(code, compiler)
            if module.imports:
                wanted = ", ".join(f"{item.module}.{item.name}" for item in module.imports[:5])
                raise AgentFailed(f"the module imports {wanted}; an agent has no imports", place=name)
            self.store = wasmtime.Store(engine())
            self.store.set_limits(
                memory_size=pages * PAGE_BYTES, table_elements=0, instances=1, tables=0, memories=1
            )
            self.store.set_epoch_deadline(
                1000
            )  # before instantiating, or a start function would trap at once
            exports = wasmtime.Instance(self.store, module, []).exports(self.store)
            memory = exports.get("memory")
            self._check_memory(name, memory, pages)
            assert isinstance(memory, wasmtime.Memory)
            # The buffer lives as long as the store: whoever holds a view must hold this object.
            self.bytes = np.frombuffer(memoryview(memory.get_buffer_ptr(self.store)).cast("B"), np.uint8)
            infer1 = _function(name, self.store, exports.get("infer1"), "infer1", [])
            infer = _function(name, self.store, exports.get("infer"), "infer", ["i32"])
            self.infer1 = entry(self.store, infer1)
            self.infer = entry(self.store, infer)
            self.train1: Callable[[int], None] | None = None
            if learns:
                train1 = _function(name, self.store, exports.get("train1"), "train1", [])
                self.train1 = entry(self.store, train1)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise AgentFailed(f"the module is refused: {error}", place=name) from error

    def _check_memory(self, name: str, memory: object, pages: int) -> None:
        if not isinstance(memory, wasmtime.Memory):
            raise AgentFailed("the module exports no memory", place=name)
        limits = memory.type(self.store).limits
        if limits.min != pages or limits.max != pages:
            raise AgentFailed(
                f"memory is {limits.min} to {limits.max} pages; it must be exactly the manifest's {pages}",
                place=name,
            )


def _function(
    name: str, store: wasmtime.Store, export: object, wanted: str, parameters: list[str]
) -> wasmtime.Func:
    if not isinstance(export, wasmtime.Func):
        raise AgentFailed(f"the module exports no function {wanted}", place=name)
    kind = export.type(store)
    if [str(item) for item in kind.params] != parameters or kind.results:
        raise AgentFailed(f"{wanted} must take {parameters or 'nothing'} and return nothing", place=name)
    return export


class WasmAgent:
    """Implements the five calls over one module. One thread at a time: a store is not thread-safe.

    `compiler` makes machine code for `engine()`; a node's `NativeCache` may have it already.
    """

    def __init__(
        self,
        name: str,
        code: bytes,
        manifest: Mapping[str, Any],
        *,
        deadline_ms: int,
        compiler: Compile = wasmtime.Module,
    ) -> None:
        self._name = name
        self._layout = layout = Layout.check(name, manifest)
        self._deadline_ms = deadline_ms
        self._deadline_ticks = max(1, round(deadline_ms / 1000 / TICK_S)) + _TICKS_LOST_MAX
        self._code = code
        self._compiler = compiler
        self._ticker = epoch_ticker()
        self._question_head = tensors.head(_F32, (layout.input.size,))
        self._question_bytes = len(self._question_head) + _F32.itemsize * layout.input.size
        self._answer_head = tensors.head(_F32, (layout.output.size,))
        self._open()

    def _open(self) -> None:
        """An instance, and the views of its memory."""
        layout = self._layout
        self._module = _Module(
            self._name, self._code, layout.pages, self._compiler, learns=layout.train is not None
        )
        self._deadline_set_at = -1
        self._inputs = self._view(layout.input)
        self._outputs = self._view(layout.output)
        self._weights = self._module.bytes[slice(*layout.weights)]
        self._input: tensors.Array = self._inputs[0]
        self._output: tensors.Array = self._outputs[0]
        self._infer1 = self._module.infer1
        self._trainer: Trainer | None = None
        train1 = self._module.train1
        if layout.train is not None and train1 is not None:
            memory = self._module.bytes
            self._trainer = Trainer(self._name, layout, layout.train, memory, lambda: self._call(train1, 1))

    def _view(self, rows: Rows) -> tensors.Array:
        """The rows of a port, as an array over the module's own memory."""
        return np.ndarray(
            (self._layout.batch_max, rows.size),
            _F32,
            self._module.bytes.data,
            rows.offset,
            (rows.stride * _F32.itemsize, _F32.itemsize),
        )

    def process_input(self, capability: str, inputs: Ports) -> dict[str, Items]:
        port = self._layout.input.port
        if capability != self._layout.capability:
            raise AgentFailed(
                f"capability {capability!r}; this agent has {self._layout.capability!r}", place=self._name
            )
        if port not in inputs or len(inputs) != 1:
            raise AgentFailed(f"ports {sorted(inputs)}; exactly {port!r} is expected", place=self._name)
        items = inputs[port]
        if isinstance(items, list):
            rows = [self._rows(payload) for payload in items]
            return {self._layout.output.port: self._infer_many(rows)}
        return {self._layout.output.port: self._infer_one(self._rows(items))}

    def process_batch(self, capability: str, batch: Sequence[Ports]) -> list[dict[str, Items] | CellError]:
        """Join the rows of all good inputs into as few calls as possible."""
        if len(batch) == 1:
            return [self._attempt(capability, batch[0])]
        port, answer = self._layout.input.port, self._layout.output.port
        results: list[dict[str, Items] | CellError | None] = [None] * len(batch)
        joined: list[tensors.Array] = []
        places: list[int] = []
        for place, inputs in enumerate(batch):
            items = inputs.get(port)
            if isinstance(items, tuple) and len(inputs) == 1 and capability == self._layout.capability:
                try:
                    joined.append(self._rows(items))
                    places.append(place)
                except AgentFailed as error:
                    results[place] = error
            else:
                results[place] = self._attempt(capability, inputs)
        try:
            for place, payload in zip(places, self._infer_many(joined), strict=True):
                results[place] = {answer: payload}
        except AgentFailed:  # one of them trapped: find out which by answering each alone
            for place in places:
                results[place] = self._attempt(capability, batch[place])
        return [result for result in results if result is not None]

    def _attempt(self, capability: str, inputs: Ports) -> dict[str, Items] | CellError:
        try:
            return self.process_input(capability, inputs)
        except CellError as error:
            return error

    def _rows(self, payload: Payload) -> tensors.Array:
        """An input payload as an array of rows, or as one row."""
        kind, data = payload
        size, port = self._layout.input.size, self._layout.input.port
        if kind != "tensor":
            raise AgentFailed(f"port {port!r} takes a tensor, got {kind}", place=self._name)
        head = self._question_head
        if len(data) == self._question_bytes and data[: len(head)] == head:  # the usual case, cheaply
            row: tensors.Array = np.frombuffer(data, _F32, size, len(head))
            return row
        try:
            array = tensors.decode(data)
        except tensors.TensorError as error:
            raise AgentFailed(f"port {port!r}: {error}", place=self._name) from error
        if array.ndim not in {1, 2} or array.shape[-1] != size:
            raise AgentFailed(
                f"port {port!r} takes [{size}] or [n, {size}], got {list(array.shape)}", place=self._name
            )
        return array

    def _infer_one(self, array: tensors.Array) -> Payload:
        if array.ndim == 1:
            return "tensor", self._answer_head + self.infer(array).tobytes()
        return "tensor", tensors.encode(self.infer_rows(array))

    def infer_rows(self, rows: tensors.Array) -> tensors.Array:
        """Any number of rows through the network, as many at a time as the module takes."""
        results = np.empty((len(rows), self._layout.output.size), _F32)
        for start in range(0, len(rows), self._layout.batch_max):
            part = rows[start : start + self._layout.batch_max]
            self._infer_rows(part, results[start : start + len(part)])
        return results

    def infer(self, row: tensors.Array) -> tensors.Array:
        """One row through the network; the answer is a view that the next call overwrites."""
        self._input[:] = row
        self._call(self._infer1, 1)
        return self._output

    def _infer_many(self, arrays: list[tensors.Array]) -> list[Payload]:
        """Answer many payloads; single rows share calls, blocks of rows are answered on their own."""
        answers: list[Payload | None] = [None] * len(arrays)
        single = [place for place, array in enumerate(arrays) if array.ndim == 1]
        for start in range(0, len(single), self._layout.batch_max):
            places = single[start : start + self._layout.batch_max]
            for row, place in enumerate(places):
                self._inputs[row] = arrays[place]
            self._call(self._module.infer, len(places))
            for row, place in enumerate(places):
                answers[place] = "tensor", self._answer_head + self._outputs[row].tobytes()
        return [
            answer if answer is not None else self._infer_one(array)
            for answer, array in zip(answers, arrays, strict=True)
        ]

    def _infer_rows(self, rows: tensors.Array, results: tensors.Array) -> None:
        self._inputs[: len(rows)] = rows
        self._call(self._module.infer, len(rows))
        results[:] = self._outputs[: len(rows)]

    def _call(self, enter: Callable[[int], None], rows: int) -> None:
        ticker = self._ticker
        ticker.begin()
        try:
            if ticker.now != self._deadline_set_at:
                self._deadline_set_at = ticker.now
                self._module.store.set_epoch_deadline(self._deadline_ticks)
            enter(rows)
        except wasmtime.Trap as trap:
            if trap.trap_code == wasmtime.TrapCode.INTERRUPT:
                raise Exceeded("wall_ms", self._deadline_ms, "more", place=self._name) from trap
            raise AgentFailed(f"trap: {reason(trap.message)}", place=self._name) from trap
        finally:
            ticker.end()

    def update_weights(self, feedback: Items) -> None:
        trainer = self._learner()
        trainer.learn(trainer.lesson(feedback))

    def learn(self, lesson: Lesson) -> None:
        """Feedback that is in arrays already."""
        self._learner().learn(lesson)

    def _learner(self) -> Trainer:
        if self._trainer is None:
            raise AgentFailed(
                "this agent does not learn: its module has no training step",
                place=self._name,
                remedy="feed-forward networks learn if compiled with `learns: true`; other kinds by af-train",
            )
        return self._trainer

    def get_metadata(self) -> dict[str, Any]:
        layout = self._layout
        return {
            "name": self._name,
            "kind": "wasm",
            "abi": ABI,
            "capabilities": [layout.capability],
            "input": {"port": layout.input.port, "dtype": "float32", "size": layout.input.size},
            "output": {"port": layout.output.port, "dtype": "float32", "size": layout.output.size},
            "batch_max": layout.batch_max,
            "weights_bytes": len(self._weights),
            "learns": self._trainer is not None,
        }

    def checkpoint(self) -> bytes:
        return checkpoints.pack(self._code, self._weights.tobytes(), self._learning_state.tobytes())

    def restore(self, data: bytes) -> None:
        weights, state = self._weights, self._learning_state
        content = checkpoints.unpack(self._name, self._code, data, len(weights), len(state))
        weights[:] = np.frombuffer(content[: len(weights)], np.uint8)
        state[:] = np.frombuffer(content[len(weights) :], np.uint8)

    @property
    def _learning_state(self) -> tensors.Array:
        return self._module.bytes[:0] if self._trainer is None else self._trainer.state
