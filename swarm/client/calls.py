"""Calls to agents without a run: nothing is written down, so they cost one way there and one way back.

What many tasks call at once travels in one message, and so do the answers. A call whose node is lost is made
again at another one, so an agent may hear it twice; agents that must not (`effects: once`) refuse calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from swarm.client.connection import Connection, Patience
from swarm.client.streams import Stream, Streams
from swarm.client.values import decode_items, inline_value
from swarm.errors import NotHosted, QueueFull, SwarmError, Unreachable
from swarm.graph import Items
from swarm.ids import CapabilityName
from swarm.wire.calls import CallRow, calls_to_pb, replies_from_pb, take
from swarm.wire.gen.call_pb2_grpc import CallsStub

ROWS_MAX: Final = 32  # in one message: while its node is at them the next are made, and the last ones read


class Caller:
    """Makes calls, at one node for as long as it answers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._streams = Streams(connection, _Calls)

    async def call(self, capability: str, inputs: Mapping[str, object], timeout_ms: int) -> dict[str, object]:
        """The agent's outputs; raises its error, or why nobody could answer."""
        row = {port: inline_value(f"input {port!r}", value) for port, value in inputs.items()}
        call = CallRow(0, CapabilityName(capability), timeout_ms, row)
        patience: Patience | None = None
        refused = 0
        while True:
            stream = self._streams.current()
            try:
                outputs = await stream.ask(call)
            except (NotHosted, QueueFull, Unreachable) as error:
                patience = patience or Patience(self._connection, 0.0)
                refusal = isinstance(error, NotHosted | QueueFull)
                refused += refusal
                transient = not refusal or refused < self._connection.peers
                await patience.suffer(error, transient, asked=stream.peer)
            else:
                return {port: decode_items(f"output {port!r}", items) for port, items in outputs.items()}

    async def close(self) -> None:
        """Hang up; who still waits is told."""
        await self._streams.close()


class _Calls(Stream[CallRow, Mapping[str, Items]]):
    def call(self, connection: Connection) -> Any:
        return CallsStub(connection.channel()).Open()

    def numbered(self, row: CallRow, number: int) -> CallRow:
        return CallRow(number, row.capability, row.timeout_ms, row.inputs)

    def number(self, row: CallRow) -> int:
        return row.id

    def take(self, waiting: deque[CallRow]) -> list[CallRow]:
        return take(waiting, ROWS_MAX)

    def message(self, rows: list[CallRow]) -> Any:
        return calls_to_pb(rows)

    def answers(self, message: Any) -> Iterator[tuple[int, Mapping[str, Items] | SwarmError]]:
        for reply in replies_from_pb(message):
            yield reply.id, reply.result
