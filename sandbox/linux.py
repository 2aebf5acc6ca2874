"""The Linux calls a cell is made of, through libc's `syscall` and nothing else.

Python 3.11 has no unshare, mount, pivot_root, capset or seccomp. Numbers below 424 differ between
architectures and are given for the two we ship; newer ones are the same everywhere. `os.fork` stays the
way to fork: a raw clone would skip CPython's and glibc's own handlers.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from typing import Final

MACHINE: Final = platform.machine()
_NUMBERS: Final = {
    "x86_64": {"pivot_root": 155, "capset": 126, "mount": 165, "umount2": 166, "unshare": 272, "setns": 308},
    "aarch64": {"pivot_root": 41, "capset": 91, "mount": 40, "umount2": 39, "unshare": 97, "setns": 268},
}
_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}
_EVERYWHERE: Final = {
    "open_tree": 428,
    "move_mount": 429,
    "close_range": 436,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}

CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REC_PRIVATE = 0x4000 | 1 << 18
MNT_DETACH = 2
MOUNT_ATTR_RDONLY = 1
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_NODEV = 4
MOUNT_ATTR_NOEXEC = 8

_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_OPEN_TREE_CLONE: Final = 1
_MOVE_MOUNT_F_EMPTY_PATH: Final = 4

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_SET_MDWE = 65

_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITY_LAST: Final = 63
# NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE on, KEEP_CAPS off, and all four locked.
_SECUREBITS: Final = 0b11101111
_SECCOMP_SET_MODE_FILTER: Final = 1
_BPF_INSTRUCTION_BYTES: Final = 8

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def is_supported() -> bool:
    """Whether the numbers of this machine's system calls are known here."""
    return MACHINE in _NUMBERS


def call(name: str, *arguments: object) -> int:
    """Make a system call; raises `OSError` named after it. Integers go as C long, bytes as pointers."""
    number = _EVERYWHERE.get(name)
    if number is None:
        number = _SECCOMP[MACHINE] if name == "seccomp" else _NUMBERS[MACHINE][name]
    converted = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *converted))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def prctl(option: int, value: int = 0, forgive: tuple[int, ...] = ()) -> int:
    """Set an attribute of this process; returns the errno for those in `forgive`, 0 on success."""
    zeros = [ctypes.c_ulong(0)] * 3
    if _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), *zeros) >= 0:
        return 0
    code = ctypes.get_errno()
    if code in forgive:
        return code
    raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def trim_heap() -> None:
    """Give freed memory back to the kernel, where the C library can."""
    if trim := getattr(_libc, "malloc_trim", None):
        trim(ctypes.c_size_t(0))


def unshare(flags: int) -> None:
    call("unshare", flags)


def setns(descriptor: int, flags: int) -> None:
    call("setns", descriptor, flags)


def close_range(first: int, last: int) -> None:
    call("close_range", first, last, 0)


def mount(source: str, target: str, filesystem: str, flags: int, data: str = "") -> None:
    call("mount", source.encode(), target.encode(), filesystem.encode(), flags, data.encode())


def make_mounts_private() -> None:
    """Stop mount events from crossing between this namespace and the one it was copied from."""
    call("mount", b"none", b"/", None, MS_REC_PRIVATE, None)


def clone_mount(path: str) -> int:
    """A detached copy of the mount tree at `path`, as a descriptor: later mounts cannot hide it."""
    flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC
    return call("open_tree", _AT_FDCWD, os.fsencode(path), flags)


def attach_mount(tree: int, target: str) -> None:
    call("move_mount", tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)


def restrict_mount(path: str, attributes: int, *, recursive: bool = True) -> None:
    """Add attributes such as read-only to a mount and, usually, all below it."""
    sized = struct.pack("QQQQ", attributes, 0, 0, 0)
    call("mount_setattr", _AT_FDCWD, os.fsencode(path), _AT_RECURSIVE if recursive else 0, sized, len(sized))


def restrict_tree(tree: int, attributes: int) -> None:
    """The same for a detached tree."""
    sized = struct.pack("QQQQ", attributes, 0, 0, 0)
    call("mount_setattr", tree, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, sized, len(sized))


def enter_root(path: str) -> None:
    """Make `path` the root and let go of everything that was there before."""
    os.chdir(path)
    call("pivot_root", b".", b".")
    call("umount2", b".", MNT_DETACH)
    os.chdir("/")


def drop_capabilities() -> None:
    """Empty every capability set and lock the doors to getting one back."""
    zeros = [ctypes.c_ulong(0)] * 3
    _libc.prctl(ctypes.c_int(PR_CAP_AMBIENT), ctypes.c_ulong(_CAP_AMBIENT_CLEAR_ALL), *zeros)
    for capability in range(_CAPABILITY_LAST + 1):
        # EPERM: already without CAP_SETPCAP, so without anything to drop. EINVAL: past the last one.
        if prctl(PR_CAPBSET_DROP, capability, forgive=(errno.EPERM, errno.EINVAL)) == errno.EINVAL:
            break
    prctl(PR_SET_SECUREBITS, _SECUREBITS, forgive=(errno.EPERM,))
    call("capset", struct.pack("Ii", 0x20080522, 0), struct.pack("6I", 0, 0, 0, 0, 0, 0))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def load_seccomp(program: bytes) -> None:
    """Put this process, which must be single-threaded, under a compiled filter for good."""
    if not program or len(program) % _BPF_INSTRUCTION_BYTES:
        raise ValueError(f"{len(program)} bytes are no BPF program")
    storage = ctypes.create_string_buffer(program, len(program))
    header = _Program(len(program) // _BPF_INSTRUCTION_BYTES, ctypes.addressof(storage))
    call("seccomp", _SECCOMP_SET_MODE_FILTER, 0, ctypes.byref(header))
