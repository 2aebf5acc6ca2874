"""Which keys may speak for one audit log, one after the other, and how one of them vouches for the rest.

When a log gets a new key, old and new both sign a *handover*: from `size` entries on heads are signed with
the new one. The old signature lets whoever has an older key follow to the newer; the new signature lets
whoever has a newer key accept what the older signed in its time. At `size` itself both are valid: that is the
overlap. Outside its period a key counts for nothing with whoever has seen the handover.

A ring that exists holds: whoever makes one has every signature and the order of the periods checked. What it
cannot rule out is that the *old* key itself was stolen before it was followed: then give the new public key
by another way to those who check, and they begin with that one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from swarm.errors import LimitReached, NotTrusted, ProtocolBroken
from swarm.trust.merkle import SIZE_BITS_MAX

HANDOVERS_MAX: Final = 64
LOG_CHARS_MAX: Final = 300

_HANDOVER_MESSAGE: Final = "swarm audit handover 1"
_KEY: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Handover:
    """One key follows another: from `size` entries on `new` signs the log's heads, up to there `old`."""

    log: str
    size: int
    old: str
    new: str
    at_ms: int
    by_old: bytes
    by_new: bytes

    @classmethod
    def sign(cls, old: SigningKey, new: SigningKey, log: str, size: int, at_ms: int) -> Self:
        names = (bytes(old.verify_key).hex(), bytes(new.verify_key).hex())
        message = _message(log, size, *names, at_ms)
        return cls(log, size, *names, at_ms, old.sign(message).signature, new.sign(message).signature)

    def holds(self) -> bool:
        """Whether both keys signed this."""
        message = _message(self.log, self.size, self.old, self.new, self.at_ms)
        try:
            VerifyKey(bytes.fromhex(self.old)).verify(message, self.by_old)
            VerifyKey(bytes.fromhex(self.new)).verify(message, self.by_new)
        except BadSignatureError:
            return False
        return True

    def document(self) -> dict[str, object]:
        return {
            "log": self.log,
            "size": self.size,
            "old": self.old,
            "new": self.new,
            "at_ms": self.at_ms,
            "by_old": self.by_old.hex(),
            "by_new": self.by_new.hex(),
        }

    @classmethod
    def read(cls, document: object) -> Self:
        """A handover from JSON. Raises `ProtocolBroken`."""
        match document:
            case {
                "log": str(log),
                "size": int(size),
                "old": str(old),
                "new": str(new),
                "at_ms": int(at_ms),
                "by_old": str(by_old),
                "by_new": str(by_new),
            } if (
                0 <= size < 1 << SIZE_BITS_MAX
                and 0 <= at_ms < 1 << SIZE_BITS_MAX
                and len(log) <= LOG_CHARS_MAX
                and "\n" not in log
                and all(_KEY.fullmatch(key) for key in (old, new))
                and all(_SIGNATURE.fullmatch(signature) for signature in (by_old, by_new))
            ):
                return cls(log, size, old, new, at_ms, bytes.fromhex(by_old), bytes.fromhex(by_new))
            case _:
                raise ProtocolBroken("this is no handover between keys", place="audit")


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Every handover of a log, in order. Making one raises `NotTrusted` where they do not hold."""

    handovers: tuple[Handover, ...] = ()

    def __post_init__(self) -> None:
        seen = {self.handovers[0].old} if self.handovers else set()
        newest, size = (self.handovers[0].old, 0) if self.handovers else ("", 0)
        for handover in self.handovers:
            if (handover.log, handover.old) != (self.handovers[0].log, newest) or handover.size < size:
                raise _forged(handover, "does not follow the one before it")
            if handover.new in seen:
                raise _forged(handover, "gives a key back its place")
            if not handover.holds():
                raise _forged(handover, "was not signed by both keys")
            seen.add(handover.new)
            newest, size = handover.new, handover.size

    @property
    def newest(self) -> str:
        """The key that signs now; empty where none ever followed another."""
        return self.handovers[-1].new if self.handovers else ""

    def extended(self, handover: Handover) -> KeyRing:
        """Raises `LimitReached` where a log has had too many keys."""
        if len(self.handovers) >= HANDOVERS_MAX:
            raise LimitReached(
                f"this log has had {HANDOVERS_MAX} keys", place=handover.log, remedy="begin a new log"
            )
        return KeyRing((*self.handovers, handover))

    def covers(self, trusted: str, log: str, key: str, size: int) -> bool:
        """Whether whoever trusts one key accepts a head over `size` entries signed with another."""
        if not self.handovers:
            return key == trusted
        periods = {name: (begin, end) for name, begin, end in self._periods()}
        if trusted not in periods:
            return key == trusted
        if key not in periods or log != self.handovers[0].log:
            return False
        first, last = periods[key]
        return first <= size and (last is None or size <= last)

    def document(self) -> list[dict[str, Any]]:
        return [handover.document() for handover in self.handovers]

    def _periods(self) -> Iterator[tuple[str, int, int | None]]:
        """Every key with the sizes between which its heads count."""
        begin = 0
        for handover in self.handovers:
            yield handover.old, begin, handover.size
            begin = handover.size
        yield self.newest, begin, None

    @classmethod
    def read(cls, documents: object) -> KeyRing:
        """A ring from JSON. Raises `ProtocolBroken` and `NotTrusted`."""
        if not isinstance(documents, Sequence) or len(documents) > HANDOVERS_MAX:
            raise ProtocolBroken(
                f"this is no list of at most {HANDOVERS_MAX} handovers between keys", place="audit"
            )
        return cls(tuple(Handover.read(document) for document in documents))


ALONE: Final = KeyRing()  # of a log whose key never changed


def _message(log: str, size: int, old: str, new: str, at_ms: int) -> bytes:
    # The first line keeps a signature made here from meaning anything elsewhere.
    return f"{_HANDOVER_MESSAGE}\n{log}\n{size}\n{old}\n{new}\n{at_ms}\n".encode()


def _forged(handover: Handover, what: str) -> NotTrusted:
    return NotTrusted(
        f"the handover from {handover.old[:16]}... to {handover.new[:16]}... {what}",
        place="keys",
        remedy="the list of keys was forged or altered: ask for it again, keep this one as evidence",
    )
