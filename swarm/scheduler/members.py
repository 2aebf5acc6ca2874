"""Who was let into the cluster, by which token: the part of the ledger that is about people and machines.

A token is spent by the log: of two machines that use its last use at once, the one whose entry comes first
has it, and every replica agrees. A name is given once; whoever has it keeps it until it is revoked, and then
nobody may bear it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import assert_never

from swarm import limits
from swarm.scheduler.events import (
    CertificateIssued,
    IdentityRevoked,
    KeyRegistered,
    Membership,
    TokenCreated,
    TokenRevoked,
    TokenUsed,
)
from swarm.trust.results import KEY_OVERLAP_MS, Key


@dataclass(slots=True)
class Token:
    """A token and what became of it."""

    created: TokenCreated
    uses: list[TokenUsed] = field(default_factory=list)
    revoked: TokenRevoked | None = None

    def why_not(self, at_ms: int) -> str:
        """Why it cannot be used at this moment; empty if it can."""
        if self.revoked is not None:
            return "it was revoked"
        if at_ms >= self.created.expires_ms:
            return "it has expired"
        if len(self.uses) >= self.created.uses_max:
            return "it is used up"
        return ""


class Members:
    """Tokens, those who joined with them, and those who were sent away."""

    def __init__(self) -> None:
        self.tokens: dict[str, Token] = {}
        self.joined: dict[str, TokenUsed] = {}  # by name
        self.revoked: dict[
            str, IdentityRevoked
        ] = {}  # by name; by serial number where one certificate is meant
        self.certificates: dict[str, CertificateIssued] = {}  # by serial number, oldest first
        self.keys: dict[str, list[KeyRegistered]] = {}  # by node, oldest first

    def apply(self, event: Membership) -> None:
        """Absorb one event. An event that came too late changes nothing."""
        match event:
            case TokenCreated():
                self._forget_useless(event.at_ms)
                self.tokens.setdefault(event.token, Token(event))
            case TokenUsed():
                token = self.tokens.get(event.token)
                if token is not None and event.name not in self.joined and not token.why_not(event.at_ms):
                    token.uses.append(event)
                    self.joined[event.name] = event
            case TokenRevoked():
                token = self.tokens.get(event.token)
                if token is not None and token.revoked is None:
                    token.revoked = event
            case IdentityRevoked():
                self.revoked.setdefault(event.serial or event.name, event)
            case CertificateIssued():
                self._remember(event)
            case KeyRegistered():
                self._take_key(event)
            case _:
                assert_never(event)

    def _take_key(self, event: KeyRegistered) -> None:
        keys = self.keys.setdefault(event.node, [])
        if not any(each.key == event.key for each in keys):
            keys.append(event)
            del keys[: -limits.RESULT_KEYS_KEPT_MAX]

    def knows(self, node: str, key: str) -> bool:
        """Whether this is the key that a node signs with."""
        keys = self.keys.get(node)
        return keys is not None and keys[-1].key == key

    def result_keys(self) -> list[Key]:
        """Every key that results may be signed with, and while it was its node's."""
        found = []
        for keys in self.keys.values():
            for at, each in enumerate(keys):
                until_ms = keys[at + 1].at_ms + KEY_OVERLAP_MS if at + 1 < len(keys) else 0
                found.append(Key(each.node, bytes.fromhex(each.key), each.at_ms, until_ms))
        return found

    def full(self) -> bool:
        """Whether no further token can be remembered."""
        return len(self.tokens) >= limits.TOKENS_MAX

    def taken(self, name: str) -> bool:
        """Whether somebody bears or bore this name."""
        return name in self.joined or name in self.revoked

    def history(self) -> Iterator[Membership]:
        """Events that rebuild this state, in order."""
        for token in self.tokens.values():
            yield token.created
            yield from token.uses
        # Last: a token revoked after others were made must not be forgotten when those are made again.
        yield from (token.revoked for token in self.tokens.values() if token.revoked is not None)
        yield from self.revoked.values()
        yield from self.certificates.values()
        for keys in self.keys.values():
            yield from keys

    def _remember(self, event: CertificateIssued) -> None:
        """The latest few of everybody, of which those that still hold; what is long over makes room."""
        if event.serial in self.certificates:
            return
        same = [old for old in self.certificates.values() if old.uri == event.uri]
        crowd = max(0, len(same) + 1 - limits.CERTIFICATES_KEPT_MAX)
        gone = [old for number, old in enumerate(same) if number < crowd or old.not_after_ms < event.at_ms]
        if len(self.certificates) >= limits.CERTIFICATES_MAX:
            gone += [old for old in self.certificates.values() if old.not_after_ms < event.at_ms]
        for old in gone:
            self.certificates.pop(old.serial, None)
        if len(self.certificates) < limits.CERTIFICATES_MAX:
            self.certificates[event.serial] = event

    def _forget_useless(self, at_ms: int) -> None:
        """A token nobody used nor can use any more is not worth remembering; one that was used is."""
        useless = [name for name, token in self.tokens.items() if not token.uses and token.why_not(at_ms)]
        for name in useless:
            del self.tokens[name]
