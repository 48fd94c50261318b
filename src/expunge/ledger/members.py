"""Which records a unit of a model was fitted on: a Parquet file of commitments and their slices, sorted by person."""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from expunge.core import Unit
from expunge.core.errors import InvalidData
from expunge.ledger.commitments import PERSON
from expunge.ledger.content import digest_of, file_of, read_table
from expunge.ledger.partitions import (
    Layout,
    Partition,
    PartitionedFile,
    bits_for,
    counts,
    is_partitioned,
    moment_of,
    partition_of,
    partitions_of,
    write_partitions,
)
from expunge.ledger.spool import Rows, Spool, as_texts

_TAIL = 32 - PERSON
_WIDTH = 36  # of a row: commitment, slice
# `first_slice` and `check`, the first 8 bytes of all tails added bit by bit, tell without the tails what a unit holds of somebody.
_INDEX = ("person", "n", "first_slice", "check")
LAYOUT = Layout("members", {"person": PERSON, "n": 4, "first_slice": 4, "check": 8}, {"tails": _TAIL, "slices": 4})


@dataclass(frozen=True, eq=False)
class MemberRows:
    """Many members, without an object for each: N commitments of 32 bytes, and N slices."""

    commitments: Rows
    slices: NDArray[np.int64]

    @classmethod
    def of(cls, members: Iterable[tuple[bytes, int]]) -> "MemberRows":
        """Raises: InvalidData, for a commitment that is not of 32 bytes."""
        members = list(members)
        if wrong := [len(commitment) for commitment, _ in members if len(commitment) != 32]:
            raise InvalidData(f"a commitment has 32 bytes; one of {wrong[0]} was given")
        packed = np.frombuffer(b"".join(commitment for commitment, _ in members), np.uint8)
        return cls(packed.reshape(-1, 32), np.array([number for _, number in members], np.int64))


@dataclass(frozen=True)
class UnitMembers:
    """A unit with the commitment and slice (from 1) of each of its records; None where that is not known."""

    unit: Unit
    members: tuple[tuple[bytes, int], ...] | MemberRows | None

    def check(self) -> None:
        """Raises: InvalidData, if a slice has not as many members as the unit says, or one comes twice."""
        if (rows := self.rows()) is None:
            return
        numbers, sizes = np.unique(rows.slices, return_counts=True)
        counted = dict(zip(numbers.tolist(), sizes.tolist(), strict=True))
        if counted != {n: size for n, size in enumerate(self.unit.slices, start=1) if size}:
            raise InvalidData(
                f"unit '{self.unit.id}' has slices of {list(self.unit.slices)} records, its members make "
                f"{counted} (slice: records, slices count from 1)"
            )
        ordered = np.sort(as_texts(rows.commitments))
        if twice := int((ordered[1:] == ordered[:-1]).sum()):
            raise InvalidData(f"unit '{self.unit.id}' lists {twice} of its records twice")

    def rows(self) -> MemberRows | None:
        return MemberRows.of(self.members) if isinstance(self.members, tuple) else self.members


@dataclass(frozen=True, eq=False)
class Sought:
    """Commitments that are looked for, by what those of a person begin with."""

    persons: NDArray[np.uint64]
    n: NDArray[np.int64]
    check: NDArray[np.uint64]
    commitments: tuple[tuple[bytes, ...], ...]  # of each person

    @classmethod
    def of(cls, commitments: Set[bytes]) -> "Sought":
        ordered = sorted(commitments)
        rows = np.frombuffer(b"".join(ordered), np.uint8).reshape(-1, 32)
        index = _indexed(rows, np.ones(len(rows), np.int64))
        ends = index.n.cumsum().tolist()
        groups = [tuple(ordered[begin:end]) for begin, end in zip([0, *ends[:-1]], ends, strict=True)] if ends else []
        return cls(index.persons, index.n, index.check, tuple(groups))


@dataclass(frozen=True, eq=False)
class Found:
    """What a unit holds of what was sought: everything of some persons, by their place, and single records of others."""

    whole: tuple[int, ...]
    some: frozenset[bytes]
    n_records: int
    first_slice: int


def count_found(sought: Sought, units: Sequence[Found]) -> int:
    """How many records several units hold together: one that is in two of them is one record."""
    if len(units) == 1:
        return units[0].n_records
    whole = {place for found in units for place in found.whole}
    of_whole = {sought.commitments[place][0][:PERSON] for place in whole}
    some = {c for found in units for c in found.some if c[:PERSON] not in of_whole}
    return sum(len(sought.commitments[place]) for place in whole) + len(some)


def find_members(folder: Path, digests: Iterable[str], sought: Sought) -> dict[str, Found]:
    """What units hold of these records, by digest, of those that hold any.

    Commitments are read only of persons of whom a unit holds something else than what is sought.

    Raises: DigestMismatch, if a file is missing, damaged or altered.
    """
    place, held = str(folder), dict[str, Found]()
    for digest in digests:
        path = f"{place}/{digest.removeprefix('sha256:')}.parquet"
        if found := _found(folder, digest, _index(path, *moment_of(path)), sought):
            held[digest] = found
    return held


