"""Control groups: how much memory, processor and how many processes one cell may take.

Every cell gets a group *below* the daemon's own, never beside it, so that a limit on the daemon still
bounds the sum. The cell joins by writing to descriptors of `cgroup.procs` it inherits, before it does
anything else. Version 2 is used where it is delegated to us, version 1 where its directories can be
written, and where neither is, `missing` says why: the rlimits of the cell are then all there is, and
the daemon must say so.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.spec import CellLimits, Missing

CONTROLLERS: Final = ("memory", "cpu", "pids")
_PREFIX: Final = "cells-"
_LEAF: Final = "cells-daemon"
_PERIOD_US: Final = 100_000
_REMEDY: Final = "delegate the controller, with systemd: Delegate=cpu memory pids"


def _write(path: Path, value: object) -> None:
    with path.open("w") as file:
        file.write(str(value))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _fields(path: Path) -> dict[str, int]:
    try:
        return {key: int(value) for key, value in (line.split() for line in path.read_text().splitlines())}
    except (OSError, ValueError):
        return {}


@dataclass(frozen=True, slots=True)
class Group:
    """The groups of one cell: one directory on version 2, one per controller on version 1."""

    directories: dict[str, Path]

    def open_procs(self) -> list[int]:
        """Descriptors to join by; the caller closes them."""
        return [
            os.open(path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
            for path in dict.fromkeys(self.directories.values())
        ]

    def memory_peak_bytes(self) -> int | None:
        path = self.directories.get("memory")
        if path is None:
            return None
        return _number(path / "memory.peak") or _number(path / "memory.max_usage_in_bytes")

    def oom_kills(self) -> int:
        """How often the kernel killed in this group because memory ran out."""
        path = self.directories.get("memory")
        if path is None:
            return 0
        events = _fields(path / "memory.events") or _fields(path / "memory.oom_control")
        return events.get("oom_kill", 0)

    def remove(self) -> bool:
        """Remove the empty groups; False while the kernel still counts a dying process in one."""
        gone = True
        for path in dict.fromkeys(self.directories.values()):
            try:
                path.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone


class Cgroups:
    """The daemon's part of the tree, and the making of groups in it."""

    def __init__(self, proc: Path = Path("/proc/self")) -> None:
        self._proc = proc
        self._bases: dict[str, Path] = {}
        self._name = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(3)}"
        self._leaving: list[Group] = []
        self.versions: dict[str, str] = {}
        self.missing: list[Missing] = []
        mounts, own = self._mounts(), self._own()
        if "" in mounts:
            self._try_version_2(mounts[""], own.get("", "/"))
        for controller in CONTROLLERS:
            if controller not in self.versions:
                self._try_version_1(controller, mounts.get(controller), own.get(controller, "/"))

    def _own(self) -> dict[str, str]:
        """Controller (or '' for version 2) to the path of the group this process is in."""
        found = {}
        for line in (self._proc / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            found.update(dict.fromkeys(controllers.split(","), path))
        return found

    def _mounts(self) -> dict[str, Path]:
        """Controller (or '' for version 2) to where its tree is mounted."""
        found: dict[str, Path] = {}
        for line in (self._proc / "mountinfo").read_text().splitlines():
            left, right = line.split(" - ", 1)
            filesystem, _, options = right.split(" ", 2)
            point = Path(left.split()[4])
            if filesystem == "cgroup2":
                found.setdefault("", point)
            elif filesystem == "cgroup":
                for option in options.split(","):
                    found.setdefault(option, point)
        return found

    def _try_version_2(self, mount: Path, own: str) -> None:
        here = mount / own.lstrip("/")
        if here.name == _LEAF:  # an earlier warden of this process moved us here
            here = here.parent
        try:
            available = (here / "cgroup.controllers").read_text().split()
            wanted = [name for name in CONTROLLERS if name in available]
            if not wanted:
                return
            enable = " ".join(f"+{name}" for name in wanted)
            if (
                here / "cgroup.type"
            ).exists():  # not the root: a group that delegates may hold no process itself
                leaf = here / _LEAF
                leaf.mkdir(exist_ok=True)
                _write(leaf / "cgroup.procs", os.getpid())
            _write(here / "cgroup.subtree_control", enable)
            base = here / self._name
            base.mkdir()
            _write(base / "cgroup.subtree_control", enable)
        except OSError as error:
            self.missing.append(Missing("cgroup.v2", f"{here}: {error.strerror}", _REMEDY))
            return
        _sweep(here)
        for name in wanted:
            self._bases[name] = base
            self.versions[name] = "v2"

    def _try_version_1(self, controller: str, mount: Path | None, own: str) -> None:
        layer = f"cgroup.{controller}"
        if mount is None:
            self.missing.append(Missing(layer, "the controller is not mounted", _REMEDY))
            return
        here = mount / own.lstrip("/")
        base = here / self._name
        try:
            base.mkdir()
        except OSError as error:
            self.missing.append(Missing(layer, f"{here}: {error.strerror}", _REMEDY))
            return
        _sweep(here)
        self._bases[controller] = base
        self.versions[controller] = "v1"

    def create(self, name: str, limits: CellLimits) -> Group:
        """The group of one cell, limits set before anything can join it."""
        self.sweep()
        group = Group({})
        try:
            for controller, base in self._bases.items():
                path = base / name
                path.mkdir(exist_ok=True)
                group.directories[controller] = path
                _set_limit(path, controller, self.versions[controller], limits)
        except OSError:
            group.remove()
            raise
        return group

    def leave(self, group: Group) -> None:
        """Remove a group now, or with the next sweep if the kernel is not done with it."""
        if not group.remove():
            self._leaving.append(group)

    def sweep(self) -> None:
        """Try again to remove what could not be removed."""
        self._leaving = [group for group in self._leaving if not group.remove()]

    def close(self) -> bool:
        """Remove the daemon's part; False if a group is still busy."""
        self.sweep()
        for base in dict.fromkeys(self._bases.values()):
            try:
                base.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
        return True


def _set_limit(path: Path, controller: str, version: str, limits: CellLimits) -> None:
    # Files on the cell's tmpfs are memory too, so both are paid from one purse.
    memory = limits.memory_bytes + limits.disk_bytes
    quota = int(limits.cpu_cores * _PERIOD_US)
    match controller, version:
        case "memory", "v2":
            _write(path / "memory.max", memory)
            _write(path / "memory.oom.group", 1)
            if (path / "memory.swap.max").exists():
                _write(path / "memory.swap.max", 0)
        case "memory", _:
            _write(path / "memory.limit_in_bytes", memory)
            if (path / "memory.memsw.limit_in_bytes").exists():
                _write(path / "memory.memsw.limit_in_bytes", memory)
        case "cpu", "v2":
            _write(path / "cpu.max", f"{quota} {_PERIOD_US}")
        case "cpu", _:
            _write(path / "cpu.cfs_period_us", _PERIOD_US)
            _write(path / "cpu.cfs_quota_us", quota)
        case _:
            _write(path / "pids.max", limits.threads)


def _sweep(parent: Path) -> None:
    """Remove what daemons that were killed left behind: empty groups named after processes that are gone."""
    for base in parent.glob(f"{_PREFIX}*-*"):
        pid = base.name.removeprefix(_PREFIX).split("-")[0]
        if not pid.isdigit() or Path("/proc", pid).exists():
            continue
        try:  # another daemon may be sweeping too: what is gone is gone
            for path in (*(child for child in base.iterdir() if child.is_dir()), base):
                path.rmdir()
        except OSError:
            continue
