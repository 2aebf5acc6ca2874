"""What etcd holds becomes calls of the state machine: all there is at first, then every change in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from swarm.adapters.etcd.batches import Assembler
from swarm.adapters.etcd.client import EtcdClient
from swarm.adapters.etcd.keys import Keys, after
from swarm.adapters.etcd.settings import RETRY_MS
from swarm.adapters.etcd.snapshots import Snapshots
from swarm.errors import Conflict, LogDamaged, NotTrusted, QueueFull, Unreachable
from swarm.ports import Committed, StateMachine
from swarm.wire.gen import etcd_pb2 as pb
from swarm.wire.gen.etcdlog_pb2 import EtcdBatch, EtcdOrigin, EtcdSnapshot

_log = logging.getLogger("swarm.etcd")


class Reader:
    """Follows one log. Terms begin after `term_base`; `fresh_bytes` came since somebody set it to 0."""

    def __init__(
        self,
        client: EtcdClient,
        keys: Keys,
        snapshots: Snapshots,
        machine: StateMachine,
        *,
        see_leader: Callable[[pb.KeyValue | None], None],
        applied: Callable[[], None],
    ) -> None:
        self.at = Assembler()
        self.term_base = 0
        self.fresh_bytes = 0
        self._client, self._keys, self._snapshots = client, keys, snapshots
        self._machine = machine
        self._see_leader, self._applied = see_leader, applied
        self._etcd_id = 0

    async def follow(self) -> None:
        while True:
            try:
                revision = await self._catch_up()
                await self._client.watch(self._keys.log, after(self._keys.log), revision + 1, self._take)
            except (Unreachable, NotTrusted, QueueFull) as error:
                _log.warning("what is new in the log is not heard of: %s", error.message)
                self._client.rotate()
                await asyncio.sleep(RETRY_MS / 1000)

    async def _catch_up(self) -> int:
        """Become what etcd holds at one revision; that revision."""
        keys = self._keys
        found = await self._client.range(pb.RangeRequest(key=keys.snapshot))
        revision = found.header.revision
        self._recognise(found.header)
        origin = await self._client.range(pb.RangeRequest(key=keys.origin, revision=revision))
        self.term_base = _term_base(origin.kvs, self._client.endpoint)
        covered = 0
        if found.kvs:
            head = EtcdSnapshot.FromString(found.kvs[0].value)
            covered = head.batch
            if head.index > self.at.index:
                self._restore(head, await self._snapshots.read(head, revision))
        start, last = keys.batch(self.at.number + 1), covered
        while True:
            page = await self._client.page(start, after(keys.batches), revision)
            self._absorb(page.kvs)
            if page.kvs:
                last, start = self.at.number, page.kvs[-1].key + b"\0"
            if not page.more:
                break
        if max(last, covered) < self.at.number and not await self._holds(revision):
            raise LogDamaged(
                f"etcd knows nothing of batch {self.at.number}, which it had acknowledged",
                place=self._client.endpoint,
                remedy="restore etcd from its newest copy, then start every coordinator anew",
            )
        leader = await self._client.range(pb.RangeRequest(key=keys.leader, revision=revision))
        self._see_leader(leader.kvs[0] if leader.kvs else None)
        return revision

    async def _holds(self, revision: int) -> bool:
        key = self._keys.batch(self.at.number)
        found = await self._client.range(pb.RangeRequest(key=key, revision=revision, count_only=True))
        return found.count > 0

    def _recognise(self, header: pb.ResponseHeader) -> None:
        if self._etcd_id not in (0, header.cluster_id):
            raise LogDamaged(
                "another etcd cluster answers than before",
                place=self._client.endpoint,
                remedy="name members of one etcd cluster in `log.endpoints`",
            )
        self._etcd_id = header.cluster_id

    async def _take(self, response: pb.WatchResponse) -> None:
        batches: list[pb.KeyValue] = []
        for event in response.events:
            if event.kv.key == self._keys.leader:
                self._absorb(batches)
                batches = []
                self._see_leader(event.kv if event.type == pb.Event.PUT else None)
            elif event.type == pb.Event.PUT and event.kv.key.startswith(self._keys.batches):
                batches.append(event.kv)
        self._absorb(batches)

    def _restore(self, head: EtcdSnapshot, state: bytes) -> None:
        self._machine.restore(state, head.index)
        self.at = Assembler(head.batch, head.index)
        self._snapshots.index = head.index

    def _absorb(self, found: Sequence[pb.KeyValue]) -> None:
        entries: list[Committed] = []
        for kv in found:
            number = self._keys.batch_number(kv.key)
            assert number is not None
            entries += self.at.take(number, EtcdBatch.FromString(kv.value))
            self.fresh_bytes += len(kv.value)
        if entries:
            self._machine.apply(entries)
        self._applied()


def _term_base(origin: Sequence[pb.KeyValue], place: str) -> int:
    """What terms go on from. A log that has only half arrived is not begun with."""
    if not origin:
        return 0
    found = EtcdOrigin.FromString(origin[0].value)
    if not found.complete:
        raise Conflict(
            "the log was not moved here to its end",
            place=place,
            remedy="run `swarm log migrate` again, before any coordinator",
        )
    return found.term
