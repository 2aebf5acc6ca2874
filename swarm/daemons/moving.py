"""Moves a stopped cluster's embedded log into etcd."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.adapters.etcd.migration import write_history
from swarm.adapters.raft.history import read_history
from swarm.daemons.config import NodeConfig
from swarm.daemons.logs import LOG_DIRECTORY, etcd_client
from swarm.errors import ConfigRefused


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved, as it was read back from where it went."""

    cluster: str
    entries: int
    last_index: int
    snapshot_index: int
    snapshot_bytes: int
    term: int
    sha256: str


async def move_log(config: NodeConfig, logs: Sequence[Path]) -> Moved:
    """Copy the embedded log in `logs`, or in the node's own data_dir, to the etcd `config` names."""
    if config.log.etcd is None:
        raise ConfigRefused(
            "these settings name no etcd to move the log to",
            place="log",
            remedy="write `log: {kind: etcd, etcd: {...}}` as coordinators shall have it afterwards",
        )
    directories = tuple(logs) or (config.data_dir / LOG_DIRECTORY,)
    history = await asyncio.to_thread(read_history, directories, config.coordinators)
    client = etcd_client(config.log.etcd)
    try:
        arrived = await write_history(client, config.cluster, history)
    finally:
        await client.close()
    return Moved(
        config.cluster,
        len(arrived.entries),
        arrived.last_index,
        arrived.index,
        len(arrived.state or b""),
        history.term,
        arrived.digest(),
    )
