"""What a line of the audit log says, how a tree head is signed, and how a proof is checked by a third party.

An event is one line of JSON. Payloads are in it as sha256 alone. A *head* is the root of the tree over all
events so far, signed with the log's Ed25519 key of that time (`swarm.trust.keyring`); it stands in the log as
a line of its own behind the events it covers and is no event itself. A proof is a document that holds
everything but a public key of the log: whoever has one needs neither the log nor the cluster.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from swarm.errors import NotTrusted, ProtocolBroken
from swarm.trust.keyring import ALONE, KeyRing
from swarm.trust.merkle import SIZE_BITS_MAX, consistent, included, leaf_hash

FIELD_CHARS_MAX: Final = 300
LINE_BYTES_MAX: Final = 16_384
PROOF_BYTES_MAX: Final = 131_072  # an entry, its path, and as many handovers between keys as there may be
HEAD_START: Final = b'{"head":'

_HEAD_MESSAGE: Final = "swarm audit head 1"
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}", re.ASCII)

_FACTS_MAX: Final = 6
_CROWDED_CHARS_MAX: Final = FIELD_CHARS_MAX // 8

# JSON may need twelve bytes for one character: a line of such text is made again with shorter fields.
assert 12 * _CROWDED_CHARS_MAX * (6 + 4 * _FACTS_MAX) + 512 < LINE_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Event:
    """One operation: who did what on what, how it ended, from where. All text is cut to its bound."""

    at_ms: int
    who: str
    did: str
    on: str = ""
    result: str = "ok"
    source: str = ""  # where the call came from
    trace: str = ""
    took_ms: float = 0.0
    context: Mapping[str, str] = field(default_factory=dict)
    payloads: Mapping[str, str] = field(default_factory=dict)  # name -> sha256

    def line(self, seq: int) -> bytes:
        """The event as entry number `seq`, without a line's end."""
        text = _json(self._document(seq, FIELD_CHARS_MAX))
        if len(text) > LINE_BYTES_MAX:
            text = _json(self._document(seq, _CROWDED_CHARS_MAX))
        return text

    def _document(self, seq: int, chars: int) -> dict[str, object]:
        found: dict[str, object] = {
            "seq": seq,
            "at_ms": self.at_ms,
            "who": self.who[:chars],
            "did": self.did[:chars],
            "on": self.on[:chars],
            "result": self.result[:chars],
            "from": self.source[:chars],
        }
        if self.trace:
            found["trace"] = self.trace[:chars]
        if self.took_ms:
            found["took_ms"] = round(self.took_ms, 3)
        for name, facts in (("context", self.context), ("payloads", self.payloads)):
            if facts:
                found[name] = {key[:chars]: value[:chars] for key, value in list(facts.items())[:_FACTS_MAX]}
        return found


@dataclass(frozen=True, slots=True)
class Head:
    """What the log's key says: my first `size` entries have this root."""

    log: str
    size: int
    root: bytes
    at_ms: int
    key: str
    signature: bytes

    @classmethod
    def sign(cls, key: SigningKey, log: str, size: int, root: bytes, at_ms: int) -> Self:
        signature = key.sign(_head_message(log, size, root, at_ms)).signature
        return cls(log, size, root, at_ms, bytes(key.verify_key).hex(), signature)

    def signed_by(self, key: str, ring: KeyRing = ALONE) -> bool:
        """Whether the holder of `key` (hexadecimal) signed this, or of one that `ring` puts in its place."""
        if not ring.covers(key, self.log, self.key, self.size):
            return False
        try:
            message = _head_message(self.log, self.size, self.root, self.at_ms)
            VerifyKey(bytes.fromhex(self.key)).verify(message, self.signature)
        except BadSignatureError:
            return False
        return True

    def document(self) -> dict[str, object]:
        return {
            "log": self.log,
            "size": self.size,
            "root": self.root.hex(),
            "at_ms": self.at_ms,
            "key": self.key,
            "signature": self.signature.hex(),
        }

    def line(self) -> bytes:
        """The head as a line of the log, without a line's end."""
        return _json({"head": self.document()})

    @classmethod
    def read(cls, document: object) -> Self:
        """A head from JSON. Raises `ProtocolBroken`."""
        match document:
            case {
                "log": str(log),
                "size": int(size),
                "root": str(root),
                "at_ms": int(at_ms),
                "key": str(key),
                "signature": str(signature),
            } if (
                0 <= size < 1 << SIZE_BITS_MAX
                and 0 <= at_ms < 1 << SIZE_BITS_MAX
                and len(log) <= FIELD_CHARS_MAX
                and "\n" not in log
                and all(_HASH.fullmatch(text) for text in (root, key))
                and _SIGNATURE.fullmatch(signature)
            ):
                return cls(log, size, bytes.fromhex(root), at_ms, key, bytes.fromhex(signature))
            case _:
                raise _unreadable("no tree head")


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A document that proves one event to whoever has the log's public key."""

    entry: str
    index: int
    path: tuple[bytes, ...]
    head: Head
    ring: KeyRing = ALONE

    def document(self) -> dict[str, object]:
        path = [step.hex() for step in self.path]
        proved = {"inclusion": {"entry": self.entry, "index": self.index, "path": path}}
        return {**proved, "head": self.head.document(), "keys": self.ring.document()}

    def check(self, key: str) -> None:
        """Raises `NotTrusted` unless the event stands in the log of `key` where this says."""
        _check_head(self.head, key, self.ring)
        leaf = leaf_hash(self.entry.encode())
        if not included(leaf, self.index, self.head.size, self.path, self.head.root):
            raise NotTrusted(
                f"this is not entry {self.index} of the log",
                place="proof",
                remedy="the event or the proof was altered; ask for another proof",
            )


