"""The Raft thread: the only one that touches the engine, the log file and the snapshot file.

It exists because a sync takes milliseconds, and a gRPC server whose loop sleeps in one accepts about one
call per sync. Each pass: take in what arrived, turn the engine, make the log durable, and hand what may
now be seen to the event loop in one call. Whatever goes wrong in here ends the replica: a log that can no
longer be written or trusted must not go on answering.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from swarm.adapters.raft.core import LEADER
from swarm.adapters.raft.engine import ApplyRoom, Engine
from swarm.adapters.raft.events import Applied, CaptureWanted, Event, Proposal, VoterChange
from swarm.adapters.raft.inbox import (
    Inbox,
    Item,
    LinkDown,
    LinkUp,
    PeerMet,
    Received,
    SnapshotWritten,
    StreamEnded,
)
from swarm.adapters.raft.logfile import LogDirectory, lock_directory
from swarm.adapters.raft.relaxed import BackgroundSync, BootMark
from swarm.adapters.raft.settings import (
    ABSTAIN_MS,
    APPLY_AHEAD_BYTES,
    APPLY_AHEAD_ENTRIES,
    RaftSettings,
)
from swarm.adapters.raft.snapshot import Snapshot, SnapshotStore
from swarm.adapters.raft.transport import Outgoing, TurnTransport
from swarm.adapters.raft.wal import Wal
from swarm.errors import OutcomeUnknown
from swarm.ids import NodeId
from swarm.ports import Voters

_log = logging.getLogger("swarm.raft")

_PASS_MS_MIN = 1
_PASS_MS_MAX = 1_000
_DIRECTORY_MODE = 0o700


@dataclass(frozen=True, slots=True)
class Batch:
    """What one pass lets go of."""

    events: list[Event]
    frames: list[Outgoing]
    unblock: bool  # the inbox has room again


@dataclass(slots=True)
class Delivered:
    """How much the event loop has applied since the start; moved by the loop only."""

    entries: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class LogStatus:
    """A replica at one moment, for people."""

    term: int
    leader: NodeId | None
    leads: bool
    last_index: int
    commit_index: int
    applied_index: int
    snapshot_index: int
    log_entries: int
    log_bytes: int
    connected: frozenset[str]


class Runner:
    """Owns the replica's files and runs its thread."""

    def __init__(
        self,
        directory: Path,
        node_id: NodeId,
        founders: Voters,
        settings: RaftSettings,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self.inbox = Inbox()
        self.delivered = Delivered()
        self.awaited: Callable[[], bool] = lambda: False  # whether somebody waits for what is committed
        self.wants_room = False  # entries wait until the loop has applied others; moved by the thread only
        self._on_fatal = on_fatal
        self._deliver: Callable[[Batch], None] | None = None
        self._handed = Delivered()
        self._stopping = False
        directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        directory.chmod(_DIRECTORY_MODE)
        self._lock = lock_directory(directory)
        try:
            self._background = BackgroundSync(self.fail) if settings.relaxed else None
            self.wal = Wal.open(LogDirectory(directory), node_id, self._background)
            self._boot = BootMark(directory)
            self._forgetful = self._boot.outlived()
            if not self._forgetful:
                self._mark_boot()
            self._snapshots = SnapshotStore(directory)
            self._transport = TurnTransport()
            self._engine = Engine(node_id, founders, self.wal, self._snapshots, self._transport, settings)
        except BaseException:
            os.close(self._lock)
            raise
        self.wal.between_writes = self._show_life
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="raft-snapshot")
        self._thread = threading.Thread(target=self._run, name="raft", daemon=True)

    @property
    def recovered(self) -> Snapshot | None:
        """The snapshot this life starts from."""
        return self._engine.recovered

    def start(self, deliver: Callable[[Batch], None]) -> None:
        self._deliver = deliver
        if self._background is not None:
            self._background.start()
        self._thread.start()

    def leave(self) -> None:
        """End the thread after its present pass."""
        self._stopping = True
        self.inbox.ring()

    def stop(self) -> None:
        """End the thread and close the files. Blocks; call it from a worker thread."""
        self.leave()
        if self._thread.ident is None:
            self._close()
        else:
            self._thread.join()
        self._writer.shutdown(wait=True, cancel_futures=True)
        os.close(self._lock)

    def write_snapshot(self, wanted: CaptureWanted, encode: Callable[[], bytes]) -> None:
        """Encode and write a captured state without holding up anybody."""
        self._writer.submit(self._write_snapshot, wanted, encode)

    def fail(self, error: BaseException) -> None:
        """The replica cannot go on."""
        self.leave()
        self._on_fatal(error)

    def status(self) -> LogStatus:
        engine = self._engine  # read across threads: every field is one word, the whole may be a pass apart
        return LogStatus(
            term=engine.term,
            leader=engine.leader_id(),
            leads=engine.state == LEADER,
            last_index=engine.last().index,
            commit_index=engine.commit_index,
            applied_index=engine.last_applied,
            snapshot_index=self._snapshots.index,
            log_entries=len(self.wal),
            log_bytes=self.wal.entries_bytes,
            connected=self._transport.connected_peers(),
        )

    # -- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._engine.begin()
            if self._forgetful:
                _log.warning("the machine went down under a relaxed log: no votes for %d ms", ABSTAIN_MS)
                self._engine.abstain(ABSTAIN_MS / 1000)
            while not self._stopping:
                self._pass()
        except BaseException as caught:  # noqa: BLE001 - whatever it is, the replica must not go on
            error = caught
        try:
            self._engine.stop(OutcomeUnknown("this replica stopped", place="raft"))
            self._hand_over()
            self._close()
        except BaseException as caught:  # noqa: BLE001
            error = error or caught
        if error is not None:
            self.fail(error)

    def _pass(self) -> None:
        self.inbox.wait(self._patience_s())
        for item in self.inbox.take():
            self._absorb(item)
        self._engine.room = self._room()
        self._engine.awaited = self.awaited()
        self._engine.turn()
        if self._forgetful and not self._engine.abstains():
            self._forgetful = False
            self._mark_boot()
        if self._engine.may_run_ahead() and self._transport.only_appends():
            self._deliver_frames()  # followers write while we do
        self.wal.flush()
        self._engine.now_durable()
        self._hand_over()

    def _close(self) -> None:
        if self._background is not None:
            self._background.stop()
        self.wal.close()
        if not self._forgetful:
            self._boot.remove()

    def _mark_boot(self) -> None:
        """From here on a power cut may cost something, or may not."""
        if self._background is None:
            self._boot.remove()
        else:
            self._boot.put()

    def _show_life(self) -> None:
        """In the middle of a long write: only what was true before it began."""
        signs = self._engine.signs_of_life()
        frames = [frame for node, message in signs for frame in self._transport.at_once(node, message)]
        if frames and self._deliver is not None:
            self._deliver(Batch([], frames, unblock=False))

    def _deliver_frames(self) -> None:
        frames = self._transport.take()
        if frames and self._deliver is not None:
            self._deliver(Batch([], frames, unblock=False))

    def _hand_over(self) -> None:
        """Everything in here was decided before the last flush, and is visible from now on."""
        events, self._engine.events = self._engine.events, []
        for event in events:
            if isinstance(event, Applied):
                self._handed.entries += event.places
                self._handed.size_bytes += event.size_bytes
        frames = self._transport.take()
        unblock, self.inbox.blocked = self.inbox.blocked, False
        if (events or frames or unblock) and self._deliver is not None:
            self._deliver(Batch(events, frames, unblock))

    def _absorb(self, item: Item) -> None:
        match item:
            case Received():
                self._transport.receive(item.peer, item.message)
            case Proposal():
                self._engine.proposals.append(item)
            case VoterChange():
                self._engine.changes.append(item)
            case LinkUp():
                self._transport.link_up(item.link)
            case LinkDown():
                self._transport.link_down(item.link)
            case StreamEnded():
                self._engine.on_stream_ended(item.peer)
            case PeerMet():
                self.wal.remember_peer(item.peer, item.incarnation)
            case SnapshotWritten():
                self._engine.snapshot_written(item.index, item.term)

    def _room(self) -> ApplyRoom:
        ahead_entries = self._handed.entries - self.delivered.entries
        ahead_bytes = self._handed.size_bytes - self.delivered.size_bytes
        return ApplyRoom(APPLY_AHEAD_ENTRIES - ahead_entries, APPLY_AHEAD_BYTES - ahead_bytes)

    def _patience_s(self) -> float:
        if self._engine.behind():
            self.wants_room = True  # first, then look: who makes room meanwhile sees it
            self._engine.room = self._room()
        else:
            self.wants_room = False
        if self._engine.needs_turn():
            return 0
        wanted_ms = (self._engine.next_deadline() - self._engine.now()) * 1000
        return min(max(wanted_ms, _PASS_MS_MIN), _PASS_MS_MAX) / 1000

    def _write_snapshot(self, wanted: CaptureWanted, encode: Callable[[], bytes]) -> None:
        try:
            snapshot = Snapshot(wanted.index, wanted.term, encode(), wanted.voters)
            self._snapshots.write_aside(snapshot)
        except BaseException as error:  # noqa: BLE001 - a full disk here is one for the log too
            self.fail(error)
            return
        self.inbox.put(SnapshotWritten(snapshot.index, snapshot.term))
