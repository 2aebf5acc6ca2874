"""Waiting awake: who expects an answer at once looks out for it for a moment before it sleeps.

A processor with nothing to do goes to sleep, and waking it takes tens of microseconds, on a virtual machine
above all: more than a small call takes. So either end of a channel stays awake for what comes next, for
`AWAKE_S` at most and only while that is worth it. A wait that is not quick costs it some waits asleep; one
so long that others must have had the processors, or that nobody called, costs it many, and twice as many
each time that happens again soon. So cells that are called now and then sleep in between, and on a busy
machine, where who looks out keeps the other end from running, nobody does. The daemon stays awake only while
it waits for one cell alone: with more of them to hear from it is busy, or should leave them the processors.
"""

from __future__ import annotations

import os
from typing import Final

AWAKE_S: Final = 100e-6
QUICK_S: Final = 200e-6  # what a wait asleep may take so that one awake is worth a try
LONG_S: Final = 1e-3
PAUSE_WAITS: Final = 16  # spent asleep after one that was not quick
LONG_PAUSE_WAITS_MIN: Final = 64  # and after a long one
LONG_PAUSE_WAITS_MAX: Final = 4096
FORGOTTEN_WAITS: Final = 512  # a long wait so many waits after another is taken for the first
PROCESSORS_MIN: Final = 2  # on one alone, looking out keeps the other end from working


def has_room() -> bool:
    """Whether this process may run beside the one it waits for."""
    return len(os.sched_getaffinity(0)) >= PROCESSORS_MIN


class Habit:
    """How one end spends its waits, by how long the last ones were."""

    __slots__ = ("_allowed", "_long_pause", "_pause", "_since_long")

    def __init__(self, *, allowed: bool) -> None:
        self._allowed = allowed
        self._pause = PAUSE_WAITS
        self._long_pause = LONG_PAUSE_WAITS_MIN
        self._since_long = FORGOTTEN_WAITS

    @property
    def is_awake(self) -> bool:
        """Whether the next wait is to be spent awake."""
        return self._allowed and not self._pause

    def waited(self, seconds: float) -> None:
        """Take note of a wait that is over."""
        self._since_long += 1
        if seconds > LONG_S:
            soon = self._since_long < FORGOTTEN_WAITS
            self._long_pause = (
                min(2 * self._long_pause, LONG_PAUSE_WAITS_MAX) if soon else LONG_PAUSE_WAITS_MIN
            )
            self._pause = self._long_pause
            self._since_long = 0
        elif seconds > (QUICK_S if self._pause else AWAKE_S):
            self._pause = max(self._pause, PAUSE_WAITS)
        elif self._pause:
            self._pause -= 1
