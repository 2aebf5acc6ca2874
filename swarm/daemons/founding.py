"""How a cluster begins and grows: the files a founder needs, and those of whoever joins.

directory/
  authority/            the cluster's authority, its key encrypted; may be taken offline when nobody joins
  admin/ admin.yaml     the first administrator, and the profile to reach the cluster with
  n1/node.yaml          a coordinator's settings, and beside them identity/; one folder for each machine
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from swarm.adapters.join import Membership
from swarm.adapters.secrets import SecretReference
from swarm.adapters.settings import host_of
from swarm.adapters.tls import Authority, IdentityFiles
from swarm.adapters.tls.files import PUBLIC_MODE, SECRET_MODE, make_private_directory, write_whole
from swarm.daemons.config import VOTERS
from swarm.daemons.layout import AUTHORITY_DIRECTORY, SETTINGS_FILE, tls_section, write_yaml
from swarm.errors import ConfigRefused, Conflict
from swarm.ids import NodeId
from swarm.trust import Kind, Role

ADMIN: Final = "admin"
IDENTITY_DIRECTORY: Final = "identity"


def found_cluster(
    directory: Path,
    cluster: str,
    coordinators: Mapping[str, str],
    passphrase: bytes,
    *,
    join_listen: str,
    passphrase_reference: SecretReference | None,
    authors: Mapping[str, str],
    relaxed: bool = False,
) -> list[Path]:
    """Write all a new cluster needs; returns the settings files, the first of which lets others join."""
    if len(coordinators) not in VOTERS:
        raise ConfigRefused(
            f"{len(coordinators)} coordinators", place="--node", remedy="name 1, 3 or 5 of them; workers join"
        )
    authority = Authority.create(directory / AUTHORITY_DIRECTORY, cluster, passphrase)
    written = []
    for number, (node, address) in enumerate(coordinators.items()):
        home = directory / node
        hosts = dict.fromkeys([host_of(address), "127.0.0.1", "localhost"])
        files = authority.issue_node(NodeId(node), tuple(hosts), home / IDENTITY_DIRECTORY)
        extra: dict[str, object] = {}
        if authors:
            extra["trust"] = {"authors": {name: {"key": key, "may": ["*"]} for name, key in authors.items()}}
        if relaxed:
            extra["log"] = {"kind": "embedded", "relaxed": True}
        if number == 0:
            join: dict[str, object] = {"listen": join_listen, "authority": f"../{AUTHORITY_DIRECTORY}"}
            if passphrase_reference is not None:
                join["passphrase"] = str(passphrase_reference)
            extra["join"] = join
        written.append(_write_node(home, cluster, node, address, coordinators, files, extra))
    admin = authority.issue_client(ADMIN, Role.ADMINISTRATOR, directory / ADMIN)
    write_profile(directory / f"{ADMIN}.yaml", cluster, coordinators, admin)
    return written


def prepare_coordinator(
    directory: Path,
    node: str,
    address: str,
    present: Mapping[str, str],
    authority: Authority,
) -> Path:
    """Write what a coordinator needs that is to join those at `present`; returns its settings file."""
    refuse_overwriting(directory / SETTINGS_FILE)
    hosts = dict.fromkeys([host_of(address), "127.0.0.1", "localhost"])
    files = authority.issue_node(NodeId(node), tuple(hosts), directory / IDENTITY_DIRECTORY)
    extra: dict[str, object] = {"log": {"kind": "embedded", "joins": True}}
    coordinators = {**present, node: address}
    return _write_node(directory, authority.cluster, node, address, coordinators, files, extra)


def keep_membership(directory: Path, member: Membership, listen: str, advertise: str | None) -> Path:
    """Write the identity of whoever joined, and the settings or the profile to use it with."""
    path = directory / (
        SETTINGS_FILE if member.identity.kind is Kind.NODE else f"{member.identity.name}.yaml"
    )
    refuse_overwriting(path)
    home = directory / (IDENTITY_DIRECTORY if member.identity.kind is Kind.NODE else member.identity.name)
    make_private_directory(home)
    files = IdentityFiles.within(home)
    write_whole(files.key, member.key, SECRET_MODE)
    write_whole(files.certificate, member.certificate, PUBLIC_MODE)
    write_whole(files.authority, member.authority, PUBLIC_MODE)
    cluster, coordinators = member.identity.cluster, dict(member.coordinators)
    if member.identity.kind is Kind.CLIENT:
        write_profile(path, cluster, coordinators, files)
        return path
    extra: dict[str, object] = {} if advertise is None else {"advertise": advertise}
    if member.authors:
        extra["trust"] = {
            "authors": {
                author.name: {"key": author.key, "may": list(author.may)} for author in member.authors
            }
        }
    return _write_node(directory, cluster, member.identity.name, listen, coordinators, files, extra)


def refuse_overwriting(path: Path) -> None:
    """What is there belongs to somebody."""
    if path.exists():
        raise Conflict("there is one already", place=str(path), remedy="choose another directory")


def own_addresses(listen: str, advertise: str | None) -> list[str]:
    """The IP addresses a node's certificate has to name."""
    found = ["127.0.0.1"]
    for host in filter(None, [host_of(listen), advertise and host_of(advertise)]):
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise ConfigRefused(
                f"{host!r} is a name; who joins is known by IP addresses",
                place="--listen",
                remedy="give HOST as an IP address",
            ) from None
        if not address.is_unspecified:
            found.append(host)
    return list(dict.fromkeys(found))


def write_profile(path: Path, cluster: str, endpoints: Mapping[str, str], files: IdentityFiles) -> None:
    """A client's profile beside its identity."""
    profile = {"cluster": cluster, "endpoints": dict(endpoints), **tls_section(files, path.parent)}
    write_yaml(path, profile)


def _write_node(
    home: Path,
    cluster: str,
    node: str,
    listen: str,
    coordinators: Mapping[str, str],
    files: IdentityFiles,
    extra: Mapping[str, object],
) -> Path:
    document = {
        "cluster": cluster,
        "node": node,
        "data_dir": "data",
        "listen": listen,
        "coordinators": dict(coordinators),
        "tls": tls_section(files, home),
        **extra,
    }
    write_yaml(home / SETTINGS_FILE, document)
    return home / SETTINGS_FILE
