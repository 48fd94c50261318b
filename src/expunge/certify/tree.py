"""Merkle tree hashing after RFC 6962, Section 2.1: roots, inclusion proofs, consistency proofs.

Everything is built from one question: what is the hash over entries [start, end)? `over` answers it from a
list of leaf hashes; a log answers it from its tiles. Hashes are 32 bytes.
"""

import hashlib
from collections.abc import Callable, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()

RangeHash = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    # Leaf and node hashes use different prefixes, so a node can never pass for a leaf (RFC 6962, Sec. 2.1).
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(n: int) -> int:
    """The largest power of two below n: where a tree of n entries divides.

    >>> [split(n) for n in (2, 3, 4, 5, 8, 9)]
    [1, 2, 2, 4, 4, 8]
    """
    return 1 << ((n - 1).bit_length() - 1)


def over(leaves: Sequence[bytes]) -> RangeHash:
    """The range hash of a list of leaf hashes."""

    def range_hash(start: int, end: int) -> bytes:
        if end - start == 1:
            return leaves[start]
        middle = start + split(end - start)
        return node_hash(range_hash(start, middle), range_hash(middle, end))

    return range_hash


def root(range_hash: RangeHash, size: int) -> bytes:
    """The root over the first `size` entries.

    >>> root(over([]), 0) == EMPTY_ROOT
    True
    >>> a, b = leaf_hash(b"a"), leaf_hash(b"b")
    >>> root(over([a, b]), 2) == node_hash(a, b)
    True
    """
    return range_hash(0, size) if size else EMPTY_ROOT


def inclusion_proof(range_hash: RangeHash, index: int, size: int) -> list[bytes]:
    """The siblings between entry `index` and the root over `size` entries, from the leaf upwards.

    >>> leaves = [leaf_hash(bytes([n])) for n in range(7)]
    >>> proof = inclusion_proof(over(leaves), 5, 7)
    >>> verify_inclusion(leaves[5], 5, 7, proof, root(over(leaves), 7))
    True
    """
    if not 0 <= index < size:
        raise IndexError(f"no entry {index} in a tree of {size}")
    return _path(range_hash, index, 0, size)


def _path(range_hash: RangeHash, index: int, start: int, end: int) -> list[bytes]:
    if end - start == 1:
        return []
    middle = start + split(end - start)
    if index < middle:
        return [*_path(range_hash, index, start, middle), range_hash(middle, end)]
    return [*_path(range_hash, index, middle, end), range_hash(start, middle)]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> bool:
    """Whether `proof` leads from `leaf` at `index` to the root of `size` entries (RFC 9162, Sec. 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and found == expected_root


def consistency_proof(range_hash: RangeHash, old_size: int, size: int) -> list[bytes]:
    """The hashes which show that a tree of `size` entries begins with the tree of `old_size`.

    >>> hashes = over([leaf_hash(bytes([n])) for n in range(7)])
    >>> verify_consistency(3, 7, consistency_proof(hashes, 3, 7), root(hashes, 3), root(hashes, 7))
    True
    """
    if not 0 <= old_size <= size:
        raise IndexError(f"no tree of {old_size} in a tree of {size}")
    if old_size in (0, size):
        return []
    return _subproof(range_hash, old_size, 0, size, True)


def _subproof(range_hash: RangeHash, old_end: int, start: int, end: int, complete: bool) -> list[bytes]:
    if old_end == end:
        return [] if complete else [range_hash(start, end)]
    middle = start + split(end - start)
    if old_end <= middle:
        return [*_subproof(range_hash, old_end, start, middle, complete), range_hash(middle, end)]
    return [*_subproof(range_hash, old_end, middle, end, False), range_hash(start, middle)]


def verify_consistency(old_size: int, size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether the tree of `size` with `new_root` begins with that of `old_size` (RFC 9162, Sec. 2.1.4.2)."""
    if not 0 <= old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == new_root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if old_size & (old_size - 1) == 0:  # the old root is itself a node of the new tree
        path.insert(0, old_root)
    if not path:
        return False
    node, last = old_size - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root
