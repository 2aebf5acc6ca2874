"""The tree against the definitions of RFC 9162 written down naively, and against proofs that lie."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.trust.merkle import EMPTY_ROOT, Frontier, Tree, consistent, included, leaf_hash, node_hash

SIZES = st.integers(1, 130)


def entries(count):
    return [b"entry %d" % number for number in range(count)]


def naive_root(leaves):
    """MTH of section 2.1.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = naive_split(len(leaves))
    return hashlib.sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def naive_path(index, leaves):
    """PATH of section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    split = naive_split(len(leaves))
    if index < split:
        return [*naive_path(index, leaves[:split]), naive_root(leaves[split:])]
    return [*naive_path(index - split, leaves[split:]), naive_root(leaves[:split])]


def naive_proof(before, leaves, *, whole=True):
    """SUBPROOF of section 2.1.4.1."""
    if before == len(leaves):
        return [] if whole else [naive_root(leaves)]
    split = naive_split(len(leaves))
    if before <= split:
        return [*naive_proof(before, leaves[:split], whole=whole), naive_root(leaves[split:])]
    return [*naive_proof(before - split, leaves[split:], whole=False), naive_root(leaves[:split])]


def naive_split(count):
    split = 1
    while split * 2 < count:
        split *= 2
    return split


def tree_of(count):
    tree = Tree()
    for entry in entries(count):
        tree.append(leaf_hash(entry))
    return tree


def test_the_known_roots_of_the_first_sizes():
    # of the test data that Certificate Transparency implementations share
    data = [b"", b"\x00", b"\x10", b" !", b"01", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"]
    frontier = Frontier()
    assert (
        frontier.root()
        == EMPTY_ROOT
        == bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    )
    for entry in data:
        frontier.append(leaf_hash(entry))
    assert frontier.root().hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@given(size=st.integers(0, 130))
def test_every_root_is_that_of_the_definition(size):
    tree, frontier = tree_of(130), Frontier()
    for entry in entries(size):
        frontier.append(leaf_hash(entry))
    assert tree.root(size) == frontier.root() == naive_root(entries(size))


@given(size=SIZES, data=st.data())
def test_an_inclusion_proof_is_that_of_the_definition_and_holds(size, data):
    index = data.draw(st.integers(0, size - 1))
    tree, leaves = tree_of(130), entries(size)
    path = tree.inclusion(index, size)
    assert path == naive_path(index, leaves)
    assert included(leaf_hash(leaves[index]), index, size, path, tree.root(size))


@given(size=SIZES, data=st.data())
def test_a_consistency_proof_is_that_of_the_definition_and_holds(size, data):
    before = data.draw(st.integers(1, size))
    tree, leaves = tree_of(130), entries(size)
    path = tree.consistency(before, size)
    assert path == naive_proof(before, leaves)
    assert consistent(before, tree.root(before), size, tree.root(size), path)


@given(size=st.integers(2, 130), data=st.data())
def test_an_inclusion_proof_holds_for_nothing_else(size, data):
    index, other = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True))
    tree, leaves = tree_of(size), entries(size)
    path, root = tree.inclusion(index), tree.root()
    leaf = leaf_hash(leaves[index])
    assert not included(leaf_hash(leaves[other]), index, size, path, root)
    assert not included(leaf, other, size, path, root)
    assert not included(leaf, index, size, path[:-1], root)
    assert not included(leaf, index, size, [*path, root], root)
    at = data.draw(st.integers(0, len(path) - 1))
    assert not included(leaf, index, size, [*path[:at], bytes(32), *path[at + 1 :]], root)
    assert not included(leaf, index, size, path, bytes(32))


@given(size=st.integers(2, 130), data=st.data())
def test_a_consistency_proof_does_not_hold_for_a_tree_that_was_altered(size, data):
    before = data.draw(st.integers(1, size - 1))
    altered = data.draw(st.integers(0, before - 1))
    tree, forged = tree_of(size), Tree()
    for number, entry in enumerate(entries(size)):
        forged.append(leaf_hash(b"another" if number == altered else entry))
    old, new = tree.root(before), forged.root()
    assert not consistent(before, old, size, new, forged.consistency(before))
    assert not consistent(before, old, size, new, tree.consistency(before))
    path = tree.consistency(before)
    assert not consistent(before, old, size, tree.root(), [*path, old])
    assert not consistent(before, old, size, tree.root(), path[:-1])


@given(
    index=st.integers(-2, 70),
    size=st.integers(-2, 70),
    path=st.lists(st.binary(min_size=31, max_size=33), max_size=70),
)
def test_rubbish_is_no_proof_and_no_crash(index, size, path):
    assert not included(bytes(32), index, size, path, EMPTY_ROOT)
    assert not consistent(index, EMPTY_ROOT, size, bytes(32), path)


@given(height=st.integers(0, 5), size=st.integers(1, 130))
def test_a_tree_that_knows_its_beginning_by_roots_alone_proves_the_rest(height, size):
    known = (size >> height) << height
    whole, tree, frontier = tree_of(size), Tree(), Frontier()
    for begin in range(0, known, 1 << height):
        root = naive_root(entries(size)[begin : begin + (1 << height)])
        tree.append_subtree(height, root)
        frontier.append_subtree(height, root)
    for entry in entries(size)[known:]:
        tree.append(leaf_hash(entry))
        frontier.append(leaf_hash(entry))
    assert tree.root() == frontier.root() == whole.root()
    for index in range(known, size):
        assert tree.inclusion(index) == whole.inclusion(index)
    if known and height:
        with pytest.raises(LookupError):
            tree.inclusion(0)


def test_a_subtree_begins_only_at_its_own_multiples():
    tree, frontier = tree_of(3), Frontier()
    frontier.append(bytes(32))
    for one in (tree, frontier):
        with pytest.raises(ValueError, match="cannot begin"):
            one.append_subtree(1, bytes(32))


def test_only_the_beginning_can_be_known_by_roots_alone():
    tree = tree_of(4)
    tree.append_subtree(2, bytes(32))
    with pytest.raises(ValueError, match="only the beginning"):
        tree.append(bytes(32))


@pytest.mark.parametrize(("index", "size"), [(3, 3), (-1, 3), (0, 4)])
def test_what_is_not_in_the_tree_has_no_proof(index, size):
    with pytest.raises(LookupError):
        tree_of(3).inclusion(index, size)


def test_leaves_and_nodes_are_hashed_apart():
    assert leaf_hash(bytes(64)) != node_hash(bytes(32), bytes(32))
