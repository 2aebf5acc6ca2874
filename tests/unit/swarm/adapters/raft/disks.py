"""Disks that lose what was not synced, under a real log."""

import os
from pathlib import Path

from swarm.adapters.raft.logfile import LogDirectory, LogFile
from swarm.adapters.raft.wal import Wal

SECTOR_BYTES = 512
SMALL_STEP_BYTES = 64 * 1024


class RecordedFile(LogFile):
    """Knows what was written since the last sync, as a disk's cache does."""

    def __init__(self, path, flags):
        super().__init__(path, flags)
        self.durable = self.image()
        self.unsynced = []
        self.syncing = True

    def write(self, at, data):
        self.unsynced.append((at, bytes(data)))
        super().write(at, data)

    def sync(self):
        if self.syncing:
            super().sync()
            self.unsynced.clear()
            self.durable = self.image()

    def make_room(self, end):
        super().make_room(end)
        self.durable = self.durable.ljust(self._length, b"\0")

    def image(self):
        return os.pread(self._descriptor, 1 << 26, 0)


class RecordedDirectory(LogDirectory):
    def open(self):
        return RecordedFile(self.path, 0)

    def create_aside(self):
        return RecordedFile(self._aside, os.O_CREAT | os.O_TRUNC)


def write_without_sync(wal):
    """What `flush` does up to the sync, as if the power went there; the image before anything was lost."""
    wal._file.syncing = False
    wal.flush()
    return bytearray(wal._file.image())


def lose_power(wal, chooser):
    """Leave the file as a power cut does: with any subset of the sectors that were not synced."""
    file = wal._file
    image = bytearray(file.durable.ljust(len(file.image()), b"\0"))
    for at, data in file.unsynced:
        for sector in range(at // SECTOR_BYTES, (at + len(data) - 1) // SECTOR_BYTES + 1):
            start, end = max(at, sector * SECTOR_BYTES), min(at + len(data), (sector + 1) * SECTOR_BYTES)
            if chooser.random() < 0.5:
                image[start:end] = data[start - at : end - at]
    file.close()
    wal._file = None
    Path(wal.place).write_bytes(image)


def open_log(directory, owner="n1"):
    return Wal.open(LogDirectory(directory), owner)


def contents(wal):
    return (list(wal[:]), wal.getCurrentTerm(), wal.getVotedForNodeId(), dict(wal.peers))
