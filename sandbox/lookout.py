"""How the daemon stays awake for an answer without keeping its loop from anything else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sandbox.vigil import AWAKE_S, Habit, has_room


class Vigil:
    """What the channels of one daemon have to know of each other: how many of them wait for answers."""

    __slots__ = ("allowed", "waiting")

    def __init__(self, *, allowed: bool | None = None) -> None:
        self.allowed = has_room() if allowed is None else allowed
        self.waiting = 0


class Lookout:
    """Looks out for the answer to a call: one look in each round of the loop, so that others have turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, vigil: Vigil, look: Callable[[], None]) -> None:
        self._loop = loop
        self._vigil = vigil
        self._look = look
        self._habit = Habit(allowed=vigil.allowed)
        self._is_alone = False  # the call under way is the only one, in this channel and in all
        self._until = 0.0
        self.is_out = False

    def begin(self, calls: int) -> None:
        """A call was sent; so many are outstanding in this channel."""
        self._is_alone = self._vigil.waiting == calls == 1
        if self._is_alone and self._habit.is_awake:
            self._until = self._loop.time() + AWAKE_S
            if not self.is_out:
                self.is_out = True
                self._loop.call_soon(self._turn)

    def end(self, waited_s: float) -> None:
        """A call was answered."""
        if self._is_alone:
            self._is_alone = False
            self._habit.waited(waited_s)

    def stop(self) -> None:
        """No answer can come any more."""
        self._is_alone = False

    def _turn(self) -> None:
        if self._is_alone and self._vigil.waiting == 1 and self._loop.time() < self._until:
            self._look()
            self._loop.call_soon(self._turn)
        else:
            self.is_out = False
