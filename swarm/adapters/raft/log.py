"""The replicated log on pysyncobj: the `Log` port.

    propose --> inbox --> Raft thread: engine, log file --> events --> event loop: state machine, answers
                  ^                         |
                  +---- streams in <----- streams out to the other voters

One thread belongs to Raft and the disk (`runner`), everything else happens on the event loop. The daemon
serves `servicer` on the one port it has; the adapter dials the other voters itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from swarm.adapters.raft.delivery import Delivery
from swarm.adapters.raft.events import Proposal, Reconfigured, VoterChange
from swarm.adapters.raft.links import Links
from swarm.adapters.raft.messages import NO_OP, REGULAR
from swarm.adapters.raft.runner import Batch, LogStatus, Runner
from swarm.adapters.raft.settings import (
    PROPOSALS_PENDING_BYTES_MAX,
    PROPOSALS_PENDING_MAX,
    RaftSettings,
)
from swarm.adapters.tls.credentials import ChannelFactory
from swarm.errors import Bug, ConfigRefused, NotLeader, QueueFull, TooLarge
from swarm.ids import NodeId
from swarm.limits import ENTRY_BYTES_MAX
from swarm.ports import Leadership, StateMachine, Voters
from swarm.wire.gen.raft_pb2_grpc import RaftServicer

EXIT_FATAL = 70
THREAD_SWITCH_S = 0.0005  # the loop and the Raft thread hand over to each other many times per commit

_log = logging.getLogger("swarm.raft")


def stop_process(error: BaseException) -> None:
    """End the process at once: its log can no longer be trusted, the other voters' can."""
    _log.critical("the replicated log cannot go on, the process ends: %s", error, exc_info=error)
    logging.shutdown()
    os._exit(EXIT_FATAL)


def _founders(node: NodeId, listed: Mapping[NodeId, str], *, joins: bool) -> Voters:
    """Who takes part before the log says anything: those listed; one that joins them only learns."""
    if not joins:
        return Voters(0, dict(listed), {})
    return Voters(0, {one: address for one, address in listed.items() if one != node}, {node: listed[node]})


class PysyncobjLog:
    """One voter's replica of the log."""

    def __init__(
        self,
        node_id: NodeId,
        voters: Mapping[NodeId, str],
        data_dir: Path,
        channels: ChannelFactory,
        *,
        cluster: str,
        settings: RaftSettings | None = None,
        joins: bool = False,
        on_fatal: Callable[[BaseException], None] = stop_process,
    ) -> None:
        if node_id not in voters:
            raise ConfigRefused(
                f"{node_id} is not among the voters",
                place="voters",
                remedy="add it, or do not run a log here",
            )
        self.node_id = node_id
        self.on_voters: Callable[[Voters], None] = lambda _: None
        self.awaited: Callable[[], bool] = lambda: False
        self._voters = _founders(node_id, voters, joins=joins)
        self._founders = self._voters
        self._data_dir = data_dir
        self._settings = settings or RaftSettings()
        self._on_fatal = on_fatal
        self._links = Links(node_id, cluster, voters, self._founders, channels)
        self._runner: Runner | None = None
        self._delivery: Delivery | None = None
        self._pending_count = 0
        self._pending_bytes = 0

    @property
    def servicer(self) -> RaftServicer:
        """To be registered on the daemon's gRPC server before it starts."""
        return self._links

    def dismiss(self, peer: NodeId) -> None:
        """Speak to a voter no more; it keeps its seat and is counted as silent."""
        self._links.dismiss(peer)

    async def start(self, machine: StateMachine, on_leadership: Callable[[Leadership], None]) -> None:
        if self._runner is not None:
            raise Bug("a log is started once", place=self.node_id)
        loop = asyncio.get_running_loop()
        runner = await asyncio.to_thread(
            Runner, self._data_dir, self.node_id, self._founders, self._settings, self._on_fatal
        )
        runner.awaited = self.awaited
        delivery = Delivery(machine, on_leadership, self._reconfigured, runner)
        try:
            delivery.recover(runner.recovered)
        except BaseException:
            await asyncio.to_thread(runner.stop)
            raise
        self._runner, self._delivery = runner, delivery
        sys.setswitchinterval(min(sys.getswitchinterval(), THREAD_SWITCH_S))
        self._links.start(runner.inbox, runner.wal.incarnation, runner.wal.peers)

        def deliver(batch: Batch) -> None:
            try:
                loop.call_soon_threadsafe(self._take, batch)
            except RuntimeError:  # the loop was closed without `stop`: nobody is left to tell anything
                runner.leave()

        runner.start(deliver)

    async def propose(self, data: bytes) -> int:
        if len(data) > ENTRY_BYTES_MAX:
            raise TooLarge(
                f"{len(data)} bytes",
                place="log entry",
                remedy=f"at most {ENTRY_BYTES_MAX}; store it as a blob",
            )
        return await self._append(REGULAR + data)

    async def read_barrier(self) -> int:
        # The simplest sound barrier: a place in the log that carries nothing. Once it is committed and
        # applied here, this replica led after the call and has applied all that was acknowledged before it.
        return await self._append(NO_OP)

    def leadership(self) -> Leadership:
        return self._delivery.leadership if self._delivery else Leadership(0, None)

    def applied_index(self) -> int:
        return self._delivery.applied_index if self._delivery else 0

    def voters(self) -> Voters:
        return self._voters

    async def add_voter(self, node: NodeId, address: str) -> Voters:
        # A learner that was named with a wrong address is named again: removed, its name would be gone.
        if node not in self._voters.voters and self._voters.learners.get(node) != address:
            await self._change(node, address)
        return self._voters

    async def remove_voter(self, node: NodeId) -> Voters:
        await self._change(node, None)
        return self._voters

    def status(self) -> LogStatus:
        """The replica's inner state, for people."""
        if self._runner is None:
            raise Bug("the log is not running", place=self.node_id)
        return self._runner.status()

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None:
            return
        await self._links.stop()
        await asyncio.to_thread(runner.stop)
        await asyncio.sleep(0)  # the thread's last batch is on the loop's queue: let it answer who waits

    async def _append(self, command: bytes) -> int:
        runner = self._runner
        leader = self.leadership().leader
        if runner is None or leader != self.node_id:
            raise NotLeader(None if runner is None else leader)
        if (
            self._pending_count >= PROPOSALS_PENDING_MAX
            or self._pending_bytes + len(command) > PROPOSALS_PENDING_BYTES_MAX
        ):
            raise QueueFull(
                f"{self._pending_count} entries wait to be committed",
                place="log",
                remedy="slow down, try again",
            )
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pending_count += 1
        self._pending_bytes += len(command)
        done.add_done_callback(lambda _done: self._settled(len(command)))
        runner.inbox.gather(Proposal(command, done))
        return await done

    async def _change(self, node: NodeId, address: str | None) -> int:
        runner = self._runner
        if runner is None:
            raise NotLeader(None)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        runner.inbox.put(VoterChange(node, address, done))
        return await done

    def _reconfigured(self, event: Reconfigured) -> None:
        self._voters = event.voters
        self._links.update(event.voters)
        self.on_voters(event.voters)

    def _settled(self, size_bytes: int) -> None:
        self._pending_count -= 1
        self._pending_bytes -= size_bytes

    def _take(self, batch: Batch) -> None:
        if batch.unblock:
            self._links.unblock()
        for outgoing in batch.frames:
            outgoing.link.put(outgoing.frame, outgoing.size_bytes)
        if self._delivery is not None:
            self._delivery.take(batch.events)
