"""Shared memory for payloads too large for a socket: lent by the daemon, never taken from a cell.

The daemon makes every piece as a memory file, sizes it and seals its size, so that nobody can shrink it
under a reader. A cell gets the pieces for its inputs read-only and one piece for its answers; it has no
way to hand a descriptor back. Pieces stay mapped and are used again: memory that is already there costs a
copy, new memory costs several times that.

    input    the daemon copies payloads in, sends the call, and has the piece back with the answer. An agent
             that still holds an array of it says so, and keeps the piece: the next call gets another.
    answer   the cell asks for room, waits for the grant, copies in and answers. The daemon copies out before
             it looks at a byte, because the cell could change them meanwhile. A grant is given when the
             frames before it have been read, so an answer is never overwritten by the next one.

What is larger than `KEPT_BYTES_MAX`, and from `HELD_BYTES` on what a caller wants to have outside of this
process, gets a piece that serves one call: the cell is told so, and neither side keeps it. Such an answer can
be left where it is for a caller who copies it elsewhere (`Held`), such an input comes from a file (`Stored`),
and a cell maps of its answer only what it writes at the moment.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
from collections.abc import Sequence
from typing import Final

import numpy as np

from sandbox.copies import Copies, copy
from sandbox.frames import Data
from sandbox.outside import Stored
from sandbox.rows import Bulk
from sandbox.spec import INPUT_PIECES_MAX, PIECE_BYTES_MAX
from sandbox.tensors import Encoded

GRANT: Final = struct.Struct(
    "<QBB6x"
)  # body of a PIECE frame: bytes of the piece, whether a descriptor comes along, whether it serves one call
WANT: Final = struct.Struct("<Q")
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_HALVED_BYTES: Final = 8 << 20  # from here on, a second processor is worth waking
KEPT_BYTES_MAX: Final = 256 << 20  # a piece for more serves one call: what is kept mapped has a bound
HELD_BYTES: Final = 32 << 20  # so does one for so much, where its caller wants it outside of this process
_WINDOW_BYTES: Final = 16 << 20  # of a large answer that a cell has mapped while it writes it


class Piece:
    """One piece as the daemon holds it. `once`: it serves one call."""

    def __init__(self, number: int, size: int, *, once: bool = False) -> None:
        self.number = number
        self.size = size
        self.once = once
        self.descriptor = os.memfd_create(f"cell-{number}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, size)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)
        self.memory = mmap.mmap(self.descriptor, size)

    def handle(self, *, writable: bool) -> int:
        """A descriptor for the cell; the caller closes it."""
        mode = os.O_RDWR if writable else os.O_RDONLY
        return os.open(f"/proc/self/fd/{self.descriptor}", mode | os.O_CLOEXEC)

    def close(self) -> None:
        """Give the memory back; twice is harmless."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(BufferError):  # whoever still copies from it is the last to hold it
                self.memory.close()
            os.close(descriptor)

    def __del__(self) -> None:
        """For a piece whose owner was cancelled: a descriptor is nothing the collector would close."""
        if getattr(self, "descriptor", -1) >= 0:
            os.close(self.descriptor)


class Lender:
    """All pieces of one cell, on the daemon's side."""

    def __init__(self, kept_bytes_max: int, copies: Copies | None = None) -> None:
        self._copies = copies or Copies()
        self._kept_bytes_left = kept_bytes_max
        self._free: list[Piece] = []
        self._lent: dict[int, Piece] = {}
        self._answers: Piece | None = None
        self._number = 0

    def lend(self, size: int, *, once: bool = False) -> tuple[Piece, bool] | None:
        """A piece for an input, and whether the cell has yet to be told of it; None: use the socket."""
        if size > PIECE_BYTES_MAX or len(self._lent) >= INPUT_PIECES_MAX:
            return None
        once = once or size > KEPT_BYTES_MAX
        fitting = [piece for piece in self._free if piece.size >= size and not once]
        if fitting:
            piece = min(fitting, key=lambda piece: piece.size)
            self._free.remove(piece)
        else:
            if self._kept_bytes_left < size:
                return None
            for small in self._free:
                small.close()
            self._free.clear()
            piece = self._make(size, once=once)
        self._lent[piece.number] = piece
        return piece, not fitting

    def take_back(self, number: int, *, kept: bool) -> None:
        """A call is answered; what its agent kept is not used again."""
        piece = self._lent.pop(number, None)
        if piece is None:
            return
        if kept:
            self._kept_bytes_left -= piece.size
        if kept or piece.once:
            piece.close()
        else:
            self._free.append(piece)

    def grant(self, size: int, *, once: bool = False) -> tuple[Piece, bool]:
        """Room for the next answer, and whether the cell has to be told of it."""
        once = once or size > KEPT_BYTES_MAX
        if self._answers is not None and self._answers.size >= size and not once:
            return self._answers, False
        if self._answers is not None:
            self._answers.close()
        self._answers = self._make(size, once=once)
        return self._answers, True

    def take(self, size: int) -> bytes:
        """A private copy of the answer in the room that was granted."""
        assert self._answers is not None
        copied = self._copies.make(memoryview(self._answers.memory)[:size])
        if self._answers.once:
            self.give_away().close()
        return copied

    def give_away(self) -> Piece:
        """The room that was granted, with the answer in it; whoever has it now closes it."""
        assert self._answers is not None
        piece, self._answers = self._answers, None
        return piece

    def _make(self, size: int, *, once: bool) -> Piece:
        self._number += 1
        return Piece(self._number, max(mmap.PAGESIZE, 1 << (size - 1).bit_length()), once=once)

    def close(self) -> None:
        """Give all memory up."""
        pieces = [*self._free, *self._lent.values()]
        for piece in pieces if self._answers is None else [*pieces, self._answers]:
            piece.close()
        self._free.clear()
        self._lent.clear()
        self._answers = None


