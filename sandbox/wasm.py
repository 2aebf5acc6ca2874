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

import ctypes
import functools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import wasmtime

from sandbox import tensors
from sandbox.errors import AgentFailed, CellError, Exceeded
from sandbox.payload import Items, Payload, Ports

ABI: Final = "af-wasm-1"
PAGE_BYTES: Final = 65536
PAGES_MAX: Final = 65536  # all a 32-bit memory can have
BATCH_MAX: Final = 65536
TICK_S: Final = 0.001
_IDLE_S: Final = 0.05  # without calls for so long, the ticker sleeps until the next one
_MAGIC: Final = b"\0asm"
_F32: Final = np.dtype("<f4")


@functools.cache
def engine() -> wasmtime.Engine:
    """The one engine of this process; made before forking, it costs the cells nothing."""
    config = wasmtime.Config()
    config.epoch_interruption = True
    config.cranelift_opt_level = "speed"
    config.parallel_compilation = False  # its threads would not survive a fork
    config.wasm_threads = False
    config.wasm_memory64 = False
    config.wasm_multi_memory = False
    config.wasm_relaxed_simd = False  # gives other bits on other processors
    return wasmtime.Engine(config)


class _Ticker:
    """Advances the engine's epoch each millisecond, but only while calls are being made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._running = 0  # calls under way
        self._begun = 0  # calls ever begun
        threading.Thread(target=self._run, name="epoch", daemon=True).start()

    def begin(self) -> None:
        with self._lock:
            self._running += 1
            self._begun += 1
        if not self._wake.is_set():
            self._wake.set()

    def end(self) -> None:
        with self._lock:
            self._running -= 1

    def _run(self) -> None:
        seen, quiet_s = 0, 0.0
        while True:
            if self._running or self._begun != seen:
                seen, quiet_s = self._begun, 0.0
            elif quiet_s >= _IDLE_S:
                self._wake.clear()
                if self._begun == seen:  # whoever began since then may have found the event still set
                    self._wake.wait()
            time.sleep(TICK_S)
            quiet_s += TICK_S
            engine().increment_epoch()


@functools.cache
def _ticker() -> _Ticker:
    return _Ticker()


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where the rows of one port lie in the module's memory; size and stride count f32 items."""

    port: str
    offset: int
    size: int
    stride: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """A manifest that has been checked against itself."""

    capability: str
    input: _Rows
    output: _Rows
    batch_max: int
    pages: int
    weights: tuple[int, int]

    @classmethod
    def check(cls, name: str, manifest: Mapping[str, Any]) -> _Layout:
        """Read a manifest; raises `AgentFailed` that says what is wrong with it."""
        try:
            _known_abi(manifest["abi"])
            layout = cls(
                capability=str(manifest["capability"]),
                input=_rows(manifest["input"]),
                output=_rows(manifest["output"]),
                batch_max=_within("batch_max", manifest["batch_max"], 1, BATCH_MAX),
                pages=_within("pages", manifest["pages"], 1, PAGES_MAX),
                weights=(manifest["weights"]["start"], manifest["weights"]["end"]),
            )
            memory = layout.pages * PAGE_BYTES
            for rows in (layout.input, layout.output):
                end = rows.offset + 4 * (rows.stride * (layout.batch_max - 1) + rows.size)
                _within(f"the end of {rows.port}", end, 0, memory)
            _within("weights.start", layout.weights[0], 0, memory)
            _within("weights.end", layout.weights[1], layout.weights[0], memory)
        except (KeyError, TypeError, ValueError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise AgentFailed(f"the manifest is refused: {reason}", place=f"{name}.manifest") from error
        return layout


def _known_abi(abi: object) -> None:
    if abi != ABI:
        raise ValueError(f"abi is {abi!r}, this host runs {ABI!r}")


def _rows(value: Mapping[str, Any]) -> _Rows:
    size = _within("size", value["size"], 1, PAGES_MAX * PAGE_BYTES // 4)
    stride = _within("stride", value["stride"], size, PAGES_MAX * PAGE_BYTES // 4)
    offset = _within("offset", value["offset"], 0, PAGES_MAX * PAGE_BYTES)
    if offset % _F32.itemsize:
        raise ValueError(f"offset {offset} is no multiple of {_F32.itemsize}")
    return _Rows(str(value["port"]), offset, size, stride)


def _within(what: str, value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{what} is {value!r}, allowed: {low} to {high}")
    return value


class _Module:
    """An instance whose exports, types and limits have been verified, and its two entry points."""

    def __init__(self, name: str, code: bytes, pages: int) -> None:
        if not code.startswith(_MAGIC):
            raise AgentFailed("the code is not a WebAssembly module", place=name)
        try:
            module = wasmtime.Module(engine(), code)
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
            self.infer1 = _entry(self.store, _function(name, self.store, exports.get("infer1"), "infer1", []))
            self.infer = _entry(
                self.store, _function(name, self.store, exports.get("infer"), "infer", ["i32"])
            )
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


def _entry(store: wasmtime.Store, function: wasmtime.Func) -> Callable[[int], None]:
    """A callable for a verified function of at most one i32 parameter (ignored where it has none).

    The public call asks for the function's type each time, 5 to 17 us; the C entry point takes 0.5 us and
    checks nothing, which is why the type was verified before. It is reached through names that wasmtime may
    change, so without them the public call serves.
    """
    takes_argument = bool(function.type(store).params)
    try:
        from wasmtime import _ffi as ffi  # noqa: PLC0415  (private: its absence is a case, not an error)

        raw = (ffi.wasmtime_val_raw_t * 1)()
        trap = ctypes.POINTER(ffi.wasm_trap_t)()
        shape = ctypes.CFUNCTYPE(ctypes.c_void_p, *[ctypes.c_void_p] * 3, ctypes.c_size_t, ctypes.c_void_p)
        call = shape(("wasmtime_func_call_unchecked", ffi.dll))
        arguments = (
            ctypes.cast(store._context(), ctypes.c_void_p),  # noqa: SLF001
            ctypes.addressof(function._func),  # noqa: SLF001
            ctypes.addressof(raw),
            1,
            ctypes.addressof(trap),
        )
    except (ImportError, AttributeError):
        if takes_argument:
            return lambda rows: function(store, rows)
        return lambda _: function(store)

    def enter(rows: int, _keep: tuple[object, ...] = (store, function)) -> None:
        raw[0].i32 = rows
        error = call(*arguments)
        if error:
            pointer = ctypes.cast(error, ctypes.POINTER(ffi.wasmtime_error_t))
            raise wasmtime.WasmtimeError._from_ptr(pointer)  # noqa: SLF001
        if ctypes.cast(trap, ctypes.c_void_p).value:
            owned = ctypes.cast(trap, ctypes.POINTER(ffi.wasm_trap_t))
            ctypes.memset(ctypes.addressof(trap), 0, ctypes.sizeof(trap))
            raise wasmtime.Trap._from_ptr(owned)  # noqa: SLF001

    return enter


class WasmAgent:
    """Implements the five calls over one module. One thread at a time: a store is not thread-safe."""

    def __init__(self, name: str, code: bytes, manifest: Mapping[str, Any], *, deadline_ms: int) -> None:
        self._name = name
        self._layout = layout = _Layout.check(name, manifest)
        self._deadline_ticks = max(1, round(deadline_ms / 1000 / TICK_S))
        self._deadline_ms = deadline_ms
        self._module = _Module(name, code, layout.pages)
        self._inputs = self._view(layout.input)
        self._outputs = self._view(layout.output)
        self._weights = self._module.bytes[slice(*layout.weights)]
        self._answer_head = tensors.head(_F32, (layout.output.size,))
        self._ticker = _ticker()

    def _view(self, rows: _Rows) -> tensors.Array:
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
            self._inputs[0] = array
            self._call(self._module.infer1, 1)
            return "tensor", self._answer_head + self._outputs[0].tobytes()
        results = np.empty((len(array), self._layout.output.size), _F32)
        for start in range(0, len(array), self._layout.batch_max):
            part = array[start : start + self._layout.batch_max]
            self._infer_rows(part, results[start : start + len(part)])
        return "tensor", tensors.encode(results)

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

    def _call(self, entry: Callable[[int], None], rows: int) -> None:
        self._ticker.begin()
        try:
            self._module.store.set_epoch_deadline(self._deadline_ticks)
            entry(rows)
        except wasmtime.Trap as trap:
            if trap.trap_code == wasmtime.TrapCode.INTERRUPT:
                raise Exceeded("wall_ms", self._deadline_ms, "more", place=self._name) from trap
            raise AgentFailed(f"trap: {trap.message.splitlines()[0]}", place=self._name) from trap
        finally:
            self._ticker.end()

    def update_weights(self, feedback: Items) -> None:  # noqa: ARG002  (the contract's)
        raise AgentFailed("this agent does not learn yet (no train export)", place=self._name)

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
        }

    def checkpoint(self) -> bytes:
        return bytes(self._weights)

    def restore(self, data: bytes) -> None:
        if len(data) != len(self._weights):
            raise AgentFailed(
                f"a checkpoint has {len(self._weights)} bytes, got {len(data)}", place=self._name
            )
        self._weights[:] = np.frombuffer(data, np.uint8)
