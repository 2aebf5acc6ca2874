"""Cells of the sandbox behind the `Cells` port: its records and errors become ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, cast

import structlog

import sandbox
from swarm import limits
from swarm.adapters import largecells as large
from swarm.adapters.blobs import FileBlobs
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
from swarm.graph import Items, Payload, has_refs
from swarm.ids import CapabilityName, Digest
from swarm.ports import Image, Reply
from swarm.wire.messages import Lack, Usage

_log = structlog.get_logger("swarm.cells")

_MIB = 1 << 20
SPARES = 1  # warm cells of each agent in use, beside those it uses
_MEMORY_BYTES_MIN = int(sandbox.CellLimits.RANGES["memory_bytes"][0])  # no cell lives on less
_OUTPUT_BYTES_DEFAULT = sandbox.CellLimits().output_bytes
_OUTPUT_BYTES_MAX = int(sandbox.CellLimits.RANGES["output_bytes"][1])
TierChoice = Literal["auto", "root", "user", "reduced", "wasm-only"]


class SandboxCells:
    """Makes cells through one warden."""

    def __init__(self, warden: sandbox.Warden | sandbox.EdgeWarden, blobs: FileBlobs) -> None:
        self._warden = warden
        self._usage = UsageBook()
        self._blobs = blobs
        self._pools: dict[tuple[str, bytes], sandbox.Pool] = {}  # by name and code of an image

    @classmethod
    async def start(
        cls,
        tier: TierChoice,
        blobs: FileBlobs,
        native_code: Path | None = None,
        broker: sandbox.Broker | None = None,
    ) -> SandboxCells:
        """Start the warden. Raises `ConfigRefused` where this machine cannot hold the layers asked for.

        Large payloads lie in `blobs`. In the folder `native_code` a tier that compiles in this process keeps
        machine code; cells keep none. Without a broker no agent reaches a network.
        """
        try:
            if tier == "wasm-only":
                return cls(await sandbox.EdgeWarden.start(native_code), blobs)
            warden = await sandbox.Warden.start(tier)
            warden.broker = broker
            return cls(warden, blobs)
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
                return SandboxCell(alone, self._blobs)
            pool = self._pools.get(key)
            if pool is None:
                pool = self._pools[key] = self._warden.pool(_spec(image), 0)
            cell = await pool.lease()
        except sandbox.CellError as error:
            raise _translated(error) from error
        self._usage.enter(key, cell)
        return SandboxCell(cell, self._blobs, pool, lambda: self._close_unused(key))

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
        blobs: FileBlobs,
        pool: sandbox.Pool | None = None,
        on_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._cell = cell
        self._blobs = blobs
        self._idle_pool = pool  # until the first call: an agent nobody asks needs no spare
        self._on_close = on_close

    @property
    def alive(self) -> bool:
        return self._cell.state is sandbox.State.READY  # one that is being ended answers nobody any more

    async def process_batch(
        self, capability: CapabilityName, batch: Sequence[Mapping[str, Items]], timeout_ms: int
    ) -> list[Reply | SwarmError]:
        if any(has_refs(inputs.values()) for inputs in batch):
            with ExitStack() as stack:
                shared = isinstance(self._cell, sandbox.Cell)
                blobs = self._blobs
                opened = [await large.given(blobs, inputs, stack, shared=shared) for inputs in batch]
                return await self._ask(capability, opened, timeout_ms)
        given = [{port: _given(items) for port, items in inputs.items()} for inputs in batch]
        return await self._ask(capability, given, timeout_ms)

    async def _ask(
        self, capability: CapabilityName, given: Sequence[sandbox.Ports], timeout_ms: int
    ) -> list[Reply | SwarmError]:
        if self._idle_pool is not None:
            self._idle_pool.want(SPARES)
            self._idle_pool = None
        cell = self._cell
        ask = cell.process_large if isinstance(cell, sandbox.Cell) else cell.process_batch
        try:
            replies = await ask(capability, given, timeout_ms)
        except sandbox.CellError as error:
            raise _translated(error) from error
        results = [_translated(reply) if isinstance(reply, sandbox.CellError) else reply for reply in replies]
        if any(not isinstance(reply, SwarmError) and large.is_large(reply) for reply in results):
            return await large.stored(self._blobs, results)
        return [
            reply if isinstance(reply, SwarmError) else {port: _taken(items) for port, items in reply.items()}
            for reply in results
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
        if isinstance(self._cell, sandbox.Cell) and self._cell.retiring is not None:
            return  # others may still wait for its answers
        await self._cell.close()
        if isinstance(self._cell, sandbox.Cell) and (error := self._cell.farewell):
            _log.warning("the last step failed", error=str(error))
        if was_alive and self._on_close is not None:  # for one that died, another will be asked for
            await self._on_close()


def _spec(image: Image) -> sandbox.CellSpec:
    memory_bytes = max(image.memory_mb * _MIB, _MEMORY_BYTES_MIN)
    bounds = {
        "wall_ms": image.wall_ms or limits.STEP_TIMEOUT_MS_MAX,  # each call says how long it may take
        # What an agent may have it may give, unless it says that it gives less.
        "output_bytes": image.output_mb * _MIB
        if image.output_mb
        else min(max(memory_bytes, _OUTPUT_BYTES_DEFAULT), _OUTPUT_BYTES_MAX),
        "open_files": image.open_files,
        "threads": image.threads,
    }
    return sandbox.CellSpec(
        image=sandbox.AgentImage(
            image.name, cast("Literal['wasm', 'python']", image.kind), image.code, image.manifest
        ),
        limits=sandbox.CellLimits(
            memory_bytes=memory_bytes,
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
