"""Wires between daemons: every connection from one to another passes through here, and can be held.

A wire that is held is a network that swallows packets: connections stand, nothing arrives, nobody is told.
What was on its way arrives after `release`, late but whole, as TCP would have it. Directions are held one
by one, so that a partition may be one-way.
"""

import asyncio
import contextlib

CHUNK_BYTES = 64 * 1024


class Wires:
    """A relay for every ordered pair of daemons."""

    def __init__(self):
        self._servers = []
        self._relays = set()
        self._held = set()
        self.delay_s = 0.0  # what every piece takes longer; pieces behind it wait
        self._changed = asyncio.Event()

    async def lay(self, sender, receiver, address):
        """A port at which `receiver` is reached by `sender` alone; the address to dial."""

        async def accept(reader, writer):
            task = asyncio.current_task()
            self._relays.add(task)
            try:
                await self._relay(sender, receiver, address, reader, writer)
            finally:
                self._relays.discard(task)

        server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=CHUNK_BYTES)
        self._servers.append(server)
        return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def hold(self, sender, receiver):
        """From now on nothing that `sender` says reaches `receiver`."""
        self._held.add((sender, receiver))

    def part(self, one, other):
        self.hold(one, other)
        self.hold(other, one)

    def release(self):
        self._held.clear()
        self._changed.set()
        self._changed = asyncio.Event()

    async def close(self):
        for server in self._servers:
            server.close()
        for relay in list(self._relays):
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _relay(self, sender, receiver, address, reader, writer):
        host, port = address.split(":")
        far_writer = None
        try:
            await self._passes(sender, receiver)
            far_reader, far_writer = await asyncio.open_connection(host, int(port), limit=CHUNK_BYTES)
            pumps = [
                asyncio.ensure_future(self._pump((sender, receiver), reader, far_writer)),
                asyncio.ensure_future(self._pump((receiver, sender), far_reader, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            pass  # the other end is down: so is this connection
        finally:
            for end in (writer, far_writer):
                if end is not None:
                    end.close()

    async def _pump(self, way, reader, writer):
        while data := await reader.read(CHUNK_BYTES):
            await asyncio.sleep(self.delay_s)
            await self._passes(*way)
            writer.write(data)
            await writer.drain()

    async def _passes(self, sender, receiver):
        while (sender, receiver) in self._held:
            changed = self._changed
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), 1)
