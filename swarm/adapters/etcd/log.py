"""The replicated log in etcd: the `Log` port.

    propose --> writer --> etcd: batches, the leader's key --> watch --> state machine, answers

etcd orders everything: batches of entries and changes of the leader come down one watch, in one order, to
every replica, the leader too. A replica that sees its own name come has therefore applied everything its
predecessors wrote. The revision the leader's key was created at is the term; every write is made on the
condition that the key is still that one.

Nothing is kept on this machine: a replica that starts reads the snapshot and what follows it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from swarm.adapters.etcd.client import EtcdClient
from swarm.adapters.etcd.keys import Keys
from swarm.adapters.etcd.lease import Candidate
from swarm.adapters.etcd.reader import Reader
from swarm.adapters.etcd.settings import EtcdSettings
from swarm.adapters.etcd.snapshots import Snapshots
from swarm.adapters.etcd.writer import Writer
from swarm.errors import Bug, Conflict, NotLeader, SwarmError, TooLarge
from swarm.ids import NodeId
from swarm.limits import ENTRY_BYTES_MAX
from swarm.ports import Leadership, StateMachine, Voters
from swarm.wire.gen import etcd_pb2 as pb

_log = logging.getLogger("swarm.etcd")


class EtcdLog:
    """One replica of a log that etcd keeps. The log owns its client and closes it."""

    def __init__(
        self,
        node_id: NodeId,
        cluster: str,
        client: EtcdClient,
        *,
        coordinators: Mapping[NodeId, str],
        on_fatal: Callable[[BaseException], None],
        settings: EtcdSettings | None = None,
    ) -> None:
        self.node_id = node_id
        self.awaited: Callable[[], bool] = lambda: False  # here everybody is told at once as it is
        self._settings = settings or EtcdSettings()
        self._voters = Voters(0, dict(coordinators), {})
        self._client = client
        self._keys = Keys(cluster)
        self._on_fatal = on_fatal
        self._candidate = Candidate(client, self._keys, node_id, self._settings.lease_s, self._depose)
        self._snapshots = Snapshots(client, self._keys)
        self._known = Leadership(0, None)
        self._writer: Writer | None = None
        self._machine: StateMachine | None = None
        self._reader: Reader | None = None
        self._on_leadership: Callable[[Leadership], None] = lambda _: None
        self._captured_index = 0
        self._capture: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # -- the port ----------------------------------------------------------------------------------

    async def start(self, machine: StateMachine, on_leadership: Callable[[Leadership], None]) -> None:
        if self._machine is not None:
            raise Bug("a log is started once", place=self.node_id)
        self._machine, self._on_leadership = machine, on_leadership
        self._reader = Reader(
            self._client,
            self._keys,
            self._snapshots,
            machine,
            see_leader=self._see_leader,
            applied=self._applied,
        )
        for name, work in (
            ("etcd-follow", self._reader.follow()),
            ("etcd-lease", self._candidate.keep()),
            ("etcd-stand", self._candidate.stand()),
        ):
            task = asyncio.create_task(work, name=name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def propose(self, data: bytes) -> int:
        if len(data) > ENTRY_BYTES_MAX:
            raise TooLarge(
                f"{len(data)} bytes",
                place="log entry",
                remedy=f"at most {ENTRY_BYTES_MAX}; store it as a blob",
            )
        return await self._leading().append(data)

    async def read_barrier(self) -> int:
        return await self._leading().append(None)

    def leadership(self) -> Leadership:
        return self._known

    def applied_index(self) -> int:
        return self._reader.at.index if self._reader else 0

    def voters(self) -> Voters:
        return self._voters

    async def add_voter(self, node: NodeId, address: str) -> Voters:  # noqa: ARG002
        raise _not_here()

    async def remove_voter(self, node: NodeId) -> Voters:  # noqa: ARG002
        raise _not_here()

    @property
    def snapshot_index(self) -> int:
        """The last entry the snapshot covers that this replica wrote or began from."""
        return self._snapshots.index

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return
        for task in (*tasks, *filter(None, [self._capture])):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lead(None)
        self._known = Leadership(self._known.term, None)
        await self._candidate.resign()
        await self._client.close()

    # -- snapshots -----------------------------------------------------------------------------------

    def _applied(self) -> None:
        if self._writer is not None and self._tasks:  # it has not been stopped
            self._writer.applied(self.applied_index())
            self._compact(self._writer)

    def _compact(self, writer: Writer) -> None:
        """Take a snapshot if it is time for one; the leader's business alone."""
        assert self._reader is not None
        assert self._machine is not None
        now = self._reader.at
        due = (
            now.index - max(self._captured_index, self._snapshots.index) >= self._settings.compact_entries
            or self._reader.fresh_bytes >= self._settings.compact_bytes
        )
        if not due or not now.between_entries or (self._capture is not None and not self._capture.done()):
            return
        self._captured_index, self._reader.fresh_bytes = now.index, 0
        self._capture = asyncio.create_task(
            self._snapshots.write(now.index, now.term, now.number, self._machine.snapshot(), writer.fence)
        )
        # entries that came meanwhile may be worth another one, and perhaps none come after them
        self._capture.add_done_callback(lambda _: self._applied())

    # -- leadership --------------------------------------------------------------------------------

    def _leading(self) -> Writer:
        if self._writer is None:
            leader = self._known.leader
            raise NotLeader(leader if leader != self.node_id else None)
        return self._writer

    def _see_leader(self, key: pb.KeyValue | None) -> None:
        """Who leads, as etcd has just told, in its place among the entries."""
        if key is None:
            self._lead(None)
            self._announce(self._known.term, None)
            self._candidate.vacancy(0)
            return
        assert self._reader is not None
        holder, term = NodeId(key.value.decode()), self._reader.term_base + key.create_revision
        if holder != self.node_id:
            self._lead(None)
            self._announce(term, holder)
            self._candidate.vacancy(None)
        elif key.lease == self._candidate.lease:
            if self._writer is None or self._writer.fence != key.create_revision:
                now = self._reader.at
                self._lead(
                    Writer(
                        self._client,
                        self._keys,
                        fence=key.create_revision,
                        term=term,
                        number=now.number,
                        index=now.index,
                    )
                )
            self._announce(term, holder)
            self._candidate.vacancy(None)
        else:  # a claim of our own that is believed in no more
            self._lead(None)
            self._announce(term, None)
            self._candidate.vacancy(key.create_revision)

    def _lead(self, writer: Writer | None) -> None:
        before, self._writer = self._writer, writer
        if before is not None:
            before.stop()
        if writer is not None:
            writer.failure.add_done_callback(lambda task: self._cannot_write(writer, task))

    def _cannot_write(self, writer: Writer, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._writer is not writer:
            return
        error = task.exception()
        if not isinstance(error, SwarmError):
            self._on_fatal(error or Bug("the writer ended", place=self.node_id))
            return
        _log.error("this node leads no more: %s", error)
        self._candidate.give_up()
        self._depose()

    def _depose(self) -> None:
        """Lead no more, whatever etcd's key still says: nobody renewed it in time."""
        if self._writer is not None:
            fence = self._writer.fence
            self._lead(None)
            self._announce(self._known.term, None)
            self._candidate.vacancy(fence)

    def _announce(self, term: int, leader: NodeId | None) -> None:
        now = Leadership(max(term, self._known.term), leader)
        if now != self._known:
            self._known = now
            self._on_leadership(now)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fatal(error)


def _not_here() -> SwarmError:
    return Conflict(
        "the log is in etcd: coordinators have no votes to give or to take",
        place="voters",
        remedy="a node with a coordinator's certificate that lists itself in node.yaml is one",
    )
