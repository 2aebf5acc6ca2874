"""The file system a cell sees: the standard library, numpy, this package, three devices, and nothing else.

No /proc, no /sys, no /etc of the host, no home, no program. Sources are taken as detached mounts first,
so that it does not matter where they lie (below /tmp, below a home only root may enter), then a fresh
tmpfs becomes the root and they are put in at the same paths. Everything is read-only; `/cell` is where
each cell mounts its own scratch space.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sandbox import linux

WORK: Final = "/cell"
_TMP: Final = Path("/tmp")  # noqa: S108  (the cell's own, a link to its scratch space)
_STAGES: Final = ("/tmp", "/var/tmp", "/mnt", "/proc")  # noqa: S108  (a place to mount over, nothing is written there)
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/urandom")
_SOURCE: Final = linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NODEV
_DEVICE: Final = linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NOEXEC
_PACKAGES: Final = ("site-packages", "dist-packages")
_ROOT_OPTIONS: Final = "mode=0755,size=2m,nr_inodes=4096"
_USER_ID: Final = 1000


def build(sources: Sequence[str], *, may_execute: bool) -> None:
    """Replace this process's root by one that holds only `sources`; needs its own mount namespace."""
    linux.make_mounts_private()
    trees = {path: _take(path, _SOURCE) for path in sources if Path(path).exists()}
    devices = {path: _take(path, _DEVICE) for path in _DEVICES if Path(path).exists()}
    stage = next(path for path in _STAGES if Path(path).is_dir())
    linux.mount("tmpfs", stage, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, _ROOT_OPTIONS)
    linux.enter_root(stage)
    # Outer paths before inner ones, or a mount would hide what was put there.
    for path in sorted(trees):
        _attach(trees[path], path)
        for packages in _PACKAGES:
            _cover(f"{path}/{packages}", trees)
    for path, tree in devices.items():
        _attach(tree, path)
    _write("/etc/passwd", f"agent:x:{_USER_ID}:{_USER_ID}::{WORK}:/nonexistent\n")
    _write("/etc/group", f"agent:x:{_USER_ID}:\n")
    Path(WORK).mkdir(0o700)
    if not _TMP.exists():
        _TMP.symlink_to(WORK)
    attributes = linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NOSUID
    linux.restrict_mount("/", attributes if may_execute else attributes | linux.MOUNT_ATTR_NOEXEC)


def _take(path: str, attributes: int) -> int:
    """A detached copy of a mount, restricted before anything can be done through it."""
    tree = linux.clone_mount(path)
    linux.restrict_tree(tree, attributes)
    return tree


def _attach(tree: int, path: str) -> None:
    target = Path(path)
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        target.mkdir(0o755, parents=True, exist_ok=True)
    elif not target.exists():
        _write(path, "")
    linux.attach_mount(tree, path)
    os.close(tree)


def _cover(path: str, trees: dict[str, int]) -> None:
    """Hide packages that happen to lie inside the standard library, except those asked for."""
    if path in trees or not Path(path).is_dir():
        return
    linux.mount("tmpfs", path, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, _ROOT_OPTIONS)


def _write(path: str, text: str) -> None:
    file = Path(path)
    file.parent.mkdir(0o755, parents=True, exist_ok=True)
    file.write_text(text, encoding="ascii")
    file.chmod(0o644)
