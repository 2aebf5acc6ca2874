"""The daemon's handle on one zygote: starting it, ordering cells from it, hearing of their ends.

The zygote is exec'ed, never forked from the daemon: the daemon has threads, TLS keys and open files,
and none of those may reach a cell. Orders and reports are small JSON messages on a socket that keeps
message borders; descriptors travel beside them. The zygote handles one order at a time, so orders wait
here for a turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from sandbox import linux
from sandbox.copies import ENVIRONMENT
from sandbox.errors import Broken, Refused
from sandbox.filters import program
from sandbox.lockdown import Order
from sandbox.spec import Profile, Tier

START_S: Final = 30.0
SPAWN_S: Final = 20.0
STOP_S: Final = 5.0
ORDERS_MAX: Final = 16  # under way at once; the kernel bounds descriptors in flight
ORDERS_PER_ZYGOTE: Final = 1000
ZYGOTE_AGE_S: Final = 3600.0
FIRST_ID: Final = (
    1_879_048_192  # of the 65536 host ids the cells of a root daemon get; above what systemd allots
)
_MESSAGE_BYTES_MAX: Final = 64 << 10
_ZONES: Final = "/usr/share/zoneinfo"
_BOOT: Final = (
    "import sys; sys.path += sys.argv[2].split(':'); from sandbox.zygote import main; main(int(sys.argv[1]))"
)
_ENVIRONMENT: Final = {
    "PATH": "/nonexistent",
    "HOME": "/cell",
    "TMPDIR": "/cell",
    "LANG": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    **ENVIRONMENT,
    "PYTHONDONTWRITEBYTECODE": "1",
}


def _names(text: str) -> list[str]:
    return text.split()


# What a strict agent may use must be imported before lockdown: no native code can be mapped after it.
_NATIVE: Final = _names("""
    array _asyncio binascii _bisect _blake2 _bz2 cmath _contextvars _csv _ctypes _datetime _decimal
    _elementtree _hashlib _heapq _json _lsprof _lzma math _md5 mmap _multibytecodec _opcode _pickle
    _posixshmem _queue _random resource select _sha1 _sha256 _sha3 _sha512 _socket _sqlite3
    _statistics _struct termios unicodedata _uuid zlib _zoneinfo _multiprocessing pyexpat fcntl grp
    _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw
""")
_COMMON: Final = _names("""
    asyncio base64 bisect collections copy csv dataclasses datetime decimal enum fractions functools
    hashlib heapq io itertools json logging operator pathlib queue random re secrets statistics
    string struct tempfile textwrap threading time traceback typing uuid weakref zlib
    concurrent.futures contextlib importlib inspect warnings encodings.idna encodings.ascii
    encodings.latin_1 numpy.random numpy.linalg numpy.fft numpy.lib numpy.ma numpy.polynomial
""")
# Cells do not see the system's libraries. These are what a wheel may expect of any system (manylinux), and
# whoever asks for them later finds them loaded.
_SYSTEM_LIBRARIES: Final = _names("""
    libdl.so.2 librt.so.1 libm.so.6 libpthread.so.0 libutil.so.1 libgcc_s.so.1 libstdc++.so.6
