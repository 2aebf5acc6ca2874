"""The streams between voters, on the event loop: one out to each peer, one in from each.

Who is at the other end is decided by its certificate: a coordinator of this cluster that takes part, by our
own log or by the word of somebody who does. Each stream begins with the sender's incarnation, a number its
data directory got when it was made. The first one seen from a voter is remembered for good; a voter that
comes with another one has lost its log. It could vote against, or be counted for, what it acknowledged and
no longer knows, so it is refused. A name that was removed never takes part again, so there is no second
incarnation to be known by.

Not noticed: a voter restored from an old copy of its directory (same number, older log), and one that
lost its log before a voter that is itself new has ever met it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import grpc.aio

from swarm.adapters.raft import settings
from swarm.adapters.raft.codec import Assembler, size_bytes
from swarm.adapters.raft.inbox import Inbox, LinkDown, LinkUp, PeerMet, Received, StreamEnded
from swarm.adapters.raft.link import Link
from swarm.adapters.raft.records import INCARNATION_BYTES
from swarm.adapters.raft.roll import voters_from_pb, voters_to_pb
from swarm.adapters.raft.settings import PEERS_MAX
from swarm.adapters.tls.credentials import ChannelFactory
from swarm.adapters.tls.peers import peer_identity
from swarm.errors import NotTrusted, ProtocolBroken, SwarmError
from swarm.ids import NodeId
from swarm.ports import Voters
from swarm.trust import Kind, Role
from swarm.wire.gen import raft_pb2 as pb
from swarm.wire.gen import raft_pb2_grpc as rpc

_log = logging.getLogger("swarm.raft")

_REFUSALS = frozenset(
    {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAUTHENTICATED}
)


class Links(rpc.RaftServicer):
    """Dials every other voter and serves the streams they dial."""

    def __init__(
        self,
        me: NodeId,
        cluster: str,
        listed: Mapping[NodeId, str],
        founders: Voters,
        channels: ChannelFactory,
    ) -> None:
        self._me = me
        self._cluster = cluster
        self._listed = dict(listed)  # where nodes are: the operator's word goes before the log's
        self._voters = founders
        self._vouched = founders  # by others, and not yet by the log
        self._peers: dict[NodeId, str] = {}
        self._channels = channels
        self._inbox: Inbox | None = None
        self._incarnation = b""
        self._known: dict[str, bytes] = {}
        self._streams: dict[NodeId, Assembler] = {}  # the newest stream in from each peer
        self._dialers: dict[NodeId, asyncio.Task[None]] = {}
        self._dismissed: set[NodeId] = set()
        self._serving: set[asyncio.Task[Any]] = set()
        self._room = asyncio.Event()

    def start(self, inbox: Inbox, incarnation: bytes, known: Mapping[str, bytes]) -> None:
        self._inbox, self._incarnation, self._known = inbox, incarnation, dict(known)
        self.update(self._voters)

    async def stop(self) -> None:
        self._inbox = None
        self._streams.clear()
        self._room.set()
        dialers = list(self._dialers.values())
        for task in (*dialers, *self._serving):
            task.cancel()
        await asyncio.gather(*dialers, return_exceptions=True)
        self._dialers.clear()

    def dismiss(self, peer: NodeId) -> None:
        """Speak to a voter no more. Whoever serves the streams sees to it that it is not heard either."""
        self._dismissed.add(peer)
        self._dial_peers()

    def update(self, voters: Voters) -> None:
        """From now on these take part."""
        self._voters = voters
        known = {**voters.voters, **voters.learners}
        if self._vouched.index > voters.index:  # whoever vouched does so once: a stream has one hello
            known = {**self._vouched.voters, **self._vouched.learners, **known}
        self._peers = {
            peer: self._listed.get(peer, address) for peer, address in known.items() if peer != self._me
        }
        for peer in self._streams.keys() - self._peers.keys():
            del self._streams[peer]  # what it still says is not heard
        self._dial_peers()

    def _dial_peers(self) -> None:
        wanted = self._peers.keys() - self._dismissed
        for peer in self._dialers.keys() - wanted:
            self._dialers.pop(peer).cancel()
        if (inbox := self._inbox) is None:
            return
        for peer in wanted - self._dialers.keys():
            self._dialers[peer] = asyncio.create_task(
                self._keep_dialing(inbox, peer), name=f"raft-dial-{peer}"
            )

    def _believe(self, peer: NodeId, hello: pb.RaftHello) -> None:
        """A voter knows of others that came while this one was away: they may be spoken with.

        It changes nothing about who counts: that is the log's to say, and it is they who have it.
        """
        said = voters_from_pb(hello.voters)
        if said.index <= max(self._voters.index, self._vouched.index):
            return
        self._vouched = said
        for node, address in {**said.voters, **said.learners}.items():
            if node != self._me and node not in self._peers and len(self._peers) < PEERS_MAX:
                _log.info("%s vouches for %s at %s", peer, node, address)
                self._peers[node] = self._listed.get(node, address)
        self._dial_peers()

    def unblock(self) -> None:
        """The Raft thread has caught up."""
        self._room.set()

    # -- streams in ------------------------------------------------------------------------------

    async def Pipe(  # noqa: N802 - the name in the protocol
        self,
        request_iterator: AsyncIterator[pb.RaftFrame],
        context: grpc.aio.ServicerContext[pb.RaftFrame, pb.RaftPipeEnd],
    ) -> pb.RaftPipeEnd:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._serve(request_iterator, context)
        except asyncio.CancelledError:
            pass  # how gRPC says that the connection is gone; it would log what is raised on
        finally:
            self._serving.discard(task)
        return pb.RaftPipeEnd()

    async def _serve(
        self,
        request_iterator: AsyncIterator[pb.RaftFrame],
        context: grpc.aio.ServicerContext[pb.RaftFrame, pb.RaftPipeEnd],
    ) -> None:
        inbox = self._inbox
        if inbox is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the log is not running")
        assert inbox is not None
        try:
            peer = self._voter(context)
            first = await anext(request_iterator, None)
            self._recognise(inbox, peer, first)
            if first is not None:
                self._believe(peer, first.hello)
        except NotTrusted as error:
            _log.warning("a stream is refused: %s", error)
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, _told(error))
        except ProtocolBroken as error:
            _log.error("a stream is refused: %s", error)
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, _told(error))
        stream = self._streams[peer] = Assembler()
        try:
            async for frame in request_iterator:
                if self._streams.get(peer) is not stream:
                    break  # the peer has opened a newer one: nothing of this may mix with it
                await self._take(inbox, peer, stream, frame)
        except ProtocolBroken as error:
            _log.error("the stream from %s is ended: %s", peer, error)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        finally:
            if self._streams.get(peer) is stream:
                del self._streams[peer]
                inbox.put(StreamEnded(peer))

    def _voter(self, context: grpc.aio.ServicerContext[Any, Any]) -> NodeId:
        identity = peer_identity(context)
        peer = NodeId(identity.name)
        if (
            identity.cluster != self._cluster
            or identity.kind is not Kind.NODE
            or identity.role is not Role.COORDINATOR
            or peer not in self._peers
        ):
            raise NotTrusted(
                f"{identity.uri} is no other voter of this cluster",
                place="raft",
                remedy="let it take part: swarm coordinators add",
            )
        return peer

    def _recognise(self, inbox: Inbox, peer: NodeId, first: pb.RaftFrame | None) -> None:
        incarnation = first.hello.incarnation if first is not None else b""
        if len(incarnation) != INCARNATION_BYTES:
            raise ProtocolBroken("a stream without a hello", place=peer, remedy="run the same version")
        known = self._known.get(peer)
        if known is None:
            self._known[peer] = incarnation
            inbox.put(PeerMet(peer, incarnation))
        elif known != incarnation:
            raise ProtocolBroken(
                f"{peer} came back with another log than it had: it has lost what it acknowledged",
                place=peer,
                remedy=f"restore its data directory, or let the machine join under another id than {peer}",
            )

    async def _take(self, inbox: Inbox, peer: NodeId, stream: Assembler, frame: pb.RaftFrame) -> None:
        for wire in frame.messages:
            message = stream.feed(wire)
            inbox.gather(Received(peer, message), size_bytes(message))
        while inbox.waiting_bytes > settings.INBOX_BYTES_MAX and self._inbox is inbox:
            self._room.clear()
            inbox.blocked = True
            inbox.ring()
            await self._room.wait()

    # -- streams out -----------------------------------------------------------------------------

    async def _keep_dialing(self, inbox: Inbox, peer: NodeId) -> None:
        refused = False
        while True:
            try:
                await self._dial(inbox, peer)
            except grpc.aio.AioRpcError as error:
                refused = error.code() in _REFUSALS
                if refused:
                    _log.error("%s refuses this node: %s", peer, error.details())
            except TimeoutError:
                refused = False
            await asyncio.sleep((settings.REDIAL_REFUSED_MS if refused else settings.REDIAL_MS) / 1000)

    async def _dial(self, inbox: Inbox, peer: NodeId) -> None:
        """One stream to `peer`, until it ends."""
        async with self._channels(self._peers[peer], peer) as channel:
            async with asyncio.timeout(settings.DIAL_MS_MAX / 1000):
                await channel.channel_ready()
            call = rpc.RaftStub(channel).Pipe()
            link = Link(peer)
            call.add_done_callback(lambda _call: link.cut())
            try:
                hello = pb.RaftHello(incarnation=self._incarnation, voters=voters_to_pb(self._voters))
                await call.write(pb.RaftFrame(hello=hello))
                inbox.put(LinkUp(link))
                while (frame := await link.frames.get()) is not None:
                    await call.write(frame[0])
                    link.written_bytes += frame[1]
            except asyncio.InvalidStateError:
                pass  # the call ended while we wrote; its status says why
            finally:
                inbox.put(LinkDown(link))
                ended = call.done()
                call.cancel()
            if ended:
                await call  # raises what the peer ended it with


def _told(error: SwarmError) -> str:
    """What the other side is to read in its own log."""
    return f"{error.message}; {error.remedy}" if error.remedy else error.message
