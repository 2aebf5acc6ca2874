"""Results that several nodes share, in Redis.

What lies in Redis can be written by whoever reaches it, so each value carries a keyed hash of itself and its
name; what does not bear one made with our key is not a result. The key is a file that the nodes of a cluster
share. Redis is asked with little patience, and after a failure it is left alone for a while: a result that
is not found is made again, that is all.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import structlog
from google.protobuf.message import DecodeError

from swarm import limits
from swarm.errors import ConfigRefused, NotBuilt, ProtocolBroken
from swarm.ports import Reply
from swarm.wire.convert import items_from_pb, items_to_pb
from swarm.wire.gen import work_pb2

PATIENCE_S: Final = 0.1  # for one question
LEFT_ALONE_S: Final = 5.0  # after a failure
KEEP_S: Final = 7 * 24 * 3600
MAC_BYTES: Final = 32
KEY_BYTES_MIN: Final = 32
KEY_BYTES_MAX: Final = 4_096

_log = structlog.get_logger("swarm.node")


class RedisResults:
    """A `ResultStore` in Redis; see the head of this module."""

    def __init__(self, url: str, key: bytes, cluster: str, password: str | None = None) -> None:
        self._errors, client = _client(url, password)
        self._redis: Any = client
        self._key = hashlib.sha256(key).digest()
        self._prefix = f"swarm:{cluster}:result:".encode()
        self._silent_until = 0.0

    async def find(self, names: Sequence[bytes]) -> dict[bytes, Reply]:
        values = await self._ask(self._redis.mget([self._prefix + name for name in names]))
        found: dict[bytes, Reply] = {}
        for name, value in zip(names, values or (), strict=False):
            if value is not None and (reply := self._read(name, value)) is not None:
                found[name] = reply
        return found

    async def keep(self, results: Mapping[bytes, Reply]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for name, reply in results.items():
            data = work_pb2.KeptResult(outputs=items_to_pb(reply)).SerializeToString()
            pipe.set(self._prefix + name, self._mac(name, data) + data, ex=KEEP_S)
        await self._ask(pipe.execute())

    async def close(self) -> None:
        await self._redis.aclose()

    async def _ask(self, call: Any) -> Any:
        now = asyncio.get_running_loop().time()
        if now < self._silent_until:
            call.close()
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await call
        except self._errors as error:
            self._silent_until = now + LEFT_ALONE_S
            _log.warning("the store of results does not answer", error=str(error) or type(error).__name__)
            return None

    def _mac(self, name: bytes, data: bytes) -> bytes:
        return hmac.digest(self._key, name + data, "sha256")

    def _read(self, name: bytes, value: bytes) -> Reply | None:
        mac, data = value[:MAC_BYTES], value[MAC_BYTES:]
        if len(data) > 2 * limits.STEP_BYTES_MAX or not hmac.compare_digest(mac, self._mac(name, data)):
            _log.warning("a result in the store is not of our making", name=name.hex()[:16])
            return None
        try:
            return items_from_pb(work_pb2.KeptResult.FromString(data).outputs)
        except (DecodeError, ProtocolBroken):
            return None


def read_key(path: Path) -> bytes:
    """The key that nodes share. Raises `ConfigRefused`."""
    try:
        with path.open("rb") as file:
            key = file.read(KEY_BYTES_MAX)
    except OSError as error:
        raise ConfigRefused(
            f"the key cannot be read: {error.strerror or error}", place=str(path), remedy="check the path"
        ) from error
    if len(key) < KEY_BYTES_MIN:
        raise ConfigRefused(
            f"the key has {len(key)} bytes, at least {KEY_BYTES_MIN}",
            place=str(path),
            remedy="make one: head -c 32 /dev/urandom > key, and copy it to every node",
        )
    return key


def _client(url: str, password: str | None) -> tuple[tuple[type[Exception], ...], Any]:
    try:
        redis = importlib.import_module("redis.asyncio")
        errors = importlib.import_module("redis.exceptions")
    except ImportError as error:
        raise NotBuilt(
            "sharing results over Redis needs its client",
            place="result_cache.redis",
            remedy="pip install 'neural-swarm[redis]'",
        ) from error
    try:
        client = redis.from_url(url, password=password, socket_timeout=1.0, socket_connect_timeout=1.0)
    except ValueError as error:
        raise ConfigRefused(
            f"this is no address of a Redis: {error}",
            place="result_cache.redis",
            remedy="write redis://HOST:PORT/0, or rediss:// over TLS",
        ) from error
    return (errors.RedisError, TimeoutError, OSError), client
