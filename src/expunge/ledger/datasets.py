"""Register a file as a dataset: its records are committed to, their content stays where it is."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from expunge.core import Record
from expunge.core.errors import InvalidData
from expunge.ledger.commitments import commitment
from expunge.ledger.content import file_of
from expunge.ledger.event_time import event_time
from expunge.ledger.features import Feature
from expunge.ledger.intake import Intake, refuse_unwritable
from expunge.ledger.manifests import WIDTH, subjects_in, write_manifest, write_spooled
from expunge.ledger.names import unknown_name
from expunge.ledger.planted import Planted, write_planted
from expunge.ledger.rows import format_of
from expunge.ledger.shared import People, companies
from expunge.ledger.sources import AS_THEY_COME, Columns, settled_columns
from expunge.ledger.spool import Spool
from expunge.ledger.store import Store
from expunge.ledger.tables import DatasetRow, DatasetVersionRow


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """One version of a dataset. `source` is relative to the project directory where the file lies inside it.

    `path` is the manifest's file, relative to the project directory; only the newest version's exists.
    `parent` is the manifest digest of the version before.
    """

    name: str
    version: int
    source: str
    format: str
    columns: Columns
    manifest: str
    path: str
    n_records: int
    n_subjects: int
    parent: str | None
    created_at: str


def add_dataset(store: Store, name: str, source: Path, columns: Columns, planted: Planted | None = None) -> DatasetInfo:
    """Read a file and record what it holds, and invented people beside it. On any error the project is as it was before.

    Raises: InvalidData, if the name is taken, or the file is at fault (see `read_records`).
    """
    if not name.strip():
        raise InvalidData("a dataset needs a name; give a short one such as 'people'")
    columns = settled_columns(source, columns)
    if columns.separator is not None and not columns.separator.strip():
        raise InvalidData("a separator of subjects is a sign between names, such as ';'; give one that is no blank")
    with store.database.read() as session:
        _check_free(session, name, source)  # before the file is read: it may be large
    with Spool(store.manifests, WIDTH) as spool:
        intake = Intake(name, spool)
        intake.read(source, columns)
        intake.add(planted.records if planted else ())
        return _record_dataset(store, name, source, columns, planted, intake, spool)


def _record_dataset(
    store: Store, name: str, source: Path, columns: Columns, planted: Planted | None, intake: Intake, spool: Spool
) -> DatasetInfo:
    with store.transaction() as session:
        _check_free(session, name, source)
        row = DatasetRow(
            name=name,
            source=stored_path(store.root, source),
            format=format_of(source),
            subject_column=columns.subject,
            answer_column=columns.answer,
            question_column=columns.question,
            value_column=columns.value,
            id_column=columns.id,
            feature_columns=[f.to_json() for f in columns.features if isinstance(f, Feature)] or None,
            source_seen=seen_now(source),
            subject_separator=columns.separator,
        )
        session.add(row)
        session.flush()
        intake.record(store, session, row.id)
        digest = write_spooled(store.manifests, spool)
        version = record_version(store, session, row, digest, spool.n_rows, len(intake.people), parent=None)
        write_planted(store, name, planted)
        return _info(session, row, version)


def _check_free(session: Session, name: str, source: Path) -> None:
    if session.scalar(select(DatasetRow).where(DatasetRow.name == name)):
        raise InvalidData(f"a dataset '{name}' is recorded already; choose another name for {source.name}")


def rows_of(people: People, name: str, records: Iterable[Record]) -> list[tuple[bytes, str]]:
    """What a manifest has of records whose people are known."""
    each = [(record, people.refs(record)) for record in records]
    return [(commitment(people.key(refs), name, record), people.subject(refs) or "") for record, refs in each]


def check_writable(record: Record, source: Path, number: int) -> None:
    """Raises: InvalidData, for a subject who could not be asked for in a list of identities."""
    for subject in record.subjects:
        refuse_unwritable(subject, f"{source.name}: the subject of record {number}")


def new_version(
    store: Store,
    session: Session,
    row: DatasetRow,
    rows: list[tuple[bytes, str]],
    parent: DatasetVersionRow | None,
) -> DatasetVersionRow:
    """Write the manifest of a dataset's next version and record it."""
    digest = write_manifest(store.manifests, rows)
    return record_version(store, session, row, digest, len(rows), count_people(store, session, row.id, digest), parent)


def count_people(store: Store, session: Session, dataset_id: int, manifest: str) -> int:
    """How many people a manifest has records of, alone or with others."""
    together = companies(session, dataset_id)
    return len({one for ref in subjects_in(store.manifests, manifest) for one in together.get(ref, (ref,))})


