"""Large payloads, as one node sees them: fetched from whoever holds them, and copied so that no one node's
loss is theirs.

What a reference says about where its bytes lie is a hint: it is tried first, then everybody else there is.
A transfer that breaks goes on from where it was, with another node if need be, because it is named by its
digest and verified at its end: nobody has to be trusted to hold what he says.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

import structlog

from swarm import limits
from swarm.errors import DataLost, NotFound, StoreFull, SwarmError, TooLarge
from swarm.graph import REF, UNBOUNDED, Context, Payload, Ref, in_order, read_ref
from swarm.ids import Digest, NodeId
from swarm.ports import BlobPeers, Blobs, Clock
from swarm.wire.messages import Peer

_log = structlog.get_logger("swarm.data")

REST_MS: Final = 250  # after everybody was asked once
ASKED_MAX: Final = 32  # nodes asked in one round
TRANSFERS_MAX: Final = 8  # of this node at once, each way: each has a chunk or two in memory
KNOWN_MAX: Final = 4_096  # digests whose holders are remembered


class Data:
    """See the head of this module."""

    def __init__(
        self, node: NodeId, blobs: Blobs, peers: BlobPeers, clock: Clock, coordinators: Iterable[NodeId]
    ) -> None:
        self._node = node
        self._blobs = blobs
        self._peers = peers
        self._clock = clock
        self._coordinators = frozenset(coordinators)  # they keep the log, with every small payload in it
        self._others = dict.fromkeys(sorted(self._coordinators - {node}), UNBOUNDED)
        self._coming: dict[Digest, asyncio.Task[None]] = {}
        self._inward = asyncio.Semaphore(TRANSFERS_MAX)
        self._outward = asyncio.Semaphore(TRANSFERS_MAX)
        self._holders: OrderedDict[Digest, tuple[NodeId, ...]] = OrderedDict()

    def introduce(self, peers: Iterable[Peer]) -> None:
        """Who is there, where, and what they may keep."""
        there = {peer.node: peer for peer in peers}
        self._others = {node: there[node].clearance for node in sorted({*there} - {self._node})}
        self._peers.introduce({node: peer.address for node, peer in there.items()})

    async def stop(self) -> None:
        """Nobody waits for what is coming any more."""
        for task in (tasks := list(self._coming.values())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- here --------------------------------------------------------------------------------------

    async def fetch(self, ref: Ref) -> None:
        """Have it here. Raises `DataLost` where nobody has it, `StoreFull` where there is no room."""
        if ref.nodes:
            self._know(ref.digest, ref.nodes)
        if await self._blobs.size(ref.digest) is not None:
            return
        task = self._coming.get(ref.digest)
        if task is None:
            task = self._coming[ref.digest] = asyncio.create_task(self._bring(ref))
            task.add_done_callback(lambda done: self._came(ref.digest, done))
        await asyncio.shield(task)

    def _came(self, digest: Digest, task: asyncio.Task[None]) -> None:
        del self._coming[digest]
        if not task.cancelled():
            task.exception()  # it is for those who wait, and there may be none

    async def _bring(self, ref: Ref) -> None:
        async with self._inward:
            async for node in self._holders_in_turn(ref):
                try:
                    await self._peers.pull(node, ref.digest, ref.size_bytes)
                except StoreFull:
                    raise
                except SwarmError as error:
                    self._complain(ref.digest, node, error)
                else:
                    return

    async def read(self, ref: Ref, start: int = 0) -> AsyncIterator[bytes]:
        """Its bytes from `start` on, without having it here. Raises `DataLost`."""
        if await self._blobs.size(ref.digest) is not None:
            async for data in self._blobs.chunks(ref.digest, start):
                yield data
            return
        async for node in self._holders_in_turn(ref):
            try:
                async for data in self._peers.read(node, ref.digest, start):
                    start += len(data)
                    yield data
            except SwarmError as error:
                self._complain(ref.digest, node, error)
            if start >= ref.size_bytes:
                return

    async def inline(self, payload: Payload) -> Payload:
        """A payload with its bytes in it, if it lies here and is not too large for that."""
        if payload.kind != REF:
            return payload
        ref = read_ref(payload.data)
        if ref.size_bytes > limits.LITERAL_BYTES_MAX:
            raise TooLarge(
                f"{ref.size_bytes} bytes, one value of a call has at most {limits.LITERAL_BYTES_MAX}",
                remedy="submit a run: its results are downloaded",
            )
        if (data := await self._blobs.get(ref.digest)) is None:
            raise DataLost("it was here, and is not any more", place=f"blob {ref.digest[:12]}")
        return Payload(ref.kind, data)

    async def _holders_in_turn(self, ref: Ref) -> AsyncIterator[NodeId]:
        """Everybody who may have it, again and again; raises `DataLost` when there was time enough."""
        deadline_ms = self._clock.monotonic_ms() + limits.FETCH_MS_MAX
        while True:
            said = [node for node in ref.nodes if node != self._node]
            for node in (said + [other for other in self._others if other not in said])[:ASKED_MAX]:
                yield node
            if self._clock.monotonic_ms() >= deadline_ms:
                break
            await self._clock.sleep_ms(REST_MS)
        raise DataLost(
            f"nobody who can be reached holds it; it was with {', '.join(ref.nodes) or 'nobody'}",
            place=f"blob {ref.digest[:12]}",
            remedy="bring one of these nodes back, or submit the work again",
        )

    def _complain(self, digest: Digest, node: NodeId, error: SwarmError) -> None:
        say = _log.debug if isinstance(error, NotFound) else _log.warning
        say("blob not fetched", digest=digest[:12], node=node, error=str(error))

    # -- elsewhere ---------------------------------------------------------------------------------

    async def spread(self, digests: Sequence[Digest], context: Context | None) -> tuple[NodeId, ...]:
        """Have others keep what lies here too; who holds all of it then.

        Only who is cleared for its context is asked; of what a client uploads nobody knows the context yet,
        and it goes to those who would see it in the log if it were small, or are cleared for everything.
        Where nobody takes it in time it lies here alone, and that is what the answer says.
        """
        there = {self._node, *self._others}
        common = there.intersection(*(self._holders.get(digest, ()) for digest in digests))
        if len(common) >= limits.BLOB_COPIES:
            return tuple(sorted(common))  # an agent gave back what it was given
        async with self._outward:
            nodes = await self._copy(digests, context)
        for digest in digests:
            self._know(digest, nodes)
        return nodes

    async def give(self, digest: Digest, node: NodeId) -> None:
        """Have another node keep what lies here, because the leader said so."""
        async with self._outward:
            await self._peers.push(node, [digest])

    async def _copy(self, digests: Sequence[Digest], context: Context | None) -> tuple[NodeId, ...]:
        nodes = [self._node]
        deadline_ms = self._clock.monotonic_ms() + limits.COPY_MS_MAX
        while cleared := [node for node in self._others if self._may_keep(node, context)]:
            others = in_order(digests[0], [node for node in cleared if node not in nodes])
            for other in others[:ASKED_MAX]:
                try:
                    await self._peers.push(other, digests)
                    nodes.append(other)
                except SwarmError as error:
                    _log.info("blob not copied", node=other, error=str(error))
                if len(nodes) >= limits.BLOB_COPIES:
                    return tuple(nodes)
            if self._clock.monotonic_ms() >= deadline_ms:
                break
            await self._clock.sleep_ms(REST_MS)
        if self._others:
            _log.warning("a large payload has one copy only", digests=[digest[:12] for digest in digests])
        return tuple(nodes)

    def _may_keep(self, node: NodeId, context: Context | None) -> bool:
        clearance = self._others[node]
        if context is None:
            return node in self._coordinators or clearance == UNBOUNDED
        return clearance.covers(context)

    def _know(self, digest: Digest, nodes: tuple[NodeId, ...]) -> None:
        self._holders[digest] = nodes
        self._holders.move_to_end(digest)
        if len(self._holders) > KNOWN_MAX:
            self._holders.popitem(last=False)
