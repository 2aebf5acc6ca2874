"""Attempts to take more than was given, and to learn what was not told."""

import array
import ctypes
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from sandbox.attempts import (
    ESCAPED,
    OWN_VIEW,
    name_of,
    outcome,
    syscall,
    syscall_number,
)
from tests.security.attempts_common import MIB, attempt, blank

# -- descriptors --------------------------------------------------------------------------------------------


@attempt("descriptors")
def get_a_handle_on_the_peer_of_the_channel(_: dict[str, Any]) -> str:
    left, right = socket.socketpair()
    with left, right:
        return outcome(lambda: left.getsockopt(socket.SOL_SOCKET, 77))


@attempt("descriptors")
def hide_memory_in_socket_buffers(targets: dict[str, Any]) -> str:
    kept: list[tuple[socket.socket, socket.socket]] = []
    try:
        while len(kept) <= targets["open_files"]:
            kept.append(socket.socketpair())
            kept[-1][0].setblocking(False)
            try:
                while True:
                    kept[-1][0].send(bytes(65536))
            except BlockingIOError:
                continue
    except OSError as error:
        return f"contained {name_of(error)} after {len(kept)} pairs"
    finally:
        for pair in kept:
            pair[0].close()
            pair[1].close()
    return f"{ESCAPED} {len(kept)} pairs"


@attempt("descriptors", tiers=OWN_VIEW)
def pass_descriptors_to_itself_without_end(targets: dict[str, Any]) -> str:
    """Descriptors in flight are not counted as open; the kernel bounds them by the same limit."""
    left, right = socket.socketpair()
    left.setblocking(False)
    sent = 0
    with left, right:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 8))]
        try:
            while sent <= 4 * targets["open_files"]:
                left.sendmsg([b"x"], ancillary)
                sent += 8
        except OSError as error:
            return f"contained {name_of(error)}"
    return f"{ESCAPED} {sent} in flight"


# -- limits -------------------------------------------------------------------------------------------------


MAP_PRIVATE_ANONYMOUS, MAP_SHARED_ANONYMOUS = 0x22, 0x21


@attempt("memory")
def take_memory_by_private_maps(targets: dict[str, Any]) -> str:
    return _take_maps(targets, MAP_PRIVATE_ANONYMOUS)


@attempt("memory")
def take_memory_by_shared_maps(targets: dict[str, Any]) -> str:
    return _take_maps(targets, MAP_SHARED_ANONYMOUS)


def _take_maps(targets: dict[str, Any], flags: int) -> str:
    limit = targets["memory_bytes"] + targets["disk_bytes"]
    taken: list[int] = []
    try:
        for _ in range(8 * limit // MIB):
            taken.append(syscall("mmap", 0, MIB, 3, flags, -1, 0))
            ctypes.memset(taken[-1], 1, MIB)
    except OSError as error:
        return f"contained {name_of(error)}"
    finally:
        for address in taken:
            ctypes.CDLL(None).munmap(ctypes.c_void_p(address), ctypes.c_size_t(MIB))
    return f"{ESCAPED} {len(taken)} MiB"


@attempt("disk")
def make_files_without_end(targets: dict[str, Any]) -> str:
    made = 0
    try:
        for made in range(targets["inodes"] * 2):
            os.close(os.open(f"empty-{made}", os.O_CREAT | os.O_WRONLY))
    except OSError as error:
        return f"contained {name_of(error)} after {made} files"
    finally:
        for number in range(made):
            Path(f"empty-{number}").unlink()
    return f"{ESCAPED} {made} files"


@attempt("disk")
def make_a_file_larger_than_the_disk(targets: dict[str, Any]) -> str:
    def act() -> int:
        with Path("large").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 4 * targets["disk_bytes"])
        return Path("large").stat().st_size

    return outcome(act)


@attempt("threads")
def start_processes_without_end(targets: dict[str, Any]) -> str:
    children: list[int] = []
    try:
        while len(children) <= 2 * targets["threads"]:
            pid = os.fork()
            if pid == 0:
                time.sleep(5)
                os._exit(0)
            children.append(pid)
    except OSError as error:
        return f"contained {name_of(error)} after {len(children)}"
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return f"{ESCAPED} {len(children)} processes"


@attempt("threads")
def queue_signals_without_end(_: dict[str, Any]) -> str:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
    information = blank(128)
    ctypes.c_int.from_buffer(information, 8).value = -1
    queued = 0
    try:
        while queued < 1000:
            syscall_number(129, os.getpid(), int(signal.SIGRTMIN), information)
            queued += 1
    except OSError as error:
        return f"contained {name_of(error)} after {queued}"
    finally:
        signal.signal(signal.SIGRTMIN, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGRTMIN])
    return f"{ESCAPED} {queued} signals"


# -- names and randomness -----------------------------------------------------------------------------------


@attempt("namespaces", tiers=OWN_VIEW)
def list_users_of_the_host(_: dict[str, Any]) -> str:
    import pwd  # noqa: PLC0415

    names = [entry.pw_name for entry in pwd.getpwall()]
    return "contained only itself" if names == ["agent"] else f"{ESCAPED} {len(names)} users"


@attempt("namespaces")
def learn_ids_of_the_host(_: dict[str, Any]) -> str:
    return f"{ESCAPED} uid {os.getuid()}" if os.getuid() == 0 else "contained nobody in particular"


@attempt("namespaces", tiers=OWN_VIEW)
def count_processes_of_the_host(_: dict[str, Any]) -> str:
    alive = []
    for pid in range(2, 400):
        try:
            os.getpgid(pid)
        except ProcessLookupError:
            continue
        alive.append(pid)
    return f"{ESCAPED} sees {len(alive)} processes" if alive else "contained alone"
