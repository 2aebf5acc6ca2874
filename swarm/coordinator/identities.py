"""Who is who, and who is let in no more: certificates recorded, and taken back, through the log."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from swarm import limits
from swarm.coordinator.replica import Replica
from swarm.coordinator.roster import Roster
from swarm.errors import Conflict, Mistake, NotFound, NotTrusted, QueueFull
from swarm.ids import NodeId
from swarm.ports import Clock
from swarm.scheduler.events import CertificateIssued, IdentityRevoked
from swarm.scheduler.members import Members
from swarm.trust.identity import Identity, is_name
from swarm.trust.revocation import SERIAL, Revoked

_WHERE = "`swarm certs list` has them"


@dataclass(frozen=True, slots=True)
class Standing:
    """A certificate and how it stands."""

    issued: CertificateIssued
    state: str  # valid | replaced | expired | revoked
    reason: str = ""


class Identities:
    """Decisions of the leader about identities. Every method but `standing` raises `NotLeader` elsewhere."""

    def __init__(self, replica: Replica, roster: Roster, clock: Clock, voters: Collection[str]) -> None:
        self._replica = replica
        self._roster = roster
        self._clock = clock
        self._voters = frozenset(voters)

    @property
    def members(self) -> Members:
        return self._replica.scheduler.ledger.members

    def known(self, serial: str) -> bool:
        """Whether this certificate is recorded here."""
        return serial in self.members.certificates

    async def record(self, uri: str, serial: str, not_after_ms: int, origin: str) -> None:
        """Remember that there is this certificate. Twice is harmless."""
        self._replica.must_lead()
        try:
            Identity.parse(uri)
        except NotTrusted as error:
            raise Mistake(error.message, place="certificate") from None
        if not SERIAL.fullmatch(serial):
            raise Mistake(f"{serial[:64]!r} is no serial number", place="serial")
        if not self.known(serial):
            event = CertificateIssued(self._clock.wall_ms(), uri, serial, not_after_ms, origin)
            await self._replica.propose(event)

    async def revoke(self, what: str, reason: str, principal: str) -> Revoked:
        """Let somebody in no more: a name in every certificate, or one certificate by its serial number."""
        self._replica.must_lead()
        name, serial = self._meant(what)
        if name == principal and not serial:
            raise Conflict(
                "this would send you away yourself", place=name, remedy="ask another administrator"
            )
        if (serial or name) not in self.members.revoked:
            if len(self.members.revoked) >= limits.REVOKED_MAX:
                raise QueueFull(f"{limits.REVOKED_MAX} are revoked", place="certificates")
            event = IdentityRevoked(
                self._clock.wall_ms(), name, reason[: limits.REASON_CHARS_MAX], principal, serial
            )
            await self._replica.propose(event)
        return Revoked(name, serial, self.members.revoked[serial or name].reason)

    def _meant(self, what: str) -> tuple[str, str]:
        if (issued := self.members.certificates.get(what)) is not None:
            return Identity.parse(issued.uri).name, what
        known = {Identity.parse(one.uri).name for one in self.members.certificates.values()}
        if is_name(what) and (what in known or what in self._voters or self.members.taken(what)):
            return what, ""
        raise NotFound(
            f"nobody is called {what[:64]!r}, nor is it a serial number", place="id", remedy=_WHERE
        )

    def rotate(self, nodes: Collection[NodeId]) -> list[NodeId]:
        """Let nodes ask for another certificate now; returns those that were told."""
        self._replica.must_lead()
        if absent := sorted(set(nodes) - set(self._roster.links)):
            raise NotFound(
                f"not attached: {', '.join(absent)[:200]}",
                place="nodes",
                remedy="`swarm nodes` lists those that are",
            )
        return self._roster.renew(nodes)

    def standing(self) -> list[Standing]:
        """Every certificate that is remembered, the latest of everybody first."""
        now_ms, latest, found = self._clock.wall_ms(), set[str](), []
        for issued in reversed(self.members.certificates.values()):
            revoked = self.members.revoked
            gone = revoked.get(issued.serial) or revoked.get(Identity.parse(issued.uri).name)
            if gone is not None:
                found.append(Standing(issued, "revoked", gone.reason))
            elif issued.not_after_ms < now_ms:
                found.append(Standing(issued, "expired"))
            else:
                found.append(Standing(issued, "replaced" if issued.uri in latest else "valid"))
                latest.add(issued.uri)
        return found
