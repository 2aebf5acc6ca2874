"""A node's claim to lead: a lease in etcd, and the key of the leader under it.

The lease is believed in for its time counted from when a renewal was *sent*: before etcd can give the key to
somebody else, this node has stopped leading by its own clock. One that ran out is never believed in again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from swarm.adapters.etcd.client import EtcdClient
from swarm.adapters.etcd.keys import Keys
from swarm.adapters.etcd.settings import LEASE_RENEWALS, RETRY_MS
from swarm.errors import NotTrusted, QueueFull, SwarmError, Unreachable
from swarm.ids import NodeId
from swarm.wire.gen import etcd_pb2 as pb

_log = logging.getLogger("swarm.etcd")


class Candidate:
    """Keeps a lease, and stands for election whenever there is no leader."""

    def __init__(
        self, client: EtcdClient, keys: Keys, node: NodeId, ttl_s: int, expired: Callable[[], None]
    ) -> None:
        self.lease = 0
        self._client, self._keys, self._node = client, keys, node
        self._ttl_s = ttl_s
        self._expired = expired
        self._timer: asyncio.TimerHandle | None = None
        self._vacant: int | None = None  # 0: nobody leads; else when a stale key of our own was created
        self._turn = asyncio.Event()

    def vacancy(self, stale: int | None) -> None:
        """What this node could do to lead: nothing (None), stand (0), or clear its stale key away first."""
        self._vacant = stale
        if stale is not None:
            self._turn.set()

    def give_up(self) -> None:
        """Believe in the present lease no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.lease = 0

    async def keep(self) -> None:
        """Hold a lease, for as long as this runs."""
        loop = asyncio.get_running_loop()
        while True:
            sent_at = loop.time()
            try:
                if lease := self.lease:
                    held = await self._client.renew(lease)
                    if self.lease != lease:
                        continue  # given up meanwhile: never believed in again
                    if not held:
                        self._end()
                        continue
                else:
                    lease = await self._client.grant(self._ttl_s)
                    self._turn.set()
                self._believe(lease, sent_at + self._ttl_s)
                await asyncio.sleep(self._ttl_s / LEASE_RENEWALS)
            except (Unreachable, NotTrusted, QueueFull) as error:
                _log.warning("the lease is not renewed: %s", error.message)
                self._client.rotate()
                await asyncio.sleep(RETRY_MS / 1000)

    async def stand(self) -> None:
        """Take the leader's place whenever it is vacant, for as long as this runs."""
        while True:
            await self._turn.wait()
            self._turn.clear()
            while self._vacant is not None and self.lease:
                try:
                    await self._client.txn(self._bid(self._vacant))
                except (Unreachable, NotTrusted, QueueFull) as error:
                    _log.warning("the election is put off: %s", error.message)
                # The watch tells who won; until it has, nothing is gained by asking faster.
                await asyncio.sleep(RETRY_MS / 1000)

    async def resign(self) -> None:
        """Leave at once instead of when the lease runs out. Best effort."""
        lease = self.lease
        self.give_up()
        if lease:
            try:
                await self._client.revoke(lease)
            except SwarmError as error:
                _log.info("the lease is left to run out: %s", error.message)

    def _bid(self, stale: int) -> pb.TxnRequest:
        unchanged = pb.Compare(key=self._keys.leader, target=pb.Compare.CREATE, create_revision=stale)
        if stale:
            clear = pb.DeleteRangeRequest(key=self._keys.leader)
            return pb.TxnRequest(compare=[unchanged], success=[pb.RequestOp(request_delete_range=clear)])
        claim = pb.PutRequest(key=self._keys.leader, value=self._node.encode(), lease=self.lease)
        return pb.TxnRequest(compare=[unchanged], success=[pb.RequestOp(request_put=claim)])

    def _believe(self, lease: int, until: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.lease = lease
        self._timer = asyncio.get_running_loop().call_at(until, self._end)

    def _end(self) -> None:
        self.give_up()
        self._expired()
