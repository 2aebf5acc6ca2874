"""What a node's store holds, told to the leader: everything as a link begins, then whatever changes.

By that the leader knows how many copies of a payload there are. Where one is missing it has a node that holds
the payload give it to another one, which says itself that it has it; how the copy ended is told besides, so
that another node can be tried at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Final

from swarm import limits
from swarm.errors import SwarmError
from swarm.ids import Digest
from swarm.node.data import Data
from swarm.ports import Blobs, Clock, Uplink
from swarm.tasks import Tasks
from swarm.wire.messages import BlobCopied, CopyBlob, HeldBlobs

GATHER_MS: Final = 20.0  # changes that come together are told together


class Holding:
    """See the head of this module."""

    def __init__(self, blobs: Blobs, data: Data, clock: Clock, tasks: Tasks) -> None:
        self._blobs = blobs
        self._data = data
        self._clock = clock
        self._tasks = tasks
        self._changed: dict[Digest, None] = {}
        self._copied: list[BlobCopied] = []
        self._kick = asyncio.Event()
        blobs.changed = self._note

    def _note(self, digest: Digest) -> None:
        self._changed[digest] = None
        self._kick.set()

    async def tell_forever(self, uplink: Uplink) -> None:
        """Tell as long as the link lives."""
        self._copied.clear()  # a leader that lost the link has forgotten what it ordered
        self._changed.clear()
        for message in _told(self._blobs, self._blobs.held()):
            await uplink.send(message)
        while True:
            await self._kick.wait()
            await self._clock.sleep_ms(GATHER_MS)
            self._kick.clear()
            changed, self._changed = self._changed, {}
            copied, self._copied = self._copied, []
            for message in _told(self._blobs, changed):
                await uplink.send(message)
            for end in copied:
                await uplink.send(end)

    def copy(self, order: CopyBlob) -> None:
        """Give a payload to another node."""
        self._tasks.start(self._copy(order))

    async def _copy(self, order: CopyBlob) -> None:
        error: SwarmError | None = None
        try:
            await self._data.give(order.digest, order.target)
        except SwarmError as caught:
            error = caught
        self._copied.append(BlobCopied(order.digest, order.target, error))
        self._kick.set()


def _told(blobs: Blobs, digests: Iterable[Digest]) -> Iterator[HeldBlobs]:
    """How it stands with these files."""
    names = list(digests)
    for start in range(0, len(names), limits.BLOB_SWEEP_ITEMS_MAX):
        part = names[start : start + limits.BLOB_SWEEP_ITEMS_MAX]
        held = blobs.held(part)
        yield HeldBlobs(
            tuple(digest for digest, kept in held.items() if kept),
            tuple(digest for digest, kept in held.items() if not kept),
            tuple(digest for digest in part if digest not in held),
        )
