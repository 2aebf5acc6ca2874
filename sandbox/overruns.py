"""Which limit of its cell an agent has met, told from the error it did not handle.

Memory, time and output are noticed by this package. Of a full disk, of one file or one thread too many, the
kernel tells the agent, which may know what to do; where it does not, its caller is to hear of the limit.
"""

from __future__ import annotations

import errno
from typing import Final, NamedTuple

from sandbox.errors import CellError, Exceeded

# What an agent took of these it still has when its call is over, so the next one is given a fresh cell.
LASTING: Final = frozenset({"memory_bytes", "disk_bytes", "open_files", "threads"})
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_THREAD: Final = "can't start new thread"


class Bounds(NamedTuple):
    """What the kernel counts for a cell."""

    disk_bytes: int
    open_files: int
    threads: int


def overrun(error: BaseException, bounds: Bounds, place: str) -> Exceeded | None:
    """The limit behind an error, if one is."""
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return Exceeded("disk_bytes", bounds.disk_bytes, "more room or more files", place=place)
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        return Exceeded("open_files", bounds.open_files, bounds.open_files + 1, place=place)
    if isinstance(error, RuntimeError) and _NO_THREAD in str(error):
        return Exceeded("threads", bounds.threads, bounds.threads + 1, place=place)
    return None


def lasts(error: CellError) -> bool:
    """Whether an agent that met this limit goes on with what it took."""
    return isinstance(error, Exceeded) and error.limit in LASTING
