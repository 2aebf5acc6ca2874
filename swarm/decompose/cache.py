"""Decompositions remembered: the latest used, for a while, within a number of bytes.

A decomposition depends on the request, the engine and the capabilities, and all three are in its key, so
a change of what is deployed is never answered from before it. The clock is passed in; entries are frozen
records and shared, never copied.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

from swarm.decompose.records import Capability, Decomposition, Engine

BYTES_MAX: Final = 64 << 20
BYTES_MOST: Final = 1 << 30  # that anybody may configure
TTL_MS: Final = 10 * 60 * 1_000
RECORD_BYTES: Final = 120  # about, of one record beside its text


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """How a cache is doing."""

    hits: int
    misses: int
    entries: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Entry:
    found: Decomposition
    until_ms: int
    size_bytes: int


class DecompositionCache:
    """Least recently used out first; nothing older than `ttl_ms` is given."""

    def __init__(
        self, clock_ms: Callable[[], int], *, bytes_max: int = BYTES_MAX, ttl_ms: int = TTL_MS
    ) -> None:
        self._clock_ms = clock_ms
        self._bytes_max = min(bytes_max, BYTES_MOST)
        self._ttl_ms = ttl_ms
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._size = self._hits = self._misses = 0

    def get(self, key: bytes) -> Decomposition | None:
        """What is remembered under a key, if it is still fresh."""
        entry = self._entries.get(key)
        if entry is None or entry.until_ms <= self._clock_ms():
            if entry is not None:
                self._remove(key)
            self._misses += 1
            return None
        self._entries.move_to_end(key)
        self._hits += 1
        return entry.found

    def put(self, key: bytes, found: Decomposition) -> None:
        """Remember; what does not fit into the whole cache is not remembered."""
        self._remove(key)
        size = len(key) + size_of(found)
        if size > self._bytes_max:
            return
        self._entries[key] = _Entry(found, self._clock_ms() + self._ttl_ms, size)
        self._size += size
        while self._size > self._bytes_max:
            self._remove(next(iter(self._entries)))

    def counts(self) -> CacheCounts:
        return CacheCounts(self._hits, self._misses, len(self._entries), self._size)

    def _remove(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= entry.size_bytes


class CachedEngine:
    """An engine that does not think twice about a request; threads that share it give a lock as `guard`."""

    def __init__(
        self, engine: Engine, cache: DecompositionCache, guard: AbstractContextManager[Any] | None = None
    ) -> None:
        self.engine, self.cache = engine, cache
        self._guard = guard or nullcontext()
        self._prefix = _digest(engine.name, engine.capabilities)

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def capabilities(self) -> Sequence[Capability]:
        return self.engine.capabilities

    def decompose(self, request: str) -> Decomposition:
        """As the engine would; its failures are not remembered."""
        key = self._prefix + hashlib.sha256(request.encode()).digest()
        with self._guard:
            found = self.cache.get(key)
        if found is None:
            found = self.engine.decompose(request)
            with self._guard:
                self.cache.put(key, found)
        return found


def size_of(found: Decomposition) -> int:
    """About how many bytes a decomposition holds."""
    texts = [found.request, *found.unmapped]
    texts += [text for step in found.subtasks for text in (step.capability, step.words)]
    records = 1 + len(found.subtasks) + len(found.dependencies)
    return sum(len(text.encode()) for text in texts) + RECORD_BYTES * (records + len(texts))


def _digest(name: str, capabilities: Sequence[Capability]) -> bytes:
    whole = hashlib.sha256(name.encode())
    for each in capabilities:
        for text in (each.name, each.description, *each.inputs, "", *each.outputs):
            whole.update(len(text).to_bytes(8, "little") + text.encode())
    return whole.digest()
