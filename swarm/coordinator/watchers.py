"""Who waits for something to change. One shared future per watched key; none for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from swarm.ports import Clock

LOOK_MS: Final = 20  # how often whoever waits for a place in the log looks by itself

KeyT = TypeVar("KeyT", bound=Hashable)


class Watchers(Generic[KeyT]):
    """Wakes everybody who waits for a key."""

    def __init__(self) -> None:
        self._waiting: dict[KeyT, asyncio.Future[None]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def wait(self, key: KeyT) -> asyncio.Future[None]:
        """A future that is done once the key changes after this call. Shield it: it is shared."""
        future = self._waiting.get(key)
        if future is None or future.done():
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
        return future

    def changed(self, key: KeyT) -> None:
        future = self._waiting.pop(key, None)
        if future is not None and not future.done():
            future.set_result(None)

    def all_changed(self) -> None:
        """After a snapshot nobody knows what changed: everybody looks again."""
        for key in list(self._waiting):
            self.changed(key)


class Arrivals:
    """Who waits until this replica has applied the log up to a place."""

    def __init__(self, clock: Clock, applied: Callable[[], int]) -> None:
        self._watchers: Watchers[int] = Watchers()
        self._clock = clock
        self._applied = applied

    def __bool__(self) -> bool:
        return bool(self._watchers)

    async def reach(self, index: int, timeout_ms: int) -> None:
        """Return when it has, or time is up."""
        until_ms = self._clock.monotonic_ms() + timeout_ms
        while self._applied() < index and self._clock.monotonic_ms() < until_ms:
            await asyncio.wait({self._watchers.wait(index)}, timeout=LOOK_MS / 1000)
            self._watchers.changed(index)  # a place that carries nothing is not heard of

    def came(self, index: int) -> None:
        """An entry is being applied."""
        self._watchers.changed(index)
