"""What the attempts of the tests share: system calls by number, and a short way to write an attempt.

The modules of attempts are loaded on both sides of the wall, like `sandbox.attempts`: see
`battery.image`.
"""

import ctypes
import platform
from typing import Any

from sandbox.attempts import Table, first_escape, syscall_number

MIB = 1 << 20
MORE = Table()
attempt = MORE.attempt
X86 = platform.machine() == "x86_64"
# Called by number because libc has no wrapper. Numbers of x86-64; elsewhere these attempts are not made.
N = {
    "getsockopt": 55, "clone": 56, "vfork": 58, "shmget": 29, "semget": 64, "msgget": 68, "mknod": 133,
    "modify_ldt": 154, "pivot_root": 155, "prctl": 157, "adjtimex": 159, "acct": 163, "umount2": 166,
    "swapon": 167, "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173,
    "delete_module": 176, "quotactl": 179, "setxattr": 188, "mq_open": 240, "kexec_load": 246, "add_key": 248,
    "request_key": 249, "ioprio_set": 251, "splice": 275, "vmsplice": 278, "fanotify_init": 300,
    "name_to_handle_at": 303, "clock_adjtime": 305, "process_vm_writev": 311, "kcmp": 312,
    "finit_module": 313, "sched_setattr": 314, "seccomp": 317, "execveat": 322, "pkey_mprotect": 329,
    "io_uring_enter": 426, "io_uring_register": 427, "move_mount": 429, "fsconfig": 431, "fsmount": 432,
    "fspick": 433, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "memfd_secret": 447,
    "capset": 126, "vhangup": 153, "syslog": 103, "inotify_init1": 294, "migrate_pages": 256, "setns": 308,
    "userfaultfd": 323, "mlock": 149, "clock_settime": 227, "lookup_dcookie": 212, "kexec_file_load": 320,
    "chroot": 161, "sched_setaffinity": 203, "remap_file_pages": 216, "quotactl_fd": 443, "open_tree": 428,
    "landlock_restrict_self": 446, "cachestat": 451, "statmount": 457, "listmount": 458, "setrlimit": 160,
}  # fmt: skip


def call(name: str, *arguments: object) -> int:
    return syscall_number(N[name], *arguments)


def blank(size: int = 256) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(size)


def simple(layer: str, name: str, *actions: Any, lethal: bool = False) -> None:
    """An attempt that is one or several calls without targets."""

    def act(_: dict[str, Any]) -> str:
        return first_escape(*actions)

    act.__name__ = name
    attempt(layer, lethal=lethal)(act)


PAGE = blank(8192)
