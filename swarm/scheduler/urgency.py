"""A queue that is first in, first out within a priority, and most urgent first between them."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from swarm.graph import Priority

Item = TypeVar("Item")


class Urgent(Generic[Item]):
    """See the head of this module."""

    __slots__ = ("_lanes", "_size")

    def __init__(self) -> None:
        self._lanes: tuple[deque[Item], ...] = tuple(deque() for _ in Priority)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, priority: int, item: Item, *, front: bool = False) -> None:
        """Add an item; `front` for one that was taken out and comes back."""
        lane = self._lanes[priority]
        if front:
            lane.appendleft(item)
        else:
            lane.append(item)
        self._size += 1

    def head(self) -> Item:
        """The next item, which stays. There is one."""
        return next(lane[0] for lane in self._lanes if lane)

    def pop(self) -> Item:
        """Take the next item out. There is one."""
        self._size -= 1
        return next(lane.popleft() for lane in self._lanes if lane)

    def clear(self) -> None:
        for lane in self._lanes:
            lane.clear()
        self._size = 0
