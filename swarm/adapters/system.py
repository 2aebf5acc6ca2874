"""The machine: its clocks, its load, its disk."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from swarm import limits
from swarm.errors import OverLimit

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: sorts, and has no look-alikes
ID_RANDOM_BYTES = 8
MAPPED_BYTES_MIN = 8 * limits.MIB  # larger blocks go back to the kernel at once
FREE_BYTES_MAX = 32 * limits.MIB  # so much may wait at the end of the heap
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


class SystemClock:
    """The machine's two clocks."""

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep_ms(self, duration_ms: float) -> None:
        await asyncio.sleep(duration_ms / 1000)


class SystemMachine:
    """This machine. Its load is the one-minute average over its processors, capped at 1."""

    def load(self) -> float:
        return min(os.getloadavg()[0] / self.cpu_cores(), 1.0)

    def memory_mb(self) -> int:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20

    def cpu_cores(self) -> float:
        return float(len(os.sched_getaffinity(0)))


def keep_memory() -> bool:
    """Let the C library keep memory of messages for the next ones; whether it can be told.

    By default it gives every megabyte back to the kernel, which clears it page by page when it is wanted
    again: as much work as encrypting what is in it.
    """
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is None:  # only glibc has it
        return False
    return bool(tell(_M_MMAP_THRESHOLD, MAPPED_BYTES_MIN) and tell(_M_TRIM_THRESHOLD, FREE_BYTES_MAX))


def new_id() -> str:
    """An identifier that sorts by time (milliseconds) and does not repeat (64 random bits)."""
    number = (time.time_ns() // 1_000_000 << 8 * ID_RANDOM_BYTES) | secrets.randbits(8 * ID_RANDOM_BYTES)
    letters = []
    while number:
        number, digit = divmod(number, 32)
        letters.append(_ALPHABET[digit])
    return "".join(reversed(letters))


class FileJournal:
    """Lines of JSON in a file; written through to the kernel at once, so that kill -9 loses none.

    Raises `OverLimit` where the disk takes no more.

    When the file reaches its bound it is kept as `<name>.1` and a new one begins.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size

    def append(self, lines: Sequence[Mapping[str, object]]) -> None:
        data = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        try:
            if self._size + len(data) > limits.JOURNAL_BYTES_MAX // 2 and self._size:
                os.close(self._fd)
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                self._open()
            self._size += os.write(self._fd, data)
        except OSError as error:  # the attempt has not begun: another node may run it
            raise OverLimit(
                f"the journal takes nothing: {error.strerror}",
                place=str(self._path),
                remedy="make room on the disk of this node",
            ) from error

    def close(self) -> None:
        os.close(self._fd)
