"""Disks in memory: what was synced stays, and of the rest whatever chance leaves."""

from pathlib import Path

from pysyncobj.journal import MemoryJournal

SECTOR_BYTES = 512


class SimulatedFile:
    """A log file in memory that remembers what a sync has promised."""

    def __init__(self, data=b""):
        self.durable = bytearray(data)
        self.pending = []

    def make_room(self, end):
        if end >= len(self.durable):
            self.durable.extend(bytes(end + 4_096 - len(self.durable)))

    def write(self, at, data):
        self.pending.append((at, bytes(data)))

    def sync(self):
        for at, data in self.pending:
            self.durable[at : at + len(data)] = data
        self.pending.clear()

    def close(self):
        pass

    def lose_power(self, chance):
        for at, data in self.pending:
            for start in range(0, len(data), SECTOR_BYTES):
                if chance.random() < 0.5:
                    piece = data[start : start + SECTOR_BYTES]
                    self.durable[at + start : at + start + len(piece)] = piece
        self.pending.clear()


class SimulatedDisk:
    """What `LogDirectory` is to the real log. With `forgets`, syncs lie: to show that this is noticed."""

    def __init__(self, *, forgets=False):
        self.path = Path("simulated/log")
        self.file = None
        self.aside = None
        self.forgets = forgets

    def read(self):
        return bytes(self.file.durable) if self.file is not None else None

    def open(self):
        return self.file

    def create_aside(self):
        self.aside = SimulatedFile()
        return self.aside

    def replace(self):
        self.file, self.aside = self.aside, None
        if self.forgets:
            self.file.sync = lambda: None

    def lose_power(self, chance):
        if self.file is not None:
            if self.forgets:
                _keep_some(self.file, chance)
            self.file.lose_power(chance)


def _keep_some(file, chance):
    """Whole writes from the front survive; the rest never reached the disk."""
    kept = file.pending[: chance.randint(0, len(file.pending))]
    file.pending = []
    for at, data in kept:
        file.durable[at : at + len(data)] = data


class PerfectDisk(MemoryJournal):
    """Every change is durable at once: the best case for the library."""

    def lose_power(self, chance):
        pass
