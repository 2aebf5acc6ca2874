"""Who waits for something to change. One shared future per watched key; none for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

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
