"""The file under the log: what has to be durable in which order, and nothing of what is in it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from swarm.adapters.raft.settings import PREALLOCATION_BYTES
from swarm.errors import Conflict

LOG_FILE = "log"
_MODE = 0o600


def sync_directory(directory: Path) -> None:
    """Make a rename in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_directory(directory: Path) -> int:
    """Hold `directory` for this process alone; the descriptor to close at the end."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Conflict(
            "another process uses this data directory",
            place=str(directory),
            remedy="stop it, or give each node a directory of its own",
        ) from None
    return descriptor


class LogFile:
    """An open file that is written at increasing places.

    Its length runs ahead of its contents: a sync then need not update metadata, and a full disk is met before
    a write is begun, never in the middle of one.
    """

    def __init__(self, path: Path, flags: int) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, _MODE)
        self._length = os.fstat(self._descriptor).st_size

    def make_room(self, end: int) -> None:
        """Let the file reach beyond `end`; its new length is durable before anything is written into it."""
        if end < self._length:
            return
        self._length = (end // PREALLOCATION_BYTES + 1) * PREALLOCATION_BYTES
        os.posix_fallocate(self._descriptor, 0, self._length)
        os.fsync(self._descriptor)

    def write(self, at: int, data: bytes | memoryview) -> None:
        view = memoryview(data)
        done = 0
        while done < len(view):
            done += os.pwrite(self._descriptor, view[done:], at + done)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def duplicate(self) -> int:
        """A descriptor of the same file that outlives this one; the caller closes it."""
        return os.dup(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class LogDirectory:
    """Where the log file lies, and where a new one is made before it takes the old one's place."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / LOG_FILE
        self._aside = self.path.with_suffix(".new")
        self._aside.unlink(missing_ok=True)

    def read(self) -> bytes | None:
        """The log file's bytes, or None where there never was one."""
        return self.path.read_bytes() if self.path.exists() else None

    def open(self) -> LogFile:
        return LogFile(self.path, 0)

    def create_aside(self) -> LogFile:
        return LogFile(self._aside, os.O_CREAT | os.O_TRUNC)

    def replace(self) -> None:
        """Put the new file, already durable, in the old one's place, durably."""
        self._aside.rename(self.path)
        sync_directory(self.path.parent)
