"""The leader's pen: what is proposed becomes batches, one transaction at a time, each fenced by the term.

A transaction only goes through while the key of the leader is the one this term began with, and only
where no batch is yet. So it can be repeated without harm when nobody knows what became of it, and nothing of
a leader that was deposed arrives late. While one is under way, what is proposed gathers for the next: one
sync of etcd's for all of it. Callers are answered when their entry comes back through the watch, applied.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from swarm.adapters.etcd.batches import PIECE, Place, next_batch, places
from swarm.adapters.etcd.client import EtcdClient
from swarm.adapters.etcd.keys import Keys
from swarm.adapters.etcd.settings import (
    PROPOSALS_PENDING_BYTES_MAX,
    PROPOSALS_PENDING_MAX,
    RETRY_MS,
)
from swarm.errors import OutcomeUnknown, QueueFull, Unreachable
from swarm.wire.gen import etcd_pb2 as pb

_log = logging.getLogger("swarm.etcd")


class Writer:
    """One term's worth of writing. `fence` is the revision the leader's key was created at."""

    def __init__(
        self, client: EtcdClient, keys: Keys, *, fence: int, term: int, number: int, index: int
    ) -> None:
        self.fence, self.term = fence, term
        self._client, self._keys = client, keys
        self._number, self._index = number, index
        self._queue: deque[Place] = deque()
        self._waiting: deque[tuple[int, asyncio.Future[int]]] = deque()
        self._more = asyncio.Event()
        self._pending_count = 0
        self._pending_bytes = 0
        self._task = asyncio.create_task(self._write(), name="etcd-writer")

    @property
    def failure(self) -> asyncio.Task[None]:
        """Ends when this writer can write no more."""
        return self._task

    async def append(self, data: bytes | None) -> int:
        """Put an entry at the log's end; its index once it is committed and applied here."""
        size_bytes = len(data or b"")
        if (
            self._pending_count >= PROPOSALS_PENDING_MAX
            or self._pending_bytes + size_bytes > PROPOSALS_PENDING_BYTES_MAX
        ):
            raise QueueFull(
                f"{self._pending_count} entries wait to be committed",
                place="log",
                remedy="slow down, try again",
            )
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pending_count += 1
        self._pending_bytes += size_bytes
        done.add_done_callback(lambda _done: self._settled(size_bytes))
        self._queue.extend(places(data, done))
        self._more.set()
        return await done

    def applied(self, index: int) -> None:
        """Answer those whose entries have been applied."""
        while self._waiting and self._waiting[0][0] <= index:
            at, done = self._waiting.popleft()
            if not done.done():
                done.set_result(at)

    def stop(self) -> None:
        """Write no more; nobody can say what becomes of what was under way."""
        self._task.cancel()
        left = [done for _, done in self._waiting] + [place.done for place in self._queue if place.done]
        self._waiting.clear()
        self._queue.clear()
        for done in left:
            if not done.done():
                done.set_exception(
                    OutcomeUnknown(
                        "this replica stopped leading before the entry was committed",
                        place="etcd",
                        remedy="propose it again with the same idempotency key",
                    )
                )

    def _settled(self, size_bytes: int) -> None:
        self._pending_count -= 1
        self._pending_bytes -= size_bytes

    async def _write(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._queue:
                batch, taken = next_batch(self._queue, self.term, self._index + 1)
                self._number += 1
                for place in taken:
                    self._index += place.kind != PIECE
                    if place.done is not None:
                        self._waiting.append((self._index, place.done))
                await self._put(self._keys.batch(self._number), batch.SerializeToString())

    async def _put(self, key: bytes, value: bytes) -> None:
        """Write one batch, however often it takes. Raises when this is not the leader any more."""
        compare = pb.Compare
        fenced = [
            compare(key=self._keys.leader, target=compare.CREATE, create_revision=self.fence),
            compare(key=key, target=compare.CREATE, create_revision=0),
        ]
        request = pb.TxnRequest(
            compare=fenced,
            success=[pb.RequestOp(request_put=pb.PutRequest(key=key, value=value))],
            failure=[pb.RequestOp(request_range=pb.RangeRequest(key=key))],
        )
        while True:
            try:
                reply = await self._client.txn(request)
            except Unreachable as error:
                _log.warning("a batch is written again: %s", error.message)
                self._client.rotate()
                await asyncio.sleep(RETRY_MS / 1000)
                continue
            there = [] if reply.succeeded else reply.responses[0].response_range.kvs
            if reply.succeeded or (there and there[0].value == value):  # then an earlier try arrived
                return
            raise OutcomeUnknown("another node leads", place="etcd")
