"""Every number the etcd adapter works with, its unit, and what has to hold between them."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.errors import ConfigRefused
from swarm.limits import ENTRY_BYTES_MAX, KIB, MESSAGE_BYTES_MAX, MIB

# -- what one key holds: etcd refuses requests above 1.5 MiB ----------------------------------
BATCH_BYTES_MAX = 1 * MIB  # entries in one batch, each with its overhead
PIECE_BYTES = 512 * KIB  # a larger entry travels in pieces
ENTRY_OVERHEAD_BYTES = 16  # of an entry in a batch, beyond its payload
PART_BYTES = 1 * MIB  # of a snapshot
PARTS_MAX = 2_048
PAGE_KEYS = 16  # read at a time: a page of full keys fits one message

# -- calls ---------------------------------------------------------------------------------
RETRY_MS = 100  # after a call that failed, before the next member is asked
KEEPALIVE_MS = 10_000  # etcd calls anything below 5 s rude and hangs up
KEEPALIVE_TIMEOUT_MS = 5_000
LEASE_RENEWALS = 3  # tries to renew it that fit into the life of a lease
ENDPOINTS_MAX = 16

# -- waiting ------------------------------------------------------------------------------
PROPOSALS_PENDING_MAX = 100_000
PROPOSALS_PENDING_BYTES_MAX = 256 * MIB

assert PIECE_BYTES + ENTRY_OVERHEAD_BYTES <= BATCH_BYTES_MAX < 3 * MIB // 2
assert PAGE_KEYS * (BATCH_BYTES_MAX + PIECE_BYTES) < MESSAGE_BYTES_MAX
assert ENTRY_BYTES_MAX < PROPOSALS_PENDING_BYTES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdSettings:
    """What an operator may change."""

    lease_s: int = 3  # a leader that dies is followed by another after this long; etcd grants no less than 2
    compact_entries: int = 20_000  # a snapshot is taken after this many entries
    compact_bytes: int = 64 * MIB  # ... or this many bytes of them

    def __post_init__(self) -> None:
        if self.lease_s < 2 or self.compact_entries < 2 or self.compact_bytes < 1:
            raise ConfigRefused(
                f"{self} asks for a lease, or for snapshots, of no sense",
                place="etcd settings",
                remedy="write lease_s of at least 2, and snapshots after at least 2 entries",
            )
