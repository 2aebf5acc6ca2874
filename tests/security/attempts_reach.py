"""Attempts to reach the network, the files and the processes of the host."""

import ctypes
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from sandbox.attempts import (
    OWN_VIEW,
    outcome,
    syscall,
    syscall_number,
)
from tests.security.attempts_common import attempt, blank, call, simple

# -- network ------------------------------------------------------------------------------------------------

for family_name, family, kind in (
    ("tcp", 2, 1), ("udp", 2, 2), ("tcp6", 10, 1), ("unix", 1, 1), ("netlink", 16, 3), ("vsock", 40, 1),
    ("packet", 17, 3), ("raw", 2, 3), ("kernel_crypto", 38, 5), ("bluetooth", 31, 3), ("xdp", 44, 3),
):  # fmt: skip
    simple("network", f"make_a_{family_name}_socket", lambda f=family, k=kind: socket.socket(f, k))


@attempt("network")
def connect_to_an_abstract_name(targets: dict[str, Any]) -> str:
    def act() -> str:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("\0" + targets["abstract"])
            return "connected"

    return outcome(act)


@attempt("network")
def connect_to_a_socket_file(targets: dict[str, Any]) -> str:
    def act() -> str:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(targets["socket"])
            return "connected"

    return outcome(act)


simple("network", "listen_for_others", lambda: socket.create_server(("127.0.0.1", 0)))
simple(
    "network", "pair_sockets_of_another_family", lambda: socket.socketpair(10), lambda: socket.socketpair(16)
)


@attempt("network")
def send_past_the_peer_of_a_pair(targets: dict[str, Any]) -> str:
    """A pair that is allowed for talking to oneself must not reach anybody else."""

    def act() -> int:
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with left, right:
            return left.sendto(b"x", targets["socket_datagram"])

    return outcome(act)


# -- files --------------------------------------------------------------------------------------------------


@attempt("filesystem")
def read_a_world_readable_secret(targets: dict[str, Any]) -> str:
    return outcome(lambda: Path(targets["secret"]).read_text())


@attempt("filesystem")
def climb_above_the_root(targets: dict[str, Any]) -> str:
    return outcome(lambda: Path("/" + "../" * 20 + targets["secret"]).read_text())


@attempt("filesystem")
def follow_an_own_symlink_to_the_host(targets: dict[str, Any]) -> str:
    def act() -> str:
        link = Path(f"link-{os.urandom(4).hex()}")
        link.symlink_to(targets["secret"])
        return link.read_text()

    return outcome(act)


@attempt("filesystem")
def link_a_file_of_the_host(targets: dict[str, Any]) -> str:
    return outcome(lambda: os.link(targets["secret"], f"hard-{os.urandom(4).hex()}"))


@attempt("filesystem")
def rename_across_the_wall(targets: dict[str, Any]) -> str:
    def act() -> None:
        Path("mine").write_text("x")
        Path("mine").rename(Path(targets["secret"]).with_name("moved"))

    return outcome(act)


@attempt("filesystem")
def move_out_by_a_kept_directory(targets: dict[str, Any]) -> str:
    def act() -> str:
        descriptor = os.open("/", os.O_RDONLY)
        try:
            return os.read(os.open("../.." + targets["secret"], os.O_RDONLY, dir_fd=descriptor), 99).decode()
        finally:
            os.close(descriptor)

    return outcome(act)


for path in (
    "/etc/shadow",
    "/etc/hostname",
    "/proc/1/environ",
    "/proc/self/maps",
    "/proc/kallsyms",
    "/sys/kernel/mm",
):
    simple("filesystem", "open_" + path.strip("/").replace("/", "_"), lambda p=path: os.open(p, os.O_RDONLY))
for path in ("/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/vda", "/dev/tty", "/dev/fuse", "/dev/shm"):
    simple("filesystem", "open_" + path.strip("/").replace("/", "_"), lambda p=path: os.open(p, os.O_RDONLY))

