"""Manifests and member files as releases before partitions wrote them, made here without the code that reads them."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from expunge.core.digests import digest_table


def write_earlier(folder: Path, columns: tuple[str, str], rows: Iterable[tuple[bytes, str | int]]) -> str:
    """A row for each record, sorted by commitment; the digest is of the columns."""
    ordered = sorted(rows)
    found = {columns[0]: [first for first, _ in ordered], columns[1]: [second for _, second in ordered]}
    digest = digest_table(found)
    table = pa.table({columns[0]: pa.array(found[columns[0]], pa.binary()), columns[1]: found[columns[1]]})
    pq.write_table(table, folder / f"{digest.removeprefix('sha256:')}.parquet", compression="zstd")
    return digest
