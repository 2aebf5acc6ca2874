"""Blobs nobody asks for any more: the node asks the leader now and then which of them may go.

The leader alone knows what remembered runs speak of; the node knows what it has not told yet. A blob goes
when neither needs it, and nobody has asked for it for so long that whoever put it here has submitted since.
"""

from __future__ import annotations

from collections.abc import Callable

from swarm import limits
from swarm.ids import Digest
from swarm.node.data import Data
from swarm.ports import Blobs, Clock, Uplink
from swarm.wire.messages import IdleBlobs, Peers, UnneededBlobs


class Sweeper:
    """See the head of this module. `needed` says what is under way here, whatever the log says."""

    def __init__(self, blobs: Blobs, data: Data, clock: Clock, needed: Callable[[], set[Digest]]) -> None:
        self._blobs = blobs
        self._data = data
        self._clock = clock
        self._needed = needed

    async def ask_forever(self, uplink: Uplink) -> None:
        """Ask as long as the link lives."""
        while True:
            await self._clock.sleep_ms(limits.BLOB_SWEEP_MS)
            idle = self._idle()
            for start in range(0, len(idle), limits.BLOB_SWEEP_ITEMS_MAX):
                await uplink.send(IdleBlobs(idle[start : start + limits.BLOB_SWEEP_ITEMS_MAX]))

    async def hear(self, message: Peers | UnneededBlobs) -> None:
        """Who else there is; or what may go, of which that goes that is as idle as it was when we asked."""
        if isinstance(message, Peers):
            self._data.introduce(message.nodes)
            return
        for digest in {*message.digests}.intersection(self._idle()):
            await self._blobs.drop(digest)

    def _idle(self) -> tuple[Digest, ...]:
        needed = self._needed()
        return tuple(d for d in self._blobs.idle(limits.BLOB_GRACE_MS) if d not in needed)
