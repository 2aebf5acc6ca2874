"""One caller's way into a cluster: any node answers, so a node that does not is simply not asked again.

The daemons are tried in turn. A call that failed because a node vanished, does not lead or cannot say what
happened is made again elsewhere, for as long as the caller is patient; every call made through here is safe
to repeat (a submission carries a key, a deployment its digest). A cluster that is full is waited for, so that
who submits faster than it works is slowed. Any other failure is an answer, and final.

A certificate that does not hold is final too, once every node's was looked at twice. A handshake that was
merely cut short is not: that is what a daemon does that dies, and one that refuses *our* certificate.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, Protocol, TypeVar

from swarm.adapters.tls import TlsIdentity, explain_failure  # before grpc, see swarm.adapters.tls.tls13

import grpc  # isort: skip
import grpc.aio  # isort: skip

from swarm.adapters.rpc.errors import TRAILER, from_rpc
from swarm.adapters.tls.names import identity_map
from swarm.client.profile import ClusterProfile
from swarm.errors import (
    NotFound,
    NotLeader,
    NotTrusted,
    OutcomeUnknown,
    OutOfTime,
    QueueFull,
    SwarmError,
    Unreachable,
)
from swarm.ids import NodeId
from swarm.wire.gen.client_pb2_grpc import SwarmStub

FULL_PATIENCE_S: Final = 105.0  # how much longer, where the cluster answers that it is full
PATIENCE_S: Final = 15.0  # how long a call is repeated elsewhere before its failure is the caller's
ATTEMPT_S: Final = 5.0  # how long one daemon may take over an ordinary call
REST_S_MIN: Final = 0.05  # after every daemon was asked once
REST_S_MAX: Final = 1.0
LEADER_HOPS_MAX: Final = 2  # it may change while it is looked for
DISTRUST_ROUNDS_MAX: Final = 2

_TRANSIENT_STATUS: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)
# What grpc makes of an answer that arrives while it still sends: the answer is gone, so we ask again.
_ANSWER_LOST: Final = "Internal error from Core"
_TRANSIENT_ERRORS: Final = (NotLeader, OutcomeUnknown, Unreachable)

Reply = TypeVar("Reply")
Reply_co = TypeVar("Reply_co", covariant=True)


class Streaming(Protocol[Reply_co]):
    """A call that is answered by a stream."""

    def __aiter__(self) -> AsyncIterator[Reply_co]: ...

    def cancel(self) -> bool: ...


def new_key() -> str:
    """A key no other submission has: repeating a call with it never submits twice."""
    return uuid.uuid4().hex


class Connection:
    """Channels to a cluster's daemons and the habit of trying the next one."""

    def __init__(self, profile: ClusterProfile, patience_s: float = PATIENCE_S) -> None:
        self.profile = profile
        self.patience_s = patience_s
        self.identity = TlsIdentity.load(
            profile.files(),
            names=identity_map(profile.cluster, profile.identities),
            server_name=profile.server_name,
        )
        self._generation = 0
        self._channels: dict[NodeId, grpc.aio.Channel] = {}
        self._stubs: dict[NodeId, SwarmStub] = {}
        self._retired: list[grpc.aio.Channel] = []  # opened with a certificate we had before
        self._order = list(profile.endpoints)
        self.turn = 0  # whom we talk to: a place in the order

    async def close(self) -> None:
        channels = [*self._retired, *self._channels.values()]
        self._retired.clear()
        self._channels.clear()
        self._stubs.clear()
        for channel in channels:
            await channel.close()

    @property
    def peer(self) -> NodeId:
        """The node that is asked next."""
        return self._order[self.turn]

    @property
    def peers(self) -> int:
        return len(self._order)

    def stub(self) -> SwarmStub:
        """The node that is asked next, ready to be called."""
        peer, channel = self.peer, self.channel()
        if peer not in self._stubs:
            self._stubs[peer] = SwarmStub(channel)
        return self._stubs[peer]

    def channel(self) -> grpc.aio.Channel:
        """The channel to the node that is asked next."""
        peer = self.peer
        self.identity.refresh()
        if self._generation != self.identity.generation:  # what is open goes on, on its old channel
            self._generation = self.identity.generation
            self._retired += self._channels.values()
            self._channels.clear()
            self._stubs.clear()
        if peer not in self._channels:
            self._channels[peer] = self.identity.channel(self.profile.endpoints[peer], peer)
        return self._channels[peer]

    def move_on(self, hint: str | None) -> None:
        """Ask another node from now on: the one hinted at if it is known, else the next in turn."""
        if hint == self.peer or not self.turn_to(hint):
            self.turn = (self.turn + 1) % len(self._order)

    def turn_to(self, node: str | None) -> bool:
        """Ask this node from now on; says whether its address is known."""
        if node not in self.profile.endpoints:
            return False
        self.turn = self._order.index(NodeId(node))
        return True

    async def ask(
        self,
        call: Callable[[SwarmStub, float], Awaitable[Reply]],
        *,
        attempt_s: float = ATTEMPT_S,
        lag_s: float = 0.0,
    ) -> Reply:
        """Make a call that may be repeated; raises the typed error that nobody could better.

        For `lag_s` seconds "not found" is not believed: a replica may not have heard of it yet.
        """
        patience = Patience(self, lag_s)
        while True:
            try:
                return await call(self.stub(), attempt_s)
            except grpc.aio.AioRpcError as error:
                await patience.suffer(*self.meaning(error))

    async def transfer(self, attempt: Callable[[SwarmStub, Callable[[], None]], Awaitable[Reply]]) -> Reply:
        """Make a call that moves much data, and may go on where it broke off.

        Patience is counted from the last progress, which the call reports through its second argument.
        """
        patience = Patience(self, 0.0)
        while True:
            try:
                return await attempt(self.stub(), patience.renew)
            except grpc.aio.AioRpcError as error:
                await patience.suffer(*self.meaning(error))
            except (TimeoutError, Unreachable):
                await patience.suffer(self.broken_off(), transient=True)

    async def ask_leader(
        self,
        call: Callable[[SwarmStub, float], Awaitable[Reply]],
        said: Callable[[Reply], tuple[str, str]],
        *,
        lag_s: float = 0.0,
    ) -> Reply:
        """Make a call that any node answers and the leader answers best: only it knows what runs now.

        `said` reads from a reply who leads and who answered. Without a leader, whoever answers will do.
        """
        reply = await self.ask(call, lag_s=lag_s)
        for _ in range(LEADER_HOPS_MAX):
            leader, answered_by = said(reply)
            if leader == answered_by or not self.turn_to(leader):
                break
            reply = await self.ask(call, lag_s=lag_s)
        return reply

    async def follow(
        self,
        call: Callable[[SwarmStub], Streaming[Reply]],
        complete: Callable[[], bool],
        *,
        lag_s: float = 0.0,
    ) -> AsyncGenerator[Reply, None]:
        """Replies of a stream, opened again elsewhere whenever it breaks; `call` says where to resume.

        It ends when a stream ends in order and is `complete`. Patience is counted from the last reply.
        """
        patience = Patience(self, lag_s)
        while True:
            stream = call(self.stub())
            try:
                async for reply in stream:
                    patience.renew()
                    yield reply
                if complete():
                    return
                failure, transient = self.broken_off(), True
            except grpc.aio.AioRpcError as error:
                failure, transient = self.meaning(error)
            finally:
                stream.cancel()
            await patience.suffer(failure, transient)

    def meaning(self, error: grpc.aio.AioRpcError) -> tuple[SwarmError, bool]:
        """The typed error a failed call stands for, and whether another node may do better."""
        peer = self._who()
        if any(key == TRAILER for key, _ in error.trailing_metadata() or ()):
            failure = from_rpc(error, peer)
            return failure, self.may_pass(failure)
        failure = explain_failure(error, peer) or from_rpc(error, peer)
        return failure, error.code() in _TRANSIENT_STATUS or error.details() == _ANSWER_LOST

    def may_pass(self, failure: SwarmError) -> bool:
        """Whether another node may do better, or the same one later."""
        return isinstance(failure, _TRANSIENT_ERRORS) or _full(failure)

    def broken_off(self) -> SwarmError:
        """A stream that ended without a reason."""
        return Unreachable(f"{self._who()} ended a stream early", place=self._who(), remedy="ask again")

    def _who(self) -> str:
        return f"{self.peer} at {self.profile.endpoints[self.peer]}"


