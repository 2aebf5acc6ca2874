"""The keys of a log on disk, and how a new one takes over without a moment in which none counts.

Whoever wants another key writes it to `key.next` (`rotate_key`). The process that writes the log finds it
there and does four things, each durable before the next: an event says which key follows; the handover signed
by both stands in `keys.json`; `key.next` becomes `key`; a head is signed with it. A crash between any two of
them is made good when the log is opened: before the handover stands the whole begins anew, afterwards it is
only finished.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from nacl.signing import SigningKey

from swarm.adapters.audit.files import KEY_CHARS, KEY_DIGITS, AuditFiles, altered, sync_directory
from swarm.adapters.tls.files import PUBLIC_MODE, SECRET_MODE, make_private_directory, write_whole
from swarm.errors import ConfigRefused, LimitReached
from swarm.trust.keyring import HANDOVERS_MAX, Handover


class LogKeys:
    """The key that signs a log's heads now, and how it came to follow those before it."""

    def __init__(self, files: AuditFiles) -> None:
        self._files = files
        self.ring = files.read_ring()
        if not files.key.exists():
            if self.ring.handovers:
                raise altered(files.key.name, "the key is gone, and keys.json knows one")
            make_private_directory(files.directory)
            write_key(files.key)
        self.signing = _read_key(files.key)
        if self.wanted() and self.ring.newest == self.wanted_public():
            self._take()
        if self.ring.newest not in ("", self.public):
            raise altered(files.keys.name, "its last key is not the one that signs this log")
        self._publish()

    @property
    def public(self) -> str:
        return _public(self.signing)

    def wanted(self) -> bool:
        """Whether another key is to follow."""
        return self._files.next_key.exists()

    def wanted_public(self) -> str:
        """The one that is to follow. Raises `ConfigRefused` where it is no key."""
        return _public(_read_key(self._files.next_key))

    def hand_over(self, log: str, size: int) -> None:
        """Let the other key sign from `size` entries on."""
        successor = _read_key(self._files.next_key)
        handover = Handover.sign(self.signing, successor, log, size, time.time_ns() // 1_000_000)
        self.ring = self.ring.extended(handover)
        document = json.dumps(self.ring.document()).encode()
        write_whole(self._files.keys, document, PUBLIC_MODE)
        sync_directory(self._files.directory)
        self._take()
        self._publish()

    def _take(self) -> None:
        self.signing = _read_key(self._files.next_key)
        self._files.next_key.replace(self._files.key)
        sync_directory(self._files.directory)

    def _publish(self) -> None:
        public = self.public.encode() + b"\n"
        if not self._files.public_key.exists() or self._files.public_key.read_bytes() != public:
            write_whole(self._files.public_key, public, PUBLIC_MODE)


def ask_for_rotation(directory: Path) -> None:
    """Lay the key down that is to follow. Raises `NotFound`, `ConfigRefused` and `LimitReached`."""
    files = AuditFiles(directory)
    files.read_index()
    if directory.stat().st_uid != os.geteuid():
        raise ConfigRefused(
            "only the owner of an audit log changes its key",
            place=str(directory),
            remedy="run this as the user the daemon runs as",
        )
    if len(files.read_ring().handovers) >= HANDOVERS_MAX:
        raise LimitReached(
            f"this log has had {HANDOVERS_MAX} keys", place=str(directory), remedy="begin a new log"
        )
    if not files.next_key.exists():
        write_key(files.next_key)


def write_key(path: Path) -> None:
    """A new private key for its owner alone."""
    write_whole(path, bytes(SigningKey.generate()).hex().encode() + b"\n", SECRET_MODE)


def _public(key: SigningKey) -> str:
    return bytes(key.verify_key).hex()


def _read_key(path: Path) -> SigningKey:
    text = path.read_bytes()[: KEY_CHARS + 2].strip().decode("ascii", "replace")
    if not KEY_DIGITS.fullmatch(text):
        raise ConfigRefused(
            "this is no audit key", place=str(path), remedy="restore it, or begin a new log elsewhere"
        )
    return SigningKey(bytes.fromhex(text))
