"""Machine code kept on disk, so that a module is compiled once per node and not once per process.

What wasmtime loads here is native code, and it checks nothing: whoever can change an entry owns the process.
So an entry counts only with a MAC made with a key of this node, over everything it is for: the module's
digest, wasmtime's version, the engine's configuration and this processor. Directory and key belong to the
user who runs the node and to nobody else; otherwise the cache is refused. Entries from elsewhere have no MAC
of this node and are compiled anew, like those that were cut or changed, or written by another wasmtime.

Only a process that compiles agents itself has one. A cell cannot keep one: it has no directory that outlives
it, and machine code that a cell hands out is a stranger's.

An entry is `AFNC`, the MAC (32 bytes, keyed BLAKE2b), then what `wasmtime.Module.serialize` gave. The cache
is bounded: when it grows beyond its bytes, the entries used longest ago go first.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import importlib.metadata
import os
import platform
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import wasmtime

from sandbox.errors import Refused
from sandbox.wasmcalls import CONFIGURATION

BYTES_MAX: Final = 256 * 1024 * 1024
ENTRY_BYTES_MAX: Final = 64 * 1024 * 1024
ENTRIES_MAX: Final = 4096
KEY_BYTES: Final = 32
_MAGIC: Final = b"AFNC"
_MAC_BYTES: Final = 32
_HEAD_BYTES: Final = len(_MAGIC) + _MAC_BYTES
_KEY_FILE: Final = "key"
_SUFFIX: Final = ".native"


@dataclass(slots=True)
class Counts:
    """What the cache has done so far."""

    hits: int = 0
    compiled: int = 0
    refused: int = 0  # entries that were cut, changed or not this node's
    evicted: int = 0


class NativeCache:
    """The compiled modules of one engine configuration on this node."""

    def __init__(
        self, folder: Path, configuration: bytes = CONFIGURATION, bytes_max: int = BYTES_MAX
    ) -> None:
        self._folder = folder
        self._bytes_max = bytes_max
        self.counts = Counts()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_private(folder, folder.lstat(), directory=True)
            self._key = _key(folder / _KEY_FILE)
        except OSError as error:
            raise _unusable(folder, f"it is not usable ({error.strerror})") from error
        self._context = b"\0".join(
            (_wasmtime_version(), configuration, platform.machine().encode(), _processor())
        )

    def module(self, engine: wasmtime.Engine, code: bytes) -> wasmtime.Module:
        """A module from the cache, or compiled and kept. Raises what compiling raises."""
        name = self._mac(b"name", hashlib.sha256(code).digest()).hex()
        path = self._folder / f"{name}{_SUFFIX}"
        native = self._read(path, code)
        if native is not None:
            with contextlib.suppress(wasmtime.WasmtimeError):
                module = wasmtime.Module.deserialize(engine, native)
                self.counts.hits += 1
                return module
            self.counts.refused += 1
        module = wasmtime.Module(engine, code)
        self.counts.compiled += 1
        self._write(path, code, bytes(module.serialize()))
        return module

    def _read(self, path: Path, code: bytes) -> bytes | None:
        """An entry's machine code, if every byte of it is what this node once wrote for this module."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError:
            self.counts.refused += 1
            return None
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(ENTRY_BYTES_MAX + 1)
            native = data[_HEAD_BYTES:]
            if (
                data[: len(_MAGIC)] != _MAGIC
                or len(data) > ENTRY_BYTES_MAX
                or not hmac.compare_digest(data[len(_MAGIC) : _HEAD_BYTES], self._entry_mac(code, native))
            ):
                self.counts.refused += 1
                return None
            with contextlib.suppress(OSError):  # the time of its last use; a cache without it still works
                os.utime(file.fileno())
        return native

    def _write(self, path: Path, code: bytes, native: bytes) -> None:
        """Keep an entry whole or not at all. A disk that is full costs the cache, not the caller."""
        data = _MAGIC + self._entry_mac(code, native) + native
        if len(data) > min(ENTRY_BYTES_MAX, self._bytes_max):
            return
        temporary = path.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}")
        try:
            _write_private(temporary, data)
            temporary.replace(path)
            self._evict()
        except OSError:
            temporary.unlink(missing_ok=True)

    def _evict(self) -> None:
        entries = []
        for entry in os.scandir(self._folder):
            if entry.name != _KEY_FILE:
                with contextlib.suppress(FileNotFoundError):
                    about = entry.stat(follow_symlinks=False)
                    entries.append((about.st_mtime_ns, about.st_size, entry.path))
        entries.sort(reverse=True)
        kept_bytes = 0
        for number, (_, size, path) in enumerate(entries):
            kept_bytes += size
            if kept_bytes > self._bytes_max or number >= ENTRIES_MAX:
                Path(path).unlink(missing_ok=True)
                self.counts.evicted += 1

    def _entry_mac(self, code: bytes, native: bytes) -> bytes:
        return self._mac(b"entry", hashlib.sha256(code).digest(), hashlib.sha256(native).digest())

    def _mac(self, purpose: bytes, *digests: bytes) -> bytes:
        mac = hashlib.blake2b(key=self._key, digest_size=_MAC_BYTES, person=purpose)
        for digest in digests:
            mac.update(digest)
        mac.update(self._context)
        return mac.digest()


def _key(path: Path) -> bytes:
    """This node's key, made at the first use; two processes that start together agree on one."""
    temporary = path.with_name(f"{_KEY_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        _write_private(temporary, secrets.token_bytes(KEY_BYTES))
        try:
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        _check_private(path, os.fstat(file.fileno()), directory=False)
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise _unusable(path, f"a key has {KEY_BYTES} bytes, this one {len(key)}")
    return key


def _write_private(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)


def _check_private(path: Path, about: os.stat_result, *, directory: bool) -> None:
    if stat.S_ISDIR(about.st_mode) is not directory:
        raise _unusable(path, "it is not a directory" if directory else "it is not a file")
    if about.st_uid != os.geteuid():
        raise _unusable(path, f"it belongs to user {about.st_uid}, this process is user {os.geteuid()}")
    if stat.S_IMODE(about.st_mode) & 0o077:
        raise _unusable(path, f"others may use it (mode {stat.S_IMODE(about.st_mode):o})")


def _unusable(path: Path, reason: str) -> Refused:
    return Refused(
        f"the cache of machine code is refused: {reason}",
        place=str(path),
        remedy="give an empty directory of this user's own, mode 0700",
    )


def _wasmtime_version() -> bytes:
    return importlib.metadata.version("wasmtime").encode()


def _processor() -> bytes:
    """What this processor can do: code for one need not run on another that shares a disk with it."""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open("rb") as file:
        for line in file:
            if line.startswith((b"flags", b"Features")):
                return hashlib.sha256(line).digest()
    return platform.processor().encode()
