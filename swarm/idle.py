"""What a busy event loop has to say, it says together; what an idle one has to say, it says at once.

A message costs about as much as fifty steps, whatever it holds. So whoever collects things for a message
sends it when the loop has nothing else to do: then everything has arrived that was on its way, and waiting
longer would gain nothing. A loop that is never idle is made to send after `BUSY_MS_MAX` all the same.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Final

BUSY_MS_MAX: Final = 8.0  # how long a loop that is never idle may keep what it has collected


class _Patience(selectors.DefaultSelector):
    """Asked by the loop once in each of its turns, with a timeout of 0 while anything is ready to run."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[], None]] = []
        self.until_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not self.waiting:
            return super().select(timeout)
        found = super().select(0)
        busy = bool(found) or timeout == 0
        if not busy or time.monotonic() >= self.until_s:
            loop = asyncio.get_running_loop()
            waiting, self.waiting = self.waiting, []
            for callback in waiting:
                loop.call_soon(callback)
        return found


class PatientLoop(asyncio.SelectorEventLoop):
    """An event loop that knows when it is idle."""

    def __init__(self) -> None:
        self._patience = _Patience()
        super().__init__(self._patience)

    def when_idle(self, callback: Callable[[], None]) -> None:
        """Call back once nothing else is ready to run, or in `BUSY_MS_MAX`."""
        if not self._patience.waiting:
            self._patience.until_s = time.monotonic() + BUSY_MS_MAX / 1000
        self._patience.waiting.append(callback)


def when_idle(callback: Callable[[], None]) -> None:
    """Call back when the running loop is idle; on a loop that cannot tell, in its next turn."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, PatientLoop):
        loop.when_idle(callback)
    else:
        loop.call_soon(callback)