""")
_TOOLCHAIN: Final = "af"  # what networks that learn through torch are written in
_REQUIRED: Final[dict[Profile, tuple[str, ...]]] = {
    "strict": ("sandbox.serving", "sandbox.python_agent"),
    "native": ("sandbox.serving", "sandbox.python_agent"),
    "wasm": ("sandbox.serving", "sandbox.python_agent", "sandbox.wasm", "sandbox.wasmcomponent"),
}


@dataclass(frozen=True, slots=True)
class Exit:
    """How a cell ended, as its parent saw it."""

    status: int
    cpu_ms: float
    memory_peak_bytes: int


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise Refused(f"package {name} is not installed", place="zygote", remedy=f"pip install {name}")
    return Path(spec.origin).parent


def _layout(profile: Profile) -> tuple[list[str], list[str]]:
    """Where the zygote imports from, and which host paths its cells will see."""
    ours, numpy = Path(__file__).resolve().parent, _package("numpy")
    imports = [str(ours.parent), str(numpy.parent)]
    seen = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(ours), str(numpy), _ZONES}
    seen.add(f"{numpy}.libs")
    if profile == "wasm":
        imports.append(str(_package("wasmtime").parent))
        seen.add(str(_package("wasmtime")))
    if profile == "native":
        seen.add(str(numpy.parent))
        if importlib.util.find_spec(_TOOLCHAIN) is not None:  # where it is not installed beside numpy
            imports.append(str(_package(_TOOLCHAIN).parent))
            seen.add(str(_package(_TOOLCHAIN)))
    return list(dict.fromkeys(imports)), sorted(seen)


class Nursery:
    """One running zygote."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, errors: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = process
        self._control = control
        self._errors = errors
        self._ready: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._spawning: dict[int, asyncio.Future[int]] = {}
        self._exits: dict[int, Callable[[Exit], None]] = {}
        self._turns = asyncio.Semaphore(ORDERS_MAX)
        self._closed = False
        self._orders = 0
        self._started_at = self._loop.time()
        self.is_retiring = False  # the warden is making a fresh one
        self._loop.add_reader(control.fileno(), self._receive)

    @classmethod
    async def start(
        cls, profile: Profile, tier: Tier, programs: tuple[bytes, bytes] | None = None
    ) -> Nursery:
        """Start a zygote and wait until it can take orders; raises `Refused` with its own words."""
        imports, sources = _layout(profile)
        if programs is None:
            tight = program("strict", linux.MACHINE) if profile == "wasm" else b""
            programs = program(profile, linux.MACHINE), tight
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        errors = os.memfd_create("zygote-stderr")
        with theirs:
            process = subprocess.Popen(  # noqa: ASYNC220  (returns once exec has happened, about a millisecond)
                [sys.executable, "-I", "-S", "-c", _BOOT, str(theirs.fileno()), ":".join(imports)],
                env=_ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        ours.setblocking(False)
        nursery = cls(process, ours, errors)
        config = {
            "daemon": os.getpid(),
            "tier": tier,
            "profile": profile,
            "first_id": FIRST_ID,
            "sources": sources,
            "required": _REQUIRED[profile],
            "optional": [] if profile == "wasm" else _NATIVE + _COMMON,
            "libraries": _SYSTEM_LIBRARIES if profile == "native" else [],
            "program": programs[0].hex(),
            "tight_program": programs[1].hex(),
        }
        try:
            ours.send(json.dumps(config).encode())
            await asyncio.wait_for(nursery._ready, START_S)
        except (OSError, TimeoutError, Broken) as error:
            words = nursery.last_words()
            await nursery.close()
            raise Refused(f"the zygote did not start: {words or error}", place=f"zygote.{profile}") from error
        except BaseException:
            await nursery.close()
            raise
        return nursery

    def last_words(self) -> str:
        """What the zygote wrote to its error output."""
        size = os.fstat(self._errors).st_size
        return os.pread(self._errors, 2000, max(0, size - 2000)).decode(errors="replace").strip()

    @property
    def landlock_abi(self) -> int:
        return int(self._ready.result()["landlock_abi"])

    @property
    def is_alive(self) -> bool:
        return not self._closed

    @property
    def is_worn(self) -> bool:
        """All cells of a zygote have its address layout: what one learns of it helps in the next."""
        return self._orders >= ORDERS_PER_ZYGOTE or self._loop.time() - self._started_at > ZYGOTE_AGE_S

    @property
    def cells(self) -> int:
        """How many are alive or being made."""
        return len(self._exits)

    async def spawn(self, order: Order, descriptors: Sequence[int], on_exit: Callable[[Exit], None]) -> int:
        """Have a cell forked; returns a pidfd of it. `on_exit` is called once, when it is gone."""
        async with self._turns:
            if self._closed:
                raise Broken("the zygote is gone", place="zygote")
            spawned: asyncio.Future[int] = self._loop.create_future()
            self._spawning[order.serial] = spawned
            self._exits[order.serial] = on_exit
            self._orders += 1
            try:
                socket.send_fds(self._control, [json.dumps(asdict(order)).encode()], list(descriptors))
                return await asyncio.wait_for(asyncio.shield(spawned), SPAWN_S)
            except BaseException as error:
                # The cell may still come; its channel is closed by the caller, so it ends by itself.
                self._exits.pop(order.serial, None)
                spawned.add_done_callback(_close_handle)
                if isinstance(error, OSError):
                    raise Broken(f"the zygote takes no orders: {error}", place="zygote") from error
                raise
            finally:
                if spawned.done():
                    self._spawning.pop(order.serial, None)

    def _receive(self) -> None:
        try:
            text, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES_MAX, 4)
        except BlockingIOError:
            return
        except OSError:
            text, descriptors = b"", []
        if not text:
            self._lost(Broken(f"the zygote is gone: {self.last_words() or 'no last words'}", place="zygote"))
            return
        message = json.loads(text)
        if "ready" in message and not self._ready.done():
            self._ready.set_result(message)
        elif "fatal" in message:
            self._lost(Refused(message["fatal"], place="zygote"))
        elif "spawned" in message:
            future = self._spawning.pop(message["spawned"], None)
            if future is not None and not future.done():
                future.set_result(descriptors[0])
            else:
                os.close(descriptors[0])
        elif "exited" in message:
            on_exit = self._exits.pop(message["exited"], None)
            if on_exit is not None:
                on_exit(Exit(message["status"], message["cpu_ms"], message["memory_peak_bytes"]))

    def _lost(self, error: Broken | Refused) -> None:
        """The zygote has ended and the kernel has ended its cells with it."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._control.fileno())
        if not self._ready.done():
            self._ready.set_exception(error)
        for future in self._spawning.values():
            if not future.done():
                future.set_exception(error)
        exits, self._exits = self._exits, {}
        for on_exit in exits.values():
            on_exit(Exit(9, 0.0, 0))

    async def close(self) -> None:
        """End the zygote and with it every cell it made; returns when the process is gone."""
        self._lost(Broken("the zygote was closed", place="zygote"))
        self._control.close()
        try:
            await asyncio.to_thread(self._process.wait, STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        with contextlib.suppress(OSError):
            os.close(self._errors)


def _close_handle(spawned: asyncio.Future[int]) -> None:
    if not spawned.cancelled() and spawned.exception() is None:
        os.close(spawned.result())
