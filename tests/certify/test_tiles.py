import pytest

from expunge.certify.tiles import (
    WIDTH,
    layout,
    read_bundle,
    stored,
    tile_hashes,
    tile_path,
    tile_widths,
    write_bundle,
)
from expunge.certify.tree import inclusion_proof, leaf_hash, over, root
from expunge.core.errors import InvalidCertificate


def test_paths_follow_the_published_example() -> None:
    assert tile_path(0, 1234067, WIDTH) == "tile/0/x001/x234/067"
    assert tile_path("entries", 273, 112) == "tile/entries/273.p/112"


def test_the_layout_of_the_format_s_own_example() -> None:
    """The specification lists the tiles of a log of 70 000 entries."""
    widths = list(tile_widths(70_000))
    assert [w for w in widths if w[0] == 0][-1] == (0, 273, 112)
    assert [w for w in widths if w[0] > 0] == [(1, 0, 256), (1, 1, 17), (2, 0, 1)]
    assert len(layout(70_000)) == 274 * 2 + 3


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 700, 66_000])
def test_hashes_from_tiles_equal_hashes_from_entries(size: int) -> None:
    hashes = over([leaf_hash(n.to_bytes(3, "big")) for n in range(size)])
    tiles = {tile_path(*tile): tile_hashes(hashes, *tile) for tile in tile_widths(size)}
    read = []
    lazily = stored(lambda path: read.append(path) or tiles[path], size)  # type: ignore[func-returns-value]
    assert root(lazily, size) == root(hashes, size)
    for index in {0, size // 3, size - 1}:
        assert inclusion_proof(lazily, index, size) == inclusion_proof(hashes, index, size)
    assert len(read) == len(set(read)) <= 14, "a tile is read once, and only those on the way"


def test_a_tile_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(InvalidCertificate, match="must hold 2 hashes"):
        root(stored(lambda _: bytes(63), 2), 2)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x02a", b"\x00\x01a\x00", b"\x00\x01a\x00\x01b\x00\x00"])
def test_bundles_that_do_not_add_up_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidCertificate, match="must hold 2 entries"):
        read_bundle(data, 2, "tile/entries/000.p/2")


def test_bundles_keep_entries_as_they_are() -> None:
    entries = [b"", b"a" * 65535, b"\x00\x01"]
    assert read_bundle(write_bundle(entries), 3, "example") == entries
