"""What a freshly forked cell does to itself before it may see an agent. Any step that fails ends the cell.

The order is the design; each step relies on those before it:
1. join the control groups, so that nothing is ever done outside the limits;
2. close every descriptor but the channel, the output pipe and the handle on /proc;
3. take new namespaces, owned by the zygote's user namespace, and mount the scratch space in them;
4. set the rlimits, become a user id of its own, and only then enter a user namespace of its own:
   whatever power the cell has in that one reaches none of its mounts or its network;
5. limit processes inside that namespace, where the kernel counts them for this cell alone;
6. give up privileges for good, then Landlock, then seccomp, which forbids all of the above.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sandbox import landlock, linux
from sandbox.rootfs import WORK
from sandbox.spec import INPUT_PIECES_MAX, PIECE_BYTES_MAX

INSIDE_ID: Final = 1000  # who a cell is, seen from inside
_INODES_PER_MIB: Final = 16
_INODES_MIN: Final = 256
_STACK_BYTES: Final = 8 << 20
THREAD_STACK_BYTES: Final = 1 << 20  # they are paid from the memory limit in advance
_SLACK_BYTES: Final = 128 << 20  # allocator arenas and the like, which are address space and not memory
_WASM_SPACE_BYTES: Final = (
    24 << 30
)  # wasmtime reserves 4 GiB and more for each memory, and touches almost none
_SIGNALS_QUEUED_MAX: Final = 64
_DESCRIPTOR_LAST: Final = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Order:
    """One cell to be made, as the daemon asks the zygote for it."""

    serial: int
    tier: str
    profile: str
    user_id: int  # inside the zygote's namespace; -1: stay who we are
    memory_bytes: int
    cpu_cores: float
    disk_bytes: int
    wall_ms: int
    output_bytes: int
    open_files: int
    threads: int

    @classmethod
    def from_json(cls, text: bytes) -> Order:
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Base:
    """What the zygote prepared once for all its cells."""

    proc: int  # a descriptor of /proc, -1 in the reduced tier
    program: bytes  # the seccomp filter
    tight_program: bytes  # put on top once the agent is loaded; empty for none
    readable: tuple[str, ...]  # the only paths of the reduced tier
    space_bytes: int  # address space and data of the zygote itself, which the cell inherits
    data_bytes: int


class LockdownError(Exception):
    """A layer could not be applied; the cell must end."""

    def __init__(self, layer: str, cause: BaseException) -> None:
        super().__init__(f"{layer}: {cause}")
        self.layer = layer


def lock_down(order: Order, base: Base, channel: int, output: int, groups: list[int]) -> list[str]:
    """Apply every layer of the order's tier; returns their names."""
    separate = order.tier != "reduced"
    steps: list[tuple[str, Callable[[], None]]] = [
        ("cgroup", lambda: _join_groups(groups)),
        ("descriptors", lambda: _keep_descriptors(channel, output, base.proc)),
        ("session", lambda: _leave_session(order.profile)),
    ]
    if separate:
        steps += [
            ("namespaces", _enter_namespaces),
            ("scratch", lambda: _mount_scratch(order.disk_bytes)),
        ]
    steps += [
        ("rlimits", lambda: _limit_resources(order, base)),
        ("user", lambda: _become(order)),
    ]
    if separate:
        steps.append(("user_namespace", lambda: _enter_user_namespace(base.proc, order.user_id)))
    if separate or order.user_id >= 0:
        # Counted per user and user namespace: a cell with neither of its own would share it with the daemon.
        steps.append(
            ("processes", lambda: resource.setrlimit(resource.RLIMIT_NPROC, (order.threads, order.threads)))
        )
    steps.append(("privileges", lambda: _drop_privileges(base.proc)))
    if order.profile != "wasm":
        steps.append(("mdwe", deny_executable_memory))
    steps += [
        ("landlock", lambda: _restrict_files(order, base)),
        ("seccomp", lambda: linux.load_seccomp(base.program)),
    ]
    for layer, step in steps:
        try:
            step()
        except Exception as error:
            raise LockdownError(layer, error) from error
    return [layer for layer, _ in steps]


def tighten(base: Base) -> None:
    """After a wasm agent is compiled: no more executable memory, no more of what compiling needed."""
    if base.tight_program:
        deny_executable_memory()
        linux.load_seccomp(base.tight_program)


def deny_executable_memory() -> None:
    """Memory that was writable can never become executable. Kernels before 6.3 leave this to seccomp."""
    linux.prctl(linux.PR_SET_MDWE, 1, forgive=(errno.EINVAL,))


def _join_groups(groups: list[int]) -> None:
    for descriptor in groups:
        os.write(descriptor, b"0")
        os.close(descriptor)


def _keep_descriptors(channel: int, output: int, proc: int) -> None:
    os.dup2(output, 1)
    os.dup2(output, 2)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    first = 3
    for keep in sorted({channel, proc} - {-1}):
        if first < keep:
            linux.close_range(first, keep - 1)
        first = keep + 1
    linux.close_range(first, _DESCRIPTOR_LAST)


