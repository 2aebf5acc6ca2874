"""The only way out of a cell: connections the daemon makes to places an operator allowed, by name.

A cell has no sockets and cannot make any. An agent that declares egress may ask for a connection to a place
it names, and gets one end of a socket pair. At the other end is this broker, which joins it to a TLS
connection of its own: the daemon resolves the name, checks that the address is none of its own networks,
has the server prove its certificate, counts and slows down the bytes, and tells the audit log of every
connection, before a byte leaves and when it has ended. What the agent says inside is its own. Too many
bytes end the cell, by a typed error.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sandbox.errors import CellError, Exceeded, Refused, clean_text
from sandbox.spec import CellSpec

CONNECTIONS_MAX: Final = 256  # of one broker, asked for or open
CONNECTIONS_PER_CELL_MAX: Final = 8  # at a time
CONNECTION_EVERY_S: Final = 0.1  # of one cell, on the average: each is two lines in the audit log
CONNECTIONS_BURST: Final = 16
CONNECT_S: Final = 10.0
ADDRESSES_MAX: Final = 4  # of one name, tried one after the other
IDLE_S: Final = 60.0  # without a byte either way
BYTES_MAX: Final = 256 << 20  # of one connection, both ways together
MBPS_MAX: Final = 1_000  # of one cell, whatever its agent declares
_CHUNK_BYTES: Final = 32 << 10
_BYTES_PER_MBIT: Final = 125_000


@dataclass(frozen=True, slots=True)
class Destination:
    """A place agents may be allowed to talk to. `private`: it lies in a network of our own, on purpose."""

    host: str
    port: int
    private: bool = False

    @property
    def name(self) -> str:
        """As agents write it."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection as the audit log is told of it: when it is about to be made, and when it has ended."""

    agent: str
    destination: str
    address: str  # empty: it never came to be
    bytes_out: int
    bytes_in: int
    outcome: str  # opening; then closed | unused | idle | bytes | cancelled | refused: why | failed: why


_Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

OPENING: Final = "opening"
Audit: TypeAlias = Callable[[Connection], None]
"""Records a connection. What it raises for one that is opening keeps it from being opened."""


class _Pace:
    """The bandwidth that all connections of a cell share."""

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0

    async def take(self, size: int) -> None:
        """Wait until so many bytes may pass."""
        now = asyncio.get_running_loop().time()
        start = max(now, self._free_at)
        self._free_at = start + size / self._bytes_per_s
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)


class _Ended(Exception):
    """Why a connection is over."""


class _Traffic:
    """What has passed on one connection."""

    def __init__(self, pace: _Pace, bytes_max: int, idle_s: float) -> None:
        self._pace = pace
        self._idle_s = idle_s
        self._bytes_max = bytes_max
        self.bytes_out = 0
        self.bytes_in = 0

    async def pass_on(self, chunk: bytes, writer: asyncio.StreamWriter, *, outwards: bool) -> None:
        if outwards:
            self.bytes_out += len(chunk)
        else:
            self.bytes_in += len(chunk)
        if self.bytes_out + self.bytes_in > self._bytes_max:
            raise _Ended("bytes")
        await self._pace.take(len(chunk))
        writer.write(chunk)
        await asyncio.wait_for(writer.drain(), self._idle_s)  # a side that does not read is idle, too


class Admission:
    """What one cell may reach; asked whenever its agent wants a connection."""

    def __init__(
        self, broker: Broker, spec: CellSpec, pace: _Pace, on_over: Callable[[CellError], None]
    ) -> None:
        self.agent = spec.image.name
        self.pace = pace
        self.on_over = on_over
        self._broker = broker
        self._declared = frozenset(spec.egress)
        self._open: set[asyncio.Task[None]] = set()
        self._earliest = 0.0

    def open(self, name: str) -> socket.socket:
        """The cell's end of a connection; the caller closes it. Raises `Refused` or `Exceeded`."""
        if name not in self._declared:
            raise Refused(f"{clean_text(name, 200)} is not among the places it declares", place="egress")
        if len(self._open) >= CONNECTIONS_PER_CELL_MAX:
            raise Exceeded("connections", CONNECTIONS_PER_CELL_MAX, len(self._open) + 1, place=self.agent)
        now = asyncio.get_running_loop().time()
        earliest = max(self._earliest, now - CONNECTION_EVERY_S * CONNECTIONS_BURST)
        if earliest > now:
            limit = 1 / CONNECTION_EVERY_S
            raise Exceeded("connections_per_s", limit, "more", place=self.agent, remedy="keep one open")
        self._earliest = earliest + CONNECTION_EVERY_S
        stream, task = self._broker.join(self, name)
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        return stream


