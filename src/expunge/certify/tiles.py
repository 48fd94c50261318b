"""Where a log's hashes and entries lie on disk, and how they are read back. Source: https://c2sp.org/tlog-tiles.

    checkpoint                       the signed note
    tile/<level>/<number>[.p/<w>]    256 hashes of 32 bytes, or the first w of them
    tile/entries/<number>[.p/<w>]    the 256 (or first w) entries, each after its length in two bytes

A hash on level L stands for 256^L entries. Numbers are written in groups of three digits, all but the last
preceded by an x. Any web server can serve the folder, and any client of the format can check it.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from expunge.certify.entry import MAX_ENTRY
from expunge.certify.tree import RangeHash, node_hash, over, split
from expunge.core.errors import InvalidCertificate

WIDTH = 256
LARGEST_BUNDLE = WIDTH * (MAX_ENTRY + 2)
_HASH = 32
_HEIGHT = 8  # WIDTH = 2 ** _HEIGHT
_PARTIAL = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})\.p/([1-9][0-9]{0,2})")


def tile_path(level: int | str, number: int, width: int) -> str:
    """Path of a tile below the log's folder; `level` is a number or "entries".

    >>> tile_path(0, 5, 256), tile_path("entries", 1234067, 7)
    ('tile/0/005', 'tile/entries/x001/x234/067.p/7')
    """
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03d}")
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(groups)}{partial}"


def tile_widths(size: int) -> Iterator[tuple[int, int, int]]:
    """Every hash tile of a log of `size` entries, as (level, number, width); entries are shaped as level 0.

    >>> list(tile_widths(257))
    [(0, 0, 256), (0, 1, 1), (1, 0, 1)]
    """
    level, hashes = 0, size
    while hashes:
        for number in range(-(-hashes // WIDTH)):
            yield level, number, min(WIDTH, hashes - number * WIDTH)
        level, hashes = level + 1, hashes // WIDTH


def layout(size: int) -> set[str]:
    """The path of every tile of a log of `size` entries.

    >>> sorted(layout(2))
    ['tile/0/000.p/2', 'tile/entries/000.p/2']
    """
    paths = set()
    for level, number, width in tile_widths(size):
        paths.add(tile_path(level, number, width))
        if level == 0:
            paths.add(tile_path("entries", number, width))
    return paths


def earlier_part(path: str, size: int) -> tuple[int | str, int, int] | None:
    """Level or "entries", number and width of a partial tile that a smaller log had where this one has more; else None.

    >>> earlier_part("tile/0/000.p/2", 3), earlier_part("tile/0/000.p/3", 3), earlier_part("tile/1/000.p/1", 3)
    ((0, 0, 2), None, None)
    """
    if not (match := _PARTIAL.fullmatch(path)):
        return None
    level = match[1] if match[1] == "entries" else int(match[1])
    number, width = int(match[2].replace("x", "").replace("/", "")), int(match[3])
    hashes = size // WIDTH ** (0 if level == "entries" else int(level))
    there = min(WIDTH, hashes - number * WIDTH)
    return (level, number, width) if tile_path(level, number, width) == path and 0 < width < there else None


def tile_hashes(range_hash: RangeHash, level: int, number: int, width: int) -> bytes:
    """The bytes of a hash tile."""
    span = WIDTH**level
    first = number * WIDTH
    return b"".join(range_hash(i * span, (i + 1) * span) for i in range(first, first + width))


def stored(read: Callable[[str], bytes], size: int) -> RangeHash:
    """The range hash of a log of `size` entries, from the tiles that `read` returns by path.

    Reads only the tiles on the way: one hash takes O(log size) of them.
    """
    found: dict[tuple[int, int], RangeHash] = {}

    def in_tile(level: int, number: int) -> RangeHash:
        if (level, number) not in found:
            width = min(WIDTH, size // WIDTH**level - number * WIDTH)
            path = tile_path(level, number, width)
            if len(data := read(path)) != width * _HASH:
                raise InvalidCertificate(f"{path} must hold {width} hashes of {_HASH} bytes, found {len(data)} bytes")
            found[level, number] = over([data[i : i + _HASH] for i in range(0, len(data), _HASH)])
        return found[level, number]

    def range_hash(start: int, end: int) -> bytes:
        n = end - start
        if n & (n - 1) == 0 and start % n == 0:  # a complete subtree: its root lies in, or just above, one tile
            level = (n.bit_length() - 1) // _HEIGHT
            span = WIDTH**level
            number, offset = divmod(start // span, WIDTH)
            return in_tile(level, number)(offset, offset + n // span)
        middle = start + split(n)
        return node_hash(range_hash(start, middle), range_hash(middle, end))

    return range_hash


def extended(old: RangeHash, size: int, leaf: bytes) -> RangeHash:
    """The range hash of a log after `leaf` was appended to its `size` entries."""

    def range_hash(start: int, end: int) -> bytes:
        if end <= size:
            return old(start, end)
        if end - start == 1:
            return leaf
        middle = start + split(end - start)
        return node_hash(range_hash(start, middle), range_hash(middle, end))

    return range_hash


def write_bundle(entries: Sequence[bytes]) -> bytes:
    """
    >>> write_bundle([b"a", b"bc"])
    b'\\x00\\x01a\\x00\\x02bc'
    """
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def read_bundle(data: bytes, width: int, path: str) -> list[bytes]:
    """The `width` entries of a bundle.

    Raises: InvalidCertificate, if their lengths do not add up to the file.

    >>> read_bundle(b"\\x00\\x01a\\x00\\x02bc", 2, "the example")
    [b'a', b'bc']
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data) and len(entries) < width:
        length = int.from_bytes(data[at : at + 2], "big")
        entries.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    if at != len(data) or len(entries) != width:
        raise InvalidCertificate(
            f"{path} must hold {width} entries of at most {MAX_ENTRY} bytes; it was cut or altered"
        )
    return entries
