"""The digest of what a Parquet file holds, whatever bytes it was written with: they differ between versions of pyarrow."""

from pathlib import Path

from expunge.core.digests import digest_table
from expunge.core.errors import InvalidData


def table_content(path: Path) -> str | None:
    """The digest of a table's columns; None where pyarrow, which reads the file, is not installed, or cannot read it."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return None
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
        return digest_table({name: table.column(name).to_pylist() for name in table.column_names})
    except (pa.ArrowException, OSError, InvalidData, TypeError, AttributeError):
        return None
