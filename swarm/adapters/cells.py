"""Cells of the sandbox behind the `Cells` port: its records and errors become ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import sandbox
from swarm import limits
from swarm.errors import (
    AgentFailed,
    AgentRefused,
    CellLost,
    ConfigRefused,
    OutOfTime,
    OverLimit,
    SwarmError,
)
from swarm.graph import Items, Payload
from swarm.ids import CapabilityName
from swarm.ports import Image, Reply

_MIB = 1 << 20
_MEMORY_BYTES_MIN = int(sandbox.CellLimits.RANGES["memory_bytes"][0])  # no cell lives on less
TierChoice = Literal["auto", "root", "user", "reduced", "wasm-only"]


class SandboxCells:
    """Makes cells through one warden."""

    def __init__(self, warden: sandbox.Warden | sandbox.EdgeWarden) -> None:
        self._warden = warden

    @classmethod
    async def start(cls, tier: TierChoice) -> SandboxCells:
        """Start the warden. Raises `ConfigRefused` where this machine cannot hold the layers asked for."""
        try:
            if tier == "wasm-only":
                return cls(await sandbox.EdgeWarden.start())
            return cls(await sandbox.Warden.start(tier))
        except sandbox.CellError as error:
            raise ConfigRefused(
                f"this machine cannot lock agents down: {error.message}",
                place=error.place or "sandbox",
                remedy=error.remedy,
            ) from error

    @property
    def layers(self) -> tuple[str, ...]:
        return self._warden.attestation.held

    @property
    def tier(self) -> str:
        return self._warden.attestation.tier

    async def spawn(self, image: Image) -> SandboxCell:
        try:
            spec = sandbox.CellSpec(
                image=sandbox.AgentImage(
                    image.name, cast("Literal['wasm', 'python']", image.kind), image.code, image.manifest
                ),
                # Output, open files and threads have no place in an image: the sandbox's own bounds hold.
                limits=sandbox.CellLimits(
                    memory_bytes=max(image.memory_mb * _MIB, _MEMORY_BYTES_MIN),
                    cpu_cores=image.cpu_cores,
                    disk_bytes=max(image.disk_mb, 1) * _MIB,
                    wall_ms=limits.STEP_TIMEOUT_MS_MAX,  # each call says how long it may take
                ),
            )
            return SandboxCell(await self._warden.spawn(spec))
        except sandbox.CellError as error:
            raise _translated(error) from error

    async def close(self) -> None:
        await self._warden.close()


class SandboxCell:
    """One cell."""

    def __init__(self, cell: sandbox.Cell | sandbox.EdgeCell) -> None:
        self._cell = cell

    @property
    def alive(self) -> bool:
        return not self._cell.closed.done()

    async def process_batch(
        self, capability: CapabilityName, batch: Sequence[Mapping[str, Items]], timeout_ms: int
    ) -> list[Reply | SwarmError]:
        given = [{port: _given(items) for port, items in inputs.items()} for inputs in batch]
        try:
            replies = await self._cell.process_batch(capability, given, timeout_ms)
        except sandbox.CellError as error:
            raise _translated(error) from error
        return [
            _translated(reply)
            if isinstance(reply, sandbox.CellError)
            else {port: _taken(items) for port, items in reply.items()}
            for reply in replies
        ]

    async def update_weights(self, feedback: Items) -> None:
        try:
            await self._cell.update_weights(_given(feedback))
        except sandbox.CellError as error:
            raise _translated(error) from error

    async def get_metadata(self) -> Mapping[str, object]:
        try:
            return await self._cell.get_metadata()
        except sandbox.CellError as error:
            raise _translated(error) from error

    async def checkpoint(self) -> bytes:
        try:
            return await self._cell.checkpoint()
        except sandbox.CellError as error:
            raise _translated(error) from error

    async def restore(self, data: bytes) -> None:
        try:
            await self._cell.restore(data)
        except sandbox.CellError as error:
            raise _translated(error) from error

    async def close(self) -> None:
        await self._cell.close()


def _given(items: Items) -> sandbox.Items:
    return items if isinstance(items, Payload) else list(items)


def _taken(items: sandbox.Items) -> Items:
    return tuple(Payload(*item) for item in items) if isinstance(items, list) else Payload(*items)


def _translated(error: sandbox.CellError) -> SwarmError:
    """The sandbox's error as ours."""
    match error:
        case sandbox.AgentFailed():
            return AgentFailed(error.message, place=error.place, remedy=error.remedy)
        case sandbox.Refused():  # nothing of the agent ran, and another try ends the same way
            return AgentRefused(error.message, place=error.place, remedy=error.remedy)
        case sandbox.Exceeded(limit="wall_ms"):
            return OutOfTime(error.message, place=error.place, remedy=error.remedy)
        case sandbox.Exceeded():
            return OverLimit(error.message, place=error.place, remedy=error.remedy)
        case _:
            return CellLost(error.message, place=error.place, remedy=error.remedy)
