"""Private copies of what cells left in shared memory, in memory that was used before where there is some.

New memory is what a large copy spends most of its time on: the kernel has to find it, clear it and map it,
and under a virtual machine the host as well. A copy that its caller has let go of is memory that is mapped
and warm, so the latest ones are kept. One is written again when nobody but its keeper refers to it, which is
when it would have been freed: to everybody else it is new memory at an old address.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from sandbox.tensors import Array

ENVIRONMENT: Final = {"GLIBC_TUNABLES": "glibc.cpu.x86_non_temporal_threshold=4194304"}
"""For daemons and cells, from their start on: the C library writes copies of more than 4 MiB past the caches,
which spares it reading what they overwrite. By default it does so only for what is larger than all caches."""

COPIES_KEPT_MAX: Final = 4  # by one daemon: a caller often holds the last answer while it asks for the next
COPIES_KEPT_BYTES_MAX: Final = 256 << 20
_HUGE_BYTES: Final = 2 << 20
_LARGE_BYTES: Final = 2 * _HUGE_BYTES
_HASH_AT: Final = (
    bytes.__basicsize__ - 1 - ctypes.sizeof(ctypes.c_ssize_t)
)  # of an object, just before its bytes
_UNKNOWN_HASH: Final = -1


class Copies:
    """Makes copies for one daemon, whose loop alone calls it."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []  # the latest last

    def make(self, view: memoryview) -> bytes:
        """The bytes of a view as they are now."""
        size = len(view)
        if size < _LARGE_BYTES:
            return bytes(view)
        for at, found in enumerate(map(len, self._kept)):
            if found == size and _is_free(self._kept, at):
                made = self._kept.pop(at)
                break
        else:
            made = _new(size)
        copy(_memory_of(made), np.frombuffer(view, np.uint8))
        self._keep(made)
        return made

    def _keep(self, made: bytes) -> None:
        if not _CAN_REUSE or len(made) > COPIES_KEPT_BYTES_MAX:
            return
        self._kept.append(made)
        while len(self._kept) > COPIES_KEPT_MAX or sum(map(len, self._kept)) > COPIES_KEPT_BYTES_MAX:
            del self._kept[0]

    def clear(self) -> None:
        """Keep nothing any more."""
        self._kept.clear()


def _references(kept: list[bytes], at: int) -> int:
    return sys.getrefcount(kept[at])


_FREE: Final = _references([bytes(_HUGE_BYTES)], 0)  # what the list itself, and asking, come to


def _is_free(kept: list[bytes], at: int) -> bool:
    """Whether nobody but the list refers to it, and it looks as if nobody ever had."""
    if _references(kept, at) != _FREE:
        return False
    _hash_of(kept[at]).value = _UNKNOWN_HASH  # it remembers that of the bytes it had
    return True


def _hash_of(made: bytes) -> ctypes.c_ssize_t:
    return ctypes.c_ssize_t.from_address(id(made) + _HASH_AT)


def _finds_hash() -> bool:
    """Whether this interpreter counts references at once, and keeps a hash where we think it does."""
    probe = bytes(_HUGE_BYTES)
    if not getattr(sys, "_is_gil_enabled", lambda: True)() or _hash_of(probe).value != _UNKNOWN_HASH:
        return False
    return hash(probe) == _hash_of(probe).value


_CAN_REUSE: Final = sys.implementation.name == "cpython" and _finds_hash()


def _new(size: int) -> bytes:
    """Bytes yet to be written, in huge pages where there are some, which is several times faster."""
    # New bytes may be filled before anybody else has seen them: the C interface says so.
    make = ctypes.pythonapi.PyBytes_FromStringAndSize
    make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_ssize_t)
    made: bytes = make(None, size)
    address = _address(made)
    start = -(-address // _HUGE_BYTES) * _HUGE_BYTES
    length = (address + size - start) // mmap.PAGESIZE * mmap.PAGESIZE
    _madvise(start, length, mmap.MADV_HUGEPAGE)  # advice: where it is not taken, the copy is only slower
    return made


def _address(made: bytes) -> int:
    return id(made) + bytes.__basicsize__ - 1


def _memory_of(made: bytes) -> Array:
    place = (ctypes.c_char * len(made)).from_address(_address(made))
    return np.frombuffer(memoryview(place).cast("B"), np.uint8)


@functools.cache
def _helper() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="copy")


def copy(target: Array, source: Array) -> None:
    """Copy many bytes, half of them on another processor if there is one to be had."""
    middle = len(target) // 2
    try:
        other = _helper().submit(np.copyto, target[:middle], source[:middle])
    except RuntimeError:  # the cell has all the threads it may have
        np.copyto(target, source)
        return
    np.copyto(target[middle:], source[middle:])
    other.result()


_madvise: Final[Any] = ctypes.CDLL(None).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
