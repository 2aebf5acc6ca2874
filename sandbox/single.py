"""Calls of one row with one payload, which is how almost every single call looks, written and read at once.

What stands before the bytes of the payload depends on the capability, the port, the kind and the size alone.
So it is made once, and recognised byte for byte when it comes again: equal bytes mean what they meant when
they were read and checked in full. Everything else takes the long way, through `sandbox.messages`.
"""

from __future__ import annotations

import functools

from sandbox import tensors
from sandbox.errors import CellError
from sandbox.frames import Data
from sandbox.messages import call_head
from sandbox.payload import Items, Payload, Ports
from sandbox.rows import BULK_BYTES, only_head


def write_call(capability: str, inputs: Ports) -> tuple[Data, Data] | None:
    """The body of a call with these inputs, or None where they are not one small payload."""
    if len(inputs) != 1:
        return None
    ((port, items),) = inputs.items()
    if isinstance(items, list) or len(items[1]) >= BULK_BYTES:
        return None
    kind, data = items
    return _call_front(capability, port, kind, len(data)), data


def write_result(outputs: dict[str, Items]) -> tuple[Data, Data] | None:
    """The same for an answer."""
    if len(outputs) != 1:
        return None
    ((port, items),) = outputs.items()
    if isinstance(items, list) or len(items[1]) >= BULK_BYTES:
        return None
    kind, data = items
    return only_head(port, kind, len(data)), data


@functools.lru_cache(maxsize=512)
def _call_front(capability: str, port: str, kind: str, size: int) -> bytes:
    return call_head(capability, 1, 0, 0) + only_head(port, kind, size)


class Seen:
    """What the last body of one payload said, and the bytes by which it is recognised."""

    __slots__ = ("_at", "_front", "_size", "capability", "kind", "port")

    def __init__(self) -> None:
        self._front = b""
        self._size = -1
        self._at = 0
        self.capability = self.port = self.kind = ""

    def payload(self, body: Data) -> bytes | None:
        """The payload of a body that is like the last one but for the bytes of its payload."""
        if len(body) != self._size or type(body) is not bytes or not body.startswith(self._front):
            return None
        return body[self._at :]

    def learn(self, body: Data, row: dict[str, Items] | CellError, capability: str = "") -> None:
        """Remember a body that was read in full, if it is of one small payload. Of a call, by its capability.

        Tensors of an answer have been checked; those of a call are the agent's to check.
        """
        if type(body) is not bytes or isinstance(row, CellError) or len(row) != 1:
            return
        ((port, items),) = row.items()
        if isinstance(items, list) or len(items[1]) >= BULK_BYTES:
            return
        kind, data = items
        # What made a tensor a valid one stands in its head; but bools would have to be looked at each time.
        checked = tensors.head_bytes(data) if kind == "tensor" and not capability else 0
        if checked is None:
            return
        self._at, self._size = len(body) - len(data), len(body)
        self._front = body[: self._at + checked]
        self.capability, self.port, self.kind = capability, port, kind


def as_result(seen: Seen, data: bytes) -> dict[str, Items]:
    """A row of what was recognised."""
    payload: Payload = seen.kind, data
    return {seen.port: payload}
