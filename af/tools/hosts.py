"""Where `af-run` runs an agent: in a cell, as a node would, or its bare network in the reference engine."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import numpy as np

import sandbox
from af.agentfile import AgentFile
from af.compiler import Executable
from af.engines import NumpyEngine
from af.errors import AfError, AfNotReady, Problem, refused
from af.header import ResourceLimits
from af.limits import MIB
from af.records import Capability
from af.weights import WEIGHTS, network_from
from sandbox import tensors
from sandbox.payload import Items, Payload, json_payload, parse_json

_SEE_AGENT = "look at the agent's input and source."


class Host(Protocol):
    """Something that answers inputs."""

    async def process(self, capability: Capability, inputs: Mapping[str, object]) -> dict[str, object]: ...


class CellHost:
    """The agent in a locked-down process."""

    def __init__(self, cell: sandbox.Cell) -> None:
        self._cell = cell

    async def process(self, capability: Capability, inputs: Mapping[str, object]) -> dict[str, object]:
        payloads = {name: _to_items(value, many=_many(capability, name)) for name, value in inputs.items()}
        try:
            outputs = await self._cell.process_input(capability.name, payloads)
        except sandbox.CellError as error:
            raise _failure(error) from None
        return {name: _from_items(items) for name, items in outputs.items()}


class NumpyHost:
    """A neural agent's weights in the reference engine: no sandbox, because no code of the agent's runs."""

    def __init__(self, agent: AgentFile) -> None:
        config, weights = agent.header.neural_config, agent.section(WEIGHTS)
        if agent.header.kind != "neural" or config is None or weights is None:
            message = f"the numpy engine runs networks; this agent is of kind {agent.header.kind}."
            raise refused("--engine", message, "leave --engine out.")
        self._engine = NumpyEngine(network_from(config, weights))

    async def process(self, capability: Capability, inputs: Mapping[str, object]) -> dict[str, object]:
        batch = np.asarray(inputs[capability.inputs[0].name], np.float32)
        return {capability.outputs[0].name: self._engine.forward(batch)}


@contextlib.asynccontextmanager
async def cell_host(run: Executable) -> AsyncIterator[CellHost]:
    """A cell with the agent in it; AfNotReady if this machine has no sandbox to offer."""
    image = sandbox.AgentImage(run.name, run.kind, run.code, run.manifest)
    try:
        spec = sandbox.CellSpec(image, cell_limits(run.limits))
        async with await sandbox.Warden.start() as warden:
            yield CellHost(await warden.spawn(spec))
    except sandbox.Refused as error:
        remedy = error.remedy or "run `swarm doctor` to see what this machine lacks."
        raise AfNotReady((Problem(error.place or "sandbox", f"{error.message}.", remedy),)) from None
    except sandbox.CellError as error:
        raise _failure(error) from None


def cell_limits(limits: ResourceLimits) -> sandbox.CellLimits:
    """The file's limits as a cell takes them, raised to the least a cell can live with."""
    memory_least, _ = sandbox.CellLimits.RANGES["memory_bytes"]
    disk_least, _ = sandbox.CellLimits.RANGES["disk_bytes"]
    cpu_least, _ = sandbox.CellLimits.RANGES["cpu_cores"]
    return sandbox.CellLimits(
        memory_bytes=max(int(memory_least), limits.memory_mb * MIB),
        cpu_cores=max(cpu_least, limits.cpu_cores),
        disk_bytes=max(int(disk_least), limits.disk_mb * MIB),
    )


def _failure(error: sandbox.CellError) -> AfError:
    remedy = error.remedy or _SEE_AGENT
    return AfError((Problem(error.place or "agent", f"{error.message}.", remedy),))


def _many(capability: Capability, name: str) -> bool:
    return any(port.many for port in capability.inputs if port.name == name)


def _to_items(value: object, *, many: bool) -> Items:
    if many:
        assert isinstance(value, list)
        return [_to_payload(item) for item in value]
    return _to_payload(value)


def _to_payload(value: object) -> Payload:
    if isinstance(value, np.ndarray):
        return "tensor", tensors.encode(value)
    return ("bytes", value) if isinstance(value, bytes) else json_payload(value)


def _from_items(items: Items) -> object:
    return [_from_payload(item) for item in items] if isinstance(items, list) else _from_payload(items)


def _from_payload(payload: Payload) -> object:
    kind, data = payload
    match kind:
        case "tensor":
            return tensors.decode(data)
        case "json":
            value: object = parse_json(data)
            return value
        case _:
            return data
