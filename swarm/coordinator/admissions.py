"""Who may join: tokens are made, spent and revoked through the replicated log."""

from __future__ import annotations

import hmac
from collections.abc import Collection

from swarm import limits
from swarm.coordinator.replica import Replica
from swarm.errors import Conflict, Mistake, NotAllowed, NotFound, QueueFull
from swarm.ports import Clock
from swarm.scheduler.events import TokenCreated, TokenRevoked, TokenUsed
from swarm.scheduler.members import Members, Token
from swarm.trust import Role
from swarm.trust.identity import is_name
from swarm.trust.tokens import ID_BYTES, KIND_OF_ROLE

_ANOTHER = "ask an administrator for another one: `swarm token create`"


class Admissions:
    """Decisions of the leader about tokens. Every method raises `NotLeader` elsewhere."""

    def __init__(self, replica: Replica, clock: Clock, voters: Collection[str]) -> None:
        self._replica = replica
        self._clock = clock
        self._voters = voters  # they may change

    @property
    def members(self) -> Members:
        return self._replica.scheduler.ledger.members

    def now_ms(self) -> int:
        return self._clock.wall_ms()

    async def create(
        self, token: str, secret_sha256: str, role: Role, life_ms: int, uses_max: int, principal: str
    ) -> Token:
        """Remember a token. Asking twice for the same one is harmless."""
        self._replica.must_lead()
        if len(token) != 2 * ID_BYTES or len(secret_sha256) != 64 or role not in KIND_OF_ROLE:
            raise Mistake(
                f"no token can be made for a {role.value}",
                place="role",
                remedy="one of: " + ", ".join(sorted(KIND_OF_ROLE)),
            )
        if not (1 <= life_ms <= limits.TOKEN_LIFE_MS_MAX and 1 <= uses_max <= limits.TOKEN_USES_MAX):
            raise Mistake(
                "a token lives too long, or has too many uses",
                place="token",
                remedy=f"at most {limits.TOKEN_LIFE_MS_MAX // 3_600_000} h and {limits.TOKEN_USES_MAX} uses",
            )
        if token not in self.members.tokens:
            if self.members.full():
                raise QueueFull(f"{limits.TOKENS_MAX} tokens are remembered", place="token")
            now_ms = self._clock.wall_ms()
            await self._replica.propose(
                TokenCreated(now_ms, token, secret_sha256, role.value, now_ms + life_ms, uses_max, principal)
            )
        return self._token(token)

    async def revoke(self, token: str, principal: str) -> Token:
        """Let nobody in by this token any more."""
        self._replica.must_lead()
        if self._token(token).revoked is None:
            await self._replica.propose(TokenRevoked(self._clock.wall_ms(), token, principal))
        return self._token(token)

    async def spend(self, token: str, secret_sha256: str, name: str, key_sha256: str) -> Role:
        """Let `name` in; returns as what. Whoever asks again with the same key is let in again.

        Raises `NotAllowed` where the token does not allow it, `Conflict` where the name is not free.
        """
        self._replica.must_lead()
        found = self.members.tokens.get(token)
        if found is None or not hmac.compare_digest(found.created.secret_sha256, secret_sha256):
            raise NotAllowed(
                "the cluster knows no such token", place="token", remedy=f"it was altered, or {_ANOTHER}"
            )
        if not is_name(name):
            raise Mistake(
                "this cannot name anybody", place="name", remedy="use lower-case letters and digits"
            )
        role = Role(found.created.role)
        if self._holds(token, name, key_sha256):
            return role
        if name in self._voters or self.members.taken(name):
            raise Conflict(f"somebody is called {name} already", place="name", remedy="choose another name")
        now_ms = self._clock.wall_ms()
        if why := found.why_not(now_ms):
            raise NotAllowed(f"the token cannot be used: {why}", place="token", remedy=_ANOTHER)
        await self._replica.propose(TokenUsed(now_ms, token, name, key_sha256))
        if not self._holds(token, name, key_sha256):
            raise NotAllowed("somebody else used the token first", place="token", remedy=_ANOTHER)
        return role

    def _holds(self, token: str, name: str, key_sha256: str) -> bool:
        joined = self.members.joined.get(name)
        same = joined is not None and (joined.token, joined.key_sha256) == (token, key_sha256)
        return same and name not in self.members.revoked

    def _token(self, token: str) -> Token:
        found = self.members.tokens.get(token)
        if found is None:
            raise NotFound(f"no token {token[:64]!r}", place="token", remedy="`swarm token list` has them")
        return found
