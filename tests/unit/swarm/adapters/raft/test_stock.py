"""What the stock class does wrong that takes a whole replica, with journal and dump of its own, to show.

The other defects are shown next to what closes them, in the tests of the module that does; `docs/log.md` has
the list. What is said of ours after a test of the stock class is what the same blow does to our replica.
"""

import gzip
import logging
import os

import pysyncobj.syncobj as library
import pytest
from pysyncobj import FAIL_REASON, SyncObjConf
from pysyncobj.journal import FileJournal
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from swarm.adapters.raft import roll
from swarm.adapters.raft.events import Failed
from swarm.adapters.raft.messages import REGULAR, Append, AppendReply, Entry, SnapshotChunk
from swarm.adapters.raft.snapshot import Snapshot, encode_head
from swarm.errors import NotLeader, OutcomeUnknown
from swarm.ports import Voters
from tests.unit.swarm.adapters.raft.bench import B, Bench, C, entries, proposal

MEMBERSHIP = b"\2"  # the library's kind of a change of voters
A, D = Node("a"), Node("d")

pytestmark = pytest.mark.filterwarnings("ignore")  # the library leaves files open


class Silent(Transport):
    """Carries nothing, and is told everything."""

    def __init__(self):
        super().__init__(None, None, None)
        self.sent = []

    def send(self, node, message):
        self.sent.append((node.id, message))
        return True


class Whole(library.SyncObj):
    """The stock class with a state of its own: all that it applied."""

    def __init__(self, others, **options):
        self.applied = []
        logging.getLogger("pysyncobj").setLevel(logging.CRITICAL)
        conf = SyncObjConf(autoTick=False, commandsWaitLeader=False, **options)
        super().__init__(A, [Node(other) for other in others], conf, transport=Silent(), nodeClass=Node)
        for other in others:
            self._SyncObj__onNodeConnected(Node(other))

    @property
    def sent(self):
        return self._SyncObj__transport.sent

    @property
    def journal(self):
        return self._SyncObj__raftLog

    def hear(self, node, **message):
        self._SyncObj__onMessageReceived(node, message)

    def append(self, node, previous, *new, term=1, commit=1):
        self.hear(
            node, type="append_entries", term=term, commit_index=commit,
            prevLogIdx=previous[0], prevLogTerm=previous[1], entries=list(new),
        )  # fmt: skip

    def _SyncObj__doApplyCommand(self, command):  # noqa: N802
        if bytes(command[:1]) == REGULAR:
            self.applied.append(bytes(command)[1:])


@pytest.fixture
def alone(clock):
    """The stock class as the only voter of its cluster, leading."""

    def make(**options):
        made = Whole([], **options)
        clock.s += 5
        made._onTick(0)
        made._onTick(0)
        return made

    return make


def fill(leader, clock, count):
    """Have so many entries acknowledged."""
    acknowledged = []
    for number in range(count):
        leader._applyCommand(b"%d" % number, lambda _result, error: acknowledged.append(error), 0)
    for _ in range(5):
        clock.s += 0.2
        leader._onTick(0)
    assert acknowledged == [FAIL_REASON.SUCCESS] * count


# -- S3: the journal is rewritten in place --


def test_stock_loses_its_journal_when_a_crash_meets_its_compaction(tmp_path, monkeypatch):
    """It is cleared and filled again; ours is written aside, and takes its place when it is whole."""
    journal = FileJournal(str(tmp_path / "journal"))
    for index in range(2, 52):
        journal.add(b"\0acknowledged", index, 1)
    add, left = FileJournal.add, iter(range(3))

    def add_until_killed(self, *entry):
        if next(left, None) is None:
            raise KeyboardInterrupt
        add(self, *entry)

    monkeypatch.setattr(FileJournal, "add", add_until_killed)
    with pytest.raises(KeyboardInterrupt):
        journal.deleteEntriesTo(10)
    monkeypatch.undo()
    again = FileJournal(str(tmp_path / "journal"))
    assert len(again) == 3, "of the 40 that were to stay"


# -- S6: whoever was deposed is not told --


def test_stock_leaves_a_deposed_leader_in_the_dark(stock):
    stock.append((1, 0), entries(2, b"x", term=5), term=5)
    stock.sent.clear()
    stock.append((1, 0), entries(2, b"y"), term=1)
    assert stock.sent == []


def test_a_deposed_leader_is_told_of_the_newer_term(bench):
    bench.tell(B, Append(5, 1, 0, 1, entries(2, b"x", term=5)))
    bench.said(AppendReply)
    bench.tell(C, Append(1, 1, 0, 1, entries(2, b"y")))
    ((to, reply),) = bench.said(AppendReply)
    assert (to, reply.term, reply.accepted) == ("c", 5, False)


