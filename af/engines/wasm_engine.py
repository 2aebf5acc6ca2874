"""A compiled network run directly by wasmtime, for tools and tests; nodes serve agents in the sandbox."""

from typing import ClassVar, Self

import numpy as np
import wasmtime
from numpy.typing import NDArray

from af.engines.engine import ForwardOnly
from af.network import Floats, Network
from af.wasm.assembly import Precision
from af.wasm.layout import F32_BYTES
from af.wasm.manifest import PortRows, WasmManifest, manifest_of
from af.wasm.module import generate


class WasmEngine(ForwardOnly):
    """One instance of a compiled module. Batches longer than the module takes are fed in pieces."""

    name: ClassVar[str] = "wasm"

    def __init__(self, code: bytes, manifest: WasmManifest) -> None:
        engine = wasmtime.Engine()
        self._store = wasmtime.Store(engine)
        exports = wasmtime.Instance(self._store, wasmtime.Module(engine, code), []).exports(self._store)
        infer1, infer, memory = exports["infer1"], exports["infer"], exports["memory"]
        assert isinstance(infer1, wasmtime.Func)
        assert isinstance(infer, wasmtime.Func)
        assert isinstance(memory, wasmtime.Memory)
        self._infer1, self._infer, self._memory = infer1, infer, memory
        self._batch_max = manifest.batch_max
        self._inputs, self._outputs = self._view(manifest.input), self._view(manifest.output)

    @classmethod
    def for_network(cls, network: Network, precision: Precision = "f32") -> Self:
        """Compile and load a network that is not in a file."""
        module = generate(network, precision=precision)
        return cls(module.binary(), manifest_of(module, "tools:network", "input", "output"))

    def forward(self, batch: Floats) -> Floats:
        rows = np.asarray(batch, np.float32)
        results = np.empty((len(rows), self._outputs.shape[1]), np.float32)
        for first in range(0, len(rows), self._batch_max):
            piece = rows[first : first + self._batch_max]
            self._inputs[: len(piece)] = piece
            self._infer(self._store, len(piece))
            results[first : first + len(piece)] = self._outputs[: len(piece)]
        return results

    def forward_one(self, row: Floats) -> Floats:
        """A single row through the module's entry point for single rows."""
        self._inputs[0] = row
        self._infer1(self._store)
        answer: Floats = self._outputs[0].copy()
        return answer

    def _view(self, rows: PortRows) -> Floats:
        """The block of rows as an array over the module's memory, which never moves: its size is fixed."""
        memory: NDArray[np.uint8] = np.ctypeslib.as_array(self._memory.get_buffer_ptr(self._store))
        block = memory[rows.offset : rows.offset + self._batch_max * rows.stride * F32_BYTES]
        return block.view(np.float32).reshape(self._batch_max, rows.stride)[:, : rows.size]
