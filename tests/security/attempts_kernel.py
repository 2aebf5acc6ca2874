"""Attempts to gain privileges, to use calls no agent needs, and to turn data into code."""

import ctypes
import os
import resource
import sys
from pathlib import Path
from typing import Any

from sandbox.attempts import (
    outcome,
    syscall,
    syscall_number,
)
from tests.security.attempts_common import PAGE, attempt, blank, call, simple

# -- privileges and priorities ------------------------------------------------------------------------------

simple("privileges", "become_root", lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setresuid(0, 0, 0))
simple(
    "privileges", "take_capabilities", lambda: call("capset", b"\x22\x05\x08\x20" + bytes(4), b"\xff" * 24)
)
simple("privileges", "be_dumpable_again", lambda: call("prctl", 4, 1, 0, 0, 0) or "dumpable")
simple("privileges", "outlive_its_parent", lambda: call("prctl", 1, 0, 0, 0, 0) or "no parent death signal")
simple("privileges", "invite_a_tracer", lambda: call("prctl", 0x59616D61, -1, 0, 0, 0) or "invited")
simple("privileges", "keep_capabilities", lambda: call("prctl", 8, 1, 0, 0, 0) or "kept")
simple("privileges", "own_a_subtree_of_processes", lambda: call("prctl", 36, 1, 0, 0, 0) or "subreaper")
simple("privileges", "allow_writable_code_again", lambda: call("prctl", 65, 0, 0, 0, 0) or "allowed")
simple("privileges", "run_in_real_time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
simple("privileges", "run_by_deadline", lambda: call("sched_setattr", 0, blank(48), 0))
simple("privileges", "take_priority", lambda: os.setpriority(os.PRIO_PROCESS, 0, -20))
simple("privileges", "take_disk_priority", lambda: call("ioprio_set", 1, 0, 4 << 13))
simple("privileges", "choose_processors", lambda: os.sched_setaffinity(0, {0}))
simple("privileges", "lock_memory", lambda: call("mlock", ctypes.addressof(PAGE), 4096) or "locked")
simple("privileges", "leave_its_session", os.setsid, lambda: os.setpgid(0, 0))
simple("privileges", "raise_every_limit", *(lambda n=n: _raise(n) for n in (0, 1, 2, 6, 7, 9, 13, 14)))
simple("privileges", "change_its_root", lambda: os.chroot("."))
simple(
    "privileges",
    "add_a_filter_of_its_own",
    lambda: call("seccomp", 1, 0, 0),
    lambda: call("seccomp", 1, 8, 0),
)
simple("privileges", "add_file_rules_of_its_own", lambda: syscall("landlock_create_ruleset", 0, 0, 1))


def _raise(kind: int) -> None:
    soft, hard = resource.getrlimit(kind)
    wanted = resource.RLIM_INFINITY if hard != resource.RLIM_INFINITY else hard
    if hard == resource.RLIM_INFINITY:
        raise PermissionError(1, "nothing to raise")
    resource.setrlimit(kind, (soft, wanted))


# -- the kernel ---------------------------------------------------------------------------------------------


def vmsplice() -> int:
    reading, writing = os.pipe()
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(PAGE), 4096)
    try:
        return call("vmsplice", writing, vector, 1, 0)
    finally:
        os.close(reading)
        os.close(writing)


simple("syscalls", "type_into_the_terminal", lambda: _ioctl(0x5412), lambda: _ioctl(0x541C))
simple(
    "syscalls", "type_with_high_bits", lambda: _ioctl(0x1_0000_5412), lambda: _ioctl(0x8000_0000_0000_5412)
)
simple("syscalls", "read_the_kernel_log", lambda: call("syslog", 3, blank(), 256))
simple(
    "syscalls",
    "set_the_clock",
    lambda: call("clock_settime", 0, blank(16)),
    lambda: call("adjtimex", blank(512)),
)
simple("syscalls", "splice_pages", vmsplice)
simple("syscalls", "share_memory_by_key", lambda: call("shmget", 0, 4096, 0o1600))
simple(
    "syscalls",
    "share_semaphores_and_messages",
    lambda: call("semget", 0, 1, 0o1600),
    lambda: call("msgget", 0, 0o1600),
)
simple("syscalls", "open_a_message_queue", lambda: call("mq_open", b"swarm-attempt", 0o102, 0o600, 0))
simple("syscalls", "make_secret_memory", lambda: call("memfd_secret", 0))
simple("syscalls", "advise_another_process", lambda: call("process_madvise", 99, 0, 0, 0, 0))
simple("syscalls", "move_pages_of_others", lambda: call("migrate_pages", 1, 1, blank(8), blank(8)))


def _ioctl(command: int) -> int:
    return syscall_number(16, 0, command, blank())


