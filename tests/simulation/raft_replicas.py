"""What a simulated cluster is made of: our replica as the Raft thread drives it, and the stock class."""

import json
from collections import deque
from typing import NamedTuple

import pysyncobj.syncobj as library
from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from swarm.adapters.raft.engine import ApplyRoom, Engine
from swarm.adapters.raft.events import Applied, CaptureWanted, Failed, Proposal, Restored, VoterChange
from swarm.adapters.raft.messages import REGULAR, Append
from swarm.adapters.raft.settings import RaftSettings
from swarm.adapters.raft.snapshot import Snapshot, SnapshotStore
from swarm.adapters.raft.transport import from_library
from swarm.adapters.raft.wal import Wal


class Violation(Exception):
    """Something that must never happen."""


class Crashed(Exception):
    """The replica died here."""


class Change(NamedTuple):
    """A change of voters that was asked for."""

    node: str
    address: str | None


class OurReplica:
    """The engine, log and snapshots as they are, driven as the Raft thread drives them."""

    SETTINGS = RaftSettings(election_ms_min=400, election_ms_max=900, heartbeat_ms=100, compact_entries=60)

    def __init__(self, world, number, disk, directory):
        self.world, self.number = world, number
        self.disk = disk
        self.inbox = deque()
        self.outbox = []
        self.connected = set()
        self.budget = None  # messages that still leave before the crash
        self.state = []
        self.applied = 1
        self.ready = True
        wal, snapshots = Wal.open(disk, str(number)), SnapshotStore(directory)
        world.incarnations[number] = wal.incarnation
        self.engine = Engine(str(number), world.founders(number), wal, snapshots, self, self.SETTINGS)
        if self.engine.recovered is not None:
            self.restore(self.engine.recovered.state, self.engine.recovered.index)
        self.engine.begin()

    # what the library wants of a transport
    def __getattr__(self, name):
        if name.startswith("setOn"):
            return lambda *_: None
        raise AttributeError(name)

    def send(self, node, message):
        self.outbox.append((int(node.id), from_library(message) if isinstance(message, dict) else message))
        return True

    def room(self, node):
        return int(node.id) in self.connected

    # what the world wants of a replica
    def connect(self, other):
        self.connected.add(other)
        self.inbox.append(lambda: self.engine._SyncObj__onNodeConnected(Node(str(other))))

    def disconnect(self, other, gone):
        self.connected.discard(other)
        self.inbox.append(lambda: self.engine._SyncObj__onNodeDisconnected(Node(str(other))))
        if gone:
            self.inbox.append(lambda: self.engine.on_stream_ended(str(other)))

    def deliver(self, sender, message):
        incarnation = self.world.incarnations[sender]
        known = self.engine.log.peers.get(str(sender))
        if known not in (None, incarnation):
            return  # as `links` does: it has lost its log
        if known is None:
            self.inbox.append(lambda: self.engine.log.remember_peer(str(sender), incarnation))
        self.inbox.append(lambda: self.engine._SyncObj__onMessageReceived(Node(str(sender)), message))

    def propose(self, data):
        self.engine.proposals.append(Proposal(REGULAR + data, data))

    def change(self, node, address):
        self.engine.changes.append(VoterChange(node, address, Change(node, address)))

    def roll(self):
        return {*self.engine.roll.voters, *self.engine.roll.learners}

    def work(self):
        engine = self.engine
        while self.inbox:
            self.inbox.popleft()()
        engine.room = ApplyRoom(self.world.chance.choice((1, 10, 1_000)), 1 << 20)
        engine.awaited = self.number % 2 == 1
        engine.turn()
        if self.budget == 0:
            raise Crashed
        if engine.may_run_ahead() and all(type(message) is Append for _, message in self.outbox):
            self.let_go()
        engine.log.flush()
        engine.now_durable()
        events, engine.events = engine.events, []
        self.let_go()
        for event in events:
            self.take(event)

    def let_go(self):
        outbox, self.outbox = self.outbox, []
        for other, message in outbox:
            if self.budget is not None:
                self.budget -= 1
                if self.budget <= 0:
                    raise Crashed
            self.world.send(self.number, other, message)

    def take(self, event):
        if isinstance(event, Applied):
            for entry in event.entries:
                if entry.index <= self.applied:
                    raise Violation(f"{self.number} applies {entry.index} again")
                self.world.applied(self.number, entry.index, entry.data)
                self.state.append((entry.index, entry.data.decode()))
                self.applied = entry.index
            self.applied = event.through
            for proposal, _ in event.answers:
                if isinstance(proposal.done, Change):
                    self.world.changed(proposal.done)
                else:
                    self.world.acknowledged(proposal.done, self.engine.term)
        elif isinstance(event, Restored):
            self.restore(event.state, event.index)
        elif isinstance(event, CaptureWanted):
            if event.index != self.applied:
                raise Violation(f"{self.number} captures {event.index} at {self.applied}")
            self.engine.snapshots.write_aside(
                Snapshot(event.index, event.term, json.dumps(self.state).encode(), event.voters)
            )
            self.world.later(
                self.world.chance.uniform(0, 0.3), "call", self.number, id(self),
                lambda: self.engine.snapshot_written(event.index, event.term),
            )  # fmt: skip
        elif isinstance(event, Failed):
            self.world.stats["failed"] += len(event.proposals)

    def restore(self, state, index):
        self.state = [tuple(item) for item in json.loads(state)]
        self.applied = index
        self.world.stats["restored"] += 1
        for at, data in self.state:
            self.world.applied(self.number, at, data.encode())

    def crash(self, chance):
        self.disk.lose_power(chance)
        self.engine._forget_progress()
        self.engine.snapshots.abandon()

    @property
    def leads(self):
        return self.engine._isLeader()

    @property
    def term(self):
        return self.engine.term

    def holds(self):
        """Every command in the log or in the state."""
        return {data for _, data in self.state} | {
            entry.command[1:].decode() for entry in self.engine.log[:] if entry.command[:1] == REGULAR
        }

    def last_applied(self):
        return self.applied


