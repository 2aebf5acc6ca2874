"""The replicated log in one process: several replicas, no threads, no disk, no chance.

A `MemoryLogGroup` is the cluster. It hands out one `MemoryLog` per voter and keeps what a majority would.
Tests decide what a real cluster leaves to fate: who leads (`elect`), who dies (`kill`, and `replica` again to
restart it), when history is folded into a snapshot (`compact`), and whether entries that were proposed but
never acknowledged survive a change of leader. Indexes have gaps, as in a real log: each election and each
read barrier uses one up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from swarm.errors import Bug, Conflict, NotLeader, OutcomeUnknown, TooLarge
from swarm.ids import NodeId
from swarm.limits import ENTRY_BYTES_MAX
from swarm.ports import Committed, Leadership, StateMachine, Voters


@dataclass(frozen=True, slots=True)
class _Entry:
    """One place in the log; no data means a place used up by an election or a barrier."""

    index: int
    term: int
    data: bytes | None


@dataclass(slots=True)
class _Snapshot:
    data: bytes = b""
    index: int = 0


@dataclass(slots=True)
class _Waiting:
    """A caller that waits for its entry to be committed and applied where it was proposed."""

    replica: MemoryLog
    index: int
    done: asyncio.Future[int] = field(repr=False)


class MemoryLogGroup:
    """A cluster of replicas that share one history."""

    def __init__(self, voters: Sequence[NodeId]) -> None:
        self.voters = tuple(voters)
        self.roll = Voters(0, dict.fromkeys(voters, ""), {})
        self._leadership = Leadership(0, None)
        self._entries: list[_Entry] = []
        self._snapshot = _Snapshot()
        self._commit_index = 0
        self._last_index = 0
        self._running: dict[NodeId, MemoryLog] = {}
        self._waiting: list[_Waiting] = []

    def replica(self, node_id: NodeId) -> MemoryLog:
        """The log as voter `node_id` sees it; one per life of that voter."""
        if node_id not in self.voters:
            raise Bug(f"{node_id} is no voter", place="MemoryLogGroup")
        return MemoryLog(self, node_id)

    def change(self, replica: MemoryLog, changed: Callable[[dict[NodeId, str]], dict[NodeId, str]]) -> Voters:
        """Let others vote from now on; a newcomer has caught up the moment it runs."""
        if self._leadership.leader != replica.node_id:
            raise NotLeader(self._leadership.leader)
        voters = changed(dict(self.roll.voters))
        if replica.node_id not in voters and voters:
            self.elect(None)
            raise NotLeader(None)
        gone = self.roll.voters.keys() - voters
        if again := voters.keys() & self.roll.removed:
            raise Conflict(
                f"{', '.join(again)} was removed, and a name that was removed never takes part again",
                place="voters",
                remedy="let the machine join under another name",
            )
        alive = (self._running.keys() - gone) | (voters.keys() - self.roll.voters.keys())
        if not voters or 2 * len(alive) <= len(voters):
            raise Conflict("nothing could be committed", place="voters", remedy="bring others back first")
        self._append(None)
        self.roll = Voters(self._last_index, voters, {}, self.roll.removed | gone)
        self.voters = tuple(voters)
        return self.roll

    def elect(self, leader: NodeId | None, *, keep_unacknowledged: bool = True) -> Leadership:
        """Start the next term. Whoever waited learns that the outcome is unknown.

        Entries nobody was told about may live on or be lost in a real cluster; here the caller chooses.
        """
        if leader is not None and leader not in self._running:
            raise Bug(f"{leader} is not running and cannot lead", place="MemoryLogGroup")
        self._leadership = Leadership(self._leadership.term + 1, leader)
        self._give_up(self._waiting)
        if not keep_unacknowledged:
            self._entries = [entry for entry in self._entries if entry.index <= self._commit_index]
            self._last_index = self._commit_index
        for replica in self._running.values():
            replica._announce(self._leadership)  # noqa: SLF001 - the group and its replicas are one mechanism
        if leader is not None:
            self._append(None)
        return self._leadership

    def kill(self, node_id: NodeId) -> None:
        """End a replica without warning. A leader's death leaves the cluster without one."""
        replica = self._running.pop(node_id)
        replica._end()  # noqa: SLF001
        self._give_up([waiting for waiting in self._waiting if waiting.replica is replica])
        if self._leadership.leader == node_id:
            self.elect(None)

    def compact(self, node_id: NodeId) -> int:
        """Fold everything `node_id` has applied into a snapshot; its index."""
        replica = self._running[node_id]
        self._snapshot = _Snapshot(replica._capture(), replica.applied_index())  # noqa: SLF001
        self._entries = [entry for entry in self._entries if entry.index > self._snapshot.index]
        return self._snapshot.index

    # -- for MemoryLog -----------------------------------------------------------------------

    @property
    def current(self) -> Leadership:
        return self._leadership

    @property
    def snapshot(self) -> _Snapshot:
        return self._snapshot

    def join(self, replica: MemoryLog) -> None:
        if replica.node_id in self._running:
            raise Bug(f"{replica.node_id} is running already", place="MemoryLogGroup")
        self._running[replica.node_id] = replica
        self._commit()

    def committed_after(self, index: int) -> list[_Entry]:
        return [entry for entry in self._entries if index < entry.index <= self._commit_index]

    def append(self, replica: MemoryLog, data: bytes | None) -> asyncio.Future[int]:
        if self._leadership.leader != replica.node_id:
            raise NotLeader(self._leadership.leader)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(replica, self._last_index + 1, done))
        self._append(data)
        return done

    def applied(self, replica: MemoryLog) -> None:
        """Answer the callers whose entries `replica` has now applied."""
        left = []
        for waiting in self._waiting:
            if waiting.replica is not replica or waiting.index > replica.applied_index():
                left.append(waiting)
            elif not waiting.done.done():
                waiting.done.set_result(waiting.index)
        self._waiting = left

    def _append(self, data: bytes | None) -> None:
        self._last_index += 1
        self._entries.append(_Entry(self._last_index, self._leadership.term, data))
        self._commit()

    def _commit(self) -> None:
        # Only a leader commits, and only with a majority behind it.
        if self._leadership.leader is not None and 2 * len(self._running) > len(self.voters):
            self._commit_index = self._last_index
        for replica in self._running.values():
            replica._wake()  # noqa: SLF001

    def _give_up(self, those: Sequence[_Waiting]) -> None:
        for waiting in those:
            if not waiting.done.done():
                waiting.done.set_exception(
                    OutcomeUnknown("the leader changed", place=waiting.replica.node_id)
                )
        self._waiting = [waiting for waiting in self._waiting if not waiting.done.done()]


