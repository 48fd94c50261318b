"""A dataset's file as it is now, beside what is recorded of it: new rows make the next version, and what is gone is said."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

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
    stored_path,
)
from expunge.ledger.features import Feature
from expunge.ledger.live import committed, entombed, missing_rows, recorded
from expunge.ledger.manifests import commitment, read_manifest
from expunge.ledger.rows import format_of
from expunge.ledger.sources import Columns
from expunge.ledger.store import Store
from expunge.ledger.tables import DatasetRow, SubjectRow


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

    Raises: UnknownName; InvalidData, for other columns, or if the file is at fault; DigestMismatch, if rows are gone or changed
    that no open request is about, without `withdrawn`.
    """
    with store.transaction() as session:
        row, info = dataset_row(session, name), dataset(store, name)
        _check_columns(info, columns)
        before = newest_version(session, row)
        manifest = read_manifest(store.manifests, before.manifest)
        buried, waiting = entombed(store, name), people_asked_for(session, row)
        seen, new = set[bytes](), list[tuple[Record, str | None]]()
        n_waiting = n_entombed = 0
        for number, (record, ref, c) in enumerate(committed(store, info, recorded(store, info, source)), start=1):
            if c is not None and c in manifest:
                seen.add(c)
            elif c in buried:
                n_entombed += 1
            elif ref in waiting:
                n_waiting += 1
            else:
                check_writable(record, source, number)
                new.append((record, ref))
        missing = manifest.keys() - seen - buried
        expected = missing & records_asked_for(session, row, manifest).keys()
        unexpected = frozenset(missing - expected)
        if unexpected and not withdrawn:
            raise missing_rows(info, len(unexpected), len(manifest), str(source))
        row.source, row.format = stored_path(store.root, source), format_of(source)
        added, n_people = _taken_in(store, session, row, new)
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


def _taken_in(
    store: Store, session: Session, row: DatasetRow, new: list[tuple[Record, str | None]]
) -> tuple[list[tuple[bytes, str]], int]:
    """Commit to new records; people of whom nothing was recorded get a reference and a key."""
    strangers = {name: uuid4().hex for name in dict.fromkeys(record.subject for record, ref in new if ref is None)}
    session.add_all(
        SubjectRow(dataset_id=row.id, ref=ref, handle=store.keys.handle(identity), state="live")
        for identity, ref in strangers.items()
    )
    keys: Mapping[str, bytes] = {**store.keys.subjects.all(), **store.keys.subjects.create(strangers.values())}
    refs = [(record, ref or strangers[record.subject]) for record, ref in new]
    return [(commitment(keys[ref], row.name, record), ref) for record, ref in refs], len(strangers)


def _check_columns(info: DatasetInfo, given: Columns) -> None:
    """Raises: InvalidData, for a column that means something else now."""
    known = info.columns
    for role in ("subject", "question", "answer", "value", "id"):
        if (had := getattr(known, role)) != (has := getattr(given, role)):
            raise _other_column(info, role, had, has)
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
