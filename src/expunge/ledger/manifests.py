"""What a dataset holds: a Parquet file of commitments, sorted and partitioned by subject."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from expunge.ledger.commitments import PERSON
from expunge.ledger.content import file_of, read_table
from expunge.ledger.partitions import (
    Layout,
    Partition,
    PartitionedFile,
    bits_for,
    contents_of,
    counts,
    is_partitioned,
    partition_of,
    partitions_of,
    write_partitions,
)
from expunge.ledger.spool import Rows, Spool, as_texts

_REF = 16  # bytes of a subject's reference
_TAIL = 32 - PERSON  # of a commitment without what all of a person's begin with
WIDTH = _REF + 32  # of a row: reference, commitment
LAYOUT = Layout("manifest", {"subject": _REF, "person": PERSON, "n": 4}, {"tails": _TAIL})


def write_manifest(folder: Path, rows: Iterable[tuple[bytes, str]]) -> str:
    """Store (commitment, subject reference) rows; the same rows in any order give the same digest.

    Raises: StorageFull.
    """
    with Spool(folder, WIDTH) as spool:
        spool.add(_rows(rows))
        return write_spooled(folder, spool)


def write_spooled(folder: Path, spool: Spool) -> str:
    """Store rows of reference and commitment, however many. Raises: StorageFull."""
    bits = bits_for(spool.n_rows)
    return write_partitions(folder, LAYOUT, bits, map(_grouped, partitions_of(spool.buckets(), bits)))


def read_manifest(folder: Path, digest: str) -> dict[bytes, str]:
    """Subject reference by commitment, of the whole dataset: to train on it, not to find somebody.

    Raises: DigestMismatch, if the file is missing, damaged or altered.
    """
    return {row[_REF:]: row[:_REF].hex() for rows in manifest_rows(folder, digest) for row in _as_bytes(rows)}


def manifest_rows(folder: Path, digest: str) -> Iterator[Rows]:
    """Rows of 16 bytes of reference and 32 of commitment, in the order of their bytes, a partition at a time.

    Raises: DigestMismatch.
    """
    for partition in _partitions(folder, digest, 0)[1]:
        yield _ungrouped(partition)


def records_of_subjects(folder: Path, digest: str, refs: Collection[str]) -> dict[str, list[bytes]]:
    """The commitments of these subjects, by reference; of one who has no record, none. Only their partitions are read.

    Raises: DigestMismatch.
    """
    found: dict[str, list[bytes]] = {ref: [] for ref in refs}
    path = file_of(folder, digest)
    if not is_partitioned(path):
        for commitment, ref in _earlier(folder, digest).items():
            if ref in found:
                found[ref].append(commitment)
        return found
    file = PartitionedFile(LAYOUT, path)
    wanted: dict[int, list[bytes]] = {}
    for ref in refs:
        key = bytes.fromhex(ref)
        wanted.setdefault(partition_of(key, file.contents.bits), []).append(key)
    for number, keys in sorted(wanted.items()):
        partition = file.partition(number)
        ends = counts(partition).cumsum()
        subjects = as_texts(partition["subject"])
        texts = np.array(keys, f"S{_REF}")
        begins, stops = np.searchsorted(subjects, texts), np.searchsorted(subjects, texts, side="right")
        tails = partition["tails"].tobytes()
        for key, begin, stop in zip(keys, begins.tolist(), stops.tolist(), strict=True):
            for row in range(begin, stop):
                person = partition["person"][row].tobytes()
                first = int(ends[row - 1]) if row else 0
                found[key.hex()] += [person + tails[k * _TAIL : (k + 1) * _TAIL] for k in range(first, int(ends[row]))]
    return found


def subjects_in(folder: Path, digest: str) -> Iterator[str]:
    """The references of all subjects that have records, some of them more than once. Raises: DigestMismatch."""
    path = file_of(folder, digest)
    if not is_partitioned(path):
        yield from _earlier(folder, digest).values()
        return
    for partition in PartitionedFile(LAYOUT, path).partitions(("subject",)):
        yield from (ref.hex() for ref in _as_bytes(partition["subject"]))


def recorded_among(folder: Path, digest: str, commitments: Collection[bytes]) -> set[bytes]:
    """Those of these commitments that are in a manifest, all of which is read. Raises: DigestMismatch."""
    wanted = np.array(sorted(commitments), "S32")
    found: set[bytes] = set()
    for rows in manifest_rows(folder, digest):
        theirs = np.ascontiguousarray(rows[:, _REF:])
        found.update(_as_bytes(theirs[np.isin(as_texts(theirs), wanted)]))
    return found


def write_without(folder: Path, digest: str, refs: Collection[str], commitments: Collection[bytes] = ()) -> str:
    """The same manifest without the rows of these subjects and without these rows. Raises: DigestMismatch; StorageFull."""
    bits, partitions = _partitions(folder, digest)
    return write_partitions(folder, LAYOUT, bits, _without(partitions, refs, commitments))


def digest_without(folder: Path, digest: str, refs: Collection[str], commitments: Collection[bytes] = ()) -> str:
    """The digest that `write_without` would give, without writing anything.

    Raises: DigestMismatch.
    """
    bits, partitions = _partitions(folder, digest)
    return contents_of(LAYOUT, bits, _without(partitions, refs, commitments)).digest


def _partitions(folder: Path, digest: str, earlier_bits: int | None = None) -> tuple[int, Iterator[Partition]]:
    path = file_of(folder, digest)
    if is_partitioned(path):
        file = PartitionedFile(LAYOUT, path)
        return file.contents.bits, file.partitions()
    rows = _earlier(folder, digest)
    bits = bits_for(len(rows)) if earlier_bits is None else earlier_bits
    return bits, map(_grouped, _spooled(folder, rows, bits))


def _spooled(folder: Path, rows: dict[bytes, str], bits: int) -> Iterator[Rows]:
    with Spool(folder, WIDTH) as spool:
        spool.add(_rows(rows.items()))
        yield from partitions_of(spool.buckets(), bits)


def _earlier(folder: Path, digest: str) -> dict[bytes, str]:
    """A manifest as earlier releases wrote it: a row for each record, sorted by commitment."""
    table = read_table(folder, digest)
    return dict(zip(table.column("commitment").to_pylist(), table.column("subject").to_pylist(), strict=True))


def _without(
    partitions: Iterable[Partition], refs: Collection[str], commitments: Collection[bytes]
) -> Iterator[Partition]:
    leaving = np.array(sorted(map(bytes.fromhex, refs)), f"S{_REF}")
    buried = np.array(sorted(commitments), "S32")
    for partition in partitions:
        rows = _ungrouped(partition)
        kept = ~(np.isin(as_texts(rows[:, :_REF]), leaving) | np.isin(as_texts(rows[:, _REF:]), buried))
        yield partition if kept.all() else _grouped(rows[kept])


def _rows(rows: Iterable[tuple[bytes, str]]) -> Rows:
    packed = b"".join(bytes.fromhex(ref) + commitment for commitment, ref in rows)
    return np.frombuffer(packed, np.uint8).reshape(-1, WIDTH)


def _grouped(rows: Rows) -> dict[str, Any]:
    """Sorted rows as a partition: one row for what is of the same subject and begins in the same way."""
    group = rows[:, : _REF + PERSON]
    starts = np.flatnonzero(np.r_[True, (group[1:] != group[:-1]).any(axis=1)]) if len(rows) else np.zeros(0, np.int64)
    n = np.diff(starts, append=len(rows)).astype("<u4")
    return {
        "subject": np.ascontiguousarray(rows[starts, :_REF]),
        "person": np.ascontiguousarray(rows[starts, _REF : _REF + PERSON]),
        "n": n.view(np.uint8).reshape(-1, 4),
        "tails": np.ascontiguousarray(rows[:, _REF + PERSON :]).reshape(-1),
    }


def _ungrouped(partition: Partition) -> Rows:
    n = counts(partition)
    rows = np.empty((int(n.sum()), WIDTH), np.uint8)
    rows[:, :_REF] = np.repeat(partition["subject"], n, axis=0)
    rows[:, _REF : _REF + PERSON] = np.repeat(partition["person"], n, axis=0)
    rows[:, _REF + PERSON :] = partition["tails"].reshape(-1, _TAIL)
    return rows


def _as_bytes(rows: Rows) -> Iterator[bytes]:
    data, width = rows.tobytes(), rows.shape[1]
    return (data[k : k + width] for k in range(0, len(data), width))
