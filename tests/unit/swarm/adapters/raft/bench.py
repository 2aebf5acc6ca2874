"""One replica by hand: messages are put in, what it says is taken out, time passes when a test says so."""

from pysyncobj.node import Node

from swarm.adapters.raft import RaftSettings
from swarm.adapters.raft.core import LEADER
from swarm.adapters.raft.engine import ApplyRoom, Engine
from swarm.adapters.raft.events import Proposal
from swarm.adapters.raft.logfile import LogDirectory
from swarm.adapters.raft.messages import (
    REGULAR,
    Append,
    AppendReply,
    Entry,
    VoteReply,
)
from swarm.adapters.raft.snapshot import SnapshotStore
from swarm.adapters.raft.transport import from_library
from swarm.adapters.raft.wal import Wal
from swarm.errors import OutcomeUnknown
from swarm.ports import Voters
from tests.simulation.raft_disk import PerfectDisk
from tests.simulation.raft_replicas import StockReplica

SETTINGS = RaftSettings(election_ms_min=300, election_ms_max=600, heartbeat_ms=50, compact_entries=10)
B, C = Node("b"), Node("c")


class Bench:
    """An engine, and everything it says."""

    ready = True

    def __init__(self, directory, clock, others=("b", "c"), settings=SETTINGS, *, learns=False):
        self.clock = clock
        self.sent = []
        self.congested = False
        directory.mkdir(exist_ok=True)
        wal, snapshots = Wal.open(LogDirectory(directory), "a"), SnapshotStore(directory)
        founders = Voters(0, dict.fromkeys(("a", *others), ""), {})
        if learns:
            founders = Voters(0, dict.fromkeys(others, ""), {"a": ""})
        self.engine = Engine("a", founders, wal, snapshots, self, settings)
        self.engine.begin()
        for other in others:
            self.engine._SyncObj__onNodeConnected(Node(other))

    def __getattr__(self, name):
        if name.startswith("setOn"):
            return lambda *_: None
        raise AttributeError(name)

    def send(self, node, message):
        self.sent.append((node.id, from_library(message) if isinstance(message, dict) else message))
        return True

    def room(self, _node):
        return not self.congested

    def turn(self, after_s=0.0):
        self.clock.s += after_s
        self.engine.room = ApplyRoom(1_000, 1 << 30)
        self.engine.turn()
        self.engine.log.flush()
        self.engine.now_durable()

    def tell(self, node, *messages):
        for message in messages:
            self.engine._SyncObj__onMessageReceived(node, message)
        self.turn()

    def said(self, kind):
        """What was said since this was last asked, of one kind."""
        found = [(to, message) for to, message in self.sent if isinstance(message, kind)]
        self.sent = [pair for pair in self.sent if not isinstance(pair[1], kind)]
        return found

    def took_place(self, kind):
        found = [event for event in self.engine.events if isinstance(event, kind)]
        self.engine.events = [event for event in self.engine.events if not isinstance(event, kind)]
        return found

    def commands(self):
        return [entry.command for entry in self.engine.log[:]]

    def win(self):
        """Win an election; its term."""
        self.turn(after_s=0.7)
        term = self.engine.term + 1
        self.tell(B, VoteReply(term, granted=True, trial=True))
        self.tell(B, VoteReply(term, granted=True))
        assert self.engine.state == LEADER
        return term

    def lead(self):
        """Win an election, and have both followers accept its first entry; its term."""
        term = self.win()
        last = self.engine.last().index
        self.tell(B, AppendReply(term, True, last + 1))
        self.tell(C, AppendReply(term, True, last + 1))
        self.sent.clear()
        return term

    def close(self):
        self.engine.stop(OutcomeUnknown("test"))
        self.engine.log.close()


class Stock:
    """The library's own class, driven the same way."""

    def __init__(self, clock):
        self.clock = clock
        self.sent = []
        self.acks = []
        self.applied_entries = []
        self.count = 3
        self.replica = StockReplica(self, 0, PerfectDisk(), None)
        for other in (1, 2):
            self.replica.connect(other)
        self.object = self.replica.object

    def send(self, _sender, receiver, message):
        self.sent.append((receiver, message))

    def applied(self, _number, index, data):
        self.applied_entries.append((index, data))

    def acknowledged(self, data, _term):
        self.acks.append(data)

    def lead(self):
        self.clock.s += 2
        self.object._onTick(0)
        self.replica.deliver(1, {"type": "response_vote", "term": 1})
        assert self.replica.leads

    def append(self, previous, entries, term=1, commit=1):
        self.replica.deliver(
            1,
            {
                "type": "append_entries", "term": term, "commit_index": commit,
                "prevLogIdx": previous[0], "prevLogTerm": previous[1], "entries": entries,
            },
        )  # fmt: skip


def entries(first, *data, term=1):
    return tuple(Entry(REGULAR + item, first + place, term) for place, item in enumerate(data))


def proposal(data):
    return Proposal(REGULAR + data, data)


def commit_as_follower(bench, count, start=2, term=1):
    for index in range(start, start + count):
        bench.tell(
            B,
            Append(
                term, index - 1, term if index > 2 else 0, index, entries(index, b"%d" % index, term=term)
            ),
        )
