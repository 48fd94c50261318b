"""A dataset's file as it is now, beside what is recorded of it: new rows make the next version, and what is gone is said."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from expunge.core import Record
from expunge.core.errors import InvalidData
from expunge.ledger.asked_for import people_asked_for, records_asked_for
from expunge.ledger.datasets import (
    DatasetInfo,
    check_writable,
    dataset,
    dataset_row,
    new_version,
    newest_version,
    rows_of,
    seen_now,
    source_path,
    stored_path,
)
from expunge.ledger.features import Feature
from expunge.ledger.live import committed, entombed, live_data, missing_rows, planted_commitments, recorded
from expunge.ledger.manifests import read_manifest
from expunge.ledger.rows import format_of
from expunge.ledger.shared import People
from expunge.ledger.sources import Columns, line_numbers
from expunge.ledger.store import Store


@dataclass(frozen=True, kw_only=True)
class Growth:
    """What a dataset's file holds beside its version before.

    Taken in are `n_new` records, and among them `n_people` of whom nothing was recorded. Left out are `n_waiting` of people who
    have an open request, and `n_entombed`. No longer there are `n_gone` that open requests are about, and `withdrawn`, which
    nobody asked for.
    """

    dataset: DatasetInfo
    n_new: int
    n_people: int
    n_waiting: int
    n_entombed: int
    n_gone: int
    withdrawn: frozenset[bytes]


def grow_dataset(store: Store, name: str, source: Path, columns: Columns, *, withdrawn: bool = False) -> Growth:
    """Take in the rows of a file that a dataset has not, as its next version; the file is its source from now on.

    On any error the project is as it was before. With `withdrawn`, rows that are gone and that no request is about were taken out
    by their owner: they are returned, for a request about them.

    Raises: UnknownName; InvalidData, for other columns, if the file is at fault, or for `withdrawn` where rows are known by the
    numbers of their lines; DigestMismatch, if rows are gone or changed
    that no open request is about, without `withdrawn`.
    """
    with store.transaction() as session:
        row, info = dataset_row(session, name), dataset(store, name)
        _check_columns(info, columns)
        if withdrawn and info.columns.id is None:
            raise InvalidData(
                f"dataset '{name}' has no id column, so that lines behind a withdrawn one would be taken for others; "
                f"`expunge data follow {source} --name {name} --withdrawn` matches them by what they hold, then add what is new"
            )
        before = newest_version(session, row)
        manifest = read_manifest(store.manifests, before.manifest)
        buried, waiting = entombed(store, name), people_asked_for(session, row)
        seen, new = set[bytes](), list[Record]()
        n_waiting = n_entombed = number = 0
        for number, one in enumerate(committed(store, info, recorded(store, info, source), manifest), start=1):
            if one.commitment in manifest:
                seen.add(one.commitment)
            elif one.commitment in buried:
                n_entombed += 1
            elif waiting.keys() & {*one.refs}:
                n_waiting += 1
            else:
                check_writable(one.record, source, number)
                new.append(one.record)
        n_lines = number - len(planted_commitments(store, info, manifest))
        missing = manifest.keys() - seen - buried
        expected = missing & records_asked_for(session, row, manifest).keys()
        unexpected = frozenset(missing - expected)
        if unexpected and not withdrawn:
            raise missing_rows(info, len(unexpected), len(manifest), str(source))
        row.source, row.format, row.source_seen = stored_path(store.root, source), format_of(source), seen_now(source)
        row.line_numbers = _numbered(info, n_lines)
        people = People(store, session, row.id)
        n_people = people.welcome(session, new)
        added = rows_of(people, name, new)
        if added:
            new_version(store, session, row, [*manifest.items(), *added], before)
        session.flush()
        return Growth(
            dataset=dataset(store, name),
            n_new=len(added),
            n_people=n_people,
            n_waiting=n_waiting,
            n_entombed=n_entombed,
            n_gone=len(expected),
            withdrawn=unexpected,
        )


def unrecorded(store: Store, name: str) -> int:
    """How many rows of a dataset's file are not recorded; the file is read if it was changed since it was last compared.

    Raises: UnknownName; InvalidData and DigestMismatch, as `live_data`.
    """
    with store.database.read() as session:
        row = dataset_row(session, name)
        source, seen = source_path(store, dataset(store, name)), row.source_seen
    if seen is not None and source.exists() and seen_now(source) == seen:
        return 0
    return live_data(store, name).unrecorded


def _numbered(info: DatasetInfo, n_lines: int) -> list[list[int | None]] | None:
    """The numbers of a file's lines, closed behind the last one that was read: no later line may have an earlier number."""
    if info.columns.id is not None:
        return None
    return ranges(list(islice(line_numbers(info.columns.lines), n_lines + 1)))


def ranges(numbers: Sequence[int]) -> list[list[int | None]]:
    """Numbers as ranges, the last of which goes on without an end.

    >>> ranges([1, 2, 5, 9])
    [[1, 2], [5, 5], [9, None]]
    """
    found: list[list[int | None]] = []
    for number in numbers[:-1]:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return [*found, [numbers[-1], None]]


def _check_columns(info: DatasetInfo, given: Columns) -> None:
    """Raises: InvalidData, for a column that means something else now."""
    known = info.columns
    for role in ("subject", "separator", "question", "answer", "value", "id"):
        if (had := getattr(known, role)) != (has := getattr(given, role)):
            raise _other_column(info, "subjects-separator" if role == "separator" else role, had, has)
    if known.feature_names != given.feature_names:
        raise _other_column(info, "features", ",".join(known.feature_names), ",".join(given.feature_names))
    kinds = {f.name: f.kind for f in known.features if isinstance(f, Feature)}
    for feature in given.features:
        if isinstance(feature, Feature) and feature.kind and feature.kind != kinds.get(feature.name):
            raise _other_column(
                info, "features", f"{feature.name}:{kinds.get(feature.name)}", f"{feature.name}:{feature.kind}"
            )


def _other_column(info: DatasetInfo, role: str, had: str | None, has: str | None) -> InvalidData:
    return InvalidData(
        f"dataset '{info.name}' is recorded already, with --{role} {had or 'left out'}, not {has or 'left out'}; give the same "
        "columns to take in new rows, or choose another --name"
    )
