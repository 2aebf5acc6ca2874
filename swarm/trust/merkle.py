"""A tree of hashes over a list that only grows, hashed as RFC 9162 (section 2) prescribes.

The root of the tree speaks for every entry and for their order. Two short lists of hashes -- some twenty for
a million entries -- then prove things to somebody who has nothing but roots: an *inclusion* proof, that an
entry stands at its place; a *consistency* proof, that a larger tree begins with all of a smaller one, so that
nothing was altered, exchanged or taken out since.

`Frontier` remembers as little as appending needs: one hash for each 1 in the binary form of its size. `Tree`
remembers every hash and makes proofs. `included` and `consistent` check them and need neither.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

HASH_BYTES = 32
SIZE_BITS_MAX = 62
EMPTY_ROOT = hashlib.sha256().digest()

_LEAF = b"\x00"  # leaves and nodes are hashed apart, so that no node can be passed off as an entry
_NODE = b"\x01"


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry."""
    return hashlib.sha256(_LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two neighbouring subtrees."""
    return hashlib.sha256(_NODE + left + right).digest()


class Frontier:
    """A tree that can only grow and say its root; its size in memory is the logarithm of its entries."""

    def __init__(self) -> None:
        self.size = 0
        self.peaks: list[bytes] = []  # roots of complete subtrees, the largest first

    def append(self, leaf: bytes) -> None:
        """Add the hash of an entry."""
        self.append_subtree(0, leaf)

    def append_subtree(self, height: int, root: bytes) -> None:
        """Add 2**height entries at once by the root over them; the size must be a multiple of as many."""
        count = 1 << height
        if self.size % count:
            raise ValueError(f"a subtree of {count} entries cannot begin at entry {self.size}")
        position = self.size >> height
        while position & 1:
            root = node_hash(self.peaks.pop(), root)
            position >>= 1
        self.peaks.append(root)
        self.size += count

    def root(self, tail: Frontier | None = None) -> bytes:
        """The root over all entries, and those of `tail` behind them: fewer than any subtree here has."""
        peaks = self.peaks if tail is None else self.peaks + tail.peaks
        if not peaks:
            return EMPTY_ROOT
        root = peaks[-1]
        for peak in reversed(peaks[:-1]):
            root = node_hash(peak, root)
        return root


class Tree:
    """A tree that makes proofs for any of its sizes. Its beginning may be known by roots alone."""

    def __init__(self) -> None:
        self.size = 0
        # By height: roots of complete subtrees, one after the other, and the position of the first one.
        self._levels: list[bytearray] = []
        self._starts: list[int] = []

    def append(self, leaf: bytes) -> None:
        """Add the hash of an entry."""
        self.append_subtree(0, leaf)

    def append_subtree(self, height: int, root: bytes) -> None:
        """Add 2**height entries by the root over them; no proof about the inside of them can be made."""
        count = 1 << height
        if self.size % count:
            raise ValueError(f"a subtree of {count} entries cannot begin at entry {self.size}")
        position = self.size >> height
        self._put(height, position, root)
        while position & 1:
            left = self._at(height, position - 1)
            assert left is not None  # size is a multiple of `count`, so all that is left of it is known
            root, height, position = node_hash(left, root), height + 1, position >> 1
            self._put(height, position, root)
        self.size += count

    def root(self, size: int | None = None) -> bytes:
        """The root over the first `size` entries."""
        size = self.size if size is None else size
        self._within(size)
        return self._over(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Proof that the entry at `index` is one of the first `size`. Raises `LookupError` where unknown."""
        size = self.size if size is None else size
        self._within(size)
        if not 0 <= index < size:
            raise LookupError(f"entry {index} is none of the first {size}")
        path: list[bytes] = []
        begin, end = 0, size
        while end - begin > 1:
            middle = begin + _left(end - begin)
            if index < middle:
                path.append(self._over(middle, end))
                end = middle
            else:
                path.append(self._over(begin, middle))
                begin = middle
        path.reverse()
        return path

    def consistency(self, before: int, size: int | None = None) -> list[bytes]:
        """Proof that the first `size` entries begin with the first `before`."""
        size = self.size if size is None else size
        self._within(size)
        if not 0 < before <= size:
            raise LookupError(f"{before} entries are not the beginning of {size}")
        path: list[bytes] = []
        begin, end, whole = 0, size, True
        while before != end:
            middle = begin + _left(end - begin)
            if before <= middle:
                path.append(self._over(middle, end))
                end = middle
            else:
                path.append(self._over(begin, middle))
                begin, whole = middle, False
        if not whole:
            path.append(self._over(begin, end))
        path.reverse()
        return path

    def _over(self, begin: int, end: int) -> bytes:
        """The root over entries `begin` to `end`, which are a subtree of some size of this tree."""
        peaks: list[bytes] = []
        while begin < end:
            height = (end - begin).bit_length() - 1
            found = self._at(height, begin >> height)
            if found is None:
                raise LookupError(f"nothing is known of the inside of entries {begin} to {end}")
            peaks.append(found)
            begin += 1 << height
        root = peaks.pop()
        while peaks:
            root = node_hash(peaks.pop(), root)
        return root

    def _put(self, height: int, position: int, root: bytes) -> None:
        while len(self._levels) <= height:
            self._levels.append(bytearray())
            self._starts.append(-1)
        level = self._levels[height]
        if not level:
            self._starts[height] = position
        elif position != self._starts[height] + len(level) // HASH_BYTES:
            raise ValueError("only the beginning of a tree can be known by its roots alone")
        level += root

    def _at(self, height: int, position: int) -> bytes | None:
        if height >= len(self._levels) or position < self._starts[height]:
            return None
        offset = (position - self._starts[height]) * HASH_BYTES
        return bytes(self._levels[height][offset : offset + HASH_BYTES]) or None

    def _within(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise LookupError(f"this tree has {self.size} entries, not {size}")


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that the entry with this hash is number `index` of `size` under `root`."""
    if not 0 <= index < size or size.bit_length() > SIZE_BITS_MAX or not _hashes(path):
        return False
    position, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            found = node_hash(step, found)
            while position and not position & 1:  # this subtree had no right neighbour up to here
                position >>= 1
                last >>= 1
        else:
            found = node_hash(found, step)
        position >>= 1
        last >>= 1
    return last == 0 and found == root


def consistent(before: int, old: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that the tree of `size` entries begins with the tree of `before` entries."""
    if not 0 < before <= size or size.bit_length() > SIZE_BITS_MAX or not _hashes(path):
        return False
    if before == size:
        return not path and old == root
    steps = [old, *path] if before & (before - 1) == 0 else list(path)
    if not steps:
        return False
    position, last = before - 1, size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    smaller = larger = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            smaller, larger = node_hash(step, smaller), node_hash(step, larger)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            larger = node_hash(larger, step)
        position >>= 1
        last >>= 1
    return last == 0 and smaller == old and larger == root


def _left(count: int) -> int:
    """How many of `count` entries the left subtree has: the largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _hashes(path: Sequence[bytes]) -> bool:
    return len(path) <= SIZE_BITS_MAX and all(len(step) == HASH_BYTES for step in path)