def load(target: int, payloads: Sequence[Data | Encoded | Stored]) -> None:
    """Write payloads into a piece by its descriptor, one behind the other: none of it is mapped here."""
    at = 0
    for payload in payloads:
        if isinstance(payload, Stored):
            payload.copy_to(target, at)
            at += len(payload)
            continue
        for part in payload.parts if isinstance(payload, Encoded) else (payload,):
            view = memoryview(part)
            while view:
                written = os.pwrite(target, view, at)
                view, at = view[written:], at + written


def fill(memory: mmap.mmap, payloads: Sequence[Data | Encoded]) -> None:
    """Copy payloads into a piece, one behind the other."""
    at = 0
    for payload in payloads:
        for part in payload.parts if isinstance(payload, Encoded) else (payload,):
            end = at + len(part)
            if end - at < _HALVED_BYTES:
                memory[at:end] = part
            else:
                copy(np.frombuffer(memory, np.uint8)[at:end], np.frombuffer(part, np.uint8))
            at = end


def _fill_in_windows(memory: mmap.mmap, payloads: Sequence[Data | Encoded]) -> None:
    """The same, and what was written leaves the memory of this process at once; the piece still has it."""
    at = gone = 0
    for payload in payloads:
        for part in payload.parts if isinstance(payload, Encoded) else (payload,):
            view = memoryview(part)
            for start in range(0, len(view), _WINDOW_BYTES):
                window = view[start : start + _WINDOW_BYTES]
                memory[at : at + len(window)] = window
                at += len(window)
                whole = (at - gone) // mmap.PAGESIZE * mmap.PAGESIZE
                if whole:
                    memory.madvise(mmap.MADV_DONTNEED, gone, whole)
                    gone += whole


class Borrower:
    """The pieces a cell was lent, on its own side."""

    def __init__(self) -> None:
        self._inputs: dict[int, mmap.mmap] = {}
        self._answers: mmap.mmap | None = None
        self._once: set[mmap.mmap] = set()  # those that serve one call
        self._views: list[memoryview] = []
        self._number = 0

    def add(self, number: int, size: int, descriptor: int, *, once: bool = False) -> bool:
        """Map a new piece; whether it is room for answers, the descriptor says."""
        writable = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
        protection = mmap.PROT_READ | mmap.PROT_WRITE if writable else mmap.PROT_READ
        memory = mmap.mmap(descriptor, size, prot=protection)
        os.close(descriptor)
        if writable and self._answers is not None:
            self._once.discard(self._answers)
        if once:
            self._once.add(memory)
        if writable:
            self._answers = memory
            return True
        if len(self._inputs) >= INPUT_PIECES_MAX:
            self._once.discard(self._inputs.pop(min(self._inputs)))  # the daemon has given it up
        self._inputs[number] = memory
        return False

    def open(self, number: int, size: int) -> Bulk:
        """The payloads of a call, as they lie in their piece."""
        self._number = number
        view = memoryview(self._inputs[number])[:size]
        self._views = [view]
        return Bulk(view, copied=False, given=self._views)

    def give_back(self) -> bool:
        """End every view of the call's piece; False if the agent still holds one."""
        if not self._views:
            return True
        for view in self._views:
            view.release()
        self._views = []
        memory = self._inputs[self._number]
        try:
            # A map for reading is never resized; but the first reason to refuse is that somebody uses it.
            memory.resize(0)
        except BufferError:
            del self._inputs[self._number]  # the agent's arrays keep it alive
            self._once.discard(memory)
            return False
        except TypeError:
            if memory in self._once:
                self._once.discard(memory)
                del self._inputs[self._number]
            return True
        raise AssertionError("a piece lent for reading could be written")

    def fill(self, payloads: Sequence[Data | Encoded]) -> None:
        """Put the payloads of an answer into the room that was granted."""
        assert self._answers is not None
        if self._answers in self._once:
            self._once.discard(self._answers)
            _fill_in_windows(self._answers, payloads)
            self._answers.close()
            self._answers = None
        else:
            fill(self._answers, payloads)