class _StockTransport(Transport):
    def __init__(self, replica):
        super().__init__(None, None, None)
        self.replica = replica

    def send(self, node, message):
        return self.replica.send(int(node.id), message)


class _Stock(SyncObj):
    def __init__(self, replica, *args, **kwargs):
        self.replica = replica
        super().__init__(*args, **kwargs)

    def _SyncObj__doApplyCommand(self, command):  # noqa: N802
        """The library would unpickle it; ours are plain bytes, of any type."""
        data = bytes(command)[1:]
        if command[:1] == REGULAR:
            index = self._SyncObj__raftLastApplied + 1
            self.replica.world.applied(self.replica.number, index, data)


class StockReplica:
    """pysyncobj as it comes, on a perfect disk: its own handlers, no snapshots, batches of a few entries."""

    def __init__(self, world, number, disk, _directory):
        self.world, self.number, self.disk = world, number, disk
        self.connected = set()
        self.budget = None
        create, library.createJournal = library.createJournal, lambda _file: disk
        try:
            self.object = _Stock(
                self,
                Node(str(number)),
                [Node(str(other)) for other in range(world.count) if other != number],
                SyncObjConf(
                    autoTick=False, appendEntriesUseBatch=False, raftMinTimeout=0.4, raftMaxTimeout=0.9,
                    appendEntriesPeriod=0.1, leaderFallbackTimeout=1.0, logCompactionMinEntries=10**9,
                    logCompactionMinTime=10**9, appendEntriesBatchSizeBytes=200, commandsWaitLeader=False,
                ),
                transport=_StockTransport(self),
                nodeClass=Node,
            )  # fmt: skip
        finally:
            library.createJournal = create

    def send(self, other, message):
        if other not in self.connected:
            return False
        if self.budget is not None:
            self.budget -= 1
            if self.budget <= 0:
                raise Crashed
        copied = dict(message)
        if "entries" in copied:
            copied["entries"] = list(copied["entries"])
        self.world.send(self.number, other, copied)
        return True

    def roll(self):
        return {str(number) for number in range(self.world.count)}

    def connect(self, other):
        self.connected.add(other)
        self.object._SyncObj__onNodeConnected(Node(str(other)))

    def disconnect(self, other, gone):
        self.connected.discard(other)
        self.object._SyncObj__onNodeDisconnected(Node(str(other)))

    def deliver(self, sender, message):
        self.object._SyncObj__onMessageReceived(Node(str(sender)), message)

    def propose(self, data):
        def answer(_result, error):
            if error == 0:
                self.world.acknowledged(data, self.term)

        self.object._applyCommand(data, answer, 0)

    def work(self):
        self.object._onTick(0.0)

    def crash(self, chance):
        pass

    @property
    def leads(self):
        return self.object._isLeader()

    @property
    def term(self):
        return self.object.raftCurrentTerm

    def holds(self):
        return {bytes(entry[0])[1:].decode() for entry in self.object._SyncObj__raftLog[0:]}

    def last_applied(self):
        return self.object.raftLastApplied
