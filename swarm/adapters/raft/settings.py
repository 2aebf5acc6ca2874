"""Every number the Raft adapter works with, its unit, and what has to hold between them."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.errors import ConfigRefused
from swarm.limits import ENTRY_BYTES_MAX, KIB, MESSAGE_BYTES_MAX, MIB

# -- the log on disk -----------------------------------------------------------------------
PREALLOCATION_BYTES = 4 * MIB  # the log file grows by this; its length is always a multiple of it
REWRITE_BATCH_BYTES = 8 * MIB
LONG_WRITE_BYTES = 2 * MIB  # a longer write is synced in steps, with signs of life in between
LOG_BYTES_MAX = 1024 * MIB  # held in memory between two snapshots; beyond it proposals are refused

# -- a relaxed log: written, and synced behind the writer's back (see `relaxed`) ----------------
RELAXED_SYNC_MS = 20  # gathers what is synced together
RELAXED_LAG_MS_MAX = 500  # a disk further behind than this makes the writer wait
ABSTAIN_MS = 5_000  # no votes of a replica that may have forgotten; it stands for election after twice that

# -- snapshots -----------------------------------------------------------------------------
SNAPSHOT_BYTES_MAX = 2048 * MIB
SNAPSHOT_CHUNK_BYTES = 256 * KIB
SNAPSHOT_ANSWER_MS = 10_000  # a follower that has every chunk installs it within this, or is sent it again
TAIL_ENTRIES_KEPT = 1_000  # kept behind a snapshot, so that a follower a moment late needs no snapshot
TAIL_BYTES_KEPT = 8 * MIB

# -- between voters ------------------------------------------------------------------------
APPEND_BYTES = 1 * MIB  # entries in one message; a single larger entry travels alone
FRAME_BYTES = 1 * MIB  # messages in one frame
FRAGMENT_BYTES = 512 * KIB  # a message above FRAME_BYTES travels in pieces of this size
COMMIT_NOTICE_MS = 10  # that more is committed waits so long for entries to travel with
WINDOW_BYTES = 8 * MIB  # entries and chunks on their way to one peer
LINK_BYTES_MAX = 2 * MESSAGE_BYTES_MAX  # a link with more than this unsent is cut
LINK_FRAMES_MAX = 16_384
INBOX_BYTES_MAX = 2 * MESSAGE_BYTES_MAX  # then streams are read no further until Raft has caught up
DIAL_MS_MAX = 2_000
REDIAL_MS = 100
REDIAL_REFUSED_MS = 5_000  # a peer that refused us will hardly change its mind at once

# -- who takes part ---------------------------------------------------------------------------
VOTERS_MAX = 7
VOTERS_REMOVED_MAX = 128  # names; each is kept for the life of the log, in every entry about voters
PEERS_MAX = 3 * VOTERS_MAX  # coordinators one speaks with: those of today, and of changes it has missed
PROMOTION_LAG_ENTRIES = 500  # a learner no further behind than this becomes a voter

# -- between the Raft thread and the event loop ----------------------------------------------
PROPOSALS_PENDING_MAX = 100_000
PROPOSALS_PENDING_BYTES_MAX = 256 * MIB
TICK_PROPOSAL_BYTES = 64 * MIB  # taken into the log, hence into one write, at a time
APPLY_BATCH_ENTRIES = 1_000
APPLY_AHEAD_ENTRIES = 8_000  # handed to the event loop and not yet applied there
APPLY_AHEAD_BYTES = 128 * MIB
STOP_MS_MAX = 10_000

ENTRY_OVERHEAD_BYTES = 64  # of an entry in a message, beyond its payload

assert ENTRY_BYTES_MAX + APPEND_BYTES + ENTRY_OVERHEAD_BYTES <= MESSAGE_BYTES_MAX
assert FRAGMENT_BYTES + SNAPSHOT_CHUNK_BYTES + ENTRY_OVERHEAD_BYTES <= FRAME_BYTES < MESSAGE_BYTES_MAX
assert SNAPSHOT_CHUNK_BYTES < WINDOW_BYTES < LINK_BYTES_MAX
assert WINDOW_BYTES + MESSAGE_BYTES_MAX < LINK_BYTES_MAX
assert ENTRY_BYTES_MAX < TICK_PROPOSAL_BYTES <= PROPOSALS_PENDING_BYTES_MAX < LOG_BYTES_MAX
assert TAIL_BYTES_KEPT < LOG_BYTES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class RaftSettings:
    """What an operator may change."""

    election_ms_min: int = 800
    election_ms_max: int = 1_600
    heartbeat_ms: int = 100
    compact_entries: int = 20_000  # a snapshot is taken after this many entries
    compact_bytes: int = 32 * MIB  # ... or this many bytes of them
    relaxed: bool = False  # acknowledge what is written and not yet synced

    def __post_init__(self) -> None:
        problem = ""
        if not 0 < self.heartbeat_ms * 3 < self.election_ms_min < self.election_ms_max:
            problem = (
                "3 heartbeats have to fit into the shortest election timeout, and that below the longest"
            )
        elif self.compact_entries < 2:
            problem = "a snapshot after fewer than 2 entries"
        elif not 0 < self.compact_bytes < LOG_BYTES_MAX:
            problem = f"compact_bytes has to lie between 0 and {LOG_BYTES_MAX}"
        if problem:
            raise ConfigRefused(problem, place="raft settings", remedy="change the setting or leave it out")
