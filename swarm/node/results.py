"""Results worth keeping: what a deterministic capability gave for these inputs, it would give again.

A result is kept under a digest of the agent's file, the capability, how many items were asked of each port,
and every byte of the inputs. So nothing is ever invalidated: another agent or another input is another name.
What is kept here is bounded in bytes, the least recently used goes first. Behind it there may be a store that
several nodes share: every result is written through to it, and it is asked for what is not here. A store
that is slow or gone costs a little time now and then, and nothing else.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from swarm.graph import Items, Payload, has_refs
from swarm.ports import Reply, ResultStore
from swarm.scheduler.ledger import payload_bytes
from swarm.wire.messages import Assignment

ENTRY_BYTES: Final = 512  # what keeping a result costs beside its payload, about
SHARE_MAX: Final = 0.1  # of the room; a larger result would push out too many others


class ResultCache:
    """See the head of this module."""

    def __init__(self, bytes_max: int, store: ResultStore | None = None) -> None:
        self._bytes_max = bytes_max
        self._store = store
        self._kept: OrderedDict[bytes, tuple[Reply, int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    async def find(self, names: Sequence[bytes]) -> dict[bytes, Reply]:
        """Those of these results that are known."""
        found: dict[bytes, Reply] = {}
        for name in names:
            if (kept := self._kept.get(name)) is not None:
                self._kept.move_to_end(name)
                found[name] = kept[0]
        missing = [name for name in names if name not in found]
        if missing and self._store is not None:
            for name, reply in (await self._store.find(missing)).items():
                self._keep(name, reply)
                found[name] = reply
        return found

    async def keep(self, results: Mapping[bytes, Reply]) -> None:
        """Remember these, but for what lies elsewhere: that may be gone when it is asked for again."""
        results = {name: reply for name, reply in results.items() if not has_refs(reply.values())}
        for name, reply in results.items():
            self._keep(name, reply)
        if results and self._store is not None:
            await self._store.keep(results)

    def _keep(self, name: bytes, reply: Reply) -> None:
        size = payload_bytes(reply.values()) + ENTRY_BYTES
        if name in self._kept or size > self._bytes_max * SHARE_MAX:
            return
        self._kept[name] = (reply, size)
        self._bytes += size
        while self._bytes > self._bytes_max:
            _, (_, gone) = self._kept.popitem(last=False)
            self._bytes -= gone


def name_of(item: Assignment) -> bytes:
    """The name its result is kept under. Every part is told apart by its length."""
    digest = hashlib.blake2b(digest_size=32)

    def add(*parts: bytes) -> None:
        for part in parts:
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)

    add(item.agent.encode(), item.capability.encode(), repr(sorted(item.scatter)).encode())
    for port, items in sorted(item.inputs.items()):
        payloads = _payloads(items)
        add(port.encode(), b"one" if isinstance(items, Payload) else str(len(payloads)).encode())
        for payload in payloads:
            add(payload.kind.encode(), payload.data)
    return digest.digest()


def _payloads(items: Items) -> tuple[Payload, ...]:
    return (items,) if isinstance(items, Payload) else items
