"""pysyncobj's Raft under plain names, and nothing else of it.

`SyncObj` keeps its state in attributes that Python's name mangling hides (`self.__raftCurrentTerm` is
stored as `_SyncObj__raftCurrentTerm`), and calls its own methods under such names too; a subclass can
therefore replace any of them. That is how the classes above this one take out what loses data. It ties
them to one version of the library, which is checked when this module loads.

What is still the library's: the turn of the crank (`_onTick`: when to stand for election, when entries
count as committed, when a leader has lost its majority), its timers and its state. What is ours: what is
said to other voters and how what they say is taken (`elections`, `replication`), what is applied, kept
and answered (`engine`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar, overload

import pysyncobj.syncobj as library
from pysyncobj.config import SyncObjConf
from pysyncobj.node import Node
from pysyncobj.version import VERSION

from swarm.adapters.raft.messages import Entry, Message
from swarm.adapters.raft.settings import APPEND_BYTES, RaftSettings
from swarm.adapters.raft.wal import Wal
from swarm.errors import Bug, NotBuilt
from swarm.ports import Voters

SUPPORTED_VERSION = "0.3.17"

if VERSION != SUPPORTED_VERSION:
    raise Bug(
        f"pysyncobj {VERSION} is installed; its private names are only known for {SUPPORTED_VERSION}",
        place="swarm.adapters.raft",
        remedy=f"pip install pysyncobj=={SUPPORTED_VERSION}",
    )

FOLLOWER, CANDIDATE, LEADER = 0, 1, 2

NEVER_S = float("inf")
_COMPACTION_NEVER_S = 10**9  # ours decides when; see engine

T = TypeVar("T")


class Transport(Protocol):
    """How the core reaches other voters. All calls are made by the Raft thread."""

    ready: bool

    def send(self, node: Node, message: Message | dict[str, Any]) -> bool: ...

    def room(self, node: Node) -> bool:
        """Whether entries and chunks may be sent; heartbeats, votes and answers always may."""


class Private(Generic[T]):
    """An attribute of `SyncObj` that name mangling hides, under a plain name."""

    def __init__(self, name: str) -> None:
        self._key = f"_SyncObj__{name}"

    @overload
    def __get__(self, instance: None, owner: type) -> Private[T]: ...
    @overload
    def __get__(self, instance: Core, owner: type) -> T: ...
    def __get__(self, instance: Core | None, owner: type) -> Private[T] | T:
        if instance is None:
            return self
        value: T = instance.__dict__[self._key]
        return value

    def __set__(self, instance: Core, value: T) -> None:
        if self._key not in instance.__dict__:
            raise Bug(f"pysyncobj has no {self._key}", place="swarm.adapters.raft.core")
        instance.__dict__[self._key] = value


class _NoSockets:
    """What the library would wait on at the end of each turn. It has none: asking the kernel lets go of the
    interpreter, and to get it back takes longer than the turn.
    """

    def poll(self, timeout_s: float) -> None:
        pass


class Core(library.SyncObj):  # type: ignore[misc]  # the library has no types
    """`SyncObj` on our journal and transport."""

    state = Private[int]("raftState")
    term = Private[int]("raftCurrentTerm")
    voted_for = Private["str | None"]("votedForNodeId")
    vote_count = Private[int]("votesCount")
    leader = Private["Node | None"]("raftLeader")
    election_deadline = Private[float]("raftElectionDeadline")
    log = Private[Wal]("raftLog")
    commit_index = Private[int]("raftCommitIndex")
    last_applied = Private[int]("raftLastApplied")
    match_index = Private["dict[Node, int]"]("raftMatchIndex")
    last_answer = Private["dict[Node, float]"]("lastResponseTime")
    leader_commit_index = Private["int | None"]("leaderCommitIndex")
    connected = Private["set[Node]"]("connectedNodes")
    me = Private[Node]("selfNode")
    others = Private["set[Node]"]("otherNodes")

    learners: set[Node]  # are sent everything, count for nothing
    votes: bool  # whether this replica takes part itself

    def __init__(
        self, node_id: str, others: list[str], wal: Wal, transport: Transport, settings: RaftSettings
    ) -> None:
        self.transport = transport
        self.settings = settings
        self.learners, self.votes = set(), True
        create_journal = library.createJournal
        library.createJournal = _handing_out(wal)
        try:
            super().__init__(
                Node(node_id),
                [Node(other) for other in others],
                _configuration(settings),
                transport=transport,
                nodeClass=Node,
            )
        finally:
            library.createJournal = create_journal
        self._poller = _NoSockets()

    @property
    def majority(self) -> int:
        return (len(self.others) + 1) // 2 + 1

    def last(self) -> Entry:
        entry: Entry = self.log[-1]
        return entry

    def entry_at(self, index: int) -> Entry:
        entry: Entry = self.log[index - self.log[0].index]
        return entry

    def send(self, node: Node, message: Message) -> None:
        self.transport.send(node, message)

    def now(self) -> float:
        # Through the module, which is where the simulator puts its clock.
        moment: float = library.monotonicTime()
        return moment

    @property
    def peers(self) -> set[Node]:
        """Everybody else who is sent entries."""
        return self.others | self.learners

    def voters_at(self, index: int) -> Voters:
        """Who took part as of an entry that is in the log."""
        raise NotImplementedError

    def log_changed(self, cut_from: int | None, added: Sequence[Entry]) -> None:
        """The log lost what followed, or got more."""
        raise NotImplementedError

    def postpone_election(self) -> None:
        if not self.votes:
            self.election_deadline = NEVER_S
            return
        self.election_deadline = self.now() + self._SyncObj__generateRaftTimeout()

    def set_term(self, term: int, vote: str | None) -> None:
        self._SyncObj__setCurrentTerm(term, vote)

    # -- what the library can do by unpickling, and here cannot ------------------------------------

    def _SyncObj__parseChangeClusterRequest(self, _command: bytes) -> None:  # noqa: N802
        """Stock: unpickles membership changes out of entries. Ours are protobuf, see `membership`."""
        return

    def _SyncObj__doApplyCommand(self, _command: bytes) -> None:  # noqa: N802
        """Stock: unpickles every entry to apply it. Ours applies in `engine`."""
        raise Bug("an entry reached pysyncobj's own way of applying", place="swarm.adapters.raft")

    def addNodeToCluster(self, *_: object) -> None:  # noqa: N802
        """Stock: a membership change that a restart before its commit forgets, and anybody could ask for."""
        raise Bug("pysyncobj's own change of voters", place="swarm.adapters.raft", remedy="see `membership`")

    def removeNodeFromCluster(self, *_: object) -> None:  # noqa: N802
        """Stock: as above, and a leader cannot remove itself."""
        raise Bug("pysyncobj's own change of voters", place="swarm.adapters.raft", remedy="see `membership`")

    def setCodeVersion(self, *_: object) -> None:  # noqa: N802
        """Stock: pickles a version into the log; a replica without it skips that place for ever."""
        raise NotBuilt("pysyncobj's code versions", remedy="version the payload")


def _handing_out(wal: Wal) -> Callable[[object], Wal]:
    return lambda _file: wal


def _configuration(settings: RaftSettings) -> SyncObjConf:
    return SyncObjConf(
        autoTick=False,
        raftMinTimeout=settings.election_ms_min / 1000,
        raftMaxTimeout=settings.election_ms_max / 1000,
        appendEntriesPeriod=settings.heartbeat_ms / 1000,
        # Stock: 30 s. A leader cut off from its majority would believe in itself that long.
        leaderFallbackTimeout=settings.election_ms_max / 1000,
        connectionTimeout=max(3.5, settings.election_ms_max / 1000),
        appendEntriesUseBatch=True,
        appendEntriesBatchSizeBytes=APPEND_BYTES,
        logCompactionMinTime=_COMPACTION_NEVER_S,
        logCompactionMinEntries=_COMPACTION_NEVER_S,
        fullDumpFile=None,
        journalFile=None,
        dynamicMembershipChange=False,
        commandsWaitLeader=False,
        pollerType="poll",
    )