simple("filesystem", "write_its_own_memory_file", lambda: os.open("/proc/self/mem", os.O_RDWR))
simple("filesystem", "list_open_files_of_itself", lambda: list(Path("/proc/self/fd").iterdir()))
simple("filesystem", "change_its_control_group", lambda: os.open("/sys/fs/cgroup/cgroup.procs", os.O_WRONLY))
simple(
    "filesystem", "append_to_the_standard_library", lambda: os.open(os.__file__, os.O_WRONLY | os.O_APPEND)
)
simple("filesystem", "replace_this_package", lambda: os.open(sys.modules["sandbox"].__file__, os.O_WRONLY))
simple("filesystem", "make_a_device", lambda: call("mknod", b"device", 0o60600, 0xFE00))
simple("filesystem", "make_a_file_beside_the_root", lambda: Path("/evil").write_text("x"))
simple("filesystem", "make_a_file_in_the_device_directory", lambda: Path("/dev/evil").write_text("x"))
simple("filesystem", "give_a_file_away", lambda: os.chown(".", 0, 0))
simple("filesystem", "hang_attributes_on_a_file", lambda: call("setxattr", b".", b"user.x", b"1", 1, 0))
simple(
    "filesystem",
    "watch_files_of_others",
    lambda: call("inotify_init1", 0),
    lambda: call("fanotify_init", 0, 0),
)


def _run(*command: str, **environment: str) -> None:
    import subprocess  # noqa: PLC0415  (a wasm cell cannot even import it)

    subprocess.run(command, env=environment, check=True)


def _scratch_program() -> str:
    path = Path(f"program-{os.urandom(4).hex()}")
    path.write_bytes(b"#!/bin/sh\necho ran\n")
    path.chmod(0o4755)
    return str(path.resolve())


simple("filesystem", "run_a_program_it_wrote", lambda: _run(_scratch_program()))
simple("filesystem", "use_a_set_user_id_file", lambda: os.execv(_scratch_program(), ["x"]))

# -- other processes ----------------------------------------------------------------------------------------


@attempt("processes")
def signal_a_process_of_the_host(targets: dict[str, Any]) -> str:
    return outcome(lambda: os.kill(targets["decoy"], 0))


@attempt("processes")
def queue_a_signal_for_a_process_of_the_host(targets: dict[str, Any]) -> str:
    def act() -> int:
        information = blank(128)
        ctypes.c_int.from_buffer(information, 8).value = -1  # SI_QUEUE
        return syscall_number(129, targets["decoy"], 0, information)  # rt_sigqueueinfo

    return outcome(act)


@attempt("processes")
def limit_a_process_of_the_host(targets: dict[str, Any]) -> str:
    return outcome(lambda: syscall("prlimit64", targets["decoy"], 7, 0, blank(16)))


@attempt("processes")
def take_a_handle_on_a_process_of_the_host(targets: dict[str, Any]) -> str:
    return outcome(lambda: syscall("pidfd_open", targets["decoy"], 0))


@attempt("processes", tiers=OWN_VIEW)
def kill_everybody(_: dict[str, Any]) -> str:
    """Not told apart without a pid namespace: the kernel reports success even where it refused each one."""
    return outcome(lambda: os.kill(-1, 0))


simple("processes", "kill_its_parent", lambda: os.kill(os.getppid() or 2, 0))
simple("processes", "steal_a_descriptor", lambda: call("pidfd_getfd", 99, 0, 0))
simple(
    "processes", "fork_without_copying", lambda: _child_of(call("clone", 0x4100 | signal.SIGCHLD, 0, 0, 0, 0))
)
simple("processes", "clone_a_process", lambda: _child_of(call("clone", int(signal.SIGCHLD), 0, 0, 0, 0)))
simple("processes", "clone_into_namespaces", lambda: call("clone", 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0))
simple("processes", "clone_a_thread_into_namespaces", lambda: call("clone", 0x10010100, 0, 0, 0, 0))
simple("processes", "clone3_into_namespaces", lambda: _child_of(syscall("clone3", blank(88), 88)))
simple("processes", "spawn_a_shell", lambda: _run("/bin/sh", "-c", "true"))
simple("processes", "spawn_by_posix", lambda: os.posix_spawn("/bin/true", ["true"], {}))
simple(
    "processes",
    "preload_into_a_child",
    lambda: _run("/bin/true", LD_PRELOAD="x"),
)
simple("processes", "set_a_limit_the_old_way", lambda: call("setrlimit", 7, blank(16)))


def _child_of(pid: int) -> int:
    if pid == 0:
        os._exit(0)
    return pid


@attempt("processes")
def run_a_memory_file(_: dict[str, Any]) -> str:
    def act() -> int:
        descriptor = syscall("memfd_create", b"x", 0)
        os.write(descriptor, Path("/bin/true").read_bytes() if Path("/bin/true").exists() else b"#!/bin/sh\n")
        return call("execveat", descriptor, b"", 0, 0, 0x1000)

    return outcome(act)
