import fcntl
import mmap
import os

import numpy as np
import pytest

from sandbox import tensors
from sandbox.shared import KEPT_BYTES_MAX, Borrower, Lender, Piece, fill
from sandbox.spec import INPUT_PIECES_MAX, PIECE_BYTES_MAX

MIB = 1 << 20


def lent(lender: Lender, size: int) -> Piece:
    found = lender.lend(size)
    assert found is not None
    return found[0]


def test_memory_for_inputs_cannot_be_written_or_resized_by_a_cell() -> None:
    lender = Lender(64 * MIB)
    piece = lent(lender, MIB)
    handle = piece.handle(writable=False)
    with pytest.raises(PermissionError):
        mmap.mmap(handle, MIB, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    with pytest.raises(OSError, match="Invalid argument"):
        os.ftruncate(handle, 1)
    os.close(handle)
    lender.close()


def test_memory_for_answers_cannot_be_resized_under_the_daemon() -> None:
    lender = Lender(64 * MIB)
    piece, is_new = lender.grant(MIB)
    assert is_new
    handle = piece.handle(writable=True)
    for size in (0, 2 * MIB):
        with pytest.raises(PermissionError):
            os.ftruncate(handle, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    os.close(handle)
    lender.close()


@pytest.mark.parametrize("size", [MIB, 9 * MIB])
def test_an_answer_is_copied_before_it_is_read(size: int) -> None:
    lender = Lender(64 * MIB)
    piece, _ = lender.grant(size)
    piece.memory[:size] = os.urandom(size)
    answer = lender.take(size)
    assert answer == bytes(memoryview(piece.memory)[:size])
    piece.memory[:4] = b"evil"
    assert answer[:4] != b"evil"
    lender.close()


def test_pieces_are_used_again_and_only_so_many_are_lent() -> None:
    lender = Lender(64 * MIB)
    first = lent(lender, MIB)
    lender.take_back(first.number, kept=False)
    assert lent(lender, MIB - 1) is first
    second = lent(lender, MIB)
    assert second is not first
    assert INPUT_PIECES_MAX == 2
    assert lender.lend(MIB) is None
    lender.take_back(first.number, kept=False)
    assert lent(lender, 3 * MIB).size == 4 * MIB
    assert lender.lend(PIECE_BYTES_MAX + 1) is None
    lender.close()


def test_a_large_piece_is_used_again_unless_it_serves_one_call() -> None:
    lender = Lender(1024 * MIB)
    large = 64 * MIB + 32
    kept = lent(lender, large)
    lender.take_back(kept.number, kept=False)
    assert lender.lend(large) == (kept, False)
    lender.take_back(kept.number, kept=False)
    for size, once in ((large, True), (KEPT_BYTES_MAX + 1, False)):
        found = lender.lend(size, once=once)
        assert found is not None
        piece, is_new = found
        assert (is_new, piece.once, piece is kept) == (True, True, False)
        lender.take_back(piece.number, kept=False)
        assert piece.descriptor == -1

    room, is_new = lender.grant(large)
    assert (lender.grant(large), is_new) == ((room, False), True)
    passing, is_new = lender.grant(large, once=True)
    assert (is_new, passing is room, room.descriptor) == (True, False, -1)
    passing.memory[:3] = b"abc"
    assert lender.take(3) == b"abc"
    assert passing.descriptor == -1
    lender.close()


def test_what_is_kept_is_paid_from_a_budget() -> None:
    lender = Lender(3 * MIB)
    for _ in range(2):
        lender.take_back(lent(lender, MIB).number, kept=True)
    lender.take_back(lent(lender, MIB).number, kept=False)
    assert lender.lend(MIB) is not None
    assert lender.lend(2 * MIB) is None
    lender.close()


def test_a_borrower_notices_an_array_that_is_still_held() -> None:
    lender, borrower = Lender(64 * MIB), Borrower()
    payload = tensors.encode(np.arange(MIB // 2, dtype=np.float32))
    piece = lent(lender, len(payload))
    fill(piece.memory, [payload])
    borrower.add(piece.number, piece.size, piece.handle(writable=False))

    array = tensors.decode(borrower.open(piece.number, len(payload)).take(len(payload)))
    assert array[7] == 7
    del array
    assert borrower.give_back()
    array = tensors.decode(borrower.open(piece.number, len(payload)).take(len(payload)))
    part = array[5:9]
    del array
    assert not borrower.give_back()
    assert part[0] == 5
    lender.close()


def test_an_array_not_yet_joined_is_written_as_its_encoding() -> None:
    for array in (np.arange(12.0).reshape(3, 4).T, np.arange(3, dtype=">i4"), np.zeros((0, 3))):
        encoded = tensors.Encoded(array)
        memory = mmap.mmap(-1, 4096)
        fill(memory, [encoded, b"end"])
        assert memory[: len(encoded) + 3] == tensors.encode(array) + b"end"
        assert tensors.flat(encoded) == tensors.encode(array)
