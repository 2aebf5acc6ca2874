"""The embedded log at rest: read from the directories of stopped coordinators, changing nothing in them.

An entry that was acknowledged is in the log of a majority, so the most advanced log of any majority has
all of them (it is the one that could be elected). What it has beyond that was proposed, and nobody was told
what became of it: it may be kept.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from swarm.adapters.history import History
from swarm.adapters.raft.logfile import LOG_FILE, lock_directory
from swarm.adapters.raft.messages import REGULAR
from swarm.adapters.raft.records import LogState, read_log
from swarm.adapters.raft.snapshot import SNAPSHOT_FILE, Snapshot, decode
from swarm.errors import ConfigRefused, LogDamaged, NotFound
from swarm.ports import Committed


@dataclass(frozen=True, slots=True)
class _Replica:
    place: str
    log: LogState
    snapshot: Snapshot | None

    @property
    def reach(self) -> tuple[int, int]:
        """How far it got: by (term, index) of its last entry, as votes compare them."""
        last = self.log.entries[-1]
        found = (last.term, last.index)
        return found if self.snapshot is None else max(found, (self.snapshot.term, self.snapshot.index))


def read_history(directories: Sequence[Path], voters: Collection[str]) -> History:
    """The history a majority of `voters` left in `directories`; none of them may be in use.

    Raises `Conflict` (a coordinator still runs), `NotFound`, `LogDamaged`, or `ConfigRefused` when what is
    there is no majority.
    """
    with ExitStack() as stack:
        replicas: dict[str, _Replica] = {}
        for directory in directories:
            replica = _read(directory, stack)
            replicas[replica.log.owner] = replica
        needed = len(voters) // 2 + 1
        known = sorted(replicas.keys() & set(voters))
        if len(known) < needed:
            raise ConfigRefused(
                f"the logs of {', '.join(known) or 'nobody'} are no majority of {', '.join(sorted(voters))}",
                place=", ".join(map(str, directories)),
                remedy=f"bring the log directories of {needed} coordinators to this machine, name each",
            )
        best = max((replicas[owner] for owner in known), key=lambda replica: replica.reach)
        term = max(replicas[owner].log.term for owner in known)
        return _history(best, max(term, best.reach[0]))


def _read(directory: Path, stack: ExitStack) -> _Replica:
    path = directory / LOG_FILE
    if not path.is_file():
        raise NotFound(
            "no embedded log lies here",
            place=str(directory),
            remedy="name the directory `log` in a coordinator's data_dir",
        )
    stack.callback(os.close, lock_directory(directory))
    log = read_log(path.read_bytes(), str(path))
    snapshot_path = directory / SNAPSHOT_FILE
    snapshot = None
    if snapshot_path.exists():
        snapshot = decode(snapshot_path.read_bytes(), str(snapshot_path))
    if not log.entries or log.entries[0].index > (snapshot.index if snapshot else 1):
        raise LogDamaged("the log does not reach back to its beginning or its snapshot", place=str(path))
    return _Replica(str(directory), log, snapshot)


def _history(replica: _Replica, term: int) -> History:
    entries, snapshot = replica.log.entries, replica.snapshot
    index, state = (0, None) if snapshot is None else (snapshot.index, snapshot.state)
    tail = [entry for entry in entries if entry.index > index]
    if snapshot is not None and tail:
        at = snapshot.index - entries[0].index
        if entries[at].term != snapshot.term:
            tail = []  # it was never committed: the snapshot of another history replaced it
    payloads = tuple(
        Committed(entry.index, entry.term, entry.command[len(REGULAR) :])
        for entry in tail
        if entry.command.startswith(REGULAR)
    )
    return History(term, index, state, payloads, tail[-1].index if tail else index)