class Broker:
    """Makes and watches the connections of all cells of a daemon; off unless a warden is given one."""

    def __init__(
        self,
        allowed: Iterable[Destination],
        audit: Audit,
        *,
        context: ssl.SSLContext | None = None,
        bytes_max: int = BYTES_MAX,
        mbps_max: int = MBPS_MAX,
        idle_s: float = IDLE_S,
    ) -> None:
        self._allowed = {destination.name: destination for destination in allowed}
        self._audit = audit
        self._context = context or ssl.create_default_context()
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._bytes_max = bytes_max
        self._mbps_max = mbps_max
        self._idle_s = idle_s
        self._tasks: set[asyncio.Task[None]] = set()

    def admit(self, spec: CellSpec, on_over: Callable[[CellError], None]) -> Admission:
        """What an agent may reach; raises `Refused` unless that is all it declares, at any bandwidth at all.

        `on_over` hears of the limit that one of its connections went over.
        """
        for name in spec.egress:
            if name not in self._allowed:
                raise Refused(
                    f"{spec.image.name} asks for a connection to {clean_text(name, 200)}",
                    place="egress",
                    remedy="allow that host and port on this node, or take it out of the agent",
                )
        if spec.limits.network_mbps <= 0:
            raise Refused(
                f"{spec.image.name} declares egress and a bandwidth of 0",
                place="limits.network_mbps",
                remedy="set the agent's network_bandwidth_mbps",
            )
        mbps = min(spec.limits.network_mbps, self._mbps_max)
        return Admission(self, spec, _Pace(mbps * _BYTES_PER_MBIT), on_over)

    def join(self, admission: Admission, name: str) -> tuple[socket.socket, asyncio.Task[None]]:
        """The cell's end of a new connection, and the task that serves the other one."""
        if len(self._tasks) >= CONNECTIONS_MAX:
            raise Refused(f"{CONNECTIONS_MAX} connections are open on this node", place="egress")
        ours, theirs = socket.socketpair()
        task = asyncio.get_running_loop().create_task(self._serve(admission, self._allowed[name], ours))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return theirs, task

    async def close(self) -> None:
        """End every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, admission: Admission, destination: Destination, ours: socket.socket) -> None:
        traffic = _Traffic(admission.pace, self._bytes_max, self._idle_s)
        record = Connection(admission.agent, destination.name, "", 0, 0, "cancelled")
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            first = await reader.read(_CHUNK_BYTES)  # nothing is opened before the agent has said something
            if not first:
                record = replace(record, outcome="unused")
                return
            for address in await self._resolve(destination):
                record = replace(record, address=address, outcome=OPENING)
                self._audit(record)
                try:
                    upstream = await self._connect(destination, address)
                except (OSError, TimeoutError) as error:
                    record = replace(record, outcome=_failed(error))
                    continue
                record = replace(record, outcome=await self._join((reader, writer), upstream, first, traffic))
                break
        except _Ended as error:
            record = replace(record, outcome=str(error))
        except Exception as error:  # noqa: BLE001 - the network's errors, and the audit log's: told to it, and the agent
            record = replace(record, outcome=_failed(error))
        finally:
            if record.outcome == "closed":
                writer.close()  # what the other side said last still gets there
            else:
                writer.transport.abort()
            self._audit(replace(record, bytes_out=traffic.bytes_out, bytes_in=traffic.bytes_in))
        if record.outcome == "bytes":
            passed = traffic.bytes_out + traffic.bytes_in
            admission.on_over(
                Exceeded(
                    "connection_bytes",
                    self._bytes_max,
                    passed,
                    place=f"{admission.agent}, {destination.name}",
                )
            )

    async def _resolve(self, destination: Destination) -> list[str]:
        """Addresses of the name; raises `_Ended` if all of them are our own, and were not meant to be."""
        loop = asyncio.get_running_loop()
        found = await asyncio.wait_for(
            loop.getaddrinfo(destination.host, destination.port, type=socket.SOCK_STREAM), CONNECT_S
        )
        addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
        if destination.private:
            return addresses[:ADDRESSES_MAX]
        public = [address for address in addresses if ipaddress.ip_address(address).is_global]
        if not public:
            raise _Ended(f"refused: {addresses[0]} is not a public address")
        return public[:ADDRESSES_MAX]

    async def _connect(self, destination: Destination, address: str) -> _Streams:
        # To an address that was checked: the name might give another one the next time.
        return await asyncio.wait_for(
            asyncio.open_connection(
                address, destination.port, ssl=self._context, server_hostname=destination.host
            ),
            CONNECT_S,
        )

    async def _join(
        self,
        inner: _Streams,
        upstream: _Streams,
        first: bytes,
        traffic: _Traffic,
    ) -> str:
        """Pass bytes both ways until one side ends, a limit is reached or nothing moves."""

        async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, outwards: bool) -> None:
            while chunk := await asyncio.wait_for(reader.read(_CHUNK_BYTES), self._idle_s):
                await traffic.pass_on(chunk, writer, outwards=outwards)
            raise _Ended("closed")

        outcome = "closed"
        try:
            await traffic.pass_on(first, upstream[1], outwards=True)
            async with asyncio.TaskGroup() as group:
                group.create_task(pump(inner[0], upstream[1], outwards=True))
                group.create_task(pump(upstream[0], inner[1], outwards=False))
        except* _Ended as ended:
            outcome = str(ended.exceptions[0])
        except* TimeoutError:
            outcome = "idle"
        except* OSError as failed:
            outcome = _failed(failed.exceptions[0])
        finally:
            if outcome == "closed":
                upstream[1].close()
            else:
                upstream[1].transport.abort()  # the other side may never answer a farewell
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(upstream[1].wait_closed(), CONNECT_S)
        return outcome


def _failed(error: BaseException) -> str:
    return f"failed: {clean_text(str(error) or type(error).__name__, 200)}"
