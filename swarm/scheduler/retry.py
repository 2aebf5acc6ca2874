"""Attempts and back-off as arithmetic."""

from __future__ import annotations

import zlib

from swarm import limits
from swarm.graph import Retry
from swarm.ids import RunId


def rest_ms(policy: Retry, run: RunId, step: int, failures: int) -> int:
    """How long a step rests after its nth failure: doubling, bounded, spread by up to a quarter.

    The spread comes from a hash of the step's name, not from dice: a replay gives the same rest.
    """
    assert failures >= 1
    base = min(policy.backoff_ms << min(failures - 1, 16), limits.BACKOFF_MS_MAX)
    spread = zlib.crc32(f"{run}/{step}/{failures}".encode()) % 1000
    return base + base * spread // 4000


def may_retry(policy: Retry, failures: int, *, retryable: bool) -> bool:
    """Whether a step that failed this often is tried again."""
    return retryable and failures < policy.attempts_max