@dataclass(frozen=True, slots=True)
class Consistency:
    """A document that proves that nothing the older head covers was altered until the newer one."""

    before: Head
    path: tuple[bytes, ...]
    head: Head
    ring: KeyRing = ALONE

    def document(self) -> dict[str, object]:
        path = [step.hex() for step in self.path]
        proved = {"consistency": {"before": self.before.document(), "path": path}}
        return {**proved, "head": self.head.document(), "keys": self.ring.document()}

    def check(self, key: str) -> None:
        """Raises `NotTrusted` unless the newer tree begins with the whole older one."""
        _check_head(self.before, key, self.ring)
        _check_head(self.head, key, self.ring)
        older, newer = self.before, self.head
        if older.log != newer.log or not consistent(
            older.size, older.root, newer.size, newer.root, self.path
        ):
            raise NotTrusted(
                f"the log of {newer.size} entries does not begin with the one of {older.size}",
                place="proof",
                remedy="the log was altered or forked, or the proof was: keep both heads as evidence",
            )


def read_proof(data: bytes) -> Inclusion | Consistency:
    """A proof from its document. Raises `ProtocolBroken`, and `NotTrusted` where its keys do not hold."""
    document = read_json(data, PROOF_BYTES_MAX)
    ring = KeyRing.read(document.get("keys", ())) if isinstance(document, dict) else ALONE
    match document:
        case {"inclusion": {"entry": str(entry), "index": int(index), "path": list(path)}, "head": head}:
            return Inclusion(entry, index, _path(path), Head.read(head), ring)
        case {"consistency": {"before": before, "path": list(path)}, "head": head}:
            return Consistency(Head.read(before), _path(path), Head.read(head), ring)
        case _:
            raise _unreadable("no proof")


def read_json(data: bytes, bytes_max: int = LINE_BYTES_MAX) -> object:
    """JSON of bounded size. Raises `ProtocolBroken`."""
    if len(data) > bytes_max:
        raise _unreadable(f"more than {bytes_max} bytes")
    try:
        found: object = json.loads(data)
    except (ValueError, RecursionError):
        raise _unreadable("not JSON") from None
    return found


def _check_head(head: Head, key: str, ring: KeyRing) -> None:
    if not head.signed_by(key, ring):
        raise NotTrusted(
            f"the head of {head.size} entries is not signed by {key[:16]}...",
            place="head",
            remedy="check whose public key this is; the head says " + head.key[:16] + "...",
        )


def _path(path: list[object]) -> tuple[bytes, ...]:
    if len(path) > SIZE_BITS_MAX:
        raise _unreadable("too long a path")
    found = []
    for step in path:
        if not isinstance(step, str) or not _HASH.fullmatch(step):
            raise _unreadable("no hash in a path")
        found.append(bytes.fromhex(step))
    return tuple(found)


def _head_message(log: str, size: int, root: bytes, at_ms: int) -> bytes:
    # The first line keeps a signature made here from meaning anything elsewhere.
    return f"{_HEAD_MESSAGE}\n{log}\n{size}\n{root.hex()}\n{at_ms}\n".encode()


def _json(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _unreadable(what: str) -> ProtocolBroken:
    return ProtocolBroken(f"this is {what}" if what.startswith("no") else what, place="audit")
