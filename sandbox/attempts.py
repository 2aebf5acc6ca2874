"""Hostile acts, each tried for real from inside a throw-away cell.

This module is loaded on both sides of the wall: the daemon reads the table of attempts, and the cell's
agent makes them, so it imports nothing but the standard library. An attempt answers with one line:
`denied` and the errno, `contained` and how far it got, or `ESCAPED` and what it reached. A lethal one
is expected not to answer at all: the kernel kills the cell with SIGSYS.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, TypeAlias

ESCAPED: Final = "ESCAPED"
ALL_TIERS: Final = ("root", "user", "reduced")
OWN_VIEW: Final = ("root", "user")  # tiers with a file system and names of their own
_MIB: Final = 1 << 20
_STEPS_MAX: Final = 4096  # of any bomb: far above every limit, and an end where there is none

NUMBERS: Final = {
    "x86_64": {
        "mmap": 9, "mprotect": 10, "ptrace": 101, "personality": 135, "mount": 165, "init_module": 175,
        "keyctl": 250, "unshare": 272, "perf_event_open": 298, "open_by_handle_at": 304, "setns": 308,
        "process_vm_readv": 310, "bpf": 321, "userfaultfd": 323, "memfd_create": 319, "prlimit64": 302,
    },
    "aarch64": {
        "mmap": 222, "mprotect": 226, "ptrace": 117, "personality": 92, "mount": 40, "init_module": 105,
        "keyctl": 219, "unshare": 97, "perf_event_open": 241, "open_by_handle_at": 265, "setns": 268,
        "process_vm_readv": 270, "bpf": 280, "userfaultfd": 282, "memfd_create": 279, "prlimit64": 261,
    },
}  # fmt: skip
EVERYWHERE: Final = {
    "io_uring_setup": 425, "pidfd_open": 434, "open_tree": 428, "clone3": 435, "fsopen": 430,
    "landlock_create_ruleset": 444,
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


@dataclass(frozen=True, slots=True)
class Attempt:
    """One hostile act, the layer that must stop it, and the tiers in which it must."""

    name: str
    layer: str
    act: Callable[[dict[str, Any]], str]
    lethal: bool
    tiers: tuple[str, ...]


Act: TypeAlias = Callable[[dict[str, Any]], str]


class Table(dict[str, Attempt]):
    """Attempts by name."""

    def attempt(
        self, layer: str, *, lethal: bool = False, tiers: tuple[str, ...] = ALL_TIERS
    ) -> Callable[[Act], Act]:
        """Put a function into the table under its own name."""

        def register(act: Act) -> Act:
            self[act.__name__] = Attempt(act.__name__, layer, act, lethal, tiers)
            return act

        return register


ATTEMPTS: Final = Table()
attempt = ATTEMPTS.attempt


def name_of(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error))


def outcome(action: Callable[[], object]) -> str:
    """Do it, and say whether the kernel let us."""
    try:
        result = action()
    except OSError as error:
        return f"denied {name_of(error)}"
    except (MemoryError, ValueError, RuntimeError, ImportError) as error:
        return f"denied {type(error).__name__}: {error}"
    return f"{ESCAPED} {result}"


def first_escape(*actions: Callable[[], object]) -> str:
    """Several ways to the same goal: one that works is enough."""
    found = [outcome(action) for action in actions]
    return next((line for line in found if line.startswith(ESCAPED)), ", ".join(dict.fromkeys(found)))


def syscall(name: str, *arguments: object) -> int:
    """A raw system call by name; integers go as C long."""
    number = EVERYWHERE.get(name) or NUMBERS[platform.machine()][name]
    return syscall_number(number, *arguments)


def syscall_number(number: int, *arguments: object) -> int:
    converted = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *converted))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


# -- network ------------------------------------------------------------------------------------------------


@attempt("network")
def make_a_socket_of_any_family(_: dict[str, Any]) -> str:
    families = (
        (2, 1),
        (10, 2),
        (1, 1),
        (16, 3),
        (17, 3),
        (38, 5),
        (40, 1),
    )  # inet inet6 unix netlink packet alg vsock
    return first_escape(*(lambda f=f, t=t: socket.socket(f, t) for f, t in families))


@attempt("network")
def connect_to_the_host(targets: dict[str, Any]) -> str:
    def connect() -> str:
        with socket.socket() as client:
            client.connect(("127.0.0.1", targets.get("port", 1)))
            return "connected"

    return outcome(connect)


# -- files --------------------------------------------------------------------------------------------------


@attempt("filesystem")
def read_a_file_of_the_host(targets: dict[str, Any]) -> str:
    return outcome(lambda: Path(targets["file"]).read_bytes()[:20])


@attempt("filesystem", tiers=OWN_VIEW)
def see_a_file_of_the_host(targets: dict[str, Any]) -> str:
    return outcome(lambda: Path(targets["file"]).stat())


@attempt("filesystem")
def read_processes_and_kernel_settings(_: dict[str, Any]) -> str:
    return first_escape(
        *(
            lambda path=path: list(Path(path).iterdir())
            for path in ("/proc", "/proc/self/fd", "/sys", "/proc/1/root")
        )
    )


@attempt("filesystem")
def write_outside_the_scratch_space(_: dict[str, Any]) -> str:
    def write(place: str) -> str:
        path = Path(place, f"evil-{os.getpid()}")
        path.write_bytes(b"")
        path.unlink()
        return place

    places = ("/", "/dev", "/etc", str(Path(os.__file__).parent))
    return first_escape(*(lambda place=place: write(place) for place in places))


# -- other processes ----------------------------------------------------------------------------------------


@attempt("processes")
def fork(_: dict[str, Any]) -> str:
    def act() -> str:
        if os.fork() == 0:
            os._exit(0)
        return "forked"

    return outcome(act)


@attempt("processes")
def run_a_program(targets: dict[str, Any]) -> str:
    return outcome(lambda: os.execv(targets["file"], [targets["file"], "--version"]))  # noqa: S606  (meant)


@attempt("processes")
def signal_the_daemon(targets: dict[str, Any]) -> str:
    return outcome(lambda: os.kill(targets["pid"], 0))


@attempt("processes")
def get_a_handle_on_the_daemon(targets: dict[str, Any]) -> str:
    def from_channel() -> int:
        for descriptor in range(3, 64):
            try:
                with socket.socket(fileno=os.dup(descriptor)) as channel:
                    return channel.getsockopt(socket.SOL_SOCKET, 77)  # SO_PEERPIDFD
            except OSError as error:
                if error.errno not in {errno.EBADF, errno.ENOTSOCK}:
                    raise
        raise OSError(errno.ENOTSOCK, "no socket")

    return first_escape(lambda: syscall("pidfd_open", targets["pid"], 0), from_channel)


# -- privileges ---------------------------------------------------------------------------------------------


@attempt("privileges")
def become_somebody_else(_: dict[str, Any]) -> str:
    return first_escape(lambda: os.setuid(0), lambda: os.setgroups([0]), lambda: os.chroot("/"))


@attempt("privileges")
def raise_a_limit(_: dict[str, Any]) -> str:
    def act() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))

    return outcome(act)


@attempt("privileges")
def leave_the_rules_of_execution(_: dict[str, Any]) -> str:
    return outcome(lambda: syscall("personality", 0x0400000))  # READ_IMPLIES_EXEC


# -- memory that is code ------------------------------------------------------------------------------------


@attempt("executable_memory")
def make_memory_executable(_: dict[str, Any]) -> str:
    def write_then_execute() -> int:
        address = syscall("mmap", 0, 4096, 3, 0x22, -1, 0)
        return syscall("mprotect", address, 4096, 5)

    def memory_file() -> int:
        return syscall("mmap", 0, 4096, 5, 2, syscall("memfd_create", b"x", 0), 0)

    return first_escape(lambda: syscall("mmap", 0, 4096, 7, 0x22, -1, 0), write_then_execute, memory_file)


# -- descriptors --------------------------------------------------------------------------------------------


@attempt("descriptors")
def find_an_inherited_descriptor(_: dict[str, Any]) -> str:
    kinds = []
    for descriptor in range(3, 4096):
        try:
            kinds.append(os.fstat(descriptor).st_mode >> 12)
        except OSError:
            continue
    sockets = kinds.count(0o14)
    extra = [kind for kind in kinds if kind != 0o14]
    return f"{ESCAPED} {kinds}" if extra or sockets > 1 else "contained only the channel"


@attempt("descriptors")
def find_the_daemons_environment(targets: dict[str, Any]) -> str:
    secrets = [key for key in os.environ if key in targets.get("environment", ())]
    return f"{ESCAPED} {secrets}" if secrets else "contained nothing of it is here"


# -- names --------------------------------------------------------------------------------------------------


@attempt("namespaces", tiers=OWN_VIEW)
def learn_the_hosts_name(targets: dict[str, Any]) -> str:
    return (
        f"{ESCAPED} {os.uname().nodename}" if os.uname().nodename == targets["host"] else "contained own name"
    )


@attempt("namespaces", tiers=OWN_VIEW)
def be_numbered_like_the_host(_: dict[str, Any]) -> str:
    return "contained first of its namespace" if os.getpid() == 1 else f"{ESCAPED} pid {os.getpid()}"


# -- limits -------------------------------------------------------------------------------------------------


@attempt("memory")
def take_memory_without_end(targets: dict[str, Any]) -> str:
    taken: list[bytearray] = []
    limit = targets["memory_bytes"] + targets["disk_bytes"]
    try:
        while len(taken) * _MIB <= 2 * limit:
            taken.append(bytearray(_MIB))
    except MemoryError:
        size = len(taken)
        taken.clear()  # or there is none left to say it with
        return f"contained MemoryError after {size} MiB"
    return f"{ESCAPED} {len(taken)} MiB"


@attempt("threads", tiers=OWN_VIEW)
def start_threads_without_end(targets: dict[str, Any]) -> str:
    done = threading.Event()
    started: list[threading.Thread] = []
    try:
        while len(started) <= 2 * targets["threads"]:
            thread = threading.Thread(target=done.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:
        return f"contained after {len(started)} threads"
    finally:
        done.set()
        for thread in started:
            thread.join()
    return f"{ESCAPED} {len(started)} threads"


@attempt("disk")
def fill_the_disk(targets: dict[str, Any]) -> str:
    written, block = 0, bytes(64 << 10)
    names = [f"fill-{number}" for number in range(_STEPS_MAX)]
    made = []
    try:
        for name in names:
            with Path(name).open("wb", buffering=0) as file:
                made.append(name)
                for _ in range(4):
                    written += file.write(block)
            if written > 2 * targets["disk_bytes"]:
                return f"{ESCAPED} {written} bytes"
    except OSError as error:
        return f"contained {name_of(error)} after {written} bytes"
    finally:
        for name in made:
            Path(name).unlink()
    return f"{ESCAPED} {written} bytes"


@attempt("open_files")
def open_files_without_end(targets: dict[str, Any]) -> str:
    opened: list[int] = []
    try:
        while len(opened) <= 2 * targets["open_files"]:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        return f"contained {name_of(error)} after {len(opened)}"
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return f"{ESCAPED} {len(opened)} descriptors"


# -- calls no honest agent makes: each ends its cell --------------------------------------------------------


@attempt("syscalls", lethal=True)
def make_namespaces(_: dict[str, Any]) -> str:
    return outcome(lambda: syscall("unshare", 0x10000000))


@attempt("syscalls", lethal=True)
def mount_something(_: dict[str, Any]) -> str:
    return outcome(lambda: syscall("mount", b"x", b"/tmp", b"tmpfs", 0, 0))


@attempt("syscalls", lethal=True)
def trace_a_process(targets: dict[str, Any]) -> str:
    # PTRACE_SEIZE: unlike attaching, it would not stop the daemon if it worked
    return outcome(lambda: syscall("ptrace", 0x4206, targets["pid"], 0, 0))


@attempt("syscalls", lethal=True)
def use_io_uring(_: dict[str, Any]) -> str:
    return outcome(lambda: syscall("io_uring_setup", 8, ctypes.create_string_buffer(256)))


@attempt("syscalls", lethal=True)
def load_a_kernel_program(_: dict[str, Any]) -> str:
    return outcome(lambda: syscall("bpf", 0, ctypes.create_string_buffer(128), 128))


if platform.machine() == "x86_64":

    @attempt("syscalls", lethal=True)
    def use_another_call_table(_: dict[str, Any]) -> str:
        return outcome(lambda: syscall_number(0x40000000 | 39))  # getpid of the x32 table


class Agent:
    """What runs in the throw-away cell: one attempt per call."""

    table: ClassVar[Table] = ATTEMPTS

    def process_input(self, capability: str, inputs: dict[str, Any]) -> dict[str, str]:
        return {"outcome": self.table[capability].act(inputs["targets"])}
