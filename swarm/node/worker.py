"""The node's driver: keeps one link to the leader, hosts the agents it is told to, runs what it is given.

Losing the link loses nothing: work goes on, finished outcomes stay in the outbox, and the next leader is
told in the hello what is still running here. Losing the process loses what was running, and no outcome:
only a receipt makes the node forget one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import assert_never

import structlog

from swarm import limits
from swarm.errors import NotFound, NotHosted, NotLeader, SwarmError
from swarm.graph import PLAIN, UNBOUNDED, Clearance
from swarm.ids import Digest, NodeId, StepKey
from swarm.node import needs
from swarm.node.calls import Call
from swarm.node.cargo import Cargo
from swarm.node.chains import Chains
from swarm.node.data import Data
from swarm.node.holding import Holding
from swarm.node.host import AgentHost, not_cleared, not_hosted
from swarm.node.outbox import Outbox
from swarm.node.results import ResultCache
from swarm.node.sweeping import Sweeper
from swarm.ports import (
    BlobPeers,
    Blobs,
    Cells,
    Clock,
    Dialer,
    Journal,
    Machine,
    Membership,
    Opener,
    OutcomeStore,
    Uplink,
)
from swarm.tasks import Tasks
from swarm.trust.results import ResultSigner
from swarm.wire.messages import (
    AgentSet,
    Assignment,
    Assignments,
    CopyBlob,
    Heartbeat,
    Hello,
    Hosting,
    Outcome,
    Outcomes,
    Peers,
    Pulse,
    Receipts,
    Renew,
    RevokedSet,
    ToNode,
    UnneededBlobs,
    Welcome,
    Withdrawals,
)

_log = structlog.get_logger("swarm.node")

GATHER_ITEMS = 128  # fewer outcomes wait a moment for others, while the node has work
GATHER_MS = 2.0
CHAIN_GATHER_MS = 50.0  # how long the outcome of a step whose follower has begun here may wait for others
USAGE_BEATS = 4  # every so many heartbeats say what the agents have taken
REHOST_MS = 2_000  # how often an agent that could not be hosted is tried again


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a node is told by its configuration."""

    node: NodeId
    address: str
    coordinators: Collection[NodeId]  # they may change
    slots: int
    cells_per_agent: int
    clearance: Clearance = UNBOUNDED  # the contexts it works in
    signer: ResultSigner | None = None  # of results, for runs that ask for it


@dataclass(frozen=True, slots=True)
class WorkerPorts:
    """How a node reaches the world."""

    clock: Clock
    machine: Machine
    dialer: Dialer
    cells: Cells
    blobs: Blobs
    peers: BlobPeers
    data: Data
    journal: Journal
    outcomes: OutcomeStore
    opener: Opener
    membership: Membership
    results: ResultCache | None = None