def _found(folder: Path, digest: str, index: "_Index", sought: Sought) -> Found | None:
    if not len(index.persons):
        return None
    at = index.persons.searchsorted(sought.persons)
    there = (index.persons.take(at, mode="clip") == sought.persons).nonzero()[0]
    if not len(there):
        return None
    place = at[there]
    same = (index.n[place] == sought.n[there]) & (index.check[place] == sought.check[there])
    whole = there[same]
    slices = index.first_slice[place[same]].tolist()
    some: dict[bytes, int] = {}
    if len(whole) < len(there):
        only = {c for k in there[~same].tolist() for c in sought.commitments[k]}
        some = read_members(folder, digest, only)
    if not slices and not some:
        return None
    n_records = int(sought.n[whole].sum()) + len(some)
    return Found(tuple(whole.tolist()), frozenset(some), n_records, min([*slices, *some.values()]))


def write_members(folder: Path, members: Iterable[tuple[bytes, int]] | MemberRows) -> str:
    """Store (commitment, slice) rows; the same rows in any order give the same digest.

    Raises: StorageFull.
    """
    given = members if isinstance(members, MemberRows) else MemberRows.of(members)
    rows = np.concatenate([given.commitments, _bytes_of(given.slices, ">u4")], axis=1)
    bits = bits_for(len(rows))
    with Spool(folder, _WIDTH) as spool:
        spool.add(rows)
        return write_partitions(folder, LAYOUT, bits, map(_grouped, partitions_of(spool.buckets(), bits)))


def read_members(folder: Path, digest: str, only: Set[bytes] | None = None) -> dict[bytes, int]:
    """Slice by commitment, of every record or of those in `only`.

    Raises: DigestMismatch, if the file is missing, damaged or altered.
    """
    path = file_of(folder, digest)
    if not is_partitioned(path):
        return {c: number for c, number in _earlier(folder, digest) if only is None or c in only}
    file = PartitionedFile(LAYOUT, path)
    if only is None:
        parts = file.partitions(("person", "tails", "slices"))
    else:
        numbers = sorted({partition_of(commitment, file.contents.bits) for commitment in only})
        parts = (file.partition(number, ("person", "tails", "slices")) for number in numbers)
    return {c: number for part in parts for c, number in _members(part) if only is None or c in only}


def _members(partition: Partition) -> Iterator[tuple[bytes, int]]:
    persons = np.repeat(partition["person"], counts(partition), axis=0)
    data = np.concatenate([persons, partition["tails"].reshape(-1, _TAIL)], axis=1).tobytes()
    slices = partition["slices"].view("<u4").tolist()
    return ((data[k * 32 : k * 32 + 32], number) for k, number in enumerate(slices))


@dataclass(frozen=True, eq=False)
class _Index:
    """Of every person in a unit: how many records, in which slice the first, and what tells them from others."""

    persons: NDArray[np.uint64]
    n: NDArray[np.int64]
    first_slice: NDArray[np.int64]
    check: NDArray[np.uint64]


@lru_cache(maxsize=1024)
def _index(name: str, *_: int) -> _Index:
    """Checked when it is read, and kept: 32 bytes a person and unit."""
    path = Path(name)
    if not is_partitioned(path):
        rows = MemberRows.of(_earlier(path.parent, digest_of(path.name)))
        order = np.argsort(as_texts(rows.commitments))
        return _indexed(rows.commitments[order], rows.slices[order])
    found = PartitionedFile(LAYOUT, path).whole(_INDEX)
    return _Index(
        found["person"].reshape(-1).view(">u8").astype(np.uint64),
        counts(found),
        found["first_slice"].reshape(-1).view("<u4").astype(np.int64),
        found["check"].reshape(-1).view("<u8").astype(np.uint64),
    )


def _indexed(commitments: Rows, slices: NDArray[np.int64]) -> _Index:
    """Of sorted commitments."""
    persons = np.ascontiguousarray(commitments[:, :PERSON]).reshape(-1).view(">u8").astype(np.uint64)
    if not len(persons):
        none = np.zeros(0, np.int64)
        return _Index(persons, none, none, persons)
    starts = np.flatnonzero(np.r_[True, persons[1:] != persons[:-1]])
    firsts = np.ascontiguousarray(commitments[:, PERSON : PERSON + 8]).reshape(-1).view("<u8").astype(np.uint64)
    return _Index(
        persons[starts],
        np.diff(starts, append=len(persons)),
        np.minimum.reduceat(slices, starts),
        np.bitwise_xor.reduceat(firsts, starts),
    )


def _grouped(rows: Rows) -> Partition:
    """Sorted rows as a partition: one row for each person."""
    slices = np.ascontiguousarray(rows[:, 32:]).reshape(-1).view(">u4").astype(np.int64)
    index = _indexed(rows[:, :32], slices)
    return {
        "person": _bytes_of(index.persons, ">u8"),
        "n": _bytes_of(index.n, "<u4"),
        "first_slice": _bytes_of(index.first_slice, "<u4"),
        "check": _bytes_of(index.check, "<u8"),
        "tails": np.ascontiguousarray(rows[:, PERSON:32]).reshape(-1),
        "slices": _bytes_of(slices, "<u4").reshape(-1),
    }


def _bytes_of(numbers: NDArray[np.int64] | NDArray[np.uint64], form: str) -> Rows:
    width = np.dtype(form).itemsize
    return numbers.astype(form).view(np.uint8).reshape(-1, width)


def _earlier(folder: Path, digest: str) -> list[tuple[bytes, int]]:
    """Members as earlier releases wrote them: a row for each record, sorted by commitment."""
    table = read_table(folder, digest)
    return list(zip(table.column("commitment").to_pylist(), table.column("slice").to_pylist(), strict=True))
