"""What a daemon does about those who are revoked: nobody here listens to them any more, nor speaks to them.

The list is the replicated state's. A coordinator reads it there; a worker hears it from the leader, and keeps
it on its disk: after a restart it must not take up with a coordinator that was sent away meanwhile.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import structlog

from swarm.adapters.rpc.gate import Gate, revoked
from swarm.adapters.tls.files import PUBLIC_MODE, write_whole
from swarm.errors import ConfigRefused
from swarm.ids import NodeId
from swarm.trust.revocation import Revocations, Revoked

_log = structlog.get_logger("swarm.daemon")

FILE_BYTES_MAX: Final = 8 * 1024 * 1024


class Exclusion:
    """One daemon's list, and everything that has to hear of it."""

    def __init__(self, me: NodeId, path: Path, *, complete: bool) -> None:
        self.list = Revocations(complete=complete or path.exists())
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.dismiss: list[Callable[[NodeId], None]] = []  # told of names this daemon may be connected to
        self._me = me
        self._path = path
        self._gate: Gate | None = None
        if path.exists():
            self.list.take(_read(path))
        if (mine := self.list.find(me)) is not None:
            raise revoked(mine)

    def guard(self, gate: Gate) -> None:
        """The gate whose streams are to be cut."""
        self._gate = gate

    def revoke(self, entries: Sequence[Revoked]) -> None:
        """Take the list in, and act where it grew."""
        self.list.complete = True
        if not self.list.take(entries):
            return
        kept = [[entry.name, entry.serial, entry.reason] for entry in self.list.entries()]
        write_whole(self._path, json.dumps(kept).encode(), PUBLIC_MODE)
        if self._gate is not None:
            self._gate.cut()
        for entry in entries:
            if not entry.serial:
                for dismiss in self.dismiss:
                    dismiss(NodeId(entry.name))
        mine = self.list.find(self._me)
        if mine is not None and not self.failure.done():
            _log.error("this node was revoked", reason=mine.reason)
            self.failure.set_exception(revoked(mine))


def _read(path: Path) -> Iterable[Revoked]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(FILE_BYTES_MAX))
        return [Revoked(str(name), str(serial), str(reason)) for name, serial, reason in found]
    except (OSError, ValueError, TypeError) as error:
        raise ConfigRefused(
            f"the list of those who were revoked cannot be read: {error}",
            place=str(path),
            remedy="remove it if the leader can be reached: it has the list",
        ) from None