def record_version(
    store: Store,
    session: Session,
    row: DatasetRow,
    digest: str,
    n_records: int,
    n_subjects: int,
    parent: DatasetVersionRow | None,
) -> DatasetVersionRow:
    """Record a manifest that was written as a dataset's next version."""
    version = DatasetVersionRow(
        dataset_id=row.id,
        version=1 if parent is None else parent.version + 1,
        manifest=digest,
        path=file_of(store.manifests, digest).relative_to(store.root).as_posix(),
        n_records=n_records,
        n_subjects=n_subjects,
        parent_id=None if parent is None else parent.id,
        created_at=event_time(session),
    )
    session.add(version)
    session.flush()
    return version


def dataset(store: Store, name: str) -> DatasetInfo:
    """The newest version of a dataset. Raises: UnknownName."""
    return dataset_history(store, name)[-1]


def dataset_history(store: Store, name: str) -> tuple[DatasetInfo, ...]:
    """Every version of a dataset, oldest first. Raises: UnknownName."""
    with store.database.read() as session:
        row = dataset_row(session, name)
        versions = select(DatasetVersionRow).where(DatasetVersionRow.dataset_id == row.id)
        return tuple(_info(session, row, v) for v in session.scalars(versions.order_by(DatasetVersionRow.version)))


def datasets(store: Store) -> tuple[DatasetInfo, ...]:
    """The newest version of every dataset, by name."""
    with store.database.read() as session:
        return tuple(
            _info(session, row, newest_version(session, row))
            for row in session.scalars(select(DatasetRow).order_by(DatasetRow.name))
        )


def dataset_row(session: Session, name: str) -> DatasetRow:
    """The row of a dataset. Raises: UnknownName."""
    row = session.scalar(select(DatasetRow).where(DatasetRow.name == name))
    if row is None:
        raise unknown_name("dataset", name, session.scalars(select(DatasetRow.name)))
    return row


def newest_version(session: Session, row: DatasetRow) -> DatasetVersionRow:
    """The version that holds now."""
    versions = select(DatasetVersionRow).where(DatasetVersionRow.dataset_id == row.id)
    return session.scalars(versions.order_by(DatasetVersionRow.version.desc()).limit(1)).one()


def newest_manifest(session: Session, dataset_id: int) -> str:
    """The digest of what a dataset holds now."""
    versions = select(DatasetVersionRow.manifest).where(DatasetVersionRow.dataset_id == dataset_id)
    return session.scalars(versions.order_by(DatasetVersionRow.version.desc()).limit(1)).one()


def has_grown(session: Session, row: DatasetRow) -> bool:
    """Whether a version of a dataset has more records than the one before: erasures make it smaller alone."""
    sizes = select(DatasetVersionRow.n_records).where(DatasetVersionRow.dataset_id == row.id)
    found = list(session.scalars(sizes.order_by(DatasetVersionRow.version)))
    return any(later > earlier for earlier, later in pairwise(found))


def source_path(store: Store, info: DatasetInfo) -> Path:
    """Where a dataset's file lies."""
    return store.root / info.source


def seen_now(source: Path) -> str:
    """Size and time of a file: while they stay, so does what it holds, unless somebody takes trouble over it."""
    found = source.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def stored_path(root: Path, source: Path) -> str:
    """Relative inside the project directory, so that the project can move; absolute elsewhere."""
    absolute, base = Path(os.path.abspath(source)), Path(os.path.abspath(root))
    return (absolute.relative_to(base) if absolute.is_relative_to(base) else absolute).as_posix()


def _info(session: Session, row: DatasetRow, version: DatasetVersionRow) -> DatasetInfo:
    parent = None if version.parent_id is None else session.get_one(DatasetVersionRow, version.parent_id)
    return DatasetInfo(
        name=row.name,
        version=version.version,
        source=row.source,
        format=row.format,
        columns=Columns(
            subject=row.subject_column,
            separator=row.subject_separator,
            answer=row.answer_column,
            question=row.question_column,
            value=row.value_column,
            id=row.id_column,
            features=tuple(map(Feature.recorded, row.feature_columns or ())),
            lines=tuple((first, last) for first, last in row.line_numbers) if row.line_numbers else AS_THEY_COME,
        ),
        manifest=version.manifest,
        path=version.path,
        n_records=version.n_records,
        n_subjects=version.n_subjects,
        parent=None if parent is None else parent.manifest,
        created_at=version.created_at,
    )
