"""One daemon: wires the drivers to their adapters, serves until it is told to stop, and stops cleanly.

No decision is made here. What starts first is what others need: the data directory's lock, the cells, the
log, the port; the link to the leader comes last. Stopping goes the other way round.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import resource
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from swarm.adapters import tls  # isort: skip  # must run before anything loads grpc
import grpc.aio
import structlog

from sandbox import Broker
from swarm import limits
from swarm.adapters.agents import TrustedAgents
from swarm.adapters.audit import AuditLog, Retention
from swarm.adapters.blobs import FileBlobs
from swarm.adapters.cells import SandboxCells
from swarm.adapters.egress import make_broker
from swarm.adapters.inside import InsideDialer
from swarm.adapters.join import Founded, JoinServer, Signer
from swarm.adapters.outbox import FileOutcomes
from swarm.adapters.raft import PysyncobjLog
from swarm.adapters.resultkeys import open_result_keys
from swarm.adapters.results import RedisResults, read_key
from swarm.adapters.rpc.blobs import BlobsServicer, GrpcBlobPeers
from swarm.adapters.rpc.calls import CallServicer
from swarm.adapters.rpc.channels import Channels
from swarm.adapters.rpc.clients import About, ClientServicer
from swarm.adapters.rpc.data import DataCalls
from swarm.adapters.rpc.forward import Forwarder
from swarm.adapters.rpc.proxy import ProxyServicer
from swarm.adapters.rpc.server import make_server
from swarm.adapters.rpc.submissions import SubmissionStreams
from swarm.adapters.rpc.work import GrpcDialer, WorkServicer
from swarm.adapters.system import FileJournal, SystemClock, SystemMachine, keep_memory, new_id
from swarm.coordinator import Coordinator, Deployments
from swarm.daemons.config import NodeConfig
from swarm.daemons.coordinators import Coordinators
from swarm.daemons.logs import make_log
from swarm.daemons.passphrase import load_authority
from swarm.daemons.standing import Standing
from swarm.errors import Conflict, NotTrusted, Unreachable
from swarm.node import Data, Worker, WorkerOptions, WorkerPorts
from swarm.node.results import ResultCache
from swarm.ports import Dialer
from swarm.trust.audit import Event
from swarm.wire.gen import call_pb2_grpc, client_pb2_grpc, work_pb2_grpc

_log = structlog.get_logger("swarm.daemon")

# Graphs and records are many small objects without cycles: looking for cycles among them every 700
# allocations, as Python does by default, costs a busy leader a third of its time. But a refused call leaves a
# few objects in a cycle, and with them the submission it carried: seldom must not be never.
COLLECT_EVERY = (10_000, 20, 500)
STOP_S = 2.0  # open calls get this long to end once the daemon stops


async def serve(config: NodeConfig) -> int:
    """Run one daemon until SIGTERM or SIGINT; returns the exit code.

    Raises `ConfigRefused`, `Conflict` (another daemon has the data directory) or `NotTrusted` before it
    has begun to serve.
    """
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY)
    keep_memory()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(tls.FILES_MAX, hard), hard))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(config) as daemon:
        _log.info("serving", node=config.node, address=config.address, pid=os.getpid())
        await daemon.until(stop)
        _log.info("draining", node=config.node)
        await daemon.drain()
    _log.info("stopped", node=config.node)
    return 0


class Daemon:
    """A daemon that serves."""

    def __init__(
        self,
        worker: Worker,
        coordinator: Coordinator | None,
        desk: ClientServicer | None,
        failures: Sequence[asyncio.Future[None]],
    ) -> None:
        self._worker = worker
        self._failures = tuple(failures)
        self._coordinator = coordinator
        self._desk = desk

    async def until(self, stop: asyncio.Event) -> None:
        """Wait to be told to stop. Raises what a driver died of: a daemon does not limp on."""
        failures = [self._worker.failure, *self._failures]
        if self._coordinator is not None:
            failures.append(self._coordinator.failure)
        told = asyncio.create_task(stop.wait())
        ends: list[asyncio.Future[Any]] = [told, *failures]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        for failure in failures:
            if failure.done():
                failure.result()

    async def drain(self) -> None:
        """Finish what was accepted, take nothing new."""
        if self._desk is not None:
            self._desk.draining = True
        await self._worker.drain()


@asynccontextmanager
async def running(config: NodeConfig) -> AsyncIterator[Daemon]:
    """A daemon that serves while the block runs."""
    async with AsyncExitStack() as stack:
        stack.enter_context(_Lock(config.data_dir))
        clock = SystemClock()
        audit = _audit_log(config, stack)
        broker = _broker(config, audit, clock)
        blobs = FileBlobs(config.data_dir / "blobs", config.data.max_mb * limits.MIB)
        cells = await SandboxCells.start(config.sandbox.tier, blobs, config.data_dir / "native", broker)
        stack.push_async_callback(cells.close)
        standing = Standing.take(config, audit)
        channels, coordinators = standing.channels, standing.coordinators
        stack.push_async_callback(standing.close)
        peers = GrpcBlobPeers(channels, blobs)
        data = Data(config.node, blobs, peers, clock, config.coordinators)
        server = make_server((standing.gate,))
        calls = CallServicer()
        call_pb2_grpc.add_CallsServicer_to_server(calls, server)
        client_pb2_grpc.add_BlobsServicer_to_server(BlobsServicer(blobs), server)
        coordinator: Coordinator | None = None
        desk: ClientServicer | None = None
        if config.node in config.coordinators:
            coordinator, desk = await _coordinate(
                config, standing, _Stores(blobs, peers, data), server, stack
            )
            standing.certificates.record, standing.certificates.known = desk.record, desk.known
            if (joining := await _let_join(config, coordinators, desk, audit, stack)) is not None:
                standing.certificates.exchanged.append(joining.refresh)
        else:
            forwarder = Forwarder(config.node, None, coordinators, channels, clock)
            submissions = SubmissionStreams(standing.gate.letting_in)
            proxy = ProxyServicer(forwarder, DataCalls(blobs, data), submissions)
            client_pb2_grpc.add_SwarmServicer_to_server(proxy, server)
            following = asyncio.create_task(coordinators.follow(channels))
            stack.callback(following.cancel)
            await _listen(server, config, standing.identity, stack)
        journal = FileJournal(config.data_dir / "journal.jsonl")
        stack.callback(journal.close)
        outcomes = FileOutcomes(config.data_dir / "outbox")
        stack.callback(outcomes.close)
        worker = Worker(
            WorkerOptions(
                config.node,
                config.address,
                coordinators,
                config.slots,
                config.cells_per_agent,
                config.trust.clearance.clearance(),
                open_result_keys(config.data_dir / "keys"),
            ),
            WorkerPorts(
                clock,
                SystemMachine(),
                _dialer(config, coordinator, channels),
                cells,
                blobs,
                peers,
                data,
                journal,
                outcomes,
                TrustedAgents(config.trust.policy()).open_image,
                standing,
                _results(config, stack),
            ),
        )
        await worker.start()
        calls.worker = worker
        stack.push_async_callback(worker.stop)
        standing.start()
        yield Daemon(worker, coordinator, desk, (audit.failure(), *standing.failures))


def _dialer(config: NodeConfig, coordinator: Coordinator | None, channels: Channels) -> Dialer:
    dialer = GrpcDialer(channels)
    return dialer if coordinator is None else InsideDialer(config.node, coordinator, dialer)


@dataclass(frozen=True, slots=True)
class _Stores:
    """Files by their digest: here, elsewhere, and how the two go together."""

    blobs: FileBlobs
    peers: GrpcBlobPeers
    data: Data


async def _coordinate(
    config: NodeConfig,
    standing: Standing,
    stores: _Stores,
    server: grpc.aio.Server,
    stack: AsyncExitStack,
) -> tuple[Coordinator, ClientServicer]:
    """What a voter has beyond a worker: the log, the coordinator, and the services that need them."""
    clock, coordinators = SystemClock(), standing.coordinators
    log = make_log(config, standing.identity, server, coordinators.become)
    if config.log.relaxed:
        _log.warning("the log is relaxed: a power cut of a majority may cost what was just acknowledged")
    coordinator = Coordinator(config.node, log, clock, new_id, config.placement.options())
    coordinator.revoked = standing.revoke
    standing.access.policy = lambda: coordinator.replica.scheduler.ledger.policy
    if isinstance(log, PysyncobjLog):
        standing.exclusion.dismiss.append(log.dismiss)
    desk = ClientServicer(
        About(
            config.cluster, config.node, coordinators, os.getpid(), clock.monotonic_ms(), config.log.relaxed
        ),
        coordinator,
        Deployments(
            coordinator,
            stores.blobs,
            stores.peers,
            coordinators,
            TrustedAgents(config.trust.policy()).inspect,
            clock,
        ),
        Forwarder(config.node, coordinator, coordinators, standing.channels, clock),
        clock,
        standing.access,
        DataCalls(stores.blobs, stores.data),
        SubmissionStreams(standing.gate.letting_in),
    )
    client_pb2_grpc.add_SwarmServicer_to_server(desk, server)
    work_pb2_grpc.add_WorkServicer_to_server(WorkServicer(coordinator), server)
    await _listen(server, config, standing.identity, stack)
    await coordinator.start()
    stack.push_async_callback(coordinator.stop)
    return coordinator, desk


async def _let_join(
    config: NodeConfig,
    coordinators: Coordinators,
    desk: ClientServicer,
    audit: AuditLog,
    stack: AsyncExitStack,
) -> JoinServer | None:
    """Sign renewals and serve newcomers, where the settings say so."""
    if (settings := config.join) is None:
        return None
    authority = await asyncio.to_thread(load_authority, settings.authority, settings.passphrase)
    if authority.cluster != config.cluster:
        raise NotTrusted(
            f"this is the authority of {authority.cluster}",
            place=str(settings.authority),
            remedy=f"name that of {config.cluster} under `join: {{authority:`",
        )
    founded = Founded(config.cluster, coordinators, config.trust.policy().authors)
    authority.lifetime = settings.lifetime
    desk.signer = signer = Signer(authority, desk.record)
    server = JoinServer(founded, signer, config.tls.files(), desk.spend, audit)
    await server.start(settings.listen)
    stack.push_async_callback(server.stop)
    _log.info("newcomers may join", address=settings.listen)
    return server


async def _listen(
    server: grpc.aio.Server, config: NodeConfig, identity: tls.TlsIdentity, stack: AsyncExitStack
) -> None:
    try:
        server.add_secure_port(config.listen, identity.server_credentials())
    except RuntimeError as error:
        raise Unreachable(
            f"cannot listen on {config.listen}: {error}",
            place="listen",
            remedy="is another process on this port? `ss -ltnp` tells",
        ) from error
    await server.start()
    stack.push_async_callback(server.stop, STOP_S)


def _broker(config: NodeConfig, audit: AuditLog, clock: SystemClock) -> Broker | None:
    """The way out for agents, where the operator allows one."""
    settings = config.egress
    if not settings.allow and not settings.allow_private:
        return None
    return make_broker(
        settings.allow,
        settings.allow_private,
        audit,
        clock,
        roots=settings.roots,
        connection_mb_max=settings.connection_mb_max,
        mbps_max=settings.mbps_max,
    )


def _results(config: NodeConfig, stack: AsyncExitStack) -> ResultCache | None:
    """What the node remembers of deterministic work; None where it is to remember nothing."""
    settings = config.result_cache
    if settings.mb == 0:
        return None
    if settings.key_file is None:
        return ResultCache(settings.mb * limits.MIB)
    password = settings.password.read().decode() if settings.password is not None else None
    store = RedisResults(settings.redis, read_key(settings.key_file), config.cluster, password)
    stack.push_async_callback(store.close)
    return ResultCache(settings.mb * limits.MIB, store)


def _audit_log(config: NodeConfig, stack: AsyncExitStack) -> AuditLog:
    """The daemon's own log. It opens before anything is served and closes when nothing is any more."""
    retention = Retention(config.audit.keep_days, config.audit.keep_mb * limits.MIB)
    name = f"{config.cluster}/{config.node}"
    audit = AuditLog.open(config.data_dir / "audit", name, retention)
    stack.callback(audit.close)

    def say(what: str) -> None:
        audit.record(Event(SystemClock().wall_ms(), name, what, context={"version": version("neural-swarm")}))

    say("daemon.started")
    stack.callback(say, "daemon.stopped")
    return audit


class _Lock:
    """The data directory belongs to one daemon at a time; the kernel frees it however the daemon ends."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "lock"

    def __enter__(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._fd, 32).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise Conflict(
                f"a daemon (pid {holder or 'unknown'}) is using this data directory",
                place=str(self._path.parent),
                remedy="stop it, or give this one a data_dir of its own",
            ) from error
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
