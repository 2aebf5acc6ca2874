"""Nobody fills a daemon's port with connections that never come to anything.

gRPC accepts connections by itself, bounds how many there are in all and how long a handshake may take, and
tells us of none before it is over. One address could keep all those places taken. So when many files are open
we look at the kernel's list of connections to our port: those over which nobody was let in yet are strangers,
and of one address' strangers the oldest are hung up on until few are left. The oldest, because a caller in
good faith is a stranger for some milliseconds only; whoever says nothing grows old.

Linux alone has such a list; elsewhere gRPC's own bounds have to do.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

_log = structlog.get_logger("swarm.daemon")

LOOK_S: Final = 0.25
FILES_WATCHED: Final = 256  # open files from which on it is worth looking; an ordinary daemon has fewer
STRANGERS_MAX: Final = 64  # of one address
KNOWN_MAX: Final = 10_000

_TABLES: Final = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
_FILES: Final = Path("/proc/self/fd")
_ESTABLISHED: Final = "01"


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection to our port: whose, as gRPC writes it, and the kernel's number of our end."""

    address: str
    peer: str
    inode: int


class Doorkeeper:
    """See the head of this module."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._known: set[str] = set()
        self._met: dict[int, None] = {}  # strangers in the order we met them

    def know(self, peer: str) -> None:
        """Somebody was let in over this connection."""
        if len(self._known) < KNOWN_MAX:
            self._known.add(peer)

    async def watch(self) -> None:
        """Look now and then, for ever."""
        while _FILES.is_dir():
            await asyncio.sleep(LOOK_S)
            files = sum(1 for _ in _FILES.iterdir())
            busy = files >= FILES_WATCHED or len(self._known) > KNOWN_MAX // 2
            if busy and (gone := self.sweep()):
                _log.warning("strangers were sent away", connections=gone)

    def sweep(self) -> int:
        """Hang up on what is too much; returns how many that were."""
        there = list(connections(self._port))
        self._known &= {each.peer for each in there}
        strangers = {each.inode: each.address for each in there if each.peer not in self._known}
        self._met = {inode: None for inode in self._met if inode in strangers} | dict.fromkeys(strangers)
        by_address: dict[str, list[int]] = defaultdict(list)
        for inode in self._met:
            by_address[strangers[inode]].append(inode)
        much = {inode for inodes in by_address.values() for inode in inodes[:-STRANGERS_MAX]}
        if much:
            _hang_up(much)
        return len(much)


def connections(port: int) -> Iterator[Connection]:
    """Established connections to `port` of this machine, oldest or not."""
    for table in _TABLES:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:  # no IPv6 here
            continue
        for line in lines:
            fields = line.split()
            ours = int(fields[1].rpartition(":")[2], 16) == port
            if ours and fields[3] == _ESTABLISHED and fields[9] != "0":
                text, _, remote = fields[2].rpartition(":")
                address = _address(text)
                brackets = f"%5B{address}%5D" if ":" in address else address
                kind = "ipv6" if ":" in address else "ipv4"
                yield Connection(address, f"{kind}:{brackets}:{int(remote, 16)}", int(fields[9]))


def _address(text: str) -> str:
    """The kernel writes words of four bytes, each the wrong way round on our machines."""
    raw = b"".join(int(text[i : i + 8], 16).to_bytes(4, "little") for i in range(0, len(text), 8))
    found = ipaddress.ip_address(raw)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def _hang_up(inodes: set[int]) -> None:
    """End connections gRPC holds: it sees them end like any other.

    A copy of the file is made first and looked at again, because gRPC may close one, and open another under
    its number, at any time.
    """
    for file in list(_FILES.iterdir()):
        try:
            if os.fstat(int(file.name)).st_ino not in inodes:
                continue
            copy = os.dup(int(file.name))
        except OSError:  # closed meanwhile
            continue
        with socket.socket(fileno=copy) as ours:
            if os.fstat(copy).st_ino in inodes:
                _end(ours)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):  # it may have ended by itself
        connection.shutdown(socket.SHUT_RDWR)
