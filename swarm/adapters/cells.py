"""Cells of the sandbox behind the `Cells` port: its records and errors become ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

import structlog

import sandbox
from swarm import limits
from swarm.adapters.usage import UsageBook
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
from swarm.ids import CapabilityName, Digest
from swarm.ports import Image, Reply
from swarm.wire.messages import Lack, Usage

_log = structlog.get_logger("swarm.cells")

_MIB = 1 << 20
SPARES = 1  # warm cells of each agent in use, beside those it uses
_MEMORY_BYTES_MIN = int(sandbox.CellLimits.RANGES["memory_bytes"][0])  # no cell lives on less
TierChoice = Literal["auto", "root", "user", "reduced", "wasm-only"]


class SandboxCells:
    """Makes cells through one warden."""

    def __init__(self, warden: sandbox.Warden | sandbox.EdgeWarden) -> None:
        self._warden = warden
        self._usage = UsageBook()
        self._pools: dict[tuple[str, bytes], sandbox.Pool] = {}  # by name and code of an image

    @classmethod
    async def start(
        cls, tier: TierChoice, native_code: Path | None = None, broker: sandbox.Broker | None = None
    ) -> SandboxCells:
        """Start the warden. Raises `ConfigRefused` where this machine cannot hold the layers asked for.

        In the folder `native_code` a tier that compiles in this process keeps machine code; cells keep none.
        Without a broker no agent reaches a network.
        """
        try:
            if tier == "wasm-only":
                return cls(await sandbox.EdgeWarden.start(native_code))
            warden = await sandbox.Warden.start(tier)
            warden.broker = broker
            return cls(warden)
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
    def lacks(self) -> tuple[Lack, ...]:
        missing = self._warden.attestation.missing
        return tuple(Lack(item.layer, item.reason, item.remedy) for item in missing)

    @property
    def tier(self) -> str:
        return self._warden.attestation.tier

    def usage(self, image: Image, agent: Digest) -> Usage:
        return self._usage.read((image.name, image.code), agent)

    async def spawn(self, image: Image) -> SandboxCell:
        """A cell from the warm pool of this agent; the first one of all has to be made."""
        key = (image.name, image.code)
        try:
            if self.tier == "wasm-only" or not isinstance(self._warden, sandbox.Warden):
                alone = await self._warden.spawn(_spec(image))
                self._usage.enter(key, alone)
                return SandboxCell(alone)
            pool = self._pools.get(key)
            if pool is None:
                pool = self._pools[key] = self._warden.pool(_spec(image), 0)
            cell = await pool.lease()
        except sandbox.CellError as error:
            raise _translated(error) from error
        self._usage.enter(key, cell)
        return SandboxCell(cell, pool, lambda: self._close_unused(key))

    async def _close_unused(self, key: tuple[str, bytes]) -> None:
        """Nobody holds a cell of this agent any more, and nobody lost one: it needs no spare."""
        pool = self._pools.get(key)
        if pool is not None and not pool.leased:
            del self._pools[key]
            await pool.close()

    async def close(self) -> None:
        await self._warden.close()


class SandboxCell:
    """One cell."""

    def __init__(
        self,
        cell: sandbox.Cell | sandbox.EdgeCell,
        pool: sandbox.Pool | None = None,
        on_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._cell = cell
        self._idle_pool = pool  # until the first call: an agent nobody asks needs no spare
        self._on_close = on_close

    @property
    def alive(self) -> bool:
        return self._cell.state is sandbox.State.READY  # one that is being ended answers nobody any more

    async def process_batch(
        self, capability: CapabilityName, batch: Sequence[Mapping[str, Items]], timeout_ms: int
    ) -> list[Reply | SwarmError]:
        given = [{port: _given(items) for port, items in inputs.items()} for inputs in batch]
        if self._idle_pool is not None:
            self._idle_pool.want(SPARES)
            self._idle_pool = None
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
        was_alive = self.alive
        await self._cell.close()
        if isinstance(self._cell, sandbox.Cell) and (error := self._cell.farewell):
            _log.warning("the last step failed", error=str(error))
        if was_alive and self._on_close is not None:  # for one that died, another will be asked for
            await self._on_close()


def _spec(image: Image) -> sandbox.CellSpec:
    bounds = {
        "wall_ms": image.wall_ms or limits.STEP_TIMEOUT_MS_MAX,  # each call says how long it may take
        "output_bytes": image.output_mb and image.output_mb * _MIB,
        "open_files": image.open_files,
        "threads": image.threads,
    }
    return sandbox.CellSpec(
        image=sandbox.AgentImage(
            image.name, cast("Literal['wasm', 'python']", image.kind), image.code, image.manifest
        ),
        limits=sandbox.CellLimits(
            memory_bytes=max(image.memory_mb * _MIB, _MEMORY_BYTES_MIN),
            cpu_cores=image.cpu_cores,
            disk_bytes=max(image.disk_mb, 1) * _MIB,
            network_mbps=image.network_mbps,
            **{name: value for name, value in bounds.items() if value is not None},
        ),
        profile="native" if image.native_libraries else None,
        requires=tuple(sorted(image.layers)),
        egress=image.egress,
        first=image.first,
        last=image.last,
    )


_payload = Payload._make  # the quick way to make one of a pair


def _given(items: Items) -> sandbox.Items:
    return items if isinstance(items, Payload) else list(items)


def _taken(items: sandbox.Items) -> Items:
    return tuple(map(_payload, items)) if isinstance(items, list) else _payload(items)


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
