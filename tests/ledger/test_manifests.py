from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ledger.earlier_files import write_earlier

from expunge.core.errors import DigestMismatch, StorageFull
from expunge.ledger import partitions
from expunge.ledger.content import file_of
from expunge.ledger.manifests import (
    LAYOUT,
    digest_without,
    read_manifest,
    records_of_subjects,
    write_manifest,
    write_without,
)
from expunge.ledger.read_digest import read_digest

ADA, ZOE = "0f" * 16, "a0" * 16
ROWS = [(bytes([n]) * 32, (ADA, ZOE)[n % 2]) for n in (3, 1, 2)]
MANIFESTS = st.dictionaries(st.binary(min_size=32, max_size=32), st.sampled_from([ADA, ZOE, "ff" * 16, "80" * 16]))


def _row_by_row(path: Path) -> dict[bytes, str]:
    """What a manifest holds, read without any of the code that wrote it."""
    found: dict[bytes, str] = {}
    for row in pq.read_table(path).to_pylist():
        n, tails = int.from_bytes(row["n"], "little"), row["tails"]
        assert len(tails) == 24 * n
        found |= {row["person"] + tails[24 * k : 24 * k + 24]: row["subject"].hex() for k in range(n)}
    return found


def test_the_same_rows_in_any_order_give_the_same_file(tmp_path: Path) -> None:
    digest = write_manifest(tmp_path, ROWS)
    first = file_of(tmp_path, digest).read_bytes()
    assert write_manifest(tmp_path, reversed(ROWS)) == digest
    assert file_of(tmp_path, digest).read_bytes() == first
    assert _row_by_row(file_of(tmp_path, digest)) == dict(ROWS)
    assert list(read_manifest(tmp_path, digest).items()) == sorted(ROWS, key=lambda row: (row[1], row[0]))
    assert read_digest(file_of(tmp_path, digest)) == digest


def test_a_manifest_without_rows_is_one_too(tmp_path: Path) -> None:
    digest = write_manifest(tmp_path, [])
    assert read_manifest(tmp_path, digest) == {}
    assert records_of_subjects(tmp_path, digest, {ADA}) == {ADA: []}
    assert read_digest(file_of(tmp_path, digest)) == digest


@pytest.mark.parametrize("rows_in_a_partition", [1, 3, 1 << 15])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(rows=MANIFESTS)
def test_a_persons_rows_are_those_of_the_whole(
    rows: dict[bytes, str], rows_in_a_partition: int, tmp_path: Path
) -> None:
    """However many partitions there are; and a manifest without somebody holds the others' rows."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(partitions, "_ROWS", rows_in_a_partition)
        digest = write_manifest(tmp_path, rows.items())
        assert read_manifest(tmp_path, digest) == rows
        assert read_digest(file_of(tmp_path, digest)) == digest
        for ref in (ADA, ZOE, "12" * 16):
            theirs = {c for c, r in rows.items() if r == ref}
            assert {ref: theirs} == {r: set(c) for r, c in records_of_subjects(tmp_path, digest, {ref}).items()}
        left = write_without(tmp_path, digest, {ADA})
        assert read_manifest(tmp_path, left) == {c: r for c, r in rows.items() if r != ADA}
        assert digest_without(tmp_path, digest, {ADA}, ()) == left
        buried = sorted(rows)[:2]
        left = write_without(tmp_path, digest, {ADA}, buried)
        assert read_manifest(tmp_path, left) == {c: r for c, r in rows.items() if r != ADA and c not in buried}
        assert digest_without(tmp_path, digest, {ADA}, buried) == left


def test_partitions_without_the_person_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "_ROWS", 1)
    rows = [(bytes([n]) * 32, f"{n:02x}" * 16) for n in range(256)]
    digest = write_manifest(tmp_path, rows)
    left = write_without(tmp_path, digest, {"40" * 16})
    before, after = (partitions.PartitionedFile(LAYOUT, file_of(tmp_path, d)).contents for d in (digest, left))
    differ = [k for k, (a, b) in enumerate(zip(before.digests, after.digests, strict=True)) if a != b]
    assert differ == [0x40]
    assert (len(before.digests), before.n_records, after.n_records) == (256, 256, 255)


def test_only_the_persons_partition_is_read_and_it_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in another partition is altered: the person's rows are found, and whoever reads that one is told."""
    monkeypatch.setattr(partitions, "_ROWS", 1)
    rows = [(bytes([n]) * 32, f"{n:02x}" * 16) for n in range(64)]
    digest = write_manifest(tmp_path, rows)
    path = file_of(tmp_path, digest)
    data = path.read_bytes()
    tail = bytes([60]) * 24
    assert data.count(tail) == 1
    path.write_bytes(data.replace(tail, b"\0" + tail[1:]))
    assert records_of_subjects(tmp_path, digest, {"20" * 16}) == {"20" * 16: [bytes([32]) * 32]}
    with pytest.raises(DigestMismatch, match=r"was altered: column 'tails' of its part 15 is not what was recorded"):
        records_of_subjects(tmp_path, digest, {"3d" * 16})
    with pytest.raises(DigestMismatch, match="was altered"):
        read_manifest(tmp_path, digest)
    with pytest.raises(DigestMismatch, match="was altered"):
        write_without(tmp_path, digest, {"00" * 16})
    assert read_digest(path) not in (None, digest)


