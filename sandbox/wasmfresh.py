"""A new instance for every request, for agents that must keep nothing from one request to the next.

All of an instance's memory is as its module says, whatever an earlier request did. wasmtime's pool keeps the
memory mapped and puts back what was written, which makes instantiating cost microseconds, provided that it is
reached without the Python objects around it; hence the C calls. They are reached through names that wasmtime
may change, and there is no slower way with the same meaning: without them the class refuses to be made.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import wasmtime

from sandbox import tensors
from sandbox.errors import AgentFailed, Exceeded, Refused
from sandbox.payload import Items
from sandbox.wasm import WasmAgent
from sandbox.wasmcalls import TICK_S, Ticker, configuration
from sandbox.wasmlayout import PAGE_BYTES
from sandbox.wasmlearning import Lesson

_INSTANCES_MAX: Final = 4  # of the pool; one is alive at a time
_MEMORY_BYTES_MAX: Final = 1 << 30
_RESIDENT_BYTES: Final = 1024 * 1024  # put back by copying; what lies beyond costs page faults
_F32: Final = np.dtype("<f4")


@functools.cache
def pooling_engine() -> wasmtime.Engine:
    """The engine whose instances come from a pool."""
    from wasmtime import _ffi as ffi  # noqa: PLC0415  (private: its absence is a case, not an error)

    config = configuration()
    pool = ffi.wasmtime_pooling_allocation_config_new()
    for setting, value in (
        ("total_core_instances", _INSTANCES_MAX),
        ("total_memories", _INSTANCES_MAX),
        ("total_tables", _INSTANCES_MAX),
        ("max_memory_size", _MEMORY_BYTES_MAX),
        ("max_unused_warm_slots", _INSTANCES_MAX),
        ("linear_memory_keep_resident", _RESIDENT_BYTES),
    ):
        getattr(ffi, f"wasmtime_pooling_allocation_config_{setting}_set")(pool, value)
    ffi.wasmtime_pooling_allocation_strategy_set(config.ptr(), pool)
    ffi.wasmtime_pooling_allocation_config_delete(pool)
    return wasmtime.Engine(config)


@functools.cache
def _ticker() -> Ticker:
    return Ticker(pooling_engine())


class _Template:
    """A verified module, ready to be instantiated again and again by C calls prepared beforehand."""

    def __init__(self, code: bytes, memory_bytes: int) -> None:
        from wasmtime import _ffi as ffi  # noqa: PLC0415  (as above)

        self._ffi = ffi
        engine = pooling_engine()
        module = wasmtime.Module(engine, code)
        self._ready = wasmtime.Linker(engine).instantiate_pre(module)
        names = [export.name for export in module.exports]
        self._memory, self._infer1 = names.index("memory"), names.index("infer1")
        self._memory_bytes = memory_bytes
        pointer, integer = ctypes.c_void_p, ctypes.c_int64

        def bound(name: str, result: Any, *arguments: Any) -> Any:
            return ctypes.PYFUNCTYPE(result, *arguments)((name, ffi.dll))

        self._new = bound("wasmtime_store_new", pointer, pointer, pointer, pointer)
        self._context = bound("wasmtime_store_context", pointer, pointer)
        self._delete = bound("wasmtime_store_delete", None, pointer)
        self._limit = bound("wasmtime_store_limiter", None, pointer, *[integer] * 5)
        self._deadline = bound("wasmtime_context_set_epoch_deadline", None, pointer, ctypes.c_uint64)
        self._instantiate = bound("wasmtime_instance_pre_instantiate", pointer, *[pointer] * 4)
        self._export = bound(
            "wasmtime_instance_export_nth",
            ctypes.c_bool,
            pointer,
            pointer,
            ctypes.c_size_t,
            *[pointer] * 3,
        )
        self._data = bound("wasmtime_memory_data", pointer, pointer, pointer)
        # The only one that may take long, so the only one that lets other threads run.
        self._call = ctypes.CFUNCTYPE(pointer, *[pointer] * 3, ctypes.c_size_t, pointer)(
            ("wasmtime_func_call_unchecked", ffi.dll)
        )
        self._kept = (ffi.wasmtime_instance_t(), ffi.wasmtime_extern_t(), (ffi.wasmtime_val_raw_t * 1)())
        self._instance, self._extern, self._raw = map(ctypes.addressof, self._kept)
        self._item = self._extern + type(self._kept[1]).of.offset
        self._name, self._length, self._trap = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_void_p()
        self._engine_pointer = ctypes.cast(engine.ptr(), pointer).value
        self._ready_pointer = ctypes.cast(self._ready.ptr(), pointer).value

    def run(self, row: bytes, offset: int, answer_offset: int, answer_bytes: int, ticks: int) -> bytes:
        """One request: the row is written at `offset` of a fresh memory, the answer read after `infer1`."""
        store = self._new(self._engine_pointer, None, None)
        try:
            context = self._context(store)
            self._limit(store, self._memory_bytes, 0, 1, 0, 1)
            self._deadline(context, ticks)
            trap = ctypes.addressof(self._trap)
            self._raised(self._instantiate(self._ready_pointer, context, self._instance, trap))
            self._exported(context, self._memory)
            memory = self._data(context, self._item)
            ctypes.memmove(memory + offset, row, len(row))
            self._exported(context, self._infer1)
            self._raised(self._call(context, self._item, self._raw, 1, trap))
            return ctypes.string_at(memory + answer_offset, answer_bytes)
        finally:
            self._delete(store)

    def _exported(self, context: int, number: int) -> None:
        name, length = ctypes.addressof(self._name), ctypes.addressof(self._length)
        found = self._export(context, self._instance, number, name, length, self._extern)
        assert found, "the module was verified"

    def _raised(self, error: int | None) -> None:
        ffi = self._ffi
        if error:
            raise wasmtime.WasmtimeError._from_ptr(  # noqa: SLF001
                ctypes.cast(error, ctypes.POINTER(ffi.wasmtime_error_t))
            )
        if self._trap.value:
            owned = ctypes.cast(self._trap, ctypes.POINTER(ffi.wasm_trap_t))
            self._trap.value = None
            raise wasmtime.Trap._from_ptr(owned)  # noqa: SLF001


class FreshWasmAgent(WasmAgent):
    """A wasm agent every row of whose input meets an instance that has seen no other."""

    def __init__(self, name: str, code: bytes, manifest: Mapping[str, Any], *, deadline_ms: int) -> None:
        super().__init__(name, code, manifest, deadline_ms=deadline_ms)  # verifies exports, types and offsets
        self._ticks = max(1, round(deadline_ms / 1000 / TICK_S))
        try:
            self._template = _Template(code, self._layout.pages * PAGE_BYTES)
        except (ImportError, AttributeError) as error:
            raise Refused(f"this wasmtime offers no pool of instances ({error})") from error
        self._pool_ticker = _ticker()

    def infer(self, row: tensors.Array) -> tensors.Array:
        """One row through an instance of its own."""
        answer: tensors.Array = np.frombuffer(self._run(row.astype(_F32, copy=False).tobytes()), _F32)
        return answer

    def _infer_rows(self, rows: tensors.Array, results: tensors.Array) -> None:
        for row, result in zip(rows, results, strict=True):
            result[:] = self.infer(row)

    def _infer_many(self, arrays: list[tensors.Array]) -> list[tuple[str, bytes]]:
        return [self._infer_one(array) for array in arrays]

    def _run(self, row: bytes) -> bytes:
        layout = self._layout
        self._pool_ticker.begin()
        try:
            answer_bytes = _F32.itemsize * layout.output.size
            return self._template.run(
                row, layout.input.offset, layout.output.offset, answer_bytes, self._ticks
            )
        except wasmtime.Trap as trap:
            if trap.trap_code == wasmtime.TrapCode.INTERRUPT:
                raise Exceeded("wall_ms", self._deadline_ms, "more", place=self._name) from trap
            raise AgentFailed(f"trap: {trap.message.splitlines()[0]}", place=self._name) from trap
        finally:
            self._pool_ticker.end()

    def learn(self, lesson: Lesson) -> None:
        del lesson
        raise AgentFailed("an agent with a fresh instance per request learns nothing", place=self._name)

    def update_weights(self, feedback: Items) -> None:
        del feedback
        raise AgentFailed("an agent with a fresh instance per request learns nothing", place=self._name)

    def restore(self, data: bytes) -> None:
        del data
        raise AgentFailed("an agent with a fresh instance per request keeps nothing", place=self._name)
