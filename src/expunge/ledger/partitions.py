"""Parquet files of which one part can be read and checked without the others.

The rows of a file are grouped by what they are found by, and lie in 2^bits partitions by the first bits of that: one row group
each. A file's metadata holds a SHA-256 of every column of every partition, and the file is named by the digest of these
metadata: so a column of a partition is checked by reading it alone (a Merkle tree of two levels).
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.core.digests import digest_bytes
from expunge.core.durable import place_beside, put
from expunge.core.errors import DigestMismatch

Column = NDArray[np.uint8]
Partition = Mapping[str, Column]  # by column: N rows of W bytes, or the bytes of all rows one after another
_KEY = b"expunge.partitions"
_ROWS = 1 << 14  # in a partition, about


@dataclass(frozen=True)
class Layout:
    """The columns of a kind of file: how many bytes a row has in each, and in others how many for each of its records.

    `n` is in all of them: of how many records a row is.
    """

    kind: str
    fixed: Mapping[str, int]
    each: Mapping[str, int]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.fixed, *self.each)


@dataclass(frozen=True)
class Contents:
    """What the metadata of a file say: the whole digest is of them."""

    kind: str
    bits: int
    records: tuple[int, ...]  # of every partition
    digests: tuple[tuple[str, ...], ...]  # of every column of it, in the layout's order; none where it is empty

    def to_bytes(self) -> bytes:
        return json.dumps(
            {"kind": self.kind, "bits": self.bits, "records": self.records, "digests": self.digests},
            separators=(",", ":"),
            sort_keys=True,
        ).encode()

    @classmethod
    def of(cls, data: bytes) -> "Contents":
        found = json.loads(data)
        digests = tuple(tuple(map(str, columns)) for columns in found["digests"])
        return cls(str(found["kind"]), int(found["bits"]), tuple(map(int, found["records"])), digests)

    @cached_property
    def digest(self) -> str:
        return digest_bytes("partitions", self.to_bytes())

    @property
    def n_records(self) -> int:
        return sum(self.records)

    def row_group(self, partition: int) -> int:
        return sum(n > 0 for n in self.records[:partition])


def bits_for(n_records: int) -> int:
    """How many first bits make partitions of about 16,384 records.

    >>> bits_for(10), bits_for(10_000_000)
    (0, 10)
    """
    return max(0, (n_records - 1) // _ROWS).bit_length()


def partition_of(key: bytes, bits: int) -> int:
    """In which partition a key lies.

    >>> partition_of(b"\\xc0\\x00\\x00\\x00", 2)
    3
    """
    return int.from_bytes(key[:4], "big") >> (32 - bits)


def partitions_of(sorted_buckets: Iterable[NDArray[np.uint8]], bits: int) -> Iterator[NDArray[np.uint8]]:
    """Sorted rows, given by their first byte, as the rows of each partition."""
    if bits >= 8:
        for bucket in sorted_buckets:
            first = np.ascontiguousarray(bucket[:, :4]).view(">u4").reshape(-1).astype(np.uint32) >> (32 - bits)
            ends = np.searchsorted(first & ((1 << (bits - 8)) - 1), np.arange(1 << (bits - 8)), side="right")
            yield from np.split(bucket, ends[:-1])
        return
    waiting = []
    for n, bucket in enumerate(sorted_buckets, start=1):
        waiting.append(bucket)
        if n % (1 << (8 - bits)) == 0:
            yield np.concatenate(waiting)
            waiting = []


def contents_of(layout: Layout, bits: int, partitions: Iterable[Partition]) -> Contents:
    """What the metadata of a file of these partitions say, without writing it."""
    records, digests = [], []
    for partition in partitions:
        n, of_columns = _sums(layout, partition)
        records.append(n)
        digests.append(of_columns)
    return Contents(layout.kind, bits, tuple(records), tuple(digests))


def _sums(layout: Layout, partition: Partition) -> tuple[int, tuple[str, ...]]:
    n = int(counts(partition).sum())
    return n, tuple(
        sha256(np.ascontiguousarray(partition[name]).data).hexdigest() for name in layout.columns
    ) if n else ()


def counts(partition: Partition) -> NDArray[np.int64]:
    """Of how many records each row is."""
    return partition["n"].reshape(-1).view("<u4").astype(np.int64)


def write_partitions(folder: Path, layout: Layout, bits: int, partitions: Iterable[Partition]) -> str:
    """Write a file whole or not at all, one partition after another; return its digest.

    Raises: StorageFull.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Commitments look random: to compress them costs time and saves nothing.
    compression = {name: "NONE" if name == "tails" else "ZSTD" for name in layout.columns}
    schema = pa.schema(
        [pa.field(name, pa.binary(layout.fixed.get(name, -1)), nullable=False) for name in layout.columns]
    )
    with place_beside(folder / "partitions.parquet", 0o600) as beside:

        def each(writer: Any) -> Iterator[Partition]:
            for partition in partitions:
                if len(partition["n"]):
                    table = pa.table([_arrow(layout, name, partition) for name in layout.columns], schema=schema)
                    writer.write_table(table, row_group_size=len(table))
                yield partition

        with beside.open("wb") as file:
            options = {"compression": compression, "use_dictionary": False, "write_statistics": False}
            with pq.ParquetWriter(file, schema, **options) as writer:
                contents = contents_of(layout, bits, each(writer))
                writer.add_key_value_metadata({_KEY: contents.to_bytes()})
        put(beside, folder / f"{contents.digest.removeprefix('sha256:')}.parquet")
    return contents.digest


