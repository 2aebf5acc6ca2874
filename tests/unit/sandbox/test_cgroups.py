"""The choice among control groups, on made-up trees: plain directories that stand for the kernel's."""

import os
from pathlib import Path

import pytest

from sandbox import CellLimits
from sandbox.cgroups import Cgroups

LIMITS = CellLimits(memory_bytes=64 << 20, disk_bytes=1 << 20, cpu_cores=0.5, threads=9)


class Host:
    """A /proc/self and cgroup mounts in a temporary directory."""

    def __init__(self, root: Path) -> None:
        self.proc = root / "proc"
        self.proc.mkdir()
        self.mount = root / "cgroup"
        self.mount.mkdir()
        self._mountinfo = ""
        self._cgroup = ""

    def version_2(self, own: str, controllers: str, *, is_root: bool = False) -> Path:
        group = self.mount / own.lstrip("/")
        group.mkdir(parents=True, exist_ok=True)
        (group / "cgroup.controllers").write_text(controllers)
        (group / "cgroup.subtree_control").write_text("")
        if not is_root:
            (group / "cgroup.type").write_text("domain")
        self._mountinfo += f"1 0 0:1 / {self.mount} rw - cgroup2 cgroup2 rw\n"
        self._cgroup += f"0::{own}\n"
        return group

    def version_1(self, controller: str, own: str) -> Path:
        mount = self.mount / controller
        (mount / own.lstrip("/")).mkdir(parents=True)
        self._mountinfo += f"1 0 0:1 / {mount} rw - cgroup cgroup rw,{controller}\n"
        self._cgroup += f"5:{controller}:{own}\n"
        return mount / own.lstrip("/")

    def open(self) -> Cgroups:
        (self.proc / "mountinfo").write_text(self._mountinfo)
        (self.proc / "cgroup").write_text(self._cgroup)
        return Cgroups(self.proc)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_version_2_is_used_below_the_own_group_after_leaving_it(host: Host) -> None:
    own = host.version_2("/system.slice/swarm.service", "cpuset cpu io memory pids")
    cgroups = host.open()
    assert cgroups.versions == {"memory": "v2", "cpu": "v2", "pids": "v2"}
    assert cgroups.missing == []
    # A group that hands controllers on may hold no process, so the daemon has moved into a leaf.
    assert (own / "cells-daemon" / "cgroup.procs").read_text() == str(os.getpid())
    assert (own / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    group = cgroups.create("cell-1", LIMITS)
    (path,) = set(group.directories.values())
    assert path.parent.parent == own
    assert (path / "memory.max").read_text() == str(65 << 20)
    assert (path / "cpu.max").read_text() == "50000 100000"
    assert (path / "pids.max").read_text() == "9"


def test_a_second_warden_of_the_process_finds_the_group_it_came_from(host: Host) -> None:
    own = host.version_2("/swarm", "memory")
    host.open()
    host._cgroup = "0::/swarm/cells-daemon\n"
    second = host.open()
    assert second.versions["memory"] == "v2"
    assert second.create("cell-1", LIMITS).directories["memory"].parent.parent == own


def test_version_1_is_used_where_version_2_has_no_controllers(host: Host) -> None:
    host.version_2("/", "hugetlb", is_root=True)
    memory, cpu = host.version_1("memory", "/box"), host.version_1("cpu", "/")
    cgroups = host.open()
    assert cgroups.versions == {"memory": "v1", "cpu": "v1"}
    assert [missing.layer for missing in cgroups.missing] == ["cgroup.pids"]
    assert "Delegate" in cgroups.missing[0].remedy
    group = cgroups.create("cell-1", LIMITS)
    assert group.directories["memory"].parent.parent == memory
    assert (group.directories["memory"] / "memory.limit_in_bytes").read_text() == str(65 << 20)
    assert group.directories["cpu"].parent.parent == cpu
    assert (group.directories["cpu"] / "cpu.cfs_quota_us").read_text() == "50000"


def test_a_host_without_any_says_so_for_each_controller(host: Host) -> None:
    cgroups = host.open()
    assert cgroups.versions == {}
    assert [missing.layer for missing in cgroups.missing] == ["cgroup.memory", "cgroup.cpu", "cgroup.pids"]
    group = cgroups.create("cell-1", LIMITS)
    assert group.open_procs() == []
    assert group.memory_peak_bytes() is None
    assert group.oom_kills() == 0


def test_what_a_killed_daemon_left_behind_is_swept(host: Host) -> None:
    own = host.version_1("memory", "/box")
    (own / "cells-4194305-abcdef" / "cell-1").mkdir(parents=True)  # above the largest process id
    alive = own / f"cells-{os.getpid()}-abcdef"
    alive.mkdir()
    host.open()
    assert not (own / "cells-4194305-abcdef").exists()
    assert alive.exists()


def test_peak_and_kills_are_read_from_either_version(host: Host) -> None:
    host.version_1("memory", "/")
    group = host.open().create("cell-1", LIMITS)
    path = group.directories["memory"]
    (path / "memory.max_usage_in_bytes").write_text("12345\n")
    (path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert (group.memory_peak_bytes(), group.oom_kills()) == (12345, 2)
    (path / "memory.peak").write_text("99\n")
    (path / "memory.events").write_text("low 0\nhigh 0\noom_kill 1\n")
    assert (group.memory_peak_bytes(), group.oom_kills()) == (99, 1)
