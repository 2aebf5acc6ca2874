"""A node's view of who belongs to its cluster, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.trust.revocation import Revocations, Revoked


class MemoryMembership:
    """Remembers what the leader said."""

    def __init__(self) -> None:
        self.revoked = Revocations()
        self.renewals = 0

    def revoke(self, entries: Sequence[Revoked]) -> None:
        self.revoked.take(entries)

    def renew(self) -> None:
        self.renewals += 1
