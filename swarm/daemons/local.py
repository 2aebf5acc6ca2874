"""A whole cluster on one machine: real daemons, each a process with its own directory and certificate.

data_dir/
client.yaml          the profile that reaches it
authority/ client/   the cluster's authority, and the caller's certificate
n1/node.yaml         and beside it: identity/, data/, node.log
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from swarm.adapters.tls import IdentityFiles, TlsIdentity  # before grpc, see swarm.adapters.tls.tls13

import grpc.aio  # isort: skip

from swarm.adapters.tls.files import DIRECTORY_MODE
from swarm.daemons.keeper import Keeper
from swarm.daemons.layout import CLIENT_DIRECTORY, PROFILE_FILE, SETTINGS_FILE, write_cluster
from swarm.errors import ConfigRefused, Conflict, Unreachable
from swarm.ids import NodeId
from swarm.wire.gen.client_pb2 import StatusReply, StatusRequest
from swarm.wire.gen.client_pb2_grpc import SwarmStub

NODES_MAX: Final = 9
READY_S_MAX: Final = 60.0
STATUS_S_MAX: Final = 1.0
ASK_EVERY_S: Final = 0.05
LOG_TAIL_BYTES: Final = 2_000
LOCK_FILE: Final = "lock"


class LocalCluster:
    """Keeps `nodes` daemons under `data_dir`; a context manager that starts and stops them.

    `settings` is added to every node's settings file. A directory that held a cluster before continues it,
    with new certificates and ports. Nothing outlives the process that keeps it, see `swarm.daemons.keeper`.
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
        self._keeper = Keeper()
        self._lock = ExitStack()

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
        self._take_directory()
        self.addresses = write_cluster(self.data_dir, self.cluster, self.nodes, self._settings)
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
                leader = next((node for node, answer in answers.items() if answer.leader == node), None)
                attached = answers[leader].nodes_attached if leader else 0
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
        """Stop every daemon, gently at first; returns their exit codes. Safe to repeat."""
        codes = self._keeper.close()
        self._lock.close()
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
        return self._keeper.pid(NodeId(node))

    def running(self) -> tuple[NodeId, ...]:
        """Nodes whose process has not ended."""
        return self._keeper.running()

    def kill(self, node: str) -> None:
        """`kill -9`: the node has no chance to say goodbye."""
        self._keeper.end(NodeId(node), signal.SIGKILL)

    def terminate(self, node: str) -> int:
        """SIGTERM: the node drains and ends. Returns its exit code."""
        return self._keeper.end(NodeId(node), signal.SIGTERM)

    def restart(self, node: str) -> None:
        """Start a node that has ended again, on the data it left."""
        self._spawn(NodeId(node))

    # -- inside -----------------------------------------------------------------------------

    def _spawn(self, node: NodeId) -> None:
        self._keeper.spawn(node, self.home(node) / SETTINGS_FILE, self.log_path(node))

    def _take_directory(self) -> None:
        self.data_dir.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        lock = self._lock.enter_context((self.data_dir / LOCK_FILE).open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise Conflict(
                "another process keeps a cluster here",
                place=str(self.data_dir),
                remedy="use that one, stop it, or choose another directory",
            ) from None

    def _all_alive(self) -> None:
        for node, code in self._keeper.ended().items():
            raise Unreachable(
                f"{node} ended with exit code {code}: {_tail(self.log_path(node))}",
                place=str(self.log_path(node)),
                remedy="repair what the log names and start again",
            )


class Observer:
    """Asks daemons of a local cluster how they are, each over a connection of its own."""

    def __init__(self, cluster: LocalCluster) -> None:
        identity = TlsIdentity.load(IdentityFiles.within(cluster.data_dir / CLIENT_DIRECTORY))
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


def _tail(path: Path) -> str:
    with path.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
        return log.read().decode(errors="replace").strip() or "it said nothing"
