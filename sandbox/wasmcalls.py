"""Calls into WebAssembly for the price of a C call, under a deadline.

The public call of wasmtime asks for the function's type each time, 5 to 17 us; the C entry point takes 0.5 us
and checks nothing, so whoever makes an entry here has verified the type before. It is reached through names
that wasmtime may change: without them the public call serves.

A deadline is a number of ticks. A thread advances the engine's epoch each millisecond, but only while calls
are being made; a call that has not returned after its ticks ends with a trap. Calls within one tick share the
deadline that the first of them has set.
"""

from __future__ import annotations

import ctypes
import functools
import threading
import time
from collections.abc import Callable
from typing import Final

import wasmtime

TICK_S: Final = 0.001
CONFIGURATION: Final = b"1: epochs, speed, no threads, memory64, multi-memory, relaxed simd"
"""Names what `configuration` says; machine code made under another name is not loaded."""
_IDLE_S: Final = 0.05  # without calls for so long, the ticker sleeps until the next one


@functools.cache
def engine() -> wasmtime.Engine:
    """The one engine of this process; made before forking, it costs the cells nothing."""
    return wasmtime.Engine(configuration())


def configuration() -> wasmtime.Config:
    """What every engine here has in common."""
    config = wasmtime.Config()
    config.epoch_interruption = True
    config.cranelift_opt_level = "speed"
    config.parallel_compilation = False  # its threads would not survive a fork
    config.wasm_threads = False
    config.wasm_memory64 = False
    config.wasm_multi_memory = False
    config.wasm_relaxed_simd = False  # gives other bits on other processors
    return config


class Ticker:
    """Advances the epoch of an engine each millisecond, but only while calls are being made.

    Callers and the thread share no lock. `begin` notes the call before it looks whether the thread sleeps,
    and the thread says that it will sleep before it looks for calls: one of the two sees the other.
    """

    def __init__(self, ticked: wasmtime.Engine) -> None:
        self._engine = ticked
        self._wake = threading.Event()
        self._running: list[None] = []  # one per call under way: append and pop are atomic, += is not
        self._asked = False
        self._awake = False
        self.now = 0  # ticks so far
        threading.Thread(target=self._run, name="epoch", daemon=True).start()

    def begin(self) -> None:
        self._running.append(None)
        self._asked = True
        if not self._awake:
            self._wake.set()

    def end(self) -> None:
        self._running.pop()

    def _run(self) -> None:
        quiet_s = _IDLE_S
        while True:
            if self._running or self._asked:
                self._asked, quiet_s = False, 0.0
            elif quiet_s >= _IDLE_S:
                self._wake.clear()
                self._awake = False
                if not self._asked:
                    self._wake.wait()
                self._awake = True
                continue
            time.sleep(TICK_S)
            quiet_s += TICK_S
            self._engine.increment_epoch()
            self.now += 1


@functools.cache
def ticker() -> Ticker:
    return Ticker(engine())


def reason(error: object) -> str:
    """What a trap or an error of wasmtime says in its last line; the others are a backtrace."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("wasm trap: ") if lines else "unknown"


def entry(store: wasmtime.Store, function: wasmtime.Func) -> Callable[[int], None]:
    """A callable for a verified function of at most one i32 parameter (ignored where it has none)."""
    takes_argument = bool(function.type(store).params)
    try:
        return _unchecked(store, function, takes_argument=takes_argument)
    except (ImportError, AttributeError):
        arguments = (lambda rows: (rows,)) if takes_argument else (lambda _: ())

    return lambda rows: function(store, *arguments(rows))


def _unchecked(
    store: wasmtime.Store, function: wasmtime.Func, *, takes_argument: bool
) -> Callable[[int], None]:
    from wasmtime import _ffi as ffi  # noqa: PLC0415  (private: its absence is a case, not an error)

    pointer = ctypes.c_void_p
    raw = (ffi.wasmtime_val_raw_t * 1)()
    trap = ctypes.POINTER(ffi.wasm_trap_t)()
    call = ctypes.CFUNCTYPE(pointer, pointer, pointer, pointer, ctypes.c_size_t, pointer)(
        ("wasmtime_func_call_unchecked", ffi.dll)
    )
    # Arguments that are ctypes objects already cost a call 0.2 us less than numbers.
    arguments = (
        ctypes.cast(store._context(), pointer),  # noqa: SLF001
        pointer(ctypes.addressof(function._func)),  # noqa: SLF001
        pointer(ctypes.addressof(raw)),
        ctypes.c_size_t(1),
        pointer(ctypes.addressof(trap)),
    )

    argument = raw[0] if takes_argument else None

    def enter(rows: int, _keep: tuple[object, ...] = (store, function, raw)) -> None:
        if argument is not None:
            argument.i32 = rows
        error = call(*arguments)
        if error:
            raise wasmtime.WasmtimeError._from_ptr(  # noqa: SLF001
                ctypes.cast(error, ctypes.POINTER(ffi.wasmtime_error_t))
            )
        if trap:  # type: ignore[truthy-bool]  # ctypes: a null pointer is false
            owned = ctypes.cast(trap, ctypes.POINTER(ffi.wasm_trap_t))
            ctypes.memset(ctypes.addressof(trap), 0, ctypes.sizeof(trap))
            raise wasmtime.Trap._from_ptr(owned)  # noqa: SLF001

    return enter