class Worker:
    """One node; see the head of this module."""

    def __init__(self, options: WorkerOptions, ports: WorkerPorts) -> None:
        self._options = options
        self._ports = ports
        self._hosts: dict[Digest, AgentHost] = {}
        self._refused: dict[Digest, SwarmError] = {}
        self._wanted: tuple[Digest, ...] = ()
        self._wanted_kick = asyncio.Event()
        self._out_kick = asyncio.Event()
        self._outbox = Outbox(ports.outcomes)
        self._leader: NodeId | None = None
        self._uplink: Uplink | None = None
        self._chains = Chains()
        self._draining = False
        self._silent_beats = 0  # heartbeats since the leader was heard
        self._tasks = Tasks()
        self._cargo = Cargo(ports.data, ports.clock, self._tasks, self._accept, self._finish)
        self._holding = Holding(ports.blobs, ports.data, ports.clock, self._tasks)
        self._sweeper = Sweeper(
            ports.blobs,
            ports.data,
            ports.clock,
            lambda: self._cargo.held() | self._outbox.refs() | set(self._wanted),
        )

    @property
    def failure(self) -> asyncio.Future[None]:
        """Raises what a task of this node died of: a bug, after which it must not go on."""
        return self._tasks.failure

    async def start(self) -> None:
        self._tasks.start(self._attach_forever())
        self._tasks.start(self._host_forever())

    async def drain(self) -> None:
        """Take no more work; return when all that was accepted is in the log, or time is up."""
        self._draining = True
        self._out_kick.set()
        deadline = self._ports.clock.monotonic_ms() + limits.DRAIN_MS_MAX
        while (self._outbox or any(self._running())) and self._ports.clock.monotonic_ms() < deadline:
            await self._ports.clock.sleep_ms(limits.TICK_MS)

    async def stop(self) -> None:
        await self._tasks.stop()
        await self._ports.data.stop()
        for host in self._hosts.values():
            await host.close()

    def call(self, call: Call) -> None:
        """Have an agent hosted here answer, with nothing written down. Raises why it cannot be tried.

        Of two agents with one capability the one hosted last answers.
        """
        for host in reversed(self._hosts.values()):
            if host.offers(call.capability):
                host.call(self._cargo.whole(call))
                return
        raise NotHosted(
            f"node {self._options.node} hosts nobody who offers {call.capability}",
            place=str(call.capability),
            remedy="`swarm agents` shows who hosts what",
        )

    # -- the link -----------------------------------------------------------------------------

    async def _attach_forever(self) -> None:
        rest_ms, turn = limits.RECONNECT_MS_MIN, 0
        while True:
            known = tuple(self._options.coordinators)
            target = self._leader or known[turn % len(known)]
            turn += 1
            try:
                self._uplink = await self._ports.dialer.attach(target, self._hello())
            except NotLeader as error:
                hint = NodeId(error.hint) if error.hint else None
                self._leader = hint if hint in known and hint != target else None
            except SwarmError as error:
                self._leader = None
                _log.debug("cannot attach", to=target, error=str(error))
            else:
                self._leader = target
                rest_ms = limits.RECONNECT_MS_MIN
                await self._serve(self._uplink)
                self._leader = self._uplink = None
                continue
            if turn % len(known) == 0:
                rest_ms = min(rest_ms * 2, limits.RECONNECT_MS_MAX)
            await self._ports.clock.sleep_ms(rest_ms)

    def _hello(self) -> Hello:
        return Hello(
            node=self._options.node,
            slots=self._options.slots,
            agents=tuple(sorted(self._hosts)),
            layers=self._ports.cells.layers,
            running=tuple(self._running()),
            address=self._options.address,
            tier=self._ports.cells.tier,
            memory_mb=self._ports.machine.memory_mb(),
            cpu_cores=self._ports.machine.cpu_cores(),
            lacks=self._ports.cells.lacks,
            clearance=self._options.clearance,
            result_key=self._options.signer.public.hex() if self._options.signer else "",
        )

    def _running(self) -> list[StepKey]:
        return [key for host in self._hosts.values() for key in host.pending()] + [*self._cargo.pending()]

    async def _serve(self, uplink: Uplink) -> None:
        """Speak and listen until the link ends, or nothing is heard although we spoke."""
        self._outbox.resend()
        self._out_kick.set()
        listener = asyncio.create_task(self._listen(uplink))
        tasks = [
            listener,
            asyncio.create_task(self._send_outcomes(uplink)),
            asyncio.create_task(self._send_heartbeats(uplink)),
            asyncio.create_task(self._sweeper.ask_forever(uplink)),
            asyncio.create_task(self._holding.tell_forever(uplink)),
        ]
        try:
            await self._until_silent(listener)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await uplink.close()
        if not listener.cancelled():
            listener.result()

    async def _listen(self, uplink: Uplink) -> None:
        try:
            async for message in uplink.received():
                self._silent_beats = 0
                await self._obey(message)
        except SwarmError as error:
            _log.info("link ended", error=str(error))

    async def _until_silent(self, listener: asyncio.Task[None]) -> None:
        """Counts beats, not time: a process that was paused has missed one beat, however long it slept."""
        self._silent_beats = 0
        while self._silent_beats < limits.LEADER_SILENT_BEATS_MAX:
            await asyncio.wait({listener}, timeout=limits.HEARTBEAT_MS / 1000)
            if listener.done():
                return
            self._silent_beats += 1
        _log.warning("the leader is silent", leader=self._leader)

    async def _send_outcomes(self, uplink: Uplink) -> None:
        while True:
            await self._out_kick.wait()
            self._out_kick.clear()
            if self._outbox.unsent < GATHER_ITEMS and any(host.busy for host in self._hosts.values()):
                await self._ports.clock.sleep_ms(GATHER_MS)  # more are coming: they travel together
            while batch := self._outbox.take(limits.RECORDS_BATCH_MAX):
                await uplink.send(Outcomes(batch))

    async def _send_heartbeats(self, uplink: Uplink) -> None:
        await self._send_hosting(uplink)
        for beat in itertools.count():
            cells = sum(host.cell_count for host in self._hosts.values())
            hosts = () if beat % USAGE_BEATS else tuple(self._hosts.values())
            usage = tuple(self._ports.cells.usage(host.image, host.digest) for host in hosts)
            await uplink.send(Heartbeat(self._ports.machine.load(), cells, self._draining, usage))
            await self._ports.clock.sleep_ms(limits.HEARTBEAT_MS if not self._draining else limits.TICK_MS)

    async def _send_hosting(self, uplink: Uplink) -> None:
        await uplink.send(Hosting(tuple(sorted(self._hosts)), tuple(self._refused.items())))

    async def _obey(self, message: ToNode) -> None:
        match message:
            case Assignments():
                self._cargo.bring(self._chains.begin(message.items))
            case Receipts():
                self._outbox.receipt(message.keys)
            case Withdrawals():
                self._chains.cut(message.keys)
                for key in message.keys:
                    self._cargo.withdraw(key)
                    for host in self._hosts.values():
                        await host.withdraw(key)
            case AgentSet():
                self._wanted = message.digests
                self._wanted_kick.set()
            case RevokedSet() | Renew():
                _belong(self._ports.membership, message)
            case Peers() | UnneededBlobs():
                await self._sweeper.hear(message)
            case CopyBlob():
                self._holding.copy(message)
            case Pulse():
                pass  # that it was heard is all it says
            case Welcome():
                self._chains.obey(message.term)
                _log.info("attached", leader=self._leader, term=message.term)
            case _:
                assert_never(message)

    def _accept(self, items: Sequence[Assignment]) -> None:
        """Take work whose inputs are here: to each agent what is for it."""
        by_agent: dict[Digest, list[Assignment]] = {}
        cleared = self._options.clearance
        for item in items:
            if item.context is not PLAIN and not cleared.covers(item.context):
                at_ms = self._ports.clock.wall_ms()
                self._cargo.ship([not_cleared(item, self._options.node, at_ms)])
            else:
                by_agent.setdefault(item.agent, []).append(item)
        for digest, batch in by_agent.items():
            host = self._hosts.get(digest)
            if host is None:
                at_ms = self._ports.clock.wall_ms()
                self._cargo.ship([not_hosted(item, self._options.node, at_ms) for item in batch])
            else:
                host.assign(batch)

    def _finish(self, outcomes: Sequence[Outcome]) -> None:
        """Tell how attempts ended, whose outputs a second node holds.

        Of those whose followers begin here nobody waits to hear: they may gather.
        """
        following = self._chains.go_on(outcomes) if self._chains else []
        gather = len(following) == len(outcomes)
        self._outbox.add(outcomes, gather=gather)
        if not gather:
            self._out_kick.set()
        elif self._outbox.unsent == len(outcomes):  # the first of those that go together
            asyncio.get_running_loop().call_later(CHAIN_GATHER_MS / 1000, self._out_kick.set)
        if following:
            self._cargo.bring(self._chains.begin(following))

    # -- agents ---------------------------------------------------------------------------------

    async def _host_forever(self) -> None:
        """Make what is hosted what is wanted. An agent that fails to load is tried again now and then."""
        while True:
            await self._wanted_kick.wait()
            self._wanted_kick.clear()
            wanted = self._wanted
            for digest in wanted:
                if digest not in self._hosts:
                    await self._host(digest)
            for digest in set(self._hosts) - set(wanted):
                if not self._hosts[digest].pending():
                    await self._hosts.pop(digest).close()
            self._refused = {d: error for d, error in self._refused.items() if d in wanted}
            if self._uplink is not None:
                try:
                    await self._send_hosting(self._uplink)
                except SwarmError as error:
                    _log.debug("hosting not sent", error=str(error))  # the next hello says it
            if self._refused or set(self._hosts) - set(wanted):
                await self._ports.clock.sleep_ms(REHOST_MS)
                self._wanted_kick.set()

    async def _host(self, digest: Digest) -> None:
        try:
            image = self._ports.opener(await _fetch(digest, self._ports, self._leader))
            ports = self._ports
            needs.check(image, ports.machine)
            host = AgentHost(
                digest,
                image,
                ports.cells,
                ports.clock,
                ports.journal,
                self._cargo.ship,
                self._options.cells_per_agent,
                ports.results,
            )
            host.signer = self._options.signer
            await host.start()
        except SwarmError as error:
            self._refused[digest] = error
            _log.warning("agent not hosted", digest=digest[:12], error=str(error))
        else:
            self._hosts[digest] = host
            host.failure.add_done_callback(self._tasks.pass_on)
            self._refused.pop(digest, None)
            _log.info("agent hosted", agent=image.name, digest=digest[:12])


def _belong(membership: Membership, message: RevokedSet | Renew) -> None:
    """The leader speaks of who belongs to the cluster."""
    if isinstance(message, RevokedSet):
        membership.revoke(message.entries)
    else:
        membership.renew()


async def _fetch(digest: Digest, ports: WorkerPorts, leader: NodeId | None) -> bytes:
    """An agent's file, from here or from the leader."""
    if (data := await ports.blobs.get(digest)) is not None:
        return data
    if leader is None:
        raise NotFound(f"no file {digest[:12]} here, and no leader to ask")
    await ports.peers.pull(leader, digest)
    if (data := await ports.blobs.get(digest)) is None:
        raise NotFound(f"no file {digest[:12]}, although it was copied here")
    return data
