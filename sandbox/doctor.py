"""Why a host refuses a layer, in words an operator can act on. Reads settings, changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

_CAP_SYS_ADMIN = 21
_ALL_IDS = "4294967295"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def causes() -> list[tuple[str, str]]:
    """Known causes found on this host, each with its remedy."""
    found = []
    status = dict(line.split(":\t", 1) for line in _read("/proc/self/status").splitlines() if ":\t" in line)
    root = os.geteuid() == 0
    if _read("/proc/sys/user/max_user_namespaces") == "0":
        found.append(("user namespaces are switched off", "sysctl -w user.max_user_namespaces=65536"))
    if not root and _read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        found.append(
            (
                "users may make no user namespaces",
                "sysctl -w kernel.unprivileged_userns_clone=1, or run as root",
            )
        )
    if not root and _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        found.append(
            (
                "AppArmor restricts user namespaces",
                "install an AppArmor profile with the rule `userns,` for this interpreter, or run as root",
            )
        )
    if status.get("Seccomp") == "2":
        found.append(
            (
                "this process is under a seccomp filter, as in a container",
                "allow unshare, mount, pivot_root and setns in its seccomp profile, or run on the host",
            )
        )
    if root and not int(status.get("CapEff", "0"), 16) >> _CAP_SYS_ADMIN & 1:
        found.append(
            ("root here lacks CAP_SYS_ADMIN", "add the capability SYS_ADMIN to the container or unit")
        )
    if root and _read("/proc/self/uid_map").split()[-1:] != [_ALL_IDS]:
        found.append(
            (
                "root here is root of a user namespace only",
                "run the daemon outside it, or give it 65536 more ids",
            )
        )
    if _is_chroot():
        found.append(
            ("this process runs in a chroot", "run it outside; a chroot may make no user namespaces")
        )
    return found


def advice() -> str:
    """The causes and remedies as one sentence; empty if none is known."""
    return "; ".join(f"{cause}: {remedy}" for cause, remedy in causes())


def _is_chroot() -> bool:
    try:
        ours, real = Path("/").stat(), Path("/proc/1/root").stat()
    except OSError:
        return False
    return (ours.st_ino, ours.st_dev) != (real.st_ino, real.st_dev)
