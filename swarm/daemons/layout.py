"""What a local cluster writes before it starts: an authority, certificates, settings and a profile."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import yaml

from swarm.adapters.tls import Authority, IdentityFiles
from swarm.adapters.tls.authority import AUTHORITY_KEY_FILE
from swarm.daemons.config import VOTERS
from swarm.errors import Conflict
from swarm.ids import NodeId
from swarm.trust import Role

LOOPBACK: Final = "127.0.0.1"
# Below the ports the kernel gives to outgoing connections, so that none of those takes one we chose.
PORTS: Final = range(20_000, 32_000)
PORT_TRIES_MAX: Final = 1_000

PROFILE_FILE: Final = "client.yaml"
SETTINGS_FILE: Final = "node.yaml"
AUTHORITY_DIRECTORY: Final = "authority"
CLIENT_DIRECTORY: Final = "client"


def write_cluster(
    data_dir: Path, cluster: str, nodes: Sequence[NodeId], settings: Mapping[str, object]
) -> dict[NodeId, str]:
    """Write everything the daemons and a client need; returns the daemons' addresses.

    An authority that is there already is kept; certificates and ports are new each time. Paths in the files
    are relative, so that the directory can be moved.
    """
    known = sorted(path.parent.name for path in data_dir.glob(f"*/{SETTINGS_FILE}"))
    if known and known != sorted(nodes):
        raise Conflict(
            f"a cluster of {len(known)} nodes lives here, not of {len(nodes)}",
            place=str(data_dir),
            remedy=f"ask for {len(known)} nodes, or choose another directory",
        )
    authority = _authority(data_dir / AUTHORITY_DIRECTORY, cluster)
    joining, *ports = free_ports(1 + len(nodes))
    addresses = {node: f"{LOOPBACK}:{port}" for node, port in zip(nodes, ports, strict=True)}
    votes = max(count for count in VOTERS if count <= len(nodes))
    coordinators = {str(node): addresses[node] for node in nodes[:votes]}
    for number, node in enumerate(nodes):
        # The first has the authority's key: others may join there, and certificates are renewed.
        join = (
            {}
            if number
            else {"join": {"listen": f"{LOOPBACK}:{joining}", "authority": f"../{AUTHORITY_DIRECTORY}"}}
        )
        _write_node(data_dir / node, node, authority, coordinators, addresses[node], {**join, **settings})
    caller = authority.issue_client("local", Role.ADMINISTRATOR, data_dir / CLIENT_DIRECTORY)
    endpoints = {str(node): address for node, address in addresses.items()}
    profile = {"cluster": authority.cluster, "endpoints": endpoints, **tls_section(caller, data_dir)}
    write_yaml(data_dir / PROFILE_FILE, profile)
    return addresses


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on."""
    found: list[int] = []
    for port in random.sample(PORTS, PORT_TRIES_MAX):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            found.append(port)
        if len(found) == count:
            return found
    raise Conflict(f"no {count} free ports", place=str(PORTS), remedy="stop what occupies them")


def _authority(directory: Path, cluster: str) -> Authority:
    if (directory / AUTHORITY_KEY_FILE).exists():
        return Authority.load(directory)
    return Authority.create(directory, cluster)


def _write_node(
    home: Path,
    node: NodeId,
    authority: Authority,
    coordinators: Mapping[str, str],
    address: str,
    settings: Mapping[str, object],
) -> None:
    role = Role.COORDINATOR if node in coordinators else Role.WORKER
    files = authority.issue_node(node, (LOOPBACK, "localhost"), home / "identity", role=role)
    document = {
        "cluster": authority.cluster,
        "node": str(node),
        "data_dir": "data",
        "listen": address,
        "coordinators": dict(coordinators),
        "tls": tls_section(files, home),
        "trust": {"agents": "any"},  # a cluster of one machine's owner, who also makes the agents
        **settings,
    }
    write_yaml(home / SETTINGS_FILE, document)


def tls_section(files: IdentityFiles, base: Path) -> dict[str, str]:
    """Where an identity lies, as settings and profiles say it: relative to `base`."""
    return {
        "ca": str(files.authority.relative_to(base)),
        "certificate": str(files.certificate.relative_to(base)),
        "key": str(files.key.relative_to(base)),
    }


def write_yaml(path: Path, document: Mapping[str, object]) -> None:
    """Write settings for people to read."""
    path.write_text(yaml.safe_dump(dict(document), sort_keys=False))
