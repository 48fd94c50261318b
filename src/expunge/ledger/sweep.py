"""Make the folders agree with the database, and destroy nothing that no erasure names.

A command writes its files and keys first and commits last, and it unlinks nothing that is still recorded. So whatever
stopped it, one sweep completes the new state: what an erasure or a purge has superseded goes. What the database does not
know at all may be a leftover of a killed command, or belong to a newer database than this one, which was restored from a
backup or emptied: it is moved to `lost/`, and comes back when the database knows it again.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from expunge.core.durable import remove_durably, rename_durably
from expunge.ledger.database import Database
from expunge.ledger.keys import Keyring
from expunge.ledger.secret_files import private_folder
from expunge.ledger.tables import DatasetVersionRow, ModelVersionRow, RequestEventRow, SubjectRow, UnitRow

LOST = "lost"


@dataclass(frozen=True)
class Files:
    """Paths that the database knows, relative to the project: those that are needed, and those that are not any more."""

    needed: set[str]
    known: set[str]


def sweep(database: Database, keys: Keyring, manifests: Path, members: Path) -> None:
    """Unlink superseded files, destroy the keys of the erased, and move to `lost/` what nothing recorded knows.

    Needed are the newest manifest of every dataset, the member files of versions that are not purged, and the keys of
    live subjects. It holds the writers' lock meanwhile, so nothing that another process is about to record is taken.
    """
    with database.write() as session:
        _tidy(manifests, _manifests(session))
        _tidy(members, _members(session))
        n_erasures = session.scalars(select(func.count()).where(RequestEventRow.kind == "erased")).one()
        if keys.subjects.settled_at() != n_erasures or keys.n_lost():
            _tidy_keys(session, keys)
            keys.subjects.settle(n_erasures)


def _tidy_keys(session: Session, keys: Keyring) -> None:
    """Compare all keys with all people, which takes a second for 500,000 of them: only after one of both has changed."""
    live = set(session.scalars(select(SubjectRow.ref).where(SubjectRow.state == "live")))
    erased = set(session.scalars(select(SubjectRow.ref).where(SubjectRow.state == "erased")))
    keys.recover(live)
    held = keys.subjects.refs()
    if unknown := held - live - erased:
        keys.lose(unknown)
    if erased & (held | keys.lost().keys()):
        keys.destroy(erased)


def lost_files(root: Path) -> list[str]:
    """Files that the database does not know, relative to the project."""
    return sorted(p.relative_to(root).as_posix() for p in (root / LOST).rglob("*") if p.is_file())


def _manifests(session: Session) -> Files:
    newest = select(func.max(DatasetVersionRow.id)).group_by(DatasetVersionRow.dataset_id)
    needed = session.scalars(select(DatasetVersionRow.path).where(DatasetVersionRow.id.in_(newest)))
    return Files(set(needed), set(session.scalars(select(DatasetVersionRow.path))))


def _members(session: Session) -> Files:
    known = select(UnitRow.members).join(ModelVersionRow, UnitRow.version_id == ModelVersionRow.id)
    needed = session.scalars(known.where(ModelVersionRow.state != "purged"))
    return Files({p for p in needed if p is not None}, {p for p in session.scalars(known) if p is not None})


def _tidy(folder: Path, files: Files) -> None:
    """Bring back what is needed and lies in `lost/`; unlink what is known and not needed; lose what is not known."""
    lost = folder.parent / LOST / folder.name
    for name in sorted(files.needed):
        if not (path := folder.parent / name).exists() and (lost / path.name).exists():
            rename_durably(lost / path.name, path)
    for path in sorted(folder.iterdir()):
        name = f"{folder.name}/{path.name}"
        if path.suffix not in (".parquet", ".tmp") or name in files.needed:
            continue
        if path.suffix == ".tmp" or name in files.known:
            remove_durably(path)
        else:
            private_folder(lost.parent)
            rename_durably(path, private_folder(lost) / path.name)