# -- S7: a snapshot that cannot be loaded is acknowledged --


def test_stock_acknowledges_a_snapshot_it_could_not_load(clock):
    stock = Whole(["b", "c"])
    stock.hear(B, type="append_entries", term=1, commit_index=50, serialized=(b"damaged", True, True))
    ((to, said),) = stock.sent
    assert (to, said["success"]) == ("b", True)
    assert stock.applied == []


# -- S8: an entry that cannot be applied --


def test_stock_stands_still_for_ever_where_applying_raises(alone, clock, monkeypatch):
    """It tries again and again and goes on answering; ours stops, so that somebody hears of it."""
    leader = alone()
    fill(leader, clock, 3)
    applied = leader.raftLastApplied
    monkeypatch.setattr(leader, "_SyncObj__doApplyCommand", lambda _command: 1 / 0)
    leader._applyCommand(b"x", None, 0)
    leader._onTick(0)
    for _ in range(10):
        clock.s += 1
        with pytest.raises(ZeroDivisionError):
            leader._onTick(0)
    assert leader.raftLastApplied == applied
    assert leader._isLeader()


# -- S9: a journal without a dump --


def test_stock_without_a_dump_file_forgets_everything_at_its_first_compaction(tmp_path, alone, clock):
    """Ours has no such setting: log and snapshot share a directory, and one without the other is refused."""
    conf = {"journalFile": str(tmp_path / "journal"), "logCompactionMinEntries": 100_000}
    first = alone(**conf)
    fill(first, clock, 50)
    assert len(first.applied) == 50
    first.forceLogCompaction()
    for _ in range(3):
        clock.s += 1
        first._onTick(0)
    assert len(first.journal) < 5, "it was compacted"
    first.journal._destroy()
    again = alone(**conf)
    for _ in range(3):
        clock.s += 1
        again._onTick(0)
    assert again.applied == [], "50 were acknowledged"
    again.journal._destroy()


# -- S13: callers that wait for ever, and answers that say what is not so --


def test_stock_never_answers_when_what_it_forwarded_is_lost(clock):
    """Ours does not forward: `test_a_follower_refuses_a_proposal_and_names_the_leader`."""
    stock, answers = Whole(["b", "c"]), []
    stock.append(B, (1, 0))
    stock._applyCommand(b"x", lambda *answer: answers.append(answer), 0)
    stock._onTick(0)
    assert [message["type"] for _, message in stock.sent][-1] == "apply_command"
    for _ in range(3_600):
        clock.s += 1
        stock.append(B, (1, 0))
        stock._onTick(0)
    assert answers == []


def test_stock_says_that_the_leader_changed_of_an_entry_that_is_committed(clock):
    stock, answers = Whole(["b", "c"]), []
    stock.append(B, (1, 0))
    stock._applyCommand(b"x", lambda *answer: answers.append(answer), 0)
    stock._onTick(0)
    stock.append(C, (1, 0), (REGULAR + b"x", 2, 1), term=2, commit=2)
    stock._onTick(0)
    assert answers == [(None, FAIL_REASON.LEADER_CHANGED)]
    assert stock.applied == [b"x"]


def test_stock_never_answers_when_a_snapshot_brings_the_entry_that_is_waited_for(clock):
    stock, answers = Whole(["b", "c"]), []
    clock.s += 5
    stock._onTick(0)
    stock.hear(B, type="response_vote", term=1)
    stock._applyCommand(b"x", lambda *answer: answers.append(answer), 0)
    stock._onTick(0)
    index = stock.journal[-1][1]
    dump = (None, (b"\1", index + 2, 2), (b"\1", index + 1, 2), {A, B, C})
    packed = gzip.compress(library.pickle.dumps(dump))
    stock.hear(B, type="append_entries", term=2, commit_index=index + 2, serialized=(packed, True, True))
    for _ in range(100):
        clock.s += 1
        stock.append(B, (index + 2, 2), term=2, commit=index + 2)
        stock._onTick(0)
    assert stock.raftLastApplied == index + 2, "the snapshot is in force, and with it the entry"
    assert answers == []


def test_who_waits_is_told_when_a_snapshot_brings_what_it_waits_for(bench):
    term = bench.lead() + 1
    bench.engine.proposals.append(proposal(b"x"))
    bench.turn()
    data = encode_head(Snapshot(50, term, b"state")) + b"state"
    bench.tell(B, SnapshotChunk(term, 50, term, 0, data, last=True))
    assert bench.engine.last_applied == 50
    (failed,) = bench.took_place(Failed)
    assert isinstance(failed.error, OutcomeUnknown)
    assert [one.done for one in failed.proposals] == [b"x"]


# -- S14: who believes to lead --


