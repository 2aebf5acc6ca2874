"""Many questions on one stream: what is under way for its caller, and answers that travel together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

RowT = TypeVar("RowT")


class Answers(Generic[RowT]):
    """The answering end of one stream. `take` says which of those that are ready fit into a message."""

    def __init__(
        self,
        in_flight_max: int,
        take: Callable[[deque[RowT]], list[RowT]],
        message: Callable[[Sequence[RowT]], Any],
    ) -> None:
        self._in_flight_max = in_flight_max
        self._take = take
        self._message = message
        self._under_way = 0
        self._ready: deque[RowT] = deque()
        self._kick = asyncio.Event()
        self._room = asyncio.Event()

    def begin(self) -> None:
        """A question was taken; it will be answered."""
        self._under_way += 1

    def ready(self, row: RowT) -> None:
        """An answer may go."""
        self._ready.append(row)
        self._kick.set()

    async def room(self) -> None:
        """Wait while too much is under way: the stream is not read, and its writer slows down."""
        while self._under_way >= self._in_flight_max:
            self._room.clear()
            await self._room.wait()

    async def finished(self) -> None:
        """The caller has hung up politely: what is under way is still answered."""
        while self._under_way:
            self._room.clear()
            await self._room.wait()

    async def write_to(self, context: Any) -> None:
        """Send what is ready; what becomes ready meanwhile travels together."""
        while True:
            await self._kick.wait()
            self._kick.clear()
            while self._ready:
                rows = self._take(self._ready)
                await context.write(self._message(rows))
                self._under_way -= len(rows)
                self._room.set()