def _arrow(layout: Layout, name: str, partition: Partition) -> Any:
    import pyarrow as pa

    data = pa.py_buffer(np.ascontiguousarray(partition[name]).data)
    n_rows = len(partition["n"])
    if name in layout.fixed:
        return pa.FixedSizeBinaryArray.from_buffers(pa.binary(layout.fixed[name]), n_rows, [None, data])
    ends = np.concatenate([[0], counts(partition).cumsum()]) * layout.each[name]
    return pa.BinaryArray.from_buffers(pa.binary(), n_rows, [None, pa.py_buffer(ends.astype(np.int32).data), data])


class PartitionedFile:
    """A file that was written so. Every column that is read is checked.

    Raises: DigestMismatch, if it is missing, damaged or altered.
    """

    def __init__(self, layout: Layout, path: Path) -> None:
        self.layout, self.path = layout, path
        self.where = f"{path.parent.name}/{path.name}"
        self.metadata, contents = _metadata(path, *moment_of(path))
        if contents is None or contents.kind != layout.kind:
            raise DigestMismatch(f"{self.where} holds no {layout.kind}; restore it from a backup")
        self.contents = contents
        if (found := self.contents.digest) != f"sha256:{path.stem}":
            raise DigestMismatch(f"{self.where} was altered: it now holds {found}; restore it from a backup")

    def partitions(self, columns: Sequence[str] | None = None) -> Iterator[Partition]:
        """Every partition in order, with these columns or all."""
        for number in range(len(self.contents.records)):
            yield self.partition(number, columns)

    def partition(self, number: int, columns: Sequence[str] | None = None) -> Partition:
        """One partition, with these columns or all; `n` is always there."""
        names = self.layout.columns if columns is None else tuple(dict.fromkeys((*columns, "n")))
        if not self.contents.records[number]:
            return {name: np.zeros((0, self.layout.fixed.get(name, 0)), np.uint8) for name in names}
        found = dict(_read(self.path, self.metadata, self.layout, [self.contents.row_group(number)], names))
        self._check(number, found)
        return found

    def whole(self, columns: Sequence[str]) -> Partition:
        """All partitions as one, of columns of a fixed width."""
        groups = range(self.metadata.num_row_groups)
        if len(groups) != sum(n > 0 for n in self.contents.records):
            raise DigestMismatch(f"{self.where} was altered: parts of it are missing; restore it from a backup")
        found = dict(_read(self.path, self.metadata, self.layout, groups, columns))
        begin = group = 0
        for number, n in enumerate(self.contents.records):
            if n:
                end = begin + self.metadata.row_group(group).num_rows
                self._check(number, {name: column[begin:end] for name, column in found.items()})
                begin, group = end, group + 1
        return found

    def _check(self, number: int, found: Partition) -> None:
        recorded = dict(zip(self.layout.columns, self.contents.digests[number], strict=True))
        for name, column in found.items():
            if sha256(column.data).hexdigest() != recorded[name]:
                raise DigestMismatch(
                    f"{self.where} was altered: column '{name}' of its part {number} is not what was recorded; restore it from a "
                    "backup"
                )


def is_partitioned(path: Path) -> bool:
    """Whether a file is of this form, and not of the one before. Raises: DigestMismatch."""
    return _metadata(path, *moment_of(path))[1] is not None


def digest_of_partitions(layouts: Mapping[str, Layout], path: Path) -> str | None:
    """The digest of what a file of this form holds, read anew; None where it is of another form."""
    where = f"{path.parent.name}/{path.name}"
    moment_of(path)  # it is there
    metadata, contents = _metadata.__wrapped__(path)  # what is remembered is not looked at
    if contents is None or (layout := layouts.get(contents.kind)) is None:
        return None

    def partitions() -> Iterator[Partition]:
        group = 0
        for n in contents.records:
            if n:
                yield dict(_read(path, metadata, layout, [group], layout.columns))
                group += 1
            else:
                yield {name: np.zeros((0, layout.fixed.get(name, 0)), np.uint8) for name in layout.columns}
        if group != metadata.num_row_groups:
            raise DigestMismatch(f"{where} holds parts that its metadata do not name; restore it from a backup")

    return contents_of(layout, contents.bits, partitions()).digest


def moment_of(path: Path | str) -> tuple[int, int, int]:
    """What tells one state of a file from another."""
    try:
        found = os.stat(path)
    except FileNotFoundError as e:
        where = "/".join(Path(path).parts[-2:])
        raise DigestMismatch(f"{where} is recorded and missing; restore it from a backup") from e
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=2048)
def _metadata(path: Path, *_: int) -> tuple[Any, Contents | None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
        data = (metadata.metadata or {}).get(_KEY)
        return metadata, None if data is None else Contents.of(data)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as e:
        raise DigestMismatch(f"{path.parent.name}/{path.name} is damaged; restore it from a backup") from e


def _read(
    path: Path, metadata: Any, layout: Layout, groups: Sequence[int], names: Sequence[str]
) -> Iterator[tuple[str, Column]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, metadata=metadata) as file:
            table = file.read_row_groups(list(groups), columns=list(names), use_threads=False)
        for name in names:
            column = table.column(name).combine_chunks()
            if isinstance(column, pa.ChunkedArray):  # of none
                column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
            if column.null_count or column.offset:
                raise pa.ArrowInvalid("nulls, or a part of a table")
            if name in layout.fixed:
                width = layout.fixed[name]
                yield name, np.frombuffer(column.buffers()[1], np.uint8, len(column) * width).reshape(-1, width)
            else:
                ends = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1)
                yield name, np.frombuffer(column.buffers()[2], np.uint8, int(ends[-1]))
    except (pa.ArrowException, OSError, KeyError, ValueError, IndexError, TypeError) as e:
        raise DigestMismatch(f"{path.parent.name}/{path.name} is damaged; restore it from a backup") from e
