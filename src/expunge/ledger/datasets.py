"""Register a file as a dataset: its records are committed to, their content stays where it is."""

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from expunge.core.errors import InvalidData
from expunge.ledger.batches import batched
from expunge.ledger.content import file_of
from expunge.ledger.event_time import event_time
from expunge.ledger.features import Feature
from expunge.ledger.intake import Intake
from expunge.ledger.manifests import WIDTH, write_spooled
from expunge.ledger.names import unknown_name
from expunge.ledger.planted import Planted, write_planted
from expunge.ledger.rows import format_of
from expunge.ledger.sources import Columns, settled_columns
from expunge.ledger.spool import Spool
from expunge.ledger.store import Store
from expunge.ledger.tables import Base, DatasetRow, DatasetVersionRow

_PERSON = insert(Base.metadata.tables["subject"])  # without objects, of which there would be many


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
            source=_stored_path(store.root, source),
            format=format_of(source),
            subject_column=columns.subject,
            answer_column=columns.answer,
            question_column=columns.question,
            value_column=columns.value,
            id_column=columns.id,
            feature_columns=[f.to_json() for f in columns.features if isinstance(f, Feature)] or None,
        )
        session.add(row)
        session.flush()
        for some in batched(intake.people.items(), 10_000):
            of_each = [(ref.hex(), store.keys.handle(identity)) for identity, (ref, _) in some]
            people = [{"dataset_id": row.id, "ref": ref, "handle": h, "state": "live"} for ref, h in of_each]
            session.connection().execute(_PERSON, people)
        store.keys.subjects.add(intake.keys())
        digest = write_spooled(store.manifests, spool)
        version = record_version(store, session, row, digest, spool.n_rows, len(intake.people), parent=None)
        write_planted(store, name, planted)
        return _info(session, row, version)


def _check_free(session: Session, name: str, source: Path) -> None:
    if session.scalar(select(DatasetRow).where(DatasetRow.name == name)):
        raise InvalidData(f"a dataset '{name}' is recorded already; choose another name for {source.name}")


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


def source_path(store: Store, info: DatasetInfo) -> Path:
    """Where a dataset's file lies."""
    return store.root / info.source


def _stored_path(root: Path, source: Path) -> str:
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
            answer=row.answer_column,
            question=row.question_column,
            value=row.value_column,
            id=row.id_column,
            features=tuple(map(Feature.recorded, row.feature_columns or ())),
        ),
        manifest=version.manifest,
        path=version.path,
        n_records=version.n_records,
        n_subjects=version.n_subjects,
        parent=None if parent is None else parent.manifest,
        created_at=version.created_at,
    )
