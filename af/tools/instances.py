"""What an instance of a compiled module costs: compiled anew, fresh for every request, pooled, and warm.

`wasmtime` has no public switch for its pooling allocator, which keeps the memory of finished instances ready
for the next ones. It is reached by the names of the C interface; where they are gone, the pooled figure is
left out.
"""

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wasmtime

from af.network import Floats
from af.tools.served import DEADLINE_MS
from af.tools.timing import measure, once_us
from af.wasm.manifest import WasmManifest
from sandbox.aot import NativeCache
from sandbox.wasm import WasmAgent
from sandbox.wasmfresh import FreshWasmAgent

_POOL_INSTANCES = 8
_CONFIGURATION = b"wasmtime's own"  # of an engine made without one
_FUEL = 1 << 60


@dataclass(frozen=True, slots=True)
class InstanceCosts:
    """Microseconds, except `fuel`, the deterministic count of instructions of one row."""

    compile_us: float  # Cranelift: the module's machine code
    cached_us: float  # the same out of a node's cache of machine code, its MAC checked
    first_us: float  # instantiation and the first call, code and weights not yet in any cache
    warm_us: float  # a call of an instance that has been called, as in a cell
    renewed_us: float  # the same, with its state put back behind it: `instance: per_request`
    fresh_us: float  # a new instance for the call
    pooled_us: float | None  # a new instance out of a pool
    fuel: int


def instance_costs(code: bytes, manifest: WasmManifest, row: Floats, budget_s: float) -> InstanceCosts:
    data = np.ascontiguousarray(row, "<f4").tobytes()
    engine = wasmtime.Engine()
    compile_us = once_us(lambda: wasmtime.Module(engine, code))
    module = wasmtime.Module(engine, code)
    with tempfile.TemporaryDirectory() as folder:
        cache = NativeCache(Path(folder, "native"), _CONFIGURATION)
        cache.module(engine, code)
        cached_us = once_us(lambda: cache.module(engine, code))
    first_us = once_us(lambda: _Instance(engine, module, manifest).ask(data))
    warm, renewed = (
        kind("profile", code, manifest.to_json(), deadline_ms=DEADLINE_MS)
        for kind in (WasmAgent, FreshWasmAgent)
    )
    candidates: dict[str, Callable[[], object]] = {
        "warm": lambda: warm.infer(row).copy(),
        "renewed": lambda: renewed.infer(row),
        "fresh": lambda: _Instance(engine, module, manifest).ask(data),
    }
    pool = _pooling_engine(manifest)
    if pool is not None:
        pooled_module = wasmtime.Module(pool, code)
        candidates["pooled"] = lambda: _Instance(pool, pooled_module, manifest).ask(data)
    times = measure(candidates, budget_s)
    pooled = times.get("pooled")
    return InstanceCosts(
        compile_us=compile_us,
        cached_us=cached_us,
        first_us=first_us,
        warm_us=times["warm"].median_us,
        renewed_us=times["renewed"].median_us,
        fresh_us=times["fresh"].median_us,
        pooled_us=None if pooled is None else pooled.median_us,
        fuel=fuel_of(code, manifest, row),
    )


def fuel_of(code: bytes, manifest: WasmManifest, row: Floats) -> int:
    """How much fuel one row costs: the same number on every machine."""
    config = wasmtime.Config()
    config.consume_fuel = True
    engine = wasmtime.Engine(config)
    instance = _Instance(engine, wasmtime.Module(engine, code), manifest, fuel=_FUEL)
    before = instance.store.get_fuel()
    instance.ask(np.ascontiguousarray(row, "<f4").tobytes())
    return before - instance.store.get_fuel()


class _Instance:
    """A module in a store of its own, asked for single rows."""

    def __init__(
        self,
        engine: wasmtime.Engine,
        module: wasmtime.Module,
        manifest: WasmManifest,
        fuel: int = 0,
    ) -> None:
        self.store = wasmtime.Store(engine)
        if fuel:
            self.store.set_fuel(fuel)
        exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        infer1, memory = exports["infer1"], exports["memory"]
        assert isinstance(infer1, wasmtime.Func)
        assert isinstance(memory, wasmtime.Memory)
        self._infer1, self._memory = infer1, memory
        self._input = manifest.input.offset
        self._output = manifest.output.offset
        self._output_end = manifest.output.offset + 4 * manifest.output.size

    def ask(self, data: bytes) -> bytearray:
        self._memory.write(self.store, data, self._input)
        self._infer1(self.store)
        return self._memory.read(self.store, self._output, self._output_end)


def _pooling_engine(manifest: WasmManifest) -> wasmtime.Engine | None:
    with contextlib.suppress(ImportError, AttributeError, wasmtime.WasmtimeError):
        from wasmtime import _ffi as ffi  # noqa: PLC0415 - private: its absence is a case, not an error

        config = wasmtime.Config()
        pool = ffi.wasmtime_pooling_allocation_config_new()
        prefix = "wasmtime_pooling_allocation_config_"
        for name, value in (
            ("total_core_instances", _POOL_INSTANCES),
            ("total_memories", _POOL_INSTANCES),
            ("total_tables", _POOL_INSTANCES),
            ("max_memory_size", manifest.pages * 65_536),
            ("linear_memory_keep_resident", manifest.pages * 65_536),
        ):
            getattr(ffi, f"{prefix}{name}_set")(pool, value)
        ffi.wasmtime_pooling_allocation_strategy_set(config.ptr(), pool)
        ffi.wasmtime_pooling_allocation_config_delete(pool)
        return wasmtime.Engine(config)
    return None
