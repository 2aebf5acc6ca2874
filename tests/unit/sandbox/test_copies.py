import os

import pytest

from sandbox import copies
from sandbox.copies import COPIES_KEPT_MAX, Copies

MIB = 1 << 20


def random_view(size: int) -> memoryview:
    return memoryview(os.urandom(size))


@pytest.mark.parametrize("size", [0, 1, MIB, 4 * MIB - 1, 4 * MIB, 9 * MIB + 5])
def test_a_private_copy_has_the_same_bytes(size: int) -> None:
    made = Copies()
    for _ in range(3):
        source = random_view(size)
        assert made.make(source) == source


def test_what_its_caller_let_go_of_is_written_again() -> None:
    made = Copies()
    first = made.make(random_view(4 * MIB))
    address, old_hash = id(first), hash(first)
    del first
    source = random_view(4 * MIB)
    second = made.make(source)
    assert id(second) == address
    assert second == source
    assert hash(second) == hash(bytes(source)) != old_hash


@pytest.mark.parametrize("hold", [bytes, memoryview, lambda data: {data}, lambda data: (b"x", data)])
def test_what_somebody_still_has_is_never_written_again(hold: object) -> None:
    made = Copies()
    source = random_view(4 * MIB)
    held = hold(made.make(source))  # type: ignore[operator]
    for _ in range(2 * COPIES_KEPT_MAX):
        made.make(random_view(4 * MIB))
    (found,) = held if isinstance(held, set) else (held[1] if isinstance(held, tuple) else held,)
    assert bytes(found) == source


def test_a_copy_of_another_size_is_new() -> None:
    made = Copies()
    made.make(random_view(4 * MIB))
    source = random_view(4 * MIB + 1)
    assert made.make(source) == source


def test_little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Copies()
    for size in range(2 * COPIES_KEPT_MAX):
        made.make(memoryview(bytes(4 * MIB + size)))
    assert len(made._kept) == COPIES_KEPT_MAX
    monkeypatch.setattr(copies, "COPIES_KEPT_BYTES_MAX", 9 * MIB)
    source = made.make(random_view(4 * MIB))
    assert [len(kept) for kept in made._kept] == [4 * MIB + 2 * COPIES_KEPT_MAX - 1, 4 * MIB]
    made.make(random_view(10 * MIB))
    assert made._kept[-1] is source
    made.clear()
    assert not made._kept


def test_an_interpreter_that_is_laid_out_otherwise_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert copies._finds_hash()
    monkeypatch.setattr(copies, "_CAN_REUSE", False)
    made = Copies()
    source = random_view(4 * MIB)
    assert made.make(source) == source
    assert not made._kept
