"""How a daemon stands in its cluster: its identity, and what it does when that or another's changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from swarm.adapters import tls  # isort: skip  # must run before anything loads grpc
from swarm.adapters.audit import AuditLog
from swarm.adapters.rpc.callers import Access
from swarm.adapters.rpc.channels import Channels
from swarm.adapters.rpc.gate import Gate
from swarm.adapters.tls.doorkeeper import Doorkeeper
from swarm.adapters.tls.renewal import Renewal
from swarm.daemons.certificates import CertificateKeeper
from swarm.daemons.config import NodeConfig
from swarm.daemons.coordinators import Coordinators
from swarm.daemons.exclusion import Exclusion
from swarm.errors import NotTrusted
from swarm.tasks import Tasks
from swarm.trust.revocation import Revoked

REVOKED_FILE = "revoked.json"


@dataclass(frozen=True, slots=True)
class Standing:
    """Identity, channels, gate and lists of one daemon; to its node it is the `Membership` port."""

    identity: tls.TlsIdentity
    coordinators: Coordinators
    channels: Channels
    gate: Gate
    exclusion: Exclusion
    certificates: CertificateKeeper
    access: Access
    doorkeeper: Doorkeeper
    tasks: Tasks = field(default_factory=Tasks)

    @classmethod
    def take(cls, config: NodeConfig, audit: AuditLog) -> Self:
        """Raises `NotTrusted` where the certificate is not this node's, or the node was revoked."""
        identity = _identity(config)
        voters = Coordinators(config)
        path = config.data_dir / REVOKED_FILE
        exclusion = Exclusion(config.node, path, complete=config.node in voters)
        channels = Channels(identity, voters, exclusion.list)
        keeper = CertificateKeeper(identity, config.tls.files(), config.listen, channels, voters)
        access = Access(config.cluster)
        gate = Gate(access, audit, tls.Peers(identity.names, keeper.seen), exclusion.list)
        exclusion.guard(gate)
        exclusion.dismiss.append(channels.dismiss)
        doorkeeper = Doorkeeper(int(config.listen.rpartition(":")[2]))
        gate.known = doorkeeper.know
        return cls(identity, voters, channels, gate, exclusion, keeper, access, doorkeeper)

    @property
    def failures(self) -> tuple[asyncio.Future[None], ...]:
        """Each raises why this daemon must end."""
        return self.exclusion.failure, self.tasks.failure

    def start(self) -> None:
        """Look after the certificate and the port."""
        self.tasks.start(self.certificates.run())
        self.tasks.start(self.doorkeeper.watch())

    async def close(self) -> None:
        await self.tasks.stop()
        await self.channels.close()

    def revoke(self, entries: Sequence[Revoked]) -> None:
        self.exclusion.revoke(entries)

    def renew(self) -> None:
        self.certificates.renew()


def _identity(config: NodeConfig) -> tls.TlsIdentity:
    names = config.tls.names(config.cluster)
    Renewal(config.tls.files()).finish(names)  # what a crash left half done
    identity = tls.TlsIdentity.load(config.tls.files(), names=names, server_name=config.tls.server_name)
    found = identity.identity
    if (found.cluster, found.name, found.role) != (config.cluster, config.node, config.role):
        raise NotTrusted(
            f"the certificate is of {found}",
            place=str(config.tls.certificate),
            remedy=f"issue one for {config.role.value} {config.node} of cluster {config.cluster}",
        )
    return identity
