"""A whole cluster on one machine: real daemons, each a process with its own directory and certificate.

    data_dir/
      client.yaml          the profile that reaches it
      authority/ client/   the cluster's authority, and the caller's certificate
      n1/node.yaml         and beside it: identity/, data/, node.log

Nothing outlives its keeper. Every daemon holds the reading end of one pipe, whose writing end only the keeper
has; when that closes -- the keeper stopped, crashed or was killed -- the daemons drain and end. Each is the
head of a process group of its own, and what is left of the group when the daemon ended is killed.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import yaml

from swarm.adapters.tls import (
    Authority,
    IdentityFiles,
    TlsIdentity,
)  # before grpc, see swarm.adapters.tls.tls13

import grpc.aio  # isort: skip

from swarm import limits
from swarm.adapters.tls.authority import AUTHORITY_KEY_FILE
from swarm.adapters.tls.files import DIRECTORY_MODE
from swarm.daemons.config import VOTERS
from swarm.errors import ConfigRefused, Conflict, NotFound, Unreachable
from swarm.ids import NodeId
from swarm.trust import Role
from swarm.wire.gen.client_pb2 import StatusReply, StatusRequest
from swarm.wire.gen.client_pb2_grpc import SwarmStub

NODES_MAX: Final = 9
READY_S_MAX: Final = 60.0
STOP_S_MAX: Final = limits.DRAIN_MS_MAX / 1000 + 5.0
STATUS_S_MAX: Final = 1.0
ASK_EVERY_S: Final = 0.05
LOG_TAIL_BYTES: Final = 2_000
# Below the ports the kernel gives to outgoing connections, so that none of those takes one we chose.
PORTS: Final = range(20_000, 32_000)
PORT_TRIES_MAX: Final = 1_000

PROFILE_FILE: Final = "client.yaml"
LOCK_FILE: Final = "lock"
SOURCE: Final = Path(__file__).resolve().parents[2]


class LocalCluster:
    """Keeps `nodes` daemons under `data_dir`; a context manager that starts and stops them.

    `settings` is added to every node's settings file. A directory that held a cluster before continues it,
    with new certificates and ports.
    """

    def __init__(
        self,
        data_dir: Path | str,
        nodes: int = 3,
        *,
        cluster: str = "local",
        settings: Mapping[str, object] | None = None,
    ) -> None:
        if not 1 <= nodes <= NODES_MAX:
            raise ConfigRefused(f"{nodes} nodes", place="nodes", remedy=f"1 to {NODES_MAX} of them")
        self.data_dir = Path(data_dir).absolute()
        self.cluster = cluster
        self.nodes = tuple(NodeId(f"n{number}") for number in range(1, nodes + 1))
        self.addresses: dict[NodeId, str] = {}
        self._settings = dict(settings or {})
        self._processes: dict[NodeId, subprocess.Popen[bytes]] = {}
        self._held = ExitStack()  # the lock and the writing end of the pipe
        self._lifeline = -1

    # -- the whole --------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Write everything the daemons need and start them; they are not ready yet."""
        self._lock()
        self._prepare()
        self._lifeline, writing_end = os.pipe()
        self._held.callback(os.close, writing_end)
        self._held.callback(os.close, self._lifeline)
        for node in self.nodes:
            self._spawn(node)

    def wait_ready(self, report: Callable[[str], None] = lambda _: None) -> NodeId:
        """`ready`, for callers without an event loop."""
        return asyncio.run(self.ready(report))

    async def ready(self, report: Callable[[str], None] = lambda _: None) -> NodeId:
        """Wait until one daemon leads and all are attached to it; returns the leader."""
        until = time.monotonic() + READY_S_MAX
        said = ""
        async with Observer(self) as observer:
            while time.monotonic() < until:
                self._all_alive()
                answers = await observer.ask(self.nodes)
                leaders = {answer.leader for answer in answers.values()}
                leader = NodeId(next(iter(leaders))) if len(leaders) == 1 else NodeId("")
                attached = answers[leader].nodes_attached if leader in answers else 0
                if leader and len(answers) == attached == len(self.nodes):
                    return leader
                news = f"{len(answers)} of {len(self.nodes)} nodes answer, " + (
                    f"{leader} leads, {attached} attached" if leader else "no leader yet"
                )
                if news != said:
                    report(news)
                    said = news
                await asyncio.sleep(ASK_EVERY_S)
        raise Unreachable(
            f"the cluster was not ready after {READY_S_MAX:.0f} s: {said}",
            place=str(self.data_dir),
            remedy="read the node.log files there",
        )

    def stop(self) -> dict[NodeId, int]:
        """Stop every daemon, gently for `STOP_S_MAX` seconds; returns their exit codes. Safe to repeat."""
        running = dict(self._processes)
        for process in running.values():
            _signal(process, signal.SIGTERM)
        until = time.monotonic() + STOP_S_MAX
        codes = {node: _end(process, until - time.monotonic()) for node, process in running.items()}
        self._processes.clear()
        self._held.close()
        return codes

    # -- one node ---------------------------------------------------------------------------

    @property
    def profile_path(self) -> Path:
        """The profile a client reaches this cluster with."""
        return self.data_dir / PROFILE_FILE

    def home(self, node: str) -> Path:
        """Where a node's settings, identity, data and log lie."""
        return self.data_dir / node

    def node_data(self, node: str) -> Path:
        """A node's own data directory."""
        return self.home(node) / "data"

    def log_path(self, node: str) -> Path:
        return self.home(node) / "node.log"

    def pid(self, node: str) -> int:
        """The process of a running node."""
        return self._running(node).pid

    def running(self) -> tuple[NodeId, ...]:
        """Nodes whose process has not ended."""
        return tuple(node for node, process in self._processes.items() if process.poll() is None)

    def kill(self, node: str) -> None:
        """`kill -9`: the node has no chance to say goodbye."""
        process = self._running(node)
        _signal(process, signal.SIGKILL)
        _end(process, STOP_S_MAX)
        del self._processes[NodeId(node)]

    def terminate(self, node: str) -> int:
        """SIGTERM: the node drains and ends. Returns its exit code."""
        process = self._running(node)
        _signal(process, signal.SIGTERM)
        code = _end(process, STOP_S_MAX)
        del self._processes[NodeId(node)]
        return code

    def restart(self, node: str) -> None:
        """Start a node that was killed or terminated again, on the data it left."""
        if NodeId(node) in self.running():
            raise Conflict(f"{node} is running", place=node, remedy="kill or terminate it first")
        self._spawn(NodeId(node))

    # -- inside -----------------------------------------------------------------------------

    def _running(self, node: str) -> subprocess.Popen[bytes]:
        process = self._processes.get(NodeId(node))
        if process is None or process.poll() is not None:
            raise NotFound(f"no node {node!r} is running", place="cluster", remedy=f"one of {self.running()}")
        return process

    def _lock(self) -> None:
        self.data_dir.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        lock = self._held.enter_context((self.data_dir / LOCK_FILE).open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._held.close()
            raise Conflict(
                "another process keeps a cluster here",
                place=str(self.data_dir),
                remedy="use that one, stop it, or choose another directory",
            ) from None

    def _prepare(self) -> None:
        before = sorted(path.parent.name for path in self.data_dir.glob("*/node.yaml"))
        if before and before != sorted(self.nodes):
            raise Conflict(
                f"a cluster of {len(before)} nodes lives here, not of {len(self.nodes)}",
                place=str(self.data_dir),
                remedy=f"ask for {len(before)} nodes, or choose another directory",
            )
        directory = self.data_dir / "authority"
        known = (directory / AUTHORITY_KEY_FILE).exists()
        authority = Authority.load(directory) if known else Authority.create(directory, self.cluster)
        self.cluster = authority.cluster
        self.addresses = {
            node: f"127.0.0.1:{port}"
            for node, port in zip(self.nodes, free_ports(len(self.nodes)), strict=True)
        }
        votes = max(count for count in VOTERS if count <= len(self.nodes))
        coordinators = {str(node): self.addresses[node] for node in self.nodes[:votes]}
        for node in self.nodes:
            role = Role.COORDINATOR if node in coordinators else Role.WORKER
            hosts = ("127.0.0.1", "localhost")
            files = authority.issue_node(node, hosts, self.home(node) / "identity", role=role)
            document: dict[str, object] = {
                "cluster": self.cluster,
                "node": str(node),
                "data_dir": "data",
                "listen": self.addresses[node],
                "coordinators": coordinators,
                "tls": _tls(files, self.home(node)),
                **self._settings,
            }
            _write_yaml(self.home(node) / "node.yaml", document)
        caller = authority.issue_client("local", Role.ADMINISTRATOR, self.data_dir / "client")
        endpoints = {str(node): address for node, address in self.addresses.items()}
        profile = {"cluster": self.cluster, "endpoints": endpoints, **_tls(caller, self.data_dir)}
        _write_yaml(self.profile_path, profile)

    def _spawn(self, node: NodeId) -> None:
        command = [
            sys.executable,
            "-P",
            "-m",
            "swarm",
            "node",
            "--config",
            str(self.home(node) / "node.yaml"),
        ]
        command += ["--lifeline", str(self._lifeline)]
        paths = [str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
        with self.log_path(node).open("ab") as log:
            self._processes[node] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.home(node),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                pass_fds=(self._lifeline,),
                start_new_session=True,
            )

    def _all_alive(self) -> None:
        for node, process in self._processes.items():
            if process.poll() is not None:
                raise Unreachable(
                    f"{node} ended with exit code {process.returncode}: {self._log_tail(node)}",
                    place=str(self.log_path(node)),
                    remedy="repair what the log names and start again",
                )

    def _log_tail(self, node: NodeId) -> str:
        with self.log_path(node).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace").strip() or "it said nothing"


class Observer:
    """Asks daemons of a local cluster how they are, each over a connection of its own."""

    def __init__(self, cluster: LocalCluster) -> None:
        identity = TlsIdentity.load(IdentityFiles.within(cluster.data_dir / "client"))
        self._channels = {
            node: identity.channel(address, node) for node, address in cluster.addresses.items()
        }
        self._stubs = {node: SwarmStub(channel) for node, channel in self._channels.items()}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels.values():
            await channel.close()

    async def ask(self, nodes: Sequence[NodeId]) -> dict[NodeId, StatusReply]:
        """The status of those of `nodes` that answer now."""
        answers = await asyncio.gather(*(self._status(node) for node in nodes))
        return {node: answer for node, answer in zip(nodes, answers, strict=True) if answer is not None}

    async def _status(self, node: NodeId) -> StatusReply | None:
        try:
            return await self._stubs[node].Status(StatusRequest(), timeout=STATUS_S_MAX)
        except grpc.aio.AioRpcError:
            return None


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on."""
    found: list[int] = []
    for port in random.sample(PORTS, PORT_TRIES_MAX):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise Conflict(f"no {count} free ports", place=str(PORTS), remedy="stop what occupies them")


def _tls(files: IdentityFiles, base: Path) -> dict[str, str]:
    return {
        "ca": str(files.authority.relative_to(base)),
        "certificate": str(files.certificate.relative_to(base)),
        "key": str(files.key.relative_to(base)),
    }


def _write_yaml(path: Path, document: Mapping[str, object]) -> None:
    path.write_text(yaml.safe_dump(dict(document), sort_keys=False))


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(number)


def _end(process: subprocess.Popen[bytes], patience_s: float) -> int:
    """Wait for a daemon's end, force it when patience runs out, and end what it left behind."""
    if process.returncode is None:
        until = time.monotonic() + patience_s
        flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
        while os.waitid(os.P_PID, process.pid, flags) is None:
            if time.monotonic() > until:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(ASK_EVERY_S / 5)
        # Not reaped yet, so its number is still its own and so is its group's.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()
