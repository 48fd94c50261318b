"""Which records a unit of a model was fitted on: a Parquet file of commitments and their slices."""

from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path

from expunge.core import Unit
from expunge.core.errors import InvalidData
from expunge.ledger.content import read_table, write_table


@dataclass(frozen=True)
class UnitMembers:
    """A unit with the commitment and slice (from 1) of each of its records; None where that is not known."""

    unit: Unit
    members: tuple[tuple[bytes, int], ...] | None

    def check(self) -> None:
        """Raises: InvalidData, if a slice has not as many members as the unit says, or one comes twice."""
        if self.members is None:
            return
        counts = Counter(number for _, number in self.members)
        if counts != {n: size for n, size in enumerate(self.unit.slices, start=1) if size}:
            raise InvalidData(
                f"unit '{self.unit.id}' has slices of {list(self.unit.slices)} records, its members make "
                f"{dict(sorted(counts.items()))} (slice: records, slices count from 1)"
            )
        if (twice := len(self.members) - len({c for c, _ in self.members})) > 0:
            raise InvalidData(f"unit '{self.unit.id}' lists {twice} of its records twice")


def write_members(folder: Path, members: Iterable[tuple[bytes, int]]) -> str:
    """Store (commitment, slice) rows; the same rows in any order give the same digest."""
    import pyarrow as pa

    schema = pa.schema([("commitment", pa.binary()), ("slice", pa.int32())])
    ordered = sorted(members)
    columns = [[commitment for commitment, _ in ordered], [number for _, number in ordered]]
    return write_table(folder, pa.table(columns, schema=schema))


def read_members(folder: Path, digest: str, only: Set[bytes] | None = None) -> dict[bytes, int]:
    """Slice by commitment, of every record or of those in `only`.

    Raises: DigestMismatch, if the file is missing, damaged or altered.
    """
    table = read_table(folder, digest)
    pairs = zip(table.column("commitment").to_pylist(), table.column("slice").to_pylist(), strict=True)
    return {commitment: number for commitment, number in pairs if only is None or commitment in only}
