"""What a dataset holds, as commitments: nobody can tell whose record one is without the subject's key."""

import hmac
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from expunge.core import Record
from expunge.core.digests import digest_table
from expunge.ledger.content import read_table, write_table


def commitment(key: bytes, dataset: str, record: Record) -> bytes:
    """HMAC-SHA256 under the subject's key of dataset name, record id and content digest.

    While the key lives it shows that exactly this record was in the dataset; after that it points at nobody.

    >>> record = Record("r1", "Ada", "Where?", "London")
    >>> commitment(bytes(32), "people", record) == commitment(bytes(32), "orders", record)
    False
    """
    # Length first, so that ("ab", "c") and ("a", "bc") differ.
    parts = [part.encode() for part in ("expunge/rec/v1", dataset, record.id, record.content)]
    message = b"".join(struct.pack(">Q", len(part)) + part for part in parts)
    return hmac.digest(key, message, "sha256")


def write_manifest(folder: Path, rows: Iterable[tuple[bytes, str]]) -> str:
    """Store (commitment, subject reference) rows; the same rows in any order give the same digest."""
    import pyarrow as pa

    schema = pa.schema([("commitment", pa.binary()), ("subject", pa.string())])
    columns = _columns(rows)
    return write_table(folder, pa.table([columns["commitment"], columns["subject"]], schema=schema))


def manifest_digest(rows: Iterable[tuple[bytes, str]]) -> str:
    """The digest that a manifest of these rows has, without writing it."""
    return digest_table(_columns(rows))


def _columns(rows: Iterable[tuple[bytes, str]]) -> dict[str, list[Any]]:
    ordered = sorted(rows)
    return {
        "commitment": [commitment for commitment, _ in ordered],
        "subject": [subject for _, subject in ordered],
    }


def read_manifest(folder: Path, digest: str) -> dict[bytes, str]:
    """Subject reference by commitment.

    Raises: DigestMismatch, if the file is missing, damaged or altered.
    """
    table = read_table(folder, digest)
    return dict(zip(table.column("commitment").to_pylist(), table.column("subject").to_pylist(), strict=True))