def test_stock_answers_reads_as_a_leader_that_nobody_hears_any_more(clock):
    """Ours reads through the log: `test_a_read_barrier_covers_everything_acknowledged_before_it`."""
    stock = Whole(["b", "c"])
    clock.s += 5
    stock._onTick(0)
    stock.hear(B, type="response_vote", term=1)
    stock._SyncObj__onNodeDisconnected(B)
    stock._SyncObj__onNodeDisconnected(C)
    clock.s += 29
    stock._onTick(0)
    assert stock._isLeader()


# -- S15: changes of voters --


def add_d(index, term=1):
    return (MEMBERSHIP + library.pickle.dumps(["add", "d", D]), index, term)


def test_stock_forgets_a_change_that_was_not_committed_when_it_restarts(tmp_path, clock):
    conf = {"journalFile": str(tmp_path / "journal"), "dynamicMembershipChange": True}
    first = Whole(["b", "c"], **conf)
    first.append(B, (1, 0), add_d(2))
    assert D in first.otherNodes, "it counts from the moment it is in the log"
    first.journal._destroy()
    again = Whole(["b", "c"], **conf)
    again._onTick(0)
    assert again.journal[-1][1] == 2, "it is in the log"
    assert D not in again.otherNodes, "and counts no more: this replica would elect with another majority"
    again.journal._destroy()


def test_a_restart_knows_of_a_change_that_was_not_committed(tmp_path, clock):
    bench = Bench(tmp_path / "a", clock)
    with_d = Voters(0, {"a": "", "b": "", "c": "", "d": "d:1"}, {})
    bench.tell(B, Append(1, 1, 0, 1, (Entry(roll.command(with_d), 2, 1),)))
    assert bench.engine.commit_index == 1
    bench.close()
    again = Bench(tmp_path / "a", clock)
    assert again.engine.roll.voters.keys() == {"a", "b", "c", "d"}
    assert again.engine.majority == 3
    again.close()


def test_stock_denies_a_leader_its_own_removal(alone, clock):
    """Ours hands over first: `test_a_leader_that_is_to_go_resigns_and_the_others_elect_at_once`."""
    leader, answers = alone(dynamicMembershipChange=True), []
    fill(leader, clock, 1)
    leader.removeNodeFromCluster(A, callback=lambda *answer: answers.append(answer))
    leader._onTick(0)
    assert answers == [(None, FAIL_REASON.REQUEST_DENIED)]


def test_stock_changes_its_voters_for_whoever_sends_a_command(alone, clock):
    """A message that a stranger may send as well; ours come from coordinators' certificates alone."""
    leader = alone(dynamicMembershipChange=True)
    fill(leader, clock, 1)
    leader.hear(Node("stranger"), type="apply_command", command=add_d(0)[0])
    leader._onTick(0)
    assert D in leader.otherNodes


# -- S16: a snapshot forks --


def test_stock_forks_the_process_for_its_dump(tmp_path, alone, clock, monkeypatch):
    """In a process with gRPC's threads a fork may hang for ever; ours: `test_a_snapshot_never_forks`."""
    leader = alone(fullDumpFile=str(tmp_path / "dump"))
    fill(leader, clock, 5)
    forks = []
    monkeypatch.setattr(os, "fork", lambda: forks.append(1) or 1 << 22)  # to the parent, of no child of ours
    leader.forceLogCompaction()
    leader._onTick(0)
    assert forks == [1]


# -- S17: large entries in pieces --


def test_stock_ends_a_large_entry_before_its_last_piece_and_chokes_on_it(stock, clock):
    """It counts the entry's own bytes and sends those of its pickle, which are more: two pieces say `finish`.

    Ours are cut by their frame's length: `test_a_large_message_goes_in_pieces_and_each_is_a_sign_of_life`.
    """
    stock.lead()
    stock.sent.clear()
    stock.replica.propose(bytes(399))  # with its kind, twice the 200 bytes of a piece
    stock.object._onTick(0)
    pieces = [message for to, message in stock.sent if to == 1 and "transmission" in message]
    assert [piece["transmission"] for piece in pieces] == ["start", "finish", "finish"]
    follower = Whole(["1", "2"])
    follower.append(Node("1"), (1, 0), (b"\1", 2, 1))
    follower.hear(Node("1"), **pieces[0])
    with pytest.raises(EOFError):
        follower.hear(Node("1"), **pieces[1])


def test_a_follower_that_is_asked_never_forwards(bench):
    bench.tell(B, Append(1, 1, 0, 1))
    bench.sent.clear()
    bench.engine.proposals.append(proposal(b"x"))
    bench.turn()
    assert bench.sent == []
    (failed,) = bench.took_place(Failed)
    assert isinstance(failed.error, NotLeader)
