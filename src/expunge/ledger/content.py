"""Immutable Parquet files named by the digest of what they hold; see `expunge.ledger.partitions` for how they are laid out."""

from pathlib import Path
from typing import Any

from expunge.core.digests import digest_table
from expunge.core.errors import DigestMismatch


def file_of(folder: Path, digest: str) -> Path:
    """Where the table of a digest lives.

    >>> file_of(Path("manifests"), "sha256:ab12").as_posix()
    'manifests/ab12.parquet'
    """
    return folder / f"{digest.removeprefix('sha256:')}.parquet"


def digest_of(path: str) -> str:
    """The digest that names a file.

    >>> digest_of("members/ab12.parquet")
    'sha256:ab12'
    """
    return f"sha256:{path.rpartition('/')[2].removesuffix('.parquet')}"


def read_table(folder: Path, digest: str) -> Any:
    """Read a table as earlier releases wrote it, a row for each record, and check it against its digest.

    Raises: DigestMismatch, if the file is missing, damaged or altered.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = file_of(folder, digest)
    where = f"{folder.name}/{path.name}"
    try:
        with pq.ParquetFile(path) as file:  # not `read_table`, whose datasets bring pandas
            table = file.read()
    except FileNotFoundError as e:
        raise DigestMismatch(f"{where} is recorded and missing; restore it from a backup") from e
    except (pa.ArrowException, OSError) as e:
        raise DigestMismatch(f"{where} is damaged; restore it from a backup") from e
    if (found := _digest(table)) != digest:
        raise DigestMismatch(f"{where} was altered: it now holds {found}; restore it from a backup")
    return table


def _digest(table: Any) -> str:
    return digest_table({name: table.column(name).to_pylist() for name in table.column_names})


def digest_of_table(path: Path) -> str:
    """The digest of what a file of such a table holds. Raises: DigestMismatch, where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return _digest(file.read())
    except (pa.ArrowException, OSError) as e:
        raise DigestMismatch(f"{path.name} is no table") from e
