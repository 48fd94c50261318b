import hashlib
import hmac
import struct
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from expunge.core import Record
from expunge.core.digests import digest_table
from expunge.core.errors import DigestMismatch, StorageFull
from expunge.ledger.content import file_of
from expunge.ledger.manifests import commitment, read_manifest, write_manifest

ROWS = [(bytes([n]) * 32, f"ref-{n % 2}") for n in (3, 1, 2)]


def test_the_commitment_is_the_formula() -> None:
    record = Record("r-1", "Ada", "Where?", "London")
    message = b""
    for part in ("expunge/rec/v1", "people", "r-1", record.content):
        message += struct.pack(">Q", len(part)) + part.encode()
    assert commitment(b"k" * 32, "people", record) == hmac.new(b"k" * 32, message, hashlib.sha256).digest()


def test_every_part_counts_and_parts_do_not_run_into_each_other() -> None:
    made = {
        commitment(key, name, Record(id, "s", q, a))
        for key in (b"k" * 32, b"l" * 32)
        for name, id in (("ab", "c"), ("a", "bc"))
        for q, a in (("x", "y"), ("xy", ""))
    }
    assert len(made) == 8


def test_the_same_rows_in_any_order_give_the_same_file(tmp_path: Path) -> None:
    digest = write_manifest(tmp_path, ROWS)
    first = file_of(tmp_path, digest).read_bytes()
    assert write_manifest(tmp_path, reversed(ROWS)) == digest
    assert file_of(tmp_path, digest).read_bytes() == first
    ordered = sorted(ROWS)
    assert digest == digest_table({"commitment": [c for c, _ in ordered], "subject": [s for _, s in ordered]})
    assert list(read_manifest(tmp_path, digest).items()) == ordered
    assert pq.ParquetFile(file_of(tmp_path, digest)).metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_manifest_without_rows_is_one_too(tmp_path: Path) -> None:
    assert read_manifest(tmp_path, write_manifest(tmp_path, [])) == {}


def test_altered_damaged_and_missing_manifests_are_refused(tmp_path: Path) -> None:
    digest, other = write_manifest(tmp_path, ROWS), write_manifest(tmp_path, ROWS[:2])
    path = file_of(tmp_path, digest)
    path.write_bytes(file_of(tmp_path, other).read_bytes())
    with pytest.raises(DigestMismatch, match="was altered"):
        read_manifest(tmp_path, digest)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DigestMismatch, match="damaged"):
        read_manifest(tmp_path, digest)
    path.unlink()
    with pytest.raises(DigestMismatch, match="missing"):
        read_manifest(tmp_path, digest)


def test_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("expunge.core.durable.os.fsync", full)
    with pytest.raises(StorageFull, match="free some space"):
        write_manifest(tmp_path, ROWS)
    assert list(tmp_path.iterdir()) == []
