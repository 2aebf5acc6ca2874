"""Agents that are WebAssembly components: one function of lists, in whatever language it was written.

A component exports `process-input: func(input: list<f32>) -> list<f32>` and imports nothing: no clock, no
files, no WASI. It has one memory, which grows up to the manifest's pages, and like every wasm agent a
deadline. A component that has trapped cannot be entered again, so the next request gets a new instance, as
every request does with `instance: per_request`.

The price is in the lists: each number of an input becomes a Python object on its way, about a microsecond
each. Agents that are asked often are core modules (sandbox.wasm).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import wasmtime
from wasmtime import component

from sandbox import tensors
from sandbox.errors import AgentFailed, CellError, Exceeded
from sandbox.payload import Items, Payload, Ports
from sandbox.wasmcalls import TICK_S, engine, reason, ticker
from sandbox.wasmlayout import KEPT, PAGE_BYTES, PAGES_MAX, PER_REQUEST, known_instance, within

ABI: Final = "af-component-1"
FUNCTION: Final = "process-input"
MAGIC: Final = b"\0asm\x0d\0\x01\0"
SIZE_MAX: Final = 1 << 20  # numbers of one row
_INSTANCES_MAX: Final = 16  # core instances inside of one component
_TABLES_MAX: Final = 16
_TABLE_ELEMENTS_MAX: Final = 10_000
_TICKS_LOST_MAX: Final = 2  # as of core modules
_F32: Final = np.dtype("<f4")


class ComponentAgent:
    """Implements the five calls over one component; it keeps no state that could be saved."""

    def __init__(self, name: str, code: bytes, manifest: Mapping[str, Any], *, deadline_ms: int) -> None:
        self._name = name
        self._deadline_ms = deadline_ms
        self._ticks = max(1, round(deadline_ms / 1000 / TICK_S)) + _TICKS_LOST_MAX
        try:
            self._capability = str(manifest["capability"])
            self._input, self._input_size = _port(manifest["input"])
            self._output, self._output_size = _port(manifest["output"])
            self._pages = within("pages", manifest["pages"], 1, PAGES_MAX)
            self._fresh = known_instance(manifest.get("instance", KEPT)) == PER_REQUEST
        except (KeyError, TypeError, ValueError) as error:
            raise AgentFailed(f"the manifest is refused: {error}", place=f"{name}.manifest") from error
        self._ticker = ticker()
        try:
            if not code.startswith(MAGIC):
                raise AgentFailed("the code is not a WebAssembly component", place=name)
            self._component = component.Component(engine(), code)
            imports = list(self._component.type.imports(engine()))
            if imports:
                named = ", ".join(imports[:5])
                raise AgentFailed(f"the component imports {named}; an agent has no imports", place=name)
            self._open()
        except wasmtime.WasmtimeError as error:
            raise AgentFailed(f"the component is refused: {reason(error)}", place=name) from error

    def _open(self) -> None:
        """A new instance, its one export and its types verified."""
        self._store = wasmtime.Store(engine())
        self._store.set_limits(
            memory_size=self._pages * PAGE_BYTES,
            table_elements=_TABLE_ELEMENTS_MAX,
            instances=_INSTANCES_MAX,
            tables=_TABLES_MAX,
            memories=1,
        )
        self._store.set_epoch_deadline(self._ticks)
        instance = component.Linker(engine()).instantiate(self._store, self._component)
        function = instance.get_func(self._store, FUNCTION)
        if function is None:
            raise AgentFailed(f"the component exports no function {FUNCTION}", place=self._name)
        kind = function.type(self._store)
        if len(kind.params) != 1 or not _is_floats(kind.params[0][1]) or not _is_floats(kind.result):
            raise AgentFailed(f"{FUNCTION} must take list<f32> and return list<f32>", place=self._name)
        self._function = function

    def process_input(self, capability: str, inputs: Ports) -> dict[str, Items]:
        if capability != self._capability:
            raise AgentFailed(
                f"capability {capability!r}; this agent has {self._capability!r}", place=self._name
            )
        if set(inputs) != {self._input}:
            raise AgentFailed(
                f"ports {sorted(inputs)}; exactly {self._input!r} is expected", place=self._name
            )
        items = inputs[self._input]
        if isinstance(items, list):
            return {self._output: [self._answer(payload) for payload in items]}
        return {self._output: self._answer(items)}

    def process_batch(self, capability: str, batch: Sequence[Ports]) -> list[dict[str, Items] | CellError]:
        results: list[dict[str, Items] | CellError] = []
        for inputs in batch:
            try:
                results.append(self.process_input(capability, inputs))
            except CellError as error:
                results.append(error)
        return results

    def _answer(self, payload: Payload) -> Payload:
        kind, data = payload
        if kind != "tensor":
            raise AgentFailed(f"port {self._input!r} takes a tensor, got {kind}", place=self._name)
        try:
            array = tensors.decode(data)
        except tensors.TensorError as error:
            raise AgentFailed(f"port {self._input!r}: {error}", place=self._name) from error
        size = self._input_size
        if array.ndim not in {1, 2} or array.shape[-1] != size or array.dtype.kind not in "fiub":
            raise AgentFailed(
                f"port {self._input!r} takes [{size}] or [n, {size}], got {list(array.shape)}",
                place=self._name,
            )
        rows = array.reshape(-1, size).astype(_F32)
        answers = np.array([self._row(row) for row in rows], _F32)
        return "tensor", tensors.encode(answers.reshape(*array.shape[:-1], self._output_size))

    def _row(self, row: tensors.Array) -> list[float]:
        self._ticker.begin()
        try:
            self._store.set_epoch_deadline(self._ticks)
            given: list[float] = self._function(self._store, row.tolist())
            self._function.post_return(self._store)
        except wasmtime.WasmtimeError as error:
            with contextlib.suppress(wasmtime.WasmtimeError):  # one that trapped cannot be entered again
                self._open()
            if "interrupt" in str(error):
                raise Exceeded("wall_ms", self._deadline_ms, "more", place=self._name) from error
            raise AgentFailed(f"trap: {reason(error)}", place=self._name) from error
        finally:
            self._ticker.end()
        if self._fresh:
            self._open()
        if len(given) != self._output_size:
            raise AgentFailed(
                f"{FUNCTION} gave {len(given)} numbers, the manifest says {self._output_size}",
                place=self._name,
            )
        return given

    def update_weights(self, feedback: Items) -> None:
        del feedback
        raise AgentFailed("a component does not learn", place=self._name)

    def get_metadata(self) -> dict[str, Any]:
        return {
            "name": self._name,
            "kind": "wasm",
            "abi": ABI,
            "capabilities": [self._capability],
            "input": {"port": self._input, "dtype": "float32", "size": self._input_size},
            "output": {"port": self._output, "dtype": "float32", "size": self._output_size},
            "learns": False,
        }

    def checkpoint(self) -> bytes:
        return b""

    def restore(self, data: bytes) -> None:
        if data:
            raise AgentFailed(
                f"a component has no state to restore and was given {len(data)} bytes", place=self._name
            )


def _port(value: Mapping[str, Any]) -> tuple[str, int]:
    return str(value["port"]), within("size", value["size"], 1, SIZE_MAX)


def _is_floats(kind: object) -> bool:
    return isinstance(kind, component.ListType) and isinstance(kind.element, component.F32)
