"""The digest of a manifest or member file, read anew from what it holds."""

from pathlib import Path

from expunge.core.errors import DigestMismatch, InvalidData
from expunge.ledger import manifests, members
from expunge.ledger.content import digest_of_table
from expunge.ledger.partitions import digest_of_partitions

_LAYOUTS = {layout.kind: layout for layout in (manifests.LAYOUT, members.LAYOUT)}


def read_digest(path: Path) -> str | None:
    """The digest of what a file holds, whatever bytes it was written with; None where it is no such file."""
    try:
        return digest_of_partitions(_LAYOUTS, path) or digest_of_table(path)
    except (DigestMismatch, InvalidData, UnicodeEncodeError):
        return None
