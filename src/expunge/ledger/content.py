"""Immutable Parquet files named by the digest of what they hold."""

from pathlib import Path
from typing import Any

from expunge.core.digests import digest_table
from expunge.core.durable import written_whole
from expunge.core.errors import DigestMismatch, InvalidData


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
    return f"sha256:{Path(path).stem}"


def write_table(folder: Path, table: Any) -> str:
    """Write a table whole or not at all (temporary file, fsync, rename); return its digest.

    Raises: StorageFull.
    """
    digest = _digest(table)
    with written_whole(file_of(folder, digest), 0o600) as beside:
        _write(beside, table)
    return digest


def read_table(folder: Path, digest: str) -> Any:
    """Read a table and check it against its digest.

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


def read_digest(path: Path) -> str | None:
    """The digest of what a file of a table holds, whatever bytes it was written with; None where it is no such file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return _digest(file.read())
    except (pa.ArrowException, OSError, InvalidData, UnicodeEncodeError):
        return None


def _write(path: Path, table: Any) -> None:
    import pyarrow.parquet as pq

    with path.open("wb") as file:
        pq.write_table(table, file, compression="zstd", write_statistics=False)


def _digest(table: Any) -> str:
    return digest_table({name: table.column(name).to_pylist() for name in table.column_names})
