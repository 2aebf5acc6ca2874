"""Which log a coordinator keeps: the embedded one, or an etcd cluster's."""

from __future__ import annotations

from collections.abc import Callable

from swarm.adapters import tls  # isort: skip  # must run before anything loads grpc
import grpc.aio

from swarm.adapters.etcd import EtcdClient, EtcdLog, EtcdSettings
from swarm.adapters.etcd.settings import LEASE_RENEWALS
from swarm.adapters.raft import PysyncobjLog, RaftSettings, stop_process
from swarm.daemons.config import EtcdSection, NodeConfig
from swarm.ports import Log, Voters
from swarm.wire.gen import raft_pb2_grpc

LOG_DIRECTORY = "log"


def make_log(
    config: NodeConfig,
    identity: tls.TlsIdentity,
    server: grpc.aio.Server,
    on_voters: Callable[[Voters], None],
) -> Log:
    """The log `config` asks for, not started yet; `server` serves what its replicas say to each other.

    `on_voters` is told whenever others take part than before.
    """
    if config.log.etcd is not None:
        return EtcdLog(
            config.node,
            config.cluster,
            etcd_client(config.log.etcd),
            coordinators=config.coordinators,
            settings=EtcdSettings(lease_s=config.log.etcd.lease_s),
            on_fatal=stop_process,
        )
    log = PysyncobjLog(
        config.node,
        config.coordinators,
        config.data_dir / LOG_DIRECTORY,
        identity.channel,
        cluster=config.cluster,
        settings=RaftSettings(
            election_ms_min=config.raft.election_ms[0],
            election_ms_max=config.raft.election_ms[1],
            heartbeat_ms=config.raft.heartbeat_ms,
            relaxed=config.log.relaxed,
        ),
        joins=config.log.joins,
    )
    log.on_voters = on_voters
    raft_pb2_grpc.add_RaftServicer_to_server(log.servicer, server)
    return log


def etcd_client(settings: EtcdSection) -> EtcdClient:
    """Calls to the etcd that settings name; each fails early enough to be tried again within a lease."""
    return EtcdClient(settings.endpoints, settings.tls.files(), timeout_s=settings.lease_s / LEASE_RENEWALS)