class MemoryLog:
    """One voter's view of the group: the `Log` port."""

    def __init__(self, group: MemoryLogGroup, node_id: NodeId) -> None:
        self.node_id = node_id
        self._group = group
        self.awaited: Callable[[], bool] = lambda: False  # here everybody is told at once as it is
        self._machine: StateMachine | None = None
        self._on_leadership: Callable[[Leadership], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._applied_index = 0
        self._known = Leadership(0, None)
        self._news: list[Leadership] = []
        self._woken = False

    async def start(self, machine: StateMachine, on_leadership: Callable[[Leadership], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._machine = machine
        self._on_leadership = on_leadership
        self._group.join(self)
        if self._group.current.term:
            self._announce(self._group.current)
        self._deliver()

    async def propose(self, data: bytes) -> int:
        if len(data) > ENTRY_BYTES_MAX:
            raise TooLarge(f"{len(data)} bytes", place="log entry", remedy=f"at most {ENTRY_BYTES_MAX}")
        return await self._append(data)

    async def read_barrier(self) -> int:
        return await self._append(None)

    def leadership(self) -> Leadership:
        return self._known

    def voters(self) -> Voters:
        return self._group.roll

    async def add_voter(self, node: NodeId, address: str) -> Voters:
        return self._group.change(self, lambda voters: voters | {node: address})

    async def remove_voter(self, node: NodeId) -> Voters:
        return self._group.change(
            self, lambda voters: {one: address for one, address in voters.items() if one != node}
        )

    def applied_index(self) -> int:
        return self._applied_index

    async def stop(self) -> None:
        if self._machine is not None:
            self._group.kill(self.node_id)

    async def _append(self, data: bytes | None) -> int:
        if self._machine is None:
            raise NotLeader(None)
        return await self._group.append(self, data)

    # -- for MemoryLogGroup --------------------------------------------------------------------

    def _announce(self, leadership: Leadership) -> None:
        self._news.append(leadership)
        self._wake()

    def _capture(self) -> bytes:
        if self._machine is None:
            raise Bug("a replica that is not running has no state", place=self.node_id)
        return self._machine.snapshot()()

    def _end(self) -> None:
        self._machine = None

    def _wake(self) -> None:
        # As in the real log, the state machine is called by the loop, never from inside `propose`.
        if self._loop is not None and not self._woken:
            self._woken = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._woken = False
        if self._machine is None or self._on_leadership is None:
            return
        news, self._news = self._news, []
        for leadership in news:
            self._known = leadership
            self._on_leadership(leadership)
        snapshot = self._group.snapshot
        if snapshot.index > self._applied_index:
            self._machine.restore(snapshot.data, snapshot.index)
            self._applied_index = snapshot.index
        entries = self._group.committed_after(self._applied_index)
        if entries:
            batch = [Committed(e.index, e.term, e.data) for e in entries if e.data is not None]
            self._applied_index = entries[-1].index
            if batch:
                self._machine.apply(batch)
            self._group.applied(self)
