"""A compiled network run directly by wasmtime, for tools and tests; nodes serve agents in the sandbox."""

import numpy as np
import wasmtime
from numpy.typing import NDArray

from af.limits import BATCH_ROWS_MAX
from af.network import Floats, Network
from af.wasm.layout import F32_BYTES, Plan, Rows, plan_memory
from af.wasm.module import module_binary


class WasmEngine:
    """One instance of the generated module. Batches longer than the module takes are fed in pieces."""

    def __init__(self, network: Network) -> None:
        self._plan = plan_memory(network.widths, network.activations, BATCH_ROWS_MAX)
        engine = wasmtime.Engine()
        self._store = wasmtime.Store(engine)
        module = wasmtime.Module(engine, module_binary(network, self._plan))
        instance = wasmtime.Instance(self._store, module, [])
        exports = instance.exports(self._store)
        infer1, infer, memory = exports["infer1"], exports["infer"], exports["memory"]
        assert isinstance(infer1, wasmtime.Func)
        assert isinstance(infer, wasmtime.Func)
        assert isinstance(memory, wasmtime.Memory)
        self._infer1, self._infer, self._memory = infer1, infer, memory
        self._inputs, self._outputs = self._view(self._plan.input), self._view(self._plan.output)

    @property
    def plan(self) -> Plan:
        return self._plan

    def forward(self, batch: Floats) -> Floats:
        rows = np.asarray(batch, np.float32)
        results = np.empty((len(rows), self._outputs.shape[1]), np.float32)
        for first in range(0, len(rows), BATCH_ROWS_MAX):
            piece = rows[first : first + BATCH_ROWS_MAX]
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

    def _view(self, rows: Rows) -> Floats:
        """The block of rows as an array over the module's memory, which never moves: its size is fixed."""
        memory: NDArray[np.uint8] = np.ctypeslib.as_array(self._memory.get_buffer_ptr(self._store))
        block = memory[rows.address : rows.address + BATCH_ROWS_MAX * rows.stride * F32_BYTES]
        return block.view(np.float32).reshape(BATCH_ROWS_MAX, rows.stride)[:, : rows.size]