class Patience:
    """How long, how often and where a failed call is tried again."""

    def __init__(self, connection: Connection, lag_s: float) -> None:
        self._connection = connection
        self._clock = asyncio.get_running_loop().time
        self._believe_from = self._clock() + lag_s
        self.renew()

    def renew(self) -> None:
        """Somebody answered: start counting afresh."""
        self._until = self._clock() + self._connection.patience_s
        self._rest_s = REST_S_MIN
        self._failures = 0
        self._distrusted = 0
        self._last: dict[NodeId, SwarmError] = {}

    async def suffer(self, failure: SwarmError, transient: bool, *, asked: NodeId | None = None) -> None:
        """Return when it is time to try again, perhaps elsewhere; raise the failure when it is not.

        Of many whose question to one node (`asked`) failed at once, the first moves on for all of them.
        """
        connection, now = self._connection, self._clock()
        if not (transient or (isinstance(failure, NotFound) and now < self._believe_from)):
            raise failure from None
        self._failures += 1
        self._distrusted += isinstance(failure, NotTrusted) and _names_a_certificate(failure)
        self._last[connection.peer] = failure
        until = self._until + (FULL_PATIENCE_S if _full(failure) else 0.0)
        if now >= until or self._distrusted >= connection.peers * DISTRUST_ROUNDS_MAX:
            raise self._verdict(failure) from None
        if asked is None or asked == connection.peer:
            connection.move_on(failure.hint if isinstance(failure, NotLeader) else None)
        if self._failures % connection.peers == 0:
            await asyncio.sleep(min(self._rest_s, max(0.0, until - now)))
            self._rest_s = min(self._rest_s * 2, REST_S_MAX)

    def _verdict(self, failure: SwarmError) -> SwarmError:
        silent = (Unreachable, OutOfTime)
        if self._connection.peers == 1 or not all(isinstance(last, silent) for last in self._last.values()):
            return failure
        answers = "; ".join(last.message for last in self._last.values())
        return Unreachable(
            f"no node of cluster {self._connection.profile.cluster!r} answers: {answers}",
            place="cluster",
            remedy="are the daemons running, and is the profile the right one?",
        )


def _full(failure: SwarmError) -> bool:
    """The whole cluster has as much to do as it takes: who waits is served. A quota is no such thing."""
    return isinstance(failure, QueueFull) and failure.place == "cluster"


def _names_a_certificate(failure: NotTrusted) -> bool:
    return any(
        word in failure.message for word in ("certificate has expired", "not signed", "another identity")
    )
