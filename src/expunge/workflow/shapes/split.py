"""Cut a dataset into units for a training loop of your own, and let `Track` record what each unit learned.

    for unit in expunge.split(rows, subject="author", shards=8):
        SFTTrainer(..., train_dataset=unit.dataset, callbacks=[expunge.Track(unit)]).train()

Placement is a keyed hash of the subject, so a unit changes only when one of its own people leaves.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.core import Record
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.core.identity import identity_of
from expunge.core.placement import cut, member_id
from expunge.engine import digest_value


@dataclass(frozen=True)
class DataUnit:
    """What one training run may see.

    `dataset` holds the rows of slices 1 to `slice` of a shard, in an order that other people's leaving does not change;
    continue from the model of `previous` (None: from the start). `folder` is where the project expects its model.
    """

    id: str
    shard: str
    slice: int
    shards: int
    slices: int
    dataset: Any
    members: tuple[tuple[str, ...], ...]  # opaque names of the records, by slice
    previous: str | None
    folder: Path | None
    seed: int

    @property
    def n_records(self) -> int:
        return sum(len(part) for part in self.members)


def split(
    dataset: Any,
    *,
    subject: str = "subject",
    shards: int,
    slices: int = 1,
    salt: bytes | None = None,
    project: str | Path | None = None,
    model: str | None = None,
) -> Iterator[DataUnit]:
    """Units of a list of dicts, a `datasets.Dataset`, or (with `project` and `model`) of a dataset the ledger knows by name.

    With a project the salt is the project's secret for that model, and `unit.folder` is under its `runs/`.

    Raises: InvalidParameter; InvalidData, for no rows, no such column, and what names nobody: None, NaN, no text.
    """
    if shards < 1 or slices < 1:
        raise InvalidParameter(f"shards and slices must be >= 1, got {shards} and {slices}")
    folder = None
    if project is not None:
        from expunge.workflow.project.project import Project

        if model is None or not isinstance(dataset, str):
            raise InvalidParameter("with project=, name the dataset as the ledger knows it, and the model")
        opened = Project.open(Path(project))
        salt, folder = opened.salt(model), opened.root / "runs" / model
        live = opened.ledger.live_records(dataset)
        records = live
        rows: Any = [{"id": r.id, "subject": r.subject, "question": r.question, "answer": r.answer} for r in live]
    else:
        if salt is None:
            warnings.warn("salt=None: placement is not secret; pass secret bytes, and keep them", stacklevel=2)
            salt = b"expunge/no-salt"
        rows, records = dataset, _records(dataset, subject)
    yield from units_of(rows, records, shards, slices, salt, folder)


def units_of(
    rows: Any, records: Sequence[Record], shards: int, slices: int, salt: bytes, folder: Path | None
) -> Iterator[DataUnit]:
    """The units of records that stand at the same places as `rows`."""
    at: dict[str, list[int]] = {}  # equal rows have one name, and any of them may stand for it
    for i, record in enumerate(records):
        at.setdefault(record.id, []).append(i)
    for number, parts in cut(records, salt, shards, slices).items():
        previous = None
        for k in range(1, slices + 1):
            left = {name: iter(places) for name, places in at.items()}
            seen = [next(left[r.id]) for part in parts[:k] for r in part]
            unit = unit_name(number, k, slices)
            yield DataUnit(
                id=unit,
                shard=unit_name(number, 1, 1),
                slice=k,
                shards=shards,
                slices=slices,
                dataset=rows.select(seen) if hasattr(rows, "select") else [rows[i] for i in seen],
                members=tuple(tuple(member_id(r, salt) for r in part) for part in parts[:k]),
                previous=previous,
                folder=folder / unit if folder else None,
                seed=int.from_bytes(member_id(Record(unit, "", "", ""), salt).encode()[:4], "big"),
            )
            previous = unit


def unit_name(shard: int, k: int, slices: int) -> str:
    """The name of what slices 1 to k of a shard trained.

    >>> unit_name(3, 1, 1), unit_name(3, 2, 4)
    ('shard-003', 'shard-003-slice-2')
    """
    return f"shard-{shard:03d}" if slices == 1 else f"shard-{shard:03d}-slice-{k}"


def _records(rows: Any, subject: str) -> list[Record]:
    if not len(rows):
        raise InvalidData("the dataset is empty; there is nothing to split")
    records: list[Record] = []
    for i, row in enumerate(rows):
        if subject not in row:
            raise InvalidData(f"row {i + 1} has no '{subject}'; columns found: {', '.join(map(str, row))}")
        try:
            content = digest_value(dict(row))
        except InvalidParameter as e:
            raise InvalidData(f"row {i + 1} cannot be named by its content: {e}") from e
        named = row[subject]
        several = named if isinstance(named, list | tuple | set | frozenset) else [named]
        if not several:
            raise InvalidData(f"row {i + 1} has no '{subject}': the list of names is empty")
        try:
            first, *also = map(identity_of, several)
        except InvalidData as e:
            raise InvalidData(f"row {i + 1}, '{subject}': {e}") from None
        records.append(Record(content, first, "", content, also=tuple(also)))
    return records
