"""How an audit log lies on disk: segments of events, the roots of those that are full, and the newest head.

    audit/
      key              the private key that signs heads, 0600
      key.pub          the public key, in hexadecimal: what a third party needs
      key.next         the private key that is to follow; `swarm.adapters.audit.keys`
      keys.json        how each key followed the one before it
      segments.json    name of the log, events in a segment, and the root of every full segment
      events-000000000000.jsonl, events-000000065536.jsonl, ...
      head.json        the newest head; a copy kept elsewhere shows a log that was cut short since

A segment is a complete subtree. So one may be dropped when it is old enough and leave but its root behind:
every proof about later events stays what it was. Each segment but the first begins with the head that stands
at the end of the one before it, and so can be checked even where that one is gone.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from swarm import limits
from swarm.adapters.tls.files import PUBLIC_MODE, write_whole
from swarm.errors import ConfigRefused, Conflict, NotFound, NotTrusted, ProtocolBroken
from swarm.trust.audit import LINE_BYTES_MAX, PROOF_BYTES_MAX, Head, read_json
from swarm.trust.keyring import ALONE, KeyRing
from swarm.trust.merkle import HASH_BYTES, Frontier

SEGMENT_HEIGHT: Final = 16  # 65,536 events
SEGMENT_HEIGHT_MAX: Final = 24
INDEX_BYTES_MAX: Final = 64 * limits.MIB
RING_BYTES_MAX: Final = PROOF_BYTES_MAX
KEY_CHARS: Final = 64

_SEGMENT = re.compile(r"events-([0-9]{12,})\.jsonl", re.ASCII)
KEY_DIGITS: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Index:
    """What `segments.json` says."""

    log: str
    height: int
    roots: tuple[bytes, ...]

    @property
    def events(self) -> int:
        """In one segment."""
        return 1 << self.height

    def frontier(self, size: int) -> Frontier:
        """The tree over the full segments that hold the first `size` events."""
        found = Frontier()
        if size % self.events or size // self.events > len(self.roots):
            raise altered("segments.json", f"it does not know the segments before event {size}")
        for root in self.roots[: size // self.events]:
            found.append_subtree(self.height, root)
        return found

    def document(self) -> dict[str, object]:
        return {"log": self.log, "height": self.height, "roots": [root.hex() for root in self.roots]}


class AuditFiles:
    """The files of one log, by their names."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = directory / "key"
        self.public_key = directory / "key.pub"
        self.next_key = directory / "key.next"
        self.keys = directory / "keys.json"
        self.index = directory / "segments.json"
        self.head = directory / "head.json"

    def segment(self, first: int) -> Path:
        """The segment whose first event has this number."""
        return self.directory / f"events-{first:012d}.jsonl"

    def segments(self) -> list[int]:
        """First event of every segment that is there, in order."""
        matches = (_SEGMENT.fullmatch(path.name) for path in self.directory.glob("events-*.jsonl"))
        return sorted(int(match[1]) for match in matches if match)

    def read_index(self) -> Index:
        """Raises `NotFound` where there is no log, `NotTrusted` where the file makes no sense."""
        try:
            document = read_json(_read(self.index, INDEX_BYTES_MAX), INDEX_BYTES_MAX)
        except FileNotFoundError:
            raise NotFound(
                "there is no audit log",
                place=str(self.directory),
                remedy="name the directory `audit` in a node's data_dir",
            ) from None
        except ProtocolBroken as error:
            raise altered(self.index.name, error.message) from None
        match document:
            case {"log": str(log), "height": int(height), "roots": list(roots)} if (
                1 <= height <= SEGMENT_HEIGHT_MAX and all(_is_hash(root) for root in roots)
            ):
                return Index(log, height, tuple(bytes.fromhex(root) for root in roots))
            case _:
                raise altered(self.index.name, "it is no index of segments")

    def read_head(self) -> Head | None:
        """The newest head as it was kept beside the log; None where it cannot be read."""
        try:
            return Head.read(read_json(_read(self.head, LINE_BYTES_MAX).rstrip(b" \n")))
        except (OSError, ProtocolBroken):
            return None

    def write_index(self, index: Index) -> None:
        write_whole(self.index, json.dumps(index.document()).encode(), PUBLIC_MODE)
        sync_directory(self.directory)

    def read_ring(self) -> KeyRing:
        """The keys of the log, one after the other. Raises `NotTrusted` where they do not hold."""
        try:
            return KeyRing.read(read_json(_read(self.keys, RING_BYTES_MAX), RING_BYTES_MAX))
        except FileNotFoundError:
            return ALONE
        except (ProtocolBroken, NotTrusted) as error:
            raise altered(self.keys.name, error.message) from None

    def lock(self) -> int:
        """A descriptor that keeps every other writer out until it is closed. Raises `Conflict`."""
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Conflict(
                "another process writes this audit log",
                place=str(self.directory),
                remedy="stop that one first, or leave it to it",
            ) from None
        return descriptor


def read_public_key(text_or_path: str) -> str:
    """A public key from its hexadecimal digits or from a file that holds them."""
    text = text_or_path
    if not KEY_DIGITS.fullmatch(text):
        try:
            words = Path(text_or_path).read_bytes()[: 2 * KEY_CHARS].decode("ascii", "replace").split()
            text = words[0] if words else ""  # a name may follow
        except OSError as error:
            raise ConfigRefused(
                f"no public key: {error.strerror}",
                place=text_or_path[:200],
                remedy="give key.pub or 64 digits",
            ) from None
    if not KEY_DIGITS.fullmatch(text):
        raise ConfigRefused("no public key", place=text_or_path[:200], remedy="give key.pub or 64 digits")
    return text


def lines_of(path: Path) -> Iterator[tuple[bytes, bool]]:
    """Every line without its end, and whether it has one: the last of a torn file has not."""
    with path.open("rb") as file:
        while line := file.readline(LINE_BYTES_MAX + 2):
            yield line.rstrip(b"\n"), line.endswith(b"\n")


def sync_directory(directory: Path) -> None:
    """Make what was created, renamed or removed in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def altered(place: str, message: str) -> NotTrusted:
    """What is raised where a log is not what its key signed."""
    return NotTrusted(
        message,
        place=place,
        remedy="the log was altered: keep its directory as evidence, compare it with copies and older heads",
    )


def _is_hash(text: object) -> bool:
    return isinstance(text, str) and len(text) == 2 * HASH_BYTES and KEY_DIGITS.fullmatch(text) is not None


def _read(path: Path, bytes_max: int) -> bytes:
    with path.open("rb") as file:
        return file.read(bytes_max + 1)
