"""Agents written in Python: a module with `class Agent`, run inside a cell that is already locked down.

`process_input(self, capability, inputs)` gets a dict of ports: tensors as read-only numpy arrays, JSON
as Python values, bytes as bytes, `many` ports as lists of those. It returns a dict of ports: an array
becomes a tensor, bytes stay bytes, anything else is JSON. A port that the manifest calls `many` takes a
list or tuple of items. Where the manifest does not tell, a tuple is many items, and so is a list that
holds arrays or bytes; any other list is one JSON value. The other four calls are optional.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, cast

import numpy as np

from sandbox import tensors
from sandbox.errors import AgentFailed, CellError
from sandbox.overruns import Bounds, overrun
from sandbox.payload import Items, Payload, Ports, json_payload, parse_json

_FILE = "<agent>"
_NO_PORTS: frozenset[str] = frozenset()


class PythonAgent:
    """Implements the five calls over an agent's own class, turning payloads into values and back."""

    def __init__(
        self,
        name: str,
        code: bytes,
        manifest: Mapping[str, Any],
        *,
        unjoined_bytes_min: int = sys.maxsize,
        bounds: Bounds | None = None,
    ) -> None:
        self._name = name
        self._bounds = bounds
        self._unjoined_bytes_min = unjoined_bytes_min  # arrays from this size on stay `tensors.Encoded`
        self._manifest = dict(manifest)
        module = ModuleType("agent")
        sys.modules["agent"] = module  # dataclasses look their module up
        source = self._decode(code)
        self._guard("load", lambda: exec(compile(source, _FILE, "exec"), module.__dict__))  # noqa: S102  (that is its job)
        factory = getattr(module, "Agent", None)
        if not isinstance(factory, type):
            raise AgentFailed("the module defines no class Agent", place=name, remedy="define `class Agent`")
        self._agent = self._guard("load", factory)
        answer = self._optional("process_input")
        if answer is None:
            raise AgentFailed("class Agent has no process_input", place=name)
        self._answer = answer
        self._many = _many_ports(self._manifest)

    def _decode(self, code: bytes) -> str:
        try:
            return code.decode()
        except UnicodeDecodeError as error:
            raise AgentFailed(f"the source is not UTF-8: {error}", place=self._name) from error

    def process_input(self, capability: str, inputs: Ports) -> dict[str, Items]:
        values = {}
        for port, items in inputs.items():
            values[port] = self._read(port, items)
        try:
            outputs = self._answer(capability, values)
        except (CellError, MemoryError):
            raise
        except BaseException as error:
            raise self._failed("process_input", error) from error
        if type(outputs) is not dict and not isinstance(outputs, dict):
            raise self._no_ports(outputs)
        many = self._many.get(capability, _NO_PORTS)
        written: dict[str, Items] = {}
        for port, value in outputs.items():
            if type(port) is not str:
                raise self._no_ports(outputs)
            written[port] = self._write_many(port, value) if port in many else self._write(port, value)
        return written

    def _no_ports(self, outputs: object) -> AgentFailed:
        return AgentFailed(
            f"process_input returned {type(outputs).__name__}, not a dict of ports", place=self._name
        )

    def update_weights(self, feedback: Items) -> None:
        learn = self._optional("update_weights")
        if learn is None:
            raise AgentFailed("this agent does not learn (it has no update_weights)", place=self._name)
        value = self._read("feedback", feedback)
        self._guard("update_weights", lambda: learn(value))

    def get_metadata(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"name": self._name, "kind": "python"}
        if "capabilities" in self._manifest:
            offers = self._manifest["capabilities"]
            facts["capabilities"] = [each["name"] if isinstance(each, dict) else each for each in offers]
        describe = self._optional("get_metadata")
        if describe is not None:
            own = self._guard("get_metadata", describe)
            self._write("metadata", own)  # refuses what is no JSON
            facts["agent"] = own
        return facts

    def checkpoint(self) -> bytes:
        save = self._optional("checkpoint")
        if save is None:
            return b""
        state = self._guard("checkpoint", save)
        if not isinstance(state, bytes):
            raise AgentFailed(f"checkpoint returned {type(state).__name__}, not bytes", place=self._name)
        return state

    def restore(self, data: bytes) -> None:
        load = self._optional("restore")
        if load is not None:
            self._guard("restore", lambda: load(data))
        elif data:
            raise AgentFailed(
                f"this agent is stateless (it has no restore) and was given {len(data)} bytes",
                place=self._name,
            )

    def _optional(self, call: str) -> Callable[..., Any] | None:
        method = getattr(self._agent, call, None)
        return method if callable(method) else None

    def _guard(self, call: str, action: Callable[[], Any]) -> Any:
        """Run agent code; whatever it raises becomes one `AgentFailed` that names the line."""
        try:
            return action()
        except (CellError, MemoryError):
            raise
        except BaseException as error:
            raise self._failed(call, error) from error

    def _failed(self, call: str, error: BaseException) -> CellError:
        if self._bounds is not None and (met := overrun(error, self._bounds, f"{self._name}.{call}")):
            return met
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _FILE
        ]
        where = f" at line {lines[-1]}" if lines else ""
        return AgentFailed(f"{type(error).__name__}: {error}", place=f"{self._name}.{call}{where}")

    def _read(self, port: str, items: Items) -> Any:
        if isinstance(items, list):
            return [self._read_one(port, payload) for payload in items]
        return self._read_one(port, items)

    def _read_one(self, port: str, payload: Payload) -> Any:
        kind, data = payload
        if kind == "bytes" and type(data) is bytes:
            return data
        try:
            if kind == "tensor":
                return tensors.decode(data)
            whole = bytes(data)  # of shared memory, only arrays may stay views
            return parse_json(whole) if kind == "json" else whole
        except ValueError as error:
            raise AgentFailed(f"port {port!r}: {error}", place=self._name) from error

    def _write_many(self, port: str, value: Any) -> Items:
        """The items of a port the manifest calls `many`: always a list of them, empty or not."""
        if not isinstance(value, (list, tuple)):
            raise AgentFailed(
                f"port {port!r} carries many items, got {type(value).__name__}",
                place=self._name,
                remedy="return a list of them",
            )
        return [self._write_one(port, item) for item in value]

    def _write(self, port: str, value: Any) -> Items:
        if type(value) is bytes:
            return "bytes", value
        if isinstance(value, tuple) or (
            isinstance(value, list) and any(isinstance(item, (np.ndarray, bytes)) for item in value)
        ):
            return [self._write_one(port, item) for item in value]
        return self._write_one(port, value)

    def _write_one(self, port: str, value: Any) -> Payload:
        try:
            if isinstance(value, (np.ndarray, np.generic)):
                array = np.asarray(value)
                if array.nbytes >= self._unjoined_bytes_min:
                    return "tensor", cast("bytes", tensors.Encoded(array))
                return "tensor", tensors.encode(array)
            if isinstance(value, (bytes, bytearray, memoryview)):
                return "bytes", bytes(value)
            return json_payload(_plain(value))
        except (TypeError, ValueError, RecursionError) as error:
            raise AgentFailed(f"port {port!r} cannot be sent: {error}", place=self._name) from error


def _many_ports(manifest: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Capability to its output ports that carry many items, as far as the manifest tells."""
    found: dict[str, frozenset[str]] = {}
    capabilities = manifest.get("capabilities", ())
    for capability in capabilities if isinstance(capabilities, (list, tuple)) else ():
        if not isinstance(capability, dict):
            continue
        name, outputs = capability.get("name"), capability.get("outputs", ())
        if isinstance(name, str) and isinstance(outputs, (list, tuple)):
            ports = [port for port in outputs if isinstance(port, dict) and port.get("many") is True]
            found[name] = frozenset(str(port.get("name")) for port in ports)
    return found


def _plain(value: Any) -> Any:
    """The value with numpy scalars and arrays inside it as plain numbers and lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return value