def test_altered_damaged_and_missing_manifests_are_refused(tmp_path: Path) -> None:
    digest, other = write_manifest(tmp_path, ROWS), write_manifest(tmp_path, ROWS[:2])
    path = file_of(tmp_path, digest)
    path.write_bytes(file_of(tmp_path, other).read_bytes())
    with pytest.raises(DigestMismatch, match="was altered"):
        read_manifest(tmp_path, digest)
    with pytest.raises(DigestMismatch, match="was altered"):
        records_of_subjects(tmp_path, digest, {ADA})
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DigestMismatch, match="damaged"):
        read_manifest(tmp_path, digest)
    path.unlink()
    with pytest.raises(DigestMismatch, match="missing"):
        read_manifest(tmp_path, digest)


def test_every_byte_of_a_manifest_counts_or_says_nothing(tmp_path: Path) -> None:
    """Whatever byte is changed: the rows are the same, or the file is refused."""
    digest = write_manifest(tmp_path, ROWS)
    path = file_of(tmp_path, digest)
    data = path.read_bytes()
    refused = 0
    for k in range(len(data)):
        path.write_bytes(data[:k] + bytes([data[k] ^ 0x41]) + data[k + 1 :])
        try:
            assert read_manifest(tmp_path, digest) == dict(ROWS)
        except DigestMismatch:
            refused += 1
    assert refused > len(data) // 2


def test_manifests_of_earlier_releases_are_read(tmp_path: Path) -> None:
    digest = write_earlier(tmp_path, ("commitment", "subject"), ROWS)
    assert read_manifest(tmp_path, digest) == dict(ROWS)
    assert read_digest(file_of(tmp_path, digest)) == digest
    assert records_of_subjects(tmp_path, digest, {ZOE, "12" * 16}) == {
        ZOE: [bytes([1]) * 32, bytes([3]) * 32],
        "12" * 16: [],
    }
    left = write_without(tmp_path, digest, {ZOE})
    assert digest_without(tmp_path, digest, {ZOE}, ()) == left
    assert read_manifest(tmp_path, left) == {bytes([2]) * 32: ADA}
    table = pq.read_table(file_of(tmp_path, digest))
    pq.write_table(table.slice(1), file_of(tmp_path, digest))
    for read in (read_manifest, lambda *given: records_of_subjects(*given, {ZOE})):
        with pytest.raises(DigestMismatch, match="was altered"):
            read(tmp_path, digest)


def test_what_is_no_manifest_has_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    assert read_digest(path) is None
    path.write_bytes(b"PAR1")
    assert read_digest(path) is None
    pq.write_table(pa.table({"x": pa.array([None, "a"]).dictionary_encode()}), path)
    path.write_bytes(path.read_bytes()[:-9])
    assert read_digest(path) is None


def test_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("expunge.core.durable.os.fsync", full)
    with pytest.raises(StorageFull, match="free some space"):
        write_manifest(tmp_path, ROWS)
    assert list(tmp_path.iterdir()) == []
