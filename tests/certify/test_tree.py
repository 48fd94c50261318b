"""Against the published vectors of RFC 6962 implementations, and against a second, naive construction."""

import hashlib

import pytest

from expunge.certify.tree import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    over,
    root,
    verify_consistency,
    verify_inclusion,
)

# The eight leaves and roots that implementations of Certificate Transparency test with.
ENTRIES = [
    bytes.fromhex(h)
    for h in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    assert root(over(LEAVES), size).hex() == ROOTS[size]


def test_the_empty_root_and_the_prefixes() -> None:
    assert hashlib.sha256(b"").digest() == EMPTY_ROOT
    assert leaf_hash(b"x") == hashlib.sha256(b"\x00x").digest()
    assert node_hash(b"l", b"r") == hashlib.sha256(b"\x01lr").digest()


def pairwise(leaves: list[bytes]) -> bytes:
    """The same root, level by level from below: an odd last node moves up unchanged."""
    while len(leaves) > 1:
        pairs = [node_hash(*leaves[i : i + 2]) for i in range(0, len(leaves) - 1, 2)]
        leaves = pairs + leaves[len(pairs) * 2 :]
    return leaves[0]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 9, 100, 255, 256, 257])
def test_roots_agree_with_a_construction_from_below(size: int) -> None:
    leaves = [leaf_hash(n.to_bytes(2, "big")) for n in range(size)]
    assert root(over(leaves), size) == pairwise(leaves)


def test_every_inclusion_proof_holds_for_its_entry_and_for_no_other() -> None:
    leaves = [leaf_hash(bytes([n])) for n in range(18)]
    for size in range(1, 19):
        top = root(over(leaves), size)
        for index in range(size):
            proof = inclusion_proof(over(leaves), index, size)
            accepted = [i for i in range(-1, size + 1) if verify_inclusion(leaves[index], i, size, proof, top)]
            assert accepted == [index]
            assert not verify_inclusion(leaves[index - 1] if size > 1 else b"x", index, size, proof, top)
            assert not verify_inclusion(leaves[index], index, size, [*proof, top], top)
            assert not (proof and verify_inclusion(leaves[index], index, size, proof[:-1], top))


def test_every_consistency_proof_holds_and_no_altered_one_does() -> None:
    hashes = over([leaf_hash(bytes([n])) for n in range(18)])
    roots = [root(hashes, n) for n in range(19)]
    for size in range(19):
        for old in range(size + 1):
            proof = consistency_proof(hashes, old, size)
            assert verify_consistency(old, size, proof, roots[old], roots[size])
            assert not verify_consistency(old, size, proof, bytes(32), roots[size])
            assert not verify_consistency(old, size, [*proof, bytes(32)], roots[old], roots[size])
            if 0 < old < size:
                assert not verify_consistency(old, size, proof, roots[old], bytes(32))
                assert not verify_consistency(old, size, proof[:-1], roots[old], roots[size])
                assert not verify_consistency(old, size, [], roots[old], roots[size])
    assert not verify_consistency(5, 4, [], roots[5], roots[4])


def test_proofs_beyond_the_tree_are_an_error() -> None:
    with pytest.raises(IndexError):
        inclusion_proof(over(LEAVES), 8, 8)
    with pytest.raises(IndexError):
        consistency_proof(over(LEAVES), 9, 8)
