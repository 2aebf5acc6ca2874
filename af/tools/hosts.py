"""Where `af-run` runs an agent: in a cell, as a node would, or its bare network in one of the engines."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal, Protocol

import numpy as np

import sandbox
from af.agentfile import AgentFile
from af.compiler import Executable
from af.engines import ENGINES
from af.errors import AfError, AfNotReady, Problem, refused
from af.header import ResourceLimits
from af.limits import MIB
from af.network import Floats
from af.records import Capability
from af.tools.facts import needed_network
from sandbox import tensors
from sandbox.payload import Items, Payload, json_payload, parse_json

Values = Mapping[str, object]  # port name to value
Answer = dict[str, object] | AfError

_SEE_AGENT = "look at the agent's input and source."


class Host(Protocol):
    """Something that answers inputs, has a state, and runs an agent's hooks."""

    async def process(self, capability: Capability, batch: Sequence[Values]) -> list[Answer]:
        """An answer or an error for every input."""
        ...

    async def run_hook(self, capability: str) -> None: ...

    async def checkpoint(self) -> bytes: ...

    async def restore(self, state: bytes) -> None: ...


class CellHost:
    """The agent in a locked-down process."""

    def __init__(self, cell: sandbox.Cell) -> None:
        self._cell = cell

    async def process(self, capability: Capability, batch: Sequence[Values]) -> list[Answer]:
        payloads = [
            {name: _to_items(value, many=_many(capability, name)) for name, value in inputs.items()}
            for inputs in batch
        ]
        try:
            results = await self._cell.process_batch(capability.name, payloads)
        except sandbox.CellError as error:
            raise _failure(error) from None
        return [
            _failure(result)
            if isinstance(result, sandbox.CellError)
            else {name: _from_items(items) for name, items in result.items()}
            for result in results
        ]

    async def run_hook(self, capability: str) -> None:
        try:
            await self._cell.process_input(capability, {})
        except sandbox.CellError as error:
            raise _failure(error) from None

    async def checkpoint(self) -> bytes:
        try:
            return await self._cell.checkpoint()
        except sandbox.CellError as error:
            raise _failure(error) from None

    async def restore(self, state: bytes) -> None:
        try:
            await self._cell.restore(state)
        except sandbox.CellError as error:
            raise _failure(error) from None


class EngineHost:
    """A neural agent's weights in an engine: no sandbox, because no code of the agent's runs."""

    def __init__(self, agent: AgentFile, engine: str) -> None:
        self._engine = ENGINES[engine](needed_network(agent))

    async def process(self, capability: Capability, batch: Sequence[Values]) -> list[Answer]:
        """All rows of the batch in one call of the engine."""
        port, answer = capability.inputs[0].name, capability.outputs[0].name
        blocks: list[Floats] = [np.asarray(inputs[port], np.float32) for inputs in batch]
        answers = self._engine.forward(np.concatenate(blocks))
        ends = np.cumsum([len(block) for block in blocks])[:-1]
        return [{answer: part} for part in np.split(answers, ends)]

    async def run_hook(self, capability: str) -> None:
        raise AssertionError(capability)  # only Python agents have hooks, and they run in cells

    async def checkpoint(self) -> bytes:
        raise _stateless()

    async def restore(self, state: bytes) -> None:
        del state
        raise _stateless()


@contextlib.asynccontextmanager
async def cell_host(run: Executable) -> AsyncIterator[CellHost]:
    """A cell with the agent in it; AfNotReady if this machine has no sandbox to offer."""
    image = sandbox.AgentImage(run.name, run.kind, run.code, run.manifest)
    try:
        native: Literal["native"] | None = "native" if run.resources.native_libraries else None
        spec = sandbox.CellSpec(
            image,
            cell_limits(run.resources.limits),
            profile=native,
            requires=run.resources.requirements.sandbox_layers,
            egress=run.resources.egress,  # refused: this tool gives no way out
        )
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
    given = {
        "wall_ms": limits.wall_ms,
        "output_bytes": limits.output_mb and limits.output_mb * MIB,
        "open_files": limits.open_files,
        "threads": limits.threads,
    }
    return sandbox.CellLimits(
        memory_bytes=max(int(memory_least), limits.memory_mb * MIB),
        cpu_cores=max(cpu_least, limits.cpu_cores),
        disk_bytes=max(int(disk_least), limits.disk_mb * MIB),
        network_mbps=limits.network_bandwidth_mbps,
        **{name: value for name, value in given.items() if value is not None},
    )


def _failure(error: sandbox.CellError) -> AfError:
    remedy = error.remedy or _SEE_AGENT
    return AfError((Problem(error.place or "agent", f"{error.message}.", remedy),))


def _stateless() -> AfError:
    return refused("--state", "an engine beside the sandbox keeps no state.", "leave --engine out.")


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
