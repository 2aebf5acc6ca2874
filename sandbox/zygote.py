"""The program that makes cells: it prepares everything once for a profile and forks for each cell.

It is exec'ed with an empty environment and one descriptor, so it holds no secret of the daemon. In
order: import what agents need (while the host's libraries can still be found); build a read-only root
and enter it; enter a user namespace in which it is root and outside of which it is nobody; become the
first process of a pid namespace. Then it answers orders: fork, lock down, serve. It runs no agent code
itself. If the daemon dies its control socket closes and it exits; when it exits the kernel kills every
process of its pid namespace.

    daemon -- exec --> keeper (waits) -- fork --> zygote, pid 1 -- fork --> cell, pid 1 of its own namespace
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from sandbox import failures, landlock, linux, lockdown, rootfs
from sandbox.errors import Refused
from sandbox.frames import Kind, pack

CONTROL_BYTES_MAX = 128 << 10
DESCRIPTORS_MAX = 16
IDS = 65536  # in the range of host ids a root daemon's zygote owns


def main(control_number: int) -> NoReturn:
    """Run as the zygote program; `control_number` is the inherited socket."""
    control = socket.socket(fileno=control_number)
    try:
        config = json.loads(control.recv(CONTROL_BYTES_MAX))
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != config["daemon"]:
            os._exit(0)  # it died before we asked to die with it
        os.umask(0o022)
        _raise_descriptor_limit()
        _start(control, config)
    except BaseException as error:  # noqa: BLE001  (reported, and the process ends)
        _report(control, {"fatal": f"{type(error).__name__}: {error}"})
        os._exit(1)


def _report(control: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    socket.send_fds(control, [json.dumps(message).encode()], list(descriptors))


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _start(control: socket.socket, config: dict[str, Any]) -> NoReturn:
    tier = config["tier"]
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if tier == "reduced":
        _import(config)
        _settle()
        _serve(control, config, proc)
    scribe = None
    if tier == "user":
        user, group = os.getuid(), os.getgid()
        linux.unshare(linux.CLONE_NEWUSER)
        lockdown.map_ids(proc, 0, user, group)
    else:
        scribe = _Scribe(config["first_id"])
    _import(config)
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWNET)
    socket.sethostname("cell")
    rootfs.build(config["sources"], may_execute=config["profile"] == "native")
    if scribe is not None:
        os.setgroups([])
        linux.unshare(linux.CLONE_NEWUSER)
        scribe.write_maps()
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    _settle()
    # From here on there is no power over the host. The pid namespace must belong to this user namespace.
    linux.unshare(linux.CLONE_NEWPID)
    child = os.fork()
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if child == 0:
        _serve(control, config, proc)
    control.close()
    os.close(proc)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


class _Scribe:
    """A child that stays outside the user namespace to write its id maps, which only root outside may do."""

    def __init__(self, first_id: int) -> None:
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            code = 1
            try:
                ours.close()
                if theirs.recv(1):
                    for name in ("uid_map", "gid_map"):
                        with Path(f"/proc/{parent}/{name}").open("w", encoding="ascii") as file:
                            file.write(lockdown.id_range(first_id, IDS))
                    code = 0
            finally:
                os._exit(code)
        theirs.close()
        self._ours = ours

    def write_maps(self) -> None:
        """Have the maps of the namespace this process is now in written; raises `Refused` if they are not."""
        self._ours.send(b"m")
        _, status = os.waitpid(self._pid, 0)
        self._ours.close()
        if status:
            raise Refused(
                "the id maps of the zygote's user namespace could not be written", place="user_namespace"
            )


def _import(config: dict[str, Any]) -> None:
    for name in config["required"]:
        importlib.import_module(name)
    for name in config["optional"]:
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # this interpreter was built without it
    for name in config["libraries"]:
        with contextlib.suppress(OSError):  # this system has none of this name
            ctypes.CDLL(name, ctypes.RTLD_GLOBAL)
    if "sandbox.wasm" in sys.modules:
        sys.modules["sandbox.wasm"].engine()


def _settle() -> None:
    """Before the first fork: what is written to after it is copied, page by page, into every process."""
    gc.collect()
    gc.freeze()  # or each cell's first collection would copy every page
    linux.trim_heap()


def _serve(control: socket.socket, config: dict[str, Any], proc: int) -> NoReturn:
    threads = [
        line for line in lockdown.read_proc(proc, "self/status").splitlines() if line.startswith("Threads:")
    ]
    if threading.active_count() != 1 or threads[0].split()[1] != "1":
        raise Refused("an imported module started a thread, so forking is unsafe", place="zygote")
    separate = config["tier"] != "reduced"
    own = os.open("self/ns/pid", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc) if separate else -1
    space, data = lockdown.memory_of_self(proc)
    base = lockdown.Base(
        proc=proc,
        program=bytes.fromhex(config["program"]),
        tight_program=bytes.fromhex(config["tight_program"]),
        readable=tuple(config["sources"]),
        space_bytes=space,
        data_bytes=data,
    )
    _report(control, {"ready": True, "landlock_abi": landlock.abi()})
    _Nursery(control, base, own).run()


class _Nursery:
    """The zygote's loop: orders come in, cells go out, exits are reported."""

    def __init__(self, control: socket.socket, base: lockdown.Base, own_namespace: int) -> None:
        self._control = control
        self._base = base
        self._own_namespace = own_namespace
        self._cells: dict[int, tuple[int, int]] = {}  # pidfd -> pid, serial
        self._poll = select.poll()
        self._poll.register(control.fileno(), select.POLLIN)

    def run(self) -> NoReturn:
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._control.fileno():
                    self._take_order()
                else:
                    self._reap(descriptor)

    def _take_order(self) -> None:
        try:
            text, descriptors, _, _ = socket.recv_fds(self._control, CONTROL_BYTES_MAX, DESCRIPTORS_MAX)
        except ConnectionError:
            text, descriptors = b"", []
        if not text:
            os._exit(0)  # the daemon is gone; the kernel ends the cells with us
        order = lockdown.Order.from_json(text)
        channel, output, *groups = descriptors
        if self._own_namespace >= 0:
            # A process may name the pid namespace of its next child only from its own one.
            linux.setns(self._own_namespace, linux.CLONE_NEWPID)
            linux.unshare(linux.CLONE_NEWPID)
        pid = os.fork()
        if pid == 0:
            become_cell(order, self._base, channel, output, groups)
        handle = os.pidfd_open(pid)
        self._cells[handle] = (pid, order.serial)
        self._poll.register(handle, select.POLLIN)
        _report(self._control, {"spawned": order.serial}, [handle])
        for descriptor in descriptors:
            os.close(descriptor)

    def _reap(self, handle: int) -> None:
        pid, serial = self._cells.pop(handle)
        self._poll.unregister(handle)
        os.close(handle)
        _, status, usage = os.wait4(pid, 0)
        cpu_ms = 1000 * (usage.ru_utime + usage.ru_stime)
        peak = usage.ru_maxrss * 1024
        _report(
            self._control,
            {"exited": serial, "status": status, "cpu_ms": cpu_ms, "memory_peak_bytes": peak},
        )


def become_cell(
    order: lockdown.Order, base: lockdown.Base, channel: int, output: int, groups: list[int]
) -> NoReturn:
    """In the forked child: lock down, say so, serve. Never returns into the zygote's loop."""
    code = 70
    try:
        stream = socket.socket(fileno=channel)
        try:
            layers = lockdown.lock_down(order, base, channel, output, groups)
        except lockdown.LockdownError as error:
            refused = Refused(str(error), place=error.layer)
            stream.sendall(pack(Kind.FAILURE, 0, failures.write(refused)))
            os._exit(71)
        stream.sendall(pack(Kind.ANSWER, 0, [json.dumps(layers).encode()]))
        from sandbox.serving import serve  # noqa: PLC0415  (imported by the zygote already, for all cells)

        serve(stream, order, base)
        code = 0
    except BaseException as error:  # noqa: BLE001  (told to the daemon through the output pipe; the process ends)
        os.write(2, f"{type(error).__name__}: {error}"[:2000].encode(errors="replace"))
    finally:
        os._exit(code)
