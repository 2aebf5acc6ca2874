"""Any node answers any client: what only the leader can do is passed on to it.

A write that reached nobody is tried again until a leader is there or time is up. A write whose answer
was lost is tried again only where trying twice is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any, TypeVar

import grpc.aio

from swarm import limits
from swarm.adapters.rpc.channels import Channels
from swarm.adapters.rpc.errors import from_rpc
from swarm.coordinator import Coordinator
from swarm.errors import NotLeader, OutcomeUnknown, OutOfTime, SwarmError, Unreachable
from swarm.ids import NodeId
from swarm.ports import Clock
from swarm.wire.gen import client_pb2_grpc as rpc

ReplyT = TypeVar("ReplyT")
CALL_S = 30.0
LOOK_S = 0.1  # how often whoever waits for the leader looks whether it still leads


class Forwarder:
    """Finds who can answer, and asks."""

    def __init__(
        self,
        node: NodeId,
        coordinator: Coordinator | None,
        voters: Collection[NodeId],
        channels: Channels,
        clock: Clock,
    ) -> None:
        self._node = node
        self._coordinator = coordinator
        self._voters = voters  # they may change
        self._channels = channels
        self._clock = clock
        self._hint: NodeId | None = None

    async def decide(
        self,
        local: Callable[[], Awaitable[ReplyT]] | None,
        remote: Callable[[Any], Awaitable[ReplyT]],
        *,
        twice: bool,
    ) -> ReplyT:
        """Do it here if this replica leads, else at the leader's.

        `remote` is given a stub of the leader's service; `twice` says that doing it twice is harmless.
        """
        deadline = self._clock.monotonic_ms() + limits.FORWARD_MS_MAX
        while True:
            try:
                if local is not None and self._coordinator is not None and self._coordinator.replica.leads:
                    return await local()
                return await self._ask(self._leader(), remote)
            except NotLeader as error:
                self._hint = NodeId(error.hint) if error.hint else None
                last: SwarmError = error
            except (Unreachable, OutcomeUnknown) as error:
                self._hint = None
                if not twice and not isinstance(error, _NotSent):
                    raise OutcomeUnknown(
                        "the leader was lost before it answered",
                        remedy="look whether it happened before you ask again",
                    ) from error
                last = error
            if self._clock.monotonic_ms() >= deadline:
                raise last
            await self._clock.sleep_ms(limits.TICK_MS)

    async def try_leader(self, remote: Callable[[Any], Awaitable[ReplyT]]) -> ReplyT | None:
        """Ask the leader once; None where this replica leads or the leader cannot be reached."""
        if self._coordinator is not None and self._coordinator.replica.leads:
            return None
        try:
            return await self._ask(self._leader(), remote)
        except (NotLeader, Unreachable, OutOfTime):
            return None

    async def any_voter(self, stream: Callable[[Any], AsyncIterator[ReplyT]]) -> AsyncIterator[ReplyT]:
        """Pass a stream on from the first voter that answers; for nodes that hold no log."""
        last: SwarmError = Unreachable("no coordinator answers")
        for voter in tuple(self._voters):
            stub: Any = rpc.SwarmStub(self._channels.to(voter))
            begun = False
            try:
                async for reply in stream(stub):
                    begun = True
                    yield reply
            except grpc.aio.AioRpcError as error:
                last = from_rpc(error, voter)
                if begun or not isinstance(last, Unreachable):
                    raise last from error
            else:
                return
        raise last

    def _leader(self) -> NodeId:
        if self._coordinator is not None:
            leader = self._coordinator.replica.leadership().leader
        elif (leader := self._hint) is None:
            voters = tuple(self._voters)
            return voters[self._clock.monotonic_ms() // limits.TICK_MS % len(voters)]
        if leader is None or leader == self._node:
            raise NotLeader(None)
        return leader

    async def _ask(self, leader: NodeId, remote: Callable[[Any], Awaitable[ReplyT]]) -> ReplyT:
        stub: Any = rpc.SwarmStub(self._channels.to(leader))
        try:
            return await self._while_it_leads(leader, remote(stub))
        except grpc.aio.AioRpcError as error:
            found = from_rpc(error, leader)
            if isinstance(found, Unreachable) and "failed to connect" in (error.details() or "").lower():
                raise _NotSent(found.message, place=found.place, remedy=found.remedy) from error
            raise found from error

    async def _while_it_leads(self, leader: NodeId, call: Awaitable[ReplyT]) -> ReplyT:
        """Wait for an answer for as long as there is somebody to give it: a leader cut off never will."""
        answer = asyncio.ensure_future(call)
        try:
            while not answer.done():
                await asyncio.wait({answer}, timeout=LOOK_S)
                if not answer.done() and self._leads_no_more(leader):
                    raise Unreachable(f"{leader} leads no more, and did not answer", place=leader)
            return answer.result()
        finally:
            answer.cancel()

    def _leads_no_more(self, node: NodeId) -> bool:
        """Whether somebody else leads by now; a node without a log does not know."""
        return self._coordinator is not None and self._coordinator.replica.leadership().leader not in (
            node,
            None,
        )


class _NotSent(Unreachable):
    """Nobody was there: nothing can have happened."""
