"""The snapshot in etcd: parts first, then its head in one transaction with the end of what it covers.

Only a head makes parts count, and only the leader of the term can write one. The history etcd keeps is
dropped up to the snapshot before, so that a replica a moment late still hears of every batch.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable

from swarm.adapters.etcd.client import EtcdClient
from swarm.adapters.etcd.keys import Keys, after
from swarm.adapters.etcd.settings import PART_BYTES, PARTS_MAX
from swarm.errors import LogDamaged, SwarmError, TooLarge
from swarm.wire.gen import etcd_pb2 as pb
from swarm.wire.gen.etcdlog_pb2 import EtcdSnapshot

_log = logging.getLogger("swarm.etcd")


class Snapshots:
    """Reads and writes the one snapshot of a log."""

    def __init__(self, client: EtcdClient, keys: Keys) -> None:
        self._client, self._keys = client, keys
        self.index = 0
        self._revision = 0  # of the snapshot written before

    async def read(self, head: EtcdSnapshot, revision: int) -> bytes:
        """The state a head stands for, checked whole, as of one revision."""
        prefix = self._keys.parts_of(head.index)
        parts = await self._client.read_all(prefix, after(prefix), revision)
        state = b"".join(part.value for part in parts)
        if (len(parts), len(state), hashlib.sha256(state).digest()) != (
            head.parts,
            head.state_bytes,
            head.sha256,
        ):
            raise LogDamaged(
                f"the snapshot after entry {head.index} is not whole",
                place="etcd",
                remedy="restore etcd from a copy; nothing may write under /swarm/ but the swarm",
            )
        return state

    async def write_parts(self, index: int, term: int, batch: int, state: bytes) -> EtcdSnapshot:
        """Put a state where it does not count yet; the head that makes it count."""
        pieces = [state[at : at + PART_BYTES] for at in range(0, len(state), PART_BYTES)] or [b""]
        if len(pieces) > PARTS_MAX:
            raise TooLarge(f"a snapshot of {len(state)} bytes", place="etcd")
        for number, piece in enumerate(pieces):
            await self._client.put(self._keys.part(index, number), piece)
        return EtcdSnapshot(
            index=index,
            term=term,
            batch=batch,
            state_bytes=len(state),
            parts=len(pieces),
            sha256=hashlib.sha256(state).digest(),
        )

    async def write(self, index: int, term: int, batch: int, encode: Callable[[], bytes], fence: int) -> None:
        """Write a snapshot of this term's leader and drop what it covers. A failure costs only the try."""
        state = await asyncio.to_thread(encode)
        try:
            head = await self.write_parts(index, term, batch, state)
            reply = await self._client.txn(self._replacing(head, fence))
            if not reply.succeeded:
                return  # deposed meanwhile: the parts go with the next snapshot
            await self._client.delete(self._keys.parts, self._keys.parts_of(index))
            if self._revision:
                await self._client.compact(self._revision)
            self._revision, self.index = reply.header.revision, index
        except SwarmError as error:
            _log.warning("the snapshot after entry %d is put off: %s", index, error.message)

    def _replacing(self, head: EtcdSnapshot, fence: int) -> pb.TxnRequest:
        put = pb.PutRequest(key=self._keys.snapshot, value=head.SerializeToString())
        covered = pb.DeleteRangeRequest(key=self._keys.batches, range_end=self._keys.batch(head.batch + 1))
        return pb.TxnRequest(
            compare=[pb.Compare(key=self._keys.leader, target=pb.Compare.CREATE, create_revision=fence)],
            success=[pb.RequestOp(request_put=put), pb.RequestOp(request_delete_range=covered)],
        )
