"""The keeper of all cells of one daemon: picks the tier, makes the cells, leaves nothing behind.

A tier is never weakened in silence. `auto` means `root` for a daemon that is root and `user` otherwise;
if the host does not allow it, `start` raises `Refused` with what the kernel said and what would mend
it. `reduced` is used only when it is asked for by name.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal, Self, TypeAlias

from sandbox import doctor, linux, trials
from sandbox.broker import Broker
from sandbox.cell import Cell
from sandbox.cgroups import Cgroups, Group
from sandbox.copies import Copies
from sandbox.errors import Broken, CellError, Exceeded, Refused
from sandbox.lockdown import Order
from sandbox.lookout import Vigil
from sandbox.nursery import FIRST_ID, Nursery
from sandbox.pool import Phase, Pool
from sandbox.spec import Attestation, CellSpec, Missing, Profile, Tier

Programs: TypeAlias = Mapping[Profile, tuple[bytes, bytes]]

CELLS_MAX: Final = 1000
_USER_IDS: Final = 60_000  # that cells of the root tier take in turn, from the first
_USER_ID_FIRST: Final = 1000
_ATTESTED_AT_START: Final[tuple[Profile, ...]] = ("strict",)
_HOLES_TOLD_MAX: Final = 12  # in one message; the self-test tells all
_FULL: Final = "run the daemon as root, or where users may make user namespaces"
_MISSING_WHEN_REDUCED: Final = (
    Missing("namespaces", "the host's processes and names are not hidden, only out of reach", _FULL),
    Missing("scratch", "an agent has no directory to write in, because its size could not be limited", _FULL),
    Missing("threads", "threads are counted for the daemon's user, not for a cell", _FULL),
)
_PIPE_FLAGS: Final = os.O_CLOEXEC


class Warden:
    """Makes cells for one daemon. Start it from the daemon's loop and close it with the daemon."""

    def __init__(self, tier: Tier, cgroups: Cgroups, programs: Programs | None = None) -> None:
        self.tier: Tier = tier
        self._cgroups = cgroups
        self._programs = programs or {}
        self._nurseries: dict[Profile, Nursery] = {}
        self._starting: dict[Profile, asyncio.Lock] = {}
        self._retired: list[Nursery] = []  # worn out, and alive until their last cell ends
        self._housekeeping: set[asyncio.Task[None]] = set()
        self._pools: list[Pool] = []
        self.broker: Broker | None = None  # without one, no agent reaches a network
        self._cells: set[Cell] = set()
        self._serial = 0
        self._vigil = Vigil()
        self._copies = Copies()
        self._closed = False
        self._attesting = asyncio.Lock()
        self._attested: set[Profile] | None = None  # None: nobody has asked for attestation
        missing = (*cgroups.missing, *(_MISSING_WHEN_REDUCED if tier == "reduced" else ()))
        self.attestation = Attestation(tier, (), missing, dict(cgroups.versions))

    @classmethod
    async def start(cls, tier: Tier | Literal["auto"] = "auto") -> Self:
        """A warden whose cells were attacked and held; raises `Refused` with exact reasons and remedies."""
        warden = await cls.open(tier)
        try:
            await warden.attest()
        except BaseException:
            await warden.close()
            raise
        return warden

    @classmethod
    async def open(cls, tier: Tier | Literal["auto"] = "auto", programs: Programs | None = None) -> Self:
        """A warden that has attested nothing yet, for the self-test; `programs` replaces compiled filters."""
        if not linux.is_supported():
            raise Refused(f"machine {linux.MACHINE} has no compiled filters", place="seccomp")
        if tier == "wasm-only":
            raise Refused("that tier has no process sandbox", place="tier", remedy="start an EdgeWarden")
        root = os.geteuid() == 0
        chosen: Tier = tier if tier != "auto" else "root" if root else "user"
        if chosen != "reduced" and (chosen == "root") != root:
            raise Refused(
                f"tier {chosen} is not for {'root' if root else 'a daemon without root'}",
                place="tier",
                remedy="use tier 'auto'",
            )
        warden = cls(chosen, Cgroups(), programs)
        try:
            await warden._nursery("strict")
        except Refused as error:
            await warden.close()
            raise Refused(
                f"tier {chosen} cannot be had here: {error}",
                place=error.place,
                remedy=doctor.advice() or "run `swarm doctor`, or ask for tier 'reduced' by name",
            ) from error
        return warden

    async def attest(self, profiles: Sequence[Profile] = _ATTESTED_AT_START) -> None:
        """Attack throw-away cells; raises `Refused` unless every attempt fails.

        From then on a profile is attacked before its first agent, so one that is never used costs nothing.
        """
        self._attested = self._attested or set()
        results = await asyncio.gather(*(trials.run(self._make, profile, self.tier) for profile in profiles))
        made = [trial for result in results for trial in result]
        broken = [trial for trial in made if not trial.held]
        if broken:
            told = [
                f"{trial.attempt} ({trial.profile}): {trial.outcome}" for trial in broken[:_HOLES_TOLD_MAX]
            ]
            what = f"{len(broken)} of {len(made)} attempts succeeded: {'; '.join(told)}"
            raise Refused(
                f"cells do not hold: {what}",
                place=broken[0].layer,
                remedy="run `python -m sandbox.selftest`; do not host agents on this machine until it passes",
            )
        self._attested.update(profiles)
        limits = tuple(f"cgroup.{name}" for name in self._cgroups.versions)
        held = dict.fromkeys((*trials.held_layers(made), *limits))
        self.attestation = replace(self.attestation, held=tuple(held))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def spawn(self, spec: CellSpec) -> Cell:
        """A cell that is locked down, has its agent loaded and answers calls."""
        assert spec.profile is not None
        if self._attested is not None and spec.profile not in self._attested:
            async with self._attesting:
                if spec.profile not in self._attested:  # somebody else may have been first
                    await self.attest((spec.profile,))
        self._check_layers(spec)
        if spec.egress:
            if self.broker is None:
                raise Refused(
                    f"{spec.image.name} declares egress, and the network is off here",
                    place="egress",
                    remedy="allow its destinations on this node, under `egress:` in its settings file",
                )
            self.broker.admit(spec, lambda _: None)  # refuses before there is a process
        return await self._make(spec)

    def pool(self, spec: CellSpec, spares: int = 1) -> Pool:
        """Warm cells of one agent; the caller closes it, and else the warden does."""
        self._pools = [pool for pool in self._pools if pool.phase is not Phase.CLOSED]
        pool = Pool(self.spawn, spec, spares)
        self._pools.append(pool)
        return pool

    def _check_layers(self, spec: CellSpec) -> None:
        for layer in spec.requires:
            if layer in self.attestation.held:
                continue
            why = next((item for item in self.attestation.missing if item.layer == layer), None)
            reason = f"it is missing: {why.reason}" if why else "it is not attested"
            raise Refused(
                f"{spec.image.name} requires this layer, and {reason}",
                place=layer,
                remedy=why.remedy if why else "",
            )

    async def _make(self, spec: CellSpec) -> Cell:
        if self._closed:
            raise Broken("the warden is closed", place="warden", code="cell.closed")
        if len(self._cells) >= CELLS_MAX:
            raise Exceeded(
                "cells", CELLS_MAX, len(self._cells) + 1, place="warden", remedy="close some first"
            )
        assert spec.profile is not None
        nursery = await self._nursery(spec.profile)
        self._serial += 1
        order = self._order(spec, self._serial)
        try:
            group = self._cgroups.create(f"cell-{order.serial}", spec.limits)
        except OSError as error:
            raise Refused(f"its control group cannot be made: {error}", place="cgroup") from error
        ours, theirs = socket.socketpair()
        output, output_end = os.pipe2(_PIPE_FLAGS)
        os.set_blocking(output, False)
        cell = Cell(spec, ours, output, group, self.broker, self._vigil, self._copies)
        self._cells.add(cell)
        cell.closed.add_done_callback(lambda _: self._forget(cell, group))
        ready = cell.begin()
        joins: list[int] = []
        try:
            joins = group.open_procs()
            handle = await nursery.spawn(order, [theirs.fileno(), output_end, *joins], cell.exited)
        except BaseException as error:
            cell.abandon(
                error if isinstance(error, CellError) else Broken(f"it could not be made: {error!r}")
            )
            ready.cancelled() or ready.exception()
            raise
        finally:
            theirs.close()
            for descriptor in (output_end, *joins):
                os.close(descriptor)
        cell.adopt(handle)
        try:
            await cell.load(ready)
        except BaseException:
            cell.kill()
            await asyncio.shield(cell.closed)
            raise
        return cell

    def _order(self, spec: CellSpec, serial: int) -> Order:
        limits = spec.limits
        user = _USER_ID_FIRST + serial % _USER_IDS
        if self.tier == "reduced":
            user += FIRST_ID
        return Order(
            serial=serial,
            tier=self.tier,
            profile=spec.profile or "strict",
            user_id=-1 if os.geteuid() != 0 else user,
            memory_bytes=limits.memory_bytes,
            cpu_cores=limits.cpu_cores,
            disk_bytes=limits.disk_bytes,
            wall_ms=limits.wall_ms,
            output_bytes=limits.output_bytes,
            open_files=limits.open_files,
            threads=limits.threads,
        )

    def _forget(self, cell: Cell, group: Group) -> None:
        self._cells.discard(cell)
        self._cgroups.leave(group)
        if not self._cells:
            self._copies.clear()
        if self._retired and not self._closed:
            self._do(self._bury())

    async def _nursery(self, profile: Profile) -> Nursery:
        async with self._starting.setdefault(profile, asyncio.Lock()):
            nursery = self._nurseries.get(profile)
            if nursery is None or not nursery.is_alive:
                if nursery is not None:
                    await nursery.close()
                nursery = self._nurseries[profile] = await self._start(profile)
        if nursery.is_worn and not nursery.is_retiring:
            nursery.is_retiring = True
            self._do(self._renew(profile, nursery))
        return nursery

    async def _start(self, profile: Profile) -> Nursery:
        return await Nursery.start(profile, self.tier, self._programs.get(profile))

    async def _renew(self, profile: Profile, old: Nursery) -> None:
        """Put a fresh zygote in the place of a worn one, whose cells live on until they end."""
        try:
            fresh = await self._start(profile)
        except Refused:
            old.is_retiring = False  # it serves on; the next order tries again
            return
        if self._closed:
            await fresh.close()
            return
        self._nurseries[profile] = fresh
        self._retired.append(old)
        await self._bury()

    async def _bury(self) -> None:
        done = [nursery for nursery in self._retired if not nursery.cells]
        self._retired = [nursery for nursery in self._retired if nursery.cells]
        await asyncio.gather(*(nursery.close() for nursery in done))

    def _do(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._housekeeping.add(task)
        task.add_done_callback(self._housekeeping.discard)

    async def close(self) -> None:
        """End every cell and zygote and remove every trace of them."""
        self._closed = True
        await asyncio.gather(*(pool.close() for pool in self._pools))
        await asyncio.gather(*self._housekeeping, return_exceptions=True)
        await asyncio.gather(*(cell.close(grace_ms=0) for cell in list(self._cells)), return_exceptions=True)
        if self.broker is not None:
            await self.broker.close()
        await asyncio.gather(*(nursery.close() for nursery in [*self._nurseries.values(), *self._retired]))
        self._nurseries.clear()
        self._retired.clear()
        self._cgroups.close()
