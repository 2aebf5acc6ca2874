"""A log that is synced a moment later: for clusters whose operator chose speed over a power cut.

Everything is still written before anybody hears of it, so that the end of a process, however it comes, costs
nothing: what was written is in the kernel's hands. A power cut may take what was written in the last moments.
Two things keep that small. The sync follows on a thread of its own, after `RELAXED_SYNC_MS`, and a writer
that gets `RELAXED_LAG_MS_MAX` ahead of it waits. And a replica that starts on a machine that was booted since
knows that it may have forgotten: it votes for nobody for a while and stands for election later still, so that
one that remembers leads first (`Elections.abstain`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from swarm.adapters.raft.logfile import LogFile, sync_directory
from swarm.adapters.raft.settings import RELAXED_LAG_MS_MAX, RELAXED_SYNC_MS

BOOT_FILE = "boot"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class BackgroundSync:
    """Makes batches of the log durable behind the writer's back, and knows up to which one they are."""

    def __init__(self, on_fatal: Callable[[BaseException], None]) -> None:
        self._on_fatal = on_fatal
        self._changed = threading.Condition()
        self._file: LogFile | None = None
        self._written, self._synced = 0, 0
        self._era = 0  # sequences start anew in a new file: a sync of the old one says nothing of them
        self._waiting_since: float | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="raft-sync", daemon=True)

    @property
    def synced(self) -> int:
        """The last batch that is known to be durable."""
        with self._changed:
            return self._synced

    def lags(self) -> bool:
        """Whether the disk is so far behind that the writer has to wait for it."""
        with self._changed:
            since = self._waiting_since
        return since is not None and (time.monotonic() - since) * 1000 > RELAXED_LAG_MS_MAX

    def wrote(self, file: LogFile, sequence: int) -> None:
        """A batch was written and is not durable yet."""
        with self._changed:
            self._file, self._written = file, sequence
            if self._waiting_since is None:
                self._waiting_since = time.monotonic()
            self._changed.notify()

    def settled(self, sequence: int) -> None:
        """The writer synced the file itself, or wrote a new one."""
        with self._changed:
            self._era += 1
            self._written = self._synced = sequence
            self._waiting_since = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:  # noqa: BLE001 - the kernel may have dropped what it could not write
            self._on_fatal(error)

    def _turn(self) -> bool:
        """Wait for something to sync and sync it; False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._written > self._synced)
            if self._changed.wait_for(lambda: self._stopping, RELAXED_SYNC_MS / 1000):
                return False
            if self._file is None or self._written <= self._synced:
                return True
            # A descriptor of its own: the writer may close the file in the meantime.
            descriptor, era, target = self._file.duplicate(), self._era, self._written
            began = time.monotonic()
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        with self._changed:
            if self._era == era:
                self._synced = target
                self._waiting_since = began if self._written > target else None
        return True


class BootMark:
    """Under which boot of the machine a log was last written without being synced; a file beside the log."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / BOOT_FILE

    def outlived(self) -> bool:
        """Whether the machine went down since, and the log was not closed before."""
        try:
            return self._path.read_text() != _boot_id()
        except FileNotFoundError:
            return False

    def put(self) -> None:
        aside = self._path.with_suffix(".new")
        with aside.open("w") as file:
            file.write(_boot_id())
            file.flush()
            os.fsync(file.fileno())
        aside.rename(self._path)
        sync_directory(self._path.parent)

    def remove(self) -> None:
        """Everything is durable, and stays so."""
        self._path.unlink(missing_ok=True)
        sync_directory(self._path.parent)


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()