_FAULTS: Final = frozenset({signal.SIGILL, signal.SIGFPE, signal.SIGSEGV, signal.SIGBUS})


def _leave_session(profile: str) -> None:
    # wasmtime's handlers, set by the zygote's engine, turn the faults of a module into traps.
    kept = _FAULTS if profile == "wasm" else frozenset()
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP} - kept:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.setsid()  # no controlling terminal
    os.umask(0o077)


def _enter_namespaces() -> None:
    # The pid namespace was made by the zygote; the user namespace comes later, by design.
    linux.unshare(
        linux.CLONE_NEWNS
        | linux.CLONE_NEWIPC
        | linux.CLONE_NEWUTS
        | linux.CLONE_NEWCGROUP
        | linux.CLONE_NEWNET
    )


def _mount_scratch(disk_bytes: int) -> None:
    inodes = max(_INODES_MIN, _INODES_PER_MIB * (disk_bytes >> 20))
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    linux.mount("tmpfs", WORK, "tmpfs", flags, f"mode=1777,size={disk_bytes},nr_inodes={inodes}")
    os.chdir(WORK)


def _limit_resources(order: Order, base: Base) -> None:
    space = base.space_bytes + order.memory_bytes + order.threads * THREAD_STACK_BYTES + _SLACK_BYTES
    space += (INPUT_PIECES_MAX + 1) * PIECE_BYTES_MAX  # which no other limit counts
    if order.profile == "wasm":
        space += _WASM_SPACE_BYTES
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_RTPRIO, 0),
        (resource.RLIMIT_NICE, 0),
        (resource.RLIMIT_SIGPENDING, _SIGNALS_QUEUED_MAX),
        (resource.RLIMIT_NOFILE, order.open_files),
        (resource.RLIMIT_FSIZE, order.disk_bytes),
        (resource.RLIMIT_STACK, _STACK_BYTES),
        # Private writable memory is what this limits, and the filter allows no other kind without a file.
        (resource.RLIMIT_DATA, base.data_bytes + order.memory_bytes),
        (resource.RLIMIT_AS, space),
    ):
        resource.setrlimit(kind, (value, value))


def _become(order: Order) -> None:
    if order.user_id < 0:
        return
    os.setgroups([])
    os.setresgid(order.user_id, order.user_id, order.user_id)
    os.setresuid(order.user_id, order.user_id, order.user_id)
    linux.prctl(linux.PR_SET_DUMPABLE, 1)  # or /proc/self/uid_map would not be ours to write


def map_ids(proc: int, inside: int, outside_user: int, outside_group: int) -> None:
    """Give the user namespace just entered its single user and group."""
    write_proc(proc, "self/setgroups", "deny")
    write_proc(proc, "self/uid_map", f"{inside} {outside_user} 1")
    write_proc(proc, "self/gid_map", f"{inside} {outside_group} 1")


def write_proc(proc: int, name: str, text: str) -> None:
    """Write a file below the /proc that `proc` is a descriptor of."""
    descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def read_proc(proc: int, name: str) -> str:
    """Read a small file below the /proc that `proc` is a descriptor of."""
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        return os.read(descriptor, 1 << 16).decode()
    finally:
        os.close(descriptor)


def _enter_user_namespace(proc: int, user_id: int) -> None:
    outside = max(user_id, 0)  # without a range of ids, the zygote's namespace knows only 0
    linux.unshare(linux.CLONE_NEWUSER)
    map_ids(proc, INSIDE_ID, outside, outside)
    try:
        write_proc(proc, "sys/user/max_user_namespaces", "0")  # a second lock behind seccomp
    except OSError as error:
        if error.errno not in {errno.EROFS, errno.EACCES, errno.ENOENT, errno.EPERM}:
            raise


def _drop_privileges(proc: int) -> None:
    if proc >= 0:
        os.close(proc)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.drop_capabilities()
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    # Changing ids cleared this, so it is set last. In a pid namespace we die with the zygote anyway.
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)


def _restrict_files(order: Order, base: Base) -> None:
    if order.tier == "reduced":
        readable, writable = [*base.readable, "/dev/zero", "/dev/urandom"], ["/dev/null"]
    else:
        readable, writable = ["/"], [WORK, "/dev/null"]
    landlock.restrict(readable, writable, may_execute=order.profile == "native")


def memory_of_self(proc: int) -> tuple[int, int]:
    """Address space and data of this process, in bytes."""
    pages = os.sysconf("SC_PAGE_SIZE")
    fields = read_proc(proc, "self/statm").split()
    return int(fields[0]) * pages, int(fields[5]) * pages


def id_range(first: int, count: int) -> str:
    """A line for uid_map that maps 0 and up onto a range of host ids."""
    return f"0 {first} {count}"
