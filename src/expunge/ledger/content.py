"""Immutable Parquet files named by the digest of what they hold."""

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

from expunge.core.digests import digest_table
from expunge.core.durable import sync_folder
from expunge.core.errors import DigestMismatch, InvalidData, StorageFull


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
    try:
        _write(folder, table, file_of(folder, digest))
    except OSError as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(
                f"no space left in {folder.name}/; nothing was changed, free some space and repeat"
            ) from e
        raise
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


def _write(folder: Path, table: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    handle, name = tempfile.mkstemp(dir=folder, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            pq.write_table(table, file, compression="zstd", write_statistics=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    sync_folder(folder)


def _digest(table: Any) -> str:
    return digest_table({name: table.column(name).to_pylist() for name in table.column_names})
