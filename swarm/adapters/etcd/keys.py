"""Where in etcd one cluster's log lies.

/swarm/CLUSTER/log/leader      the node that leads, under its lease; its create revision makes the term
/swarm/CLUSTER/log/batches/N   entries, in batches numbered from 1 without gaps
/swarm/CLUSTER/log/snapshot    the head of the snapshot that covers the batches before the first one there
/swarm/CLUSTER/log/origin      what a log that was moved here began with
/swarm/CLUSTER/parts/I/N       parts of the snapshot after entry I; outside `log/`, which everybody watches
"""

from __future__ import annotations


class Keys:
    """The names of one cluster's keys."""

    def __init__(self, cluster: str) -> None:
        root = f"/swarm/{cluster}/".encode()
        self.log = root + b"log/"
        self.leader = self.log + b"leader"
        self.snapshot = self.log + b"snapshot"
        self.origin = self.log + b"origin"
        self.batches = self.log + b"batches/"
        self.parts = root + b"parts/"

    def batch(self, number: int) -> bytes:
        return self.batches + b"%020d" % number

    def batch_number(self, key: bytes) -> int | None:
        """The number of a batch's key; None for any other key."""
        return int(key.removeprefix(self.batches)) if key.startswith(self.batches) else None

    def parts_of(self, index: int) -> bytes:
        return self.parts + b"%020d/" % index

    def part(self, index: int, number: int) -> bytes:
        return self.parts_of(index) + b"%06d" % number


def after(prefix: bytes) -> bytes:
    """The end of the range of all keys that begin with `prefix`."""
    return prefix[:-1] + bytes([prefix[-1] + 1])
