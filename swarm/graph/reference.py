"""A large payload by reference: what is said of it where the bytes themselves do not travel.

A payload above `PAYLOAD_INLINE_BYTES_MAX` lies in the blob stores of nodes under its digest. In its place
goes a payload of kind `ref` that says what it is, so that whoever only carries payloads (the wire, the log,
the ledger, an outbox) carries it like any other, and only those who open payloads look for it: the check of
inputs, the node that runs a step, placement, the collection of garbage and the client.

Layout, little endian: version u8, kind u8, nodes u8, bytes of the head u8, size u64, sha256, the head of the
tensor (empty for other kinds), and for each node that holds it the length u8 and the bytes of its name.
Where it lies is a hint and no part of what it is: the digest alone decides what may be taken for it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from swarm import limits
from swarm.errors import ProtocolBroken
from swarm.graph.model import Items, Payload
from swarm.graph.tensor import HEAD_BYTES_MAX
from swarm.ids import Digest, NodeId

REF: Final = "ref"
"""The kind of a payload that is a reference; no agent and no port ever sees it."""

HOLDERS_MAX: Final = 8
_VERSION: Final = 1
_KINDS: Final = ("json", "tensor", "bytes")
_FIXED: Final = struct.Struct("<BBBBQ32s")


@dataclass(frozen=True, slots=True)
class Ref:
    """What a large payload is, and which nodes said that they hold it."""

    kind: str
    digest: Digest
    size_bytes: int
    head: bytes = b""  # of a tensor: its dtype and shape, as in its first bytes
    nodes: tuple[NodeId, ...] = ()

    def payload(self) -> Payload:
        """This reference as a payload."""
        names = [node.encode() for node in self.nodes[:HOLDERS_MAX]]
        fixed = _FIXED.pack(
            _VERSION,
            _KINDS.index(self.kind),
            len(names),
            len(self.head),
            self.size_bytes,
            bytes.fromhex(self.digest),
        )
        return Payload(REF, b"".join((fixed, self.head, *(bytes((len(name),)) + name for name in names))))


def read_ref(data: bytes) -> Ref:
    """The reference a payload of kind `ref` holds; raises `ProtocolBroken` where it is none."""
    try:
        return _read(data)
    except (struct.error, ValueError) as error:
        raise ProtocolBroken(f"a reference that is none: {error}") from None


def _read(data: bytes) -> Ref:
    version, code, count, head_bytes, size_bytes, digest = _FIXED.unpack_from(data)
    head_end = _FIXED.size + head_bytes
    if (
        version != _VERSION
        or code >= len(_KINDS)
        or count > HOLDERS_MAX
        or head_bytes > HEAD_BYTES_MAX
        or head_end > len(data)
        or size_bytes > limits.VALUE_BYTES_MAX
        or bool(head_bytes) != (_KINDS[code] == "tensor")
    ):
        raise ValueError("a field is out of range")
    nodes = tuple(_names(data, head_end, count))
    return Ref(_KINDS[code], Digest(digest.hex()), size_bytes, data[_FIXED.size : head_end], nodes)


def _names(data: bytes, at: int, count: int) -> Iterator[NodeId]:
    for _ in range(count):
        end = at + 1 + data[at] if at < len(data) else len(data) + 1
        if end > len(data):
            raise ValueError("it is cut off")
        yield NodeId(data[at + 1 : end].decode())
        at = end
    if at != len(data):
        raise ValueError("bytes too many")


def refs(values: Iterable[Items]) -> Iterator[Ref]:
    """The references among some values."""
    for items in values:
        if isinstance(items, Payload):
            if items.kind == REF:
                yield read_ref(items.data)
        else:
            for item in items:
                if item.kind == REF:
                    yield read_ref(item.data)


def has_refs(values: Iterable[Items]) -> bool:
    """Whether some of these values lie elsewhere; asked for every step, hence quick to say no."""
    for items in values:
        if isinstance(items, Payload):
            if items.kind == REF:
                return True
        elif any(item.kind == REF for item in items):
            return True
    return False


def in_order(digest: Digest, nodes: Iterable[NodeId]) -> list[NodeId]:
    """Nodes in an order of the digest's own, so that copies are spread evenly."""

    def rank(node: NodeId) -> bytes:
        return hashlib.sha256(f"{digest} {node}".encode()).digest()

    return sorted(nodes, key=rank)
