"""Check a whole log from its entries upwards: every leaf, every node, every byte of every file."""

import os
from dataclasses import dataclass
from pathlib import Path

from expunge.certify.checkpoint import Checkpoint, open_checkpoint
from expunge.certify.log import CHECKPOINT
from expunge.certify.note import Verifier
from expunge.certify.small_file import read_small
from expunge.certify.tiles import (
    LARGEST_BUNDLE,
    WIDTH,
    earlier_part,
    layout,
    read_bundle,
    tile_hashes,
    tile_path,
    tile_widths,
    write_bundle,
)
from expunge.certify.tree import RangeHash, leaf_hash, over, root
from expunge.core.errors import InvalidCertificate


@dataclass(frozen=True)
class Recomputed:
    """A log whose every file is what its entries and its signed checkpoint say."""

    checkpoint: Checkpoint
    entries: list[bytes]
    range_hash: RangeHash


def recompute(folder: Path, by: Verifier) -> Recomputed:
    """Read the log at `folder`, which `by` must have signed.

    1. The checkpoint is signed by the log's key.
    2. The folder holds the files of a log of that size, no fewer, and beside them none but partial tiles that it
       published when it was smaller; no links.
    3. The entries hash to the checkpoint's root.
    4. Every hash tile equals, byte for byte, the one computed from the entries; so do those of step 2.

    Raises: InvalidCertificate, naming the first file that differs.
    """
    # 1.
    found = _files(folder)
    if CHECKPOINT not in found:
        raise InvalidCertificate(f"{folder} holds no log: the file 'checkpoint' is missing")
    checkpoint = open_checkpoint(read_small(folder / CHECKPOINT), by)

    # 2. A size that these files cannot hold is refused before anything of that size is computed.
    if checkpoint.size > WIDTH * len(found):
        raise InvalidCertificate(f"{folder} lacks files of its log of {checkpoint.size} entries; get a full copy")
    needed = layout(checkpoint.size) | {CHECKPOINT}
    if missing := needed - found:
        raise InvalidCertificate(f"{folder} lacks {min(missing)} of its log of {checkpoint.size} entries")
    published = {path: part for path in found - needed if (part := earlier_part(path, checkpoint.size))}
    if unexpected := found - needed - published.keys():
        raise InvalidCertificate(
            f"{folder} holds {min(unexpected)}, which is no part of its log of {checkpoint.size} entries; "
            "an interrupted append leaves such a file, and the operator's next append or repair removes it"
        )

    # 3.
    tiles = list(tile_widths(checkpoint.size))
    entries: list[bytes] = []
    for level, number, width in tiles:
        if level == 0:
            path = tile_path("entries", number, width)
            entries += read_bundle(read_small(folder / path, LARGEST_BUNDLE), width, path)
    hashes = over([leaf_hash(entry) for entry in entries])
    if root(hashes, checkpoint.size) != checkpoint.root:
        raise InvalidCertificate(
            f"the entries in {folder} do not hash to the root that the log signed; one was altered"
        )

    # 4.
    for level, number, width in tiles:
        path = tile_path(level, number, width)
        _same(folder / path, tile_hashes(hashes, level, number, width))
    for path, (kind, number, width) in published.items():
        if isinstance(kind, int):
            _same(folder / path, tile_hashes(hashes, kind, number, width))
        else:
            _same(folder / path, write_bundle(entries[number * WIDTH : number * WIDTH + width]))
    return Recomputed(checkpoint, entries, hashes)


def _same(path: Path, data: bytes) -> None:
    if read_small(path, LARGEST_BUNDLE) != data:
        raise InvalidCertificate(f"{path} is not the tile that its entries hash to; it was altered")


def _files(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise InvalidCertificate(f"no log folder at {folder}")
    found = set()
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(parent, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise InvalidCertificate(
                    f"{path} is a link or a special file; a log is checked on plain files, copy them"
                )
        found |= {Path(parent, name).relative_to(folder).as_posix() for name in files}
    return found