for name, arguments in (
    ("pivot_root", (b"/", b"/")), ("umount2", (b"/", 2)), ("move_mount", (-100, b"/", -100, b"/", 0)),
    ("fsconfig", (0, 0, 0, 0, 0)), ("fsmount", (0, 0, 0)), ("fspick", (-100, b"/", 0)),
    ("mount_setattr", (-100, b"/", 0, blank(32), 32)),
    ("name_to_handle_at", (-100, b"/", blank(), blank(8), 0)),
    ("add_key", (b"user", b"x", b"y", 1, -3)), ("request_key", (b"user", b"x", 0, -3)),
    ("io_uring_enter", (0, 0, 0, 0, 0)), ("io_uring_register", (0, 0, 0, 0)), ("finit_module", (0, b"", 0)),
    ("delete_module", (b"x", 0)), ("kexec_load", (0, 0, 0, 0)), ("kexec_file_load", (0, 0, 0, 0, 0)),
    ("reboot", (0, 0, 0, 0)), ("swapon", (b"x", 0)), ("acct", (0,)), ("quotactl", (0, 0, 0, 0)),
    ("quotactl_fd", (0, 0, 0, 0)), ("iopl", (3,)), ("ioperm", (0, 1, 1)), ("modify_ldt", (0, blank(), 256)),
    ("vhangup", ()), ("sethostname", (b"x", 1)), ("setdomainname", (b"x", 1)), ("kcmp", (1, 1, 0, 0, 0)),
    ("process_vm_writev", (1, blank(16), 0, blank(16), 0, 0)), ("lookup_dcookie", (0, blank(), 256)),
):  # fmt: skip
    simple("syscalls", f"call_{name}", lambda n=name, a=arguments: call(n, *a), lethal=True)
for name, arguments in (
    ("setns", (0, 0)), ("keyctl", (0, -3, 1)), ("perf_event_open", (blank(), 0, -1, -1, 0)),
    ("userfaultfd", (1,)), ("init_module", (0, 0, b"")), ("open_by_handle_at", (-100, blank(), 0)),
    ("open_tree", (-100, b"/", 1)), ("fsopen", (b"tmpfs", 0)),
):  # fmt: skip
    simple("syscalls", f"call_{name}", lambda n=name, a=arguments: syscall(n, *a), lethal=True)
for name, flag in (
    ("mount", 0x20000), ("network", 0x40000000), ("process", 0x20000000), ("host_name", 0x4000000),
    ("ipc", 0x8000000), ("cgroup", 0x2000000), ("time", 0x80),
):  # fmt: skip
    simple("syscalls", f"unshare_the_{name}_namespace", lambda f=flag: syscall("unshare", f), lethal=True)


@attempt("syscalls", lethal=True)
def read_the_memory_of_a_process(targets: dict[str, Any]) -> str:
    here = (ctypes.c_size_t * 2)(ctypes.addressof(PAGE), 8)
    there = (ctypes.c_size_t * 2)(targets["decoy_address"], 8)
    return outcome(lambda: syscall("process_vm_readv", targets["decoy"], here, 1, there, 1, 0))


@attempt("syscalls", lethal=True)
def ask_to_be_traced(_: dict[str, Any]) -> str:
    return outcome(lambda: syscall("ptrace", 0, 0, 0, 0))


# -- memory that is code ------------------------------------------------------------------------------------


def _map(protection: int, flags: int, descriptor: int = -1) -> int:
    return syscall("mmap", 0, 4096, protection, flags, descriptor, 0)


simple("executable_memory", "map_memory_writable_and_executable", lambda: _map(7, 0x22))
simple("executable_memory", "map_memory_executable", lambda: _map(5, 0x22))
simple("executable_memory", "map_shared_memory_executable", lambda: _map(5, 0x21))
simple(
    "executable_memory", "make_written_memory_executable", lambda: syscall("mprotect", _map(3, 0x22), 4096, 5)
)
simple(
    "executable_memory",
    "make_it_executable_with_a_key",
    lambda: call("pkey_mprotect", _map(3, 0x22), 4096, 5, -1),
)
simple(
    "executable_memory", "map_a_memory_file_executable", lambda: _map(5, 2, syscall("memfd_create", b"x", 0))
)


@attempt("executable_memory")
def load_a_library_it_wrote(_: dict[str, Any]) -> str:
    def act() -> object:
        library = Path(sys.modules["_ctypes"].__file__ or "")
        copy = Path("copy.so")
        copy.write_bytes(library.read_bytes())
        return ctypes.CDLL(str(copy.resolve()))

    return outcome(act)


@attempt("executable_memory")
def map_a_file_it_wrote_executable(_: dict[str, Any]) -> str:
    def act() -> int:
        Path("code").write_bytes(bytes(4096))
        descriptor = os.open("code", os.O_RDONLY)
        try:
            return _map(5, 2, descriptor)
        finally:
            os.close(descriptor)

    return outcome(act)
